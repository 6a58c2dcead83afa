//! Writing again where a store has a hiccup, beside what the client of the store tries itself.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder, Retryable};

use crate::destination::error::DestinationError;
use crate::model::words::words;

/// How often a write is tried again.
const MOST_AGAIN: usize = 4;
/// Before the first of these; each waits twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// How long to wait before each further try of a write; ends when it is not worth another one.
pub fn pauses() -> impl Iterator<Item = Duration> {
    backoff().build()
}

fn backoff() -> ExponentialBuilder {
    ExponentialBuilder::default().with_min_delay(FIRST_PAUSE).with_max_times(MOST_AGAIN).with_jitter()
}

/// Does `write` until it succeeds, fails in a way that lasts, or has failed too often. It must be one that may be done
/// twice, since the answer to one that arrived may be what was lost. `is_wanted` says whether anybody still waits.
///
/// # Errors
/// The last error of `write`.
pub async fn again<T, Writing>(
    write: impl FnMut() -> Writing,
    is_wanted: impl Fn() -> bool,
) -> Result<T, DestinationError>
where
    Writing: Future<Output = Result<T, DestinationError>>,
{
    write
        .retry(backoff())
        .sleep(tokio::time::sleep)
        .when(|error| error.may_pass() && is_wanted())
        .notify(|error, pause| tracing::warn!(error = words(error), ?pause, "writing again"))
        .await
}
