//! The only source of the current time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// A difference up to this is none.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// Tells the time: the system's, corrected by what a server says, or one that starts where a test or demo wants it.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// When it started and what it showed then; none for the system's clock.
    fixed: Option<(Instant, Timestamp)>,
    correction_milliseconds: AtomicI64,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::new(None)
    }

    /// A clock that shows `start` now and runs on from there.
    pub fn starting_at(start: Timestamp) -> Self {
        Self::new(Some((Instant::now(), start)))
    }

    fn new(fixed: Option<(Instant, Timestamp)>) -> Self {
        Self(Arc::new(Inner { fixed, correction_milliseconds: AtomicI64::new(0) }))
    }

    /// The time, corrected.
    pub fn now(&self) -> Timestamp {
        let correction = SignedDuration::from_millis(self.0.correction_milliseconds.load(Ordering::Relaxed));
        let now = self.uncorrected();
        now.checked_add(correction).unwrap_or(now)
    }

    /// Makes this clock, and every clone of it, show `server` now. Returns by how much it was wrong. A server tells whole
    /// seconds and its answer takes a moment, so a difference of up to two seconds is none.
    pub fn correct(&self, server: Timestamp) -> SignedDuration {
        let wrong_by = server.duration_since(self.uncorrected());
        let wrong_by = if wrong_by.abs() <= TOLERANCE { SignedDuration::ZERO } else { wrong_by };
        let milliseconds = i64::try_from(wrong_by.as_millis()).unwrap_or(0);
        self.0.correction_milliseconds.store(milliseconds, Ordering::Relaxed);
        wrong_by
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the system's clock")]
    fn uncorrected(&self) -> Timestamp {
        match &self.0.fixed {
            None => Timestamp::now(),
            Some((started, shown)) => {
                let passed = SignedDuration::try_from(started.elapsed()).unwrap_or(SignedDuration::ZERO);
                shown.checked_add(passed).unwrap_or(*shown)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correction_reaches_every_clone() {
        let clock = Clock::starting_at("2026-03-01T12:00:00Z".parse().unwrap());
        let other = clock.clone();
        let wrong_by = clock.correct("2026-03-01T13:00:00Z".parse().unwrap());
        assert!((3599..=3600).contains(&wrong_by.as_secs()), "{wrong_by}");
        assert!("2026-03-01T12:59:59Z".parse::<Timestamp>().unwrap() <= other.now());
    }
}
