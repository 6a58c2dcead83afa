//! One retry policy for the API, the destination and alerts.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::format::format_duration;

/// How a failed request or write is retried. Only idempotent operations can be: the response that was lost may be that of an
/// attempt that succeeded.
///
/// The backoff doubles after each failure, and each pause is a random part of it ("full jitter"). Slices that fail together would
/// otherwise retry together and overload the server once more: in AWS's measurements ("Exponential Backoff And Jitter") no
/// other jitter needs fewer attempts, and one that only lengthens the backoff leaves gaps in which no client sends.
/// A mean pause is half the backoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first one included.
    pub max_attempts: u32,
    /// The longest pause after the first failure.
    pub initial_backoff: Duration,
    /// The longest pause after any failure.
    pub max_backoff: Duration,
    /// No attempt begins later than this after the first one. `None` where the caller has a deadline of its own.
    pub total_time: Option<Duration>,
    /// The longest pause that a server may set by `Retry-After`, which replaces the backoff. If it asks for more, its response is
    /// final: the caller can do better than wait.
    pub max_retry_after: Duration,
}

/// Whether a failed attempt is worth another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryDecision {
    /// The next attempt would fail likewise.
    Never,
    Backoff,
    /// The server named the pause.
    After(Duration),
}

impl RetryDecision {
    /// [`RetryDecision::After`] what a server asked for, if it did.
    pub fn after(retry_after: Option<Duration>) -> Self {
        retry_after.map_or(Self::Backoff, Self::After)
    }
}

/// How often something was tried, and for how long. Shown as `, 5 attempts in 7.2 s`, and as nothing after a single attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    count: u32,
    // Eight bytes in all instead of 24: every error of the destination has room for it.
    elapsed_millis: u32,
}

impl Attempts {
    pub const ONE: Self = Self { count: 1, elapsed_millis: 0 };

    pub fn new(count: u32, elapsed: Duration) -> Self {
        Self { count, elapsed_millis: u32::try_from(elapsed.as_millis()).unwrap_or(u32::MAX) }
    }

    pub fn count(self) -> u32 {
        self.count
    }

    /// From the start of the first attempt to the failure of the last.
    pub fn elapsed(self) -> Duration {
        Duration::from_millis(self.elapsed_millis.into())
    }
}

impl fmt::Display for Attempts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count > 1 {
            write!(out, ", {} attempts in {}", self.count, format_duration(self.elapsed()))?;
        }
        Ok(())
    }
}

/// The last error of an operation that was retried.
#[derive(Debug, thiserror::Error)]
#[error("{error}{attempts}")]
pub struct RetryError<E> {
    pub error: E,
    pub attempts: Attempts,
}

/// The attempts at one operation.
#[derive(Debug)]
pub struct RetryState {
    policy: RetryPolicy,
    attempts: u32,
    started: Instant,
}

impl RetryPolicy {
    /// Begins the first attempt.
    pub fn start(self) -> RetryState {
        RetryState { policy: self, attempts: 1, started: Instant::now() }
    }

    /// The longest pause after `attempts` failed ones.
    fn backoff(self, attempts: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(attempts - 1);
        self.initial_backoff.saturating_mul(doubled).min(self.max_backoff)
    }

    /// Runs `operation` until it succeeds, or until `decide` or the policy allows no further attempt.
    ///
    /// # Errors
    /// The error of the last attempt.
    pub async fn run<T, E: fmt::Display, F>(
        self,
        mut operation: impl FnMut() -> F,
        decide: impl Fn(&E) -> RetryDecision,
    ) -> Result<T, RetryError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut state = self.start();
        loop {
            let error = match operation().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let attempts = state.attempts();
            let Some(pause) = state.next_pause(decide(&error)) else {
                return Err(RetryError { error, attempts });
            };
            tracing::debug!(%error, ?pause, attempts = attempts.count(), "attempt failed, retrying");
            tokio::time::sleep(pause).await;
        }
    }
}

