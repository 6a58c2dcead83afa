//! Retries of writes, in addition to those of the store's own client.

use std::time::Duration;

use crate::destination::error::DestinationError;
use crate::retry::{RetryDecision, RetryPolicy};

/// The store's client retries for up to three minutes itself, but gives up at once on some errors that pass, such as a connection
/// that is reset while a body is uploaded.
pub const WRITE_RETRIES: RetryPolicy = RetryPolicy {
    max_attempts: 5,
    initial_backoff: Duration::from_millis(600),
    max_backoff: Duration::from_secs(60),
    total_time: Some(Duration::from_secs(15 * 60)),
    max_retry_after: Duration::ZERO,
};

/// Runs `write`, which must be idempotent, and retries it while `is_wanted`.
///
/// # Errors
/// The last error of `write`.
pub async fn retry_write<T, F>(write: impl FnMut() -> F, is_wanted: impl Fn() -> bool) -> Result<T, DestinationError>
where
    F: Future<Output = Result<T, DestinationError>>,
{
    let decide = |error: &DestinationError| {
        if is_wanted() { error.retry_decision() } else { RetryDecision::Never }
    };
    WRITE_RETRIES.run(write, decide).await.map_err(|failed| failed.error.with_attempts(failed.attempts))
}