impl RetryState {
    /// The pause before the next attempt, or `None` if the one that just failed was the last.
    pub fn next_pause(&mut self, decision: RetryDecision) -> Option<Duration> {
        let policy = self.policy;
        if self.attempts >= policy.max_attempts {
            return None;
        }
        let pause = match decision {
            RetryDecision::Never => return None,
            RetryDecision::Backoff => policy.backoff(self.attempts).mul_f64(fastrand::f64()),
            RetryDecision::After(asked) if asked > policy.max_retry_after => return None,
            // The server knows when it can answer: `Retry-After: 0` is an invitation, and guessing longer costs the run time.
            RetryDecision::After(asked) => asked,
        };
        if policy.total_time.is_some_and(|total| self.started.elapsed() + pause > total) {
            return None;
        }
        self.attempts += 1;
        Some(pause)
    }

    /// The attempts begun so far.
    pub fn attempts(&self) -> Attempts {
        Attempts::new(self.attempts, self.started.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        max_attempts: 5,
        initial_backoff: Duration::from_secs(1),
        max_backoff: Duration::from_secs(3),
        total_time: None,
        max_retry_after: Duration::from_secs(60),
    };

    fn pauses(policy: RetryPolicy, decision: RetryDecision) -> Vec<f64> {
        let mut state = policy.start();
        std::iter::from_fn(|| state.next_pause(decision)).map(|pause| pause.as_secs_f64()).collect()
    }

    #[test]
    fn backoff_doubles_up_to_its_maximum() {
        assert_eq!([1, 2, 3, 4, u32::MAX].map(|attempts| POLICY.backoff(attempts).as_secs()), [1, 2, 3, 3, 3]);
        assert_eq!(pauses(POLICY, RetryDecision::Backoff).len(), 4, "one less than there are attempts");
    }

    #[test]
    fn pauses_are_spread_over_the_whole_backoff() {
        let runs: Vec<Vec<f64>> = (0..1000).map(|_| pauses(POLICY, RetryDecision::Backoff)).collect();
        for (attempt, backoff) in [1.0, 2.0, 3.0, 3.0].into_iter().enumerate() {
            let fractions: Vec<f64> = runs.iter().map(|pauses| pauses[attempt] / backoff).collect();
            assert!(fractions.iter().all(|fraction| (0.0..=1.0).contains(fraction)), "attempt {attempt}");
            // Each tenth has 100 of 1000; fewer than 40 or more than 200 are as good as impossible.
            for tenth in 0..10 {
                let count = fractions.iter().filter(|fraction| (**fraction * 10.0) as usize == tenth).count();
                assert!((40..=200).contains(&count), "attempt {attempt}: {count} of 1000 in tenth {tenth}");
            }
        }
    }

    #[test]
    fn retry_after_replaces_the_backoff_up_to_its_limit() {
        assert_eq!(pauses(POLICY, RetryDecision::After(Duration::from_secs(60))), [60.0; 4]);
        assert_eq!(pauses(POLICY, RetryDecision::After(Duration::ZERO)), [0.0; 4]);
        assert!(pauses(POLICY, RetryDecision::After(Duration::from_secs(61))).is_empty());
        assert!(pauses(POLICY, RetryDecision::Never).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn no_attempt_begins_after_the_total_time() {
        let policy = RetryPolicy { total_time: Some(Duration::from_secs(20)), max_attempts: 1000, ..POLICY };
        let failed = policy.run(async || Err::<(), _>("no luck"), |_| RetryDecision::Backoff).await.unwrap_err();
        assert!(failed.attempts.elapsed() <= Duration::from_secs(20) && failed.attempts.count() > 3, "{failed:?}");
        assert!(failed.to_string().starts_with("no luck, "), "{failed}");
    }

    #[tokio::test(start_paused = true)]
    async fn operation_ends_at_its_first_success() {
        let attempt = std::cell::Cell::new(0);
        let operation = async || {
            attempt.set(attempt.get() + 1);
            if attempt.get() < 3 { Err("not yet") } else { Ok(attempt.get()) }
        };
        assert_eq!(POLICY.run(operation, |_| RetryDecision::Backoff).await.unwrap(), 3);
    }
}
