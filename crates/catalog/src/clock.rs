//! The only source of the current time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// Smaller differences are ignored: a server reports whole seconds, and its response takes a moment.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// The system time, corrected by server dates; or a clock that starts at a time of a test or demo.
#[derive(Debug, Clone)]
pub struct Clock(Arc<ClockInner>);

#[derive(Debug)]
struct ClockInner {
    /// When it started, and the time it showed then; none for the system clock.
    fixed: Option<(Instant, Timestamp)>,
    correction_milliseconds: AtomicI64,
}

impl Clock {
    pub fn system() -> Self {
        Self::new(None)
    }

    /// A clock that shows `start` now and runs on from there.
    pub fn starting_at(start: Timestamp) -> Self {
        Self::new(Some((Instant::now(), start)))
    }

    fn new(fixed: Option<(Instant, Timestamp)>) -> Self {
        Self(Arc::new(ClockInner { fixed, correction_milliseconds: AtomicI64::new(0) }))
    }

    pub fn now(&self) -> Timestamp {
        let correction = SignedDuration::from_millis(self.0.correction_milliseconds.load(Ordering::Relaxed));
        let now = self.uncorrected();
        now.checked_add(correction).unwrap_or(now)
    }

    /// Sets this clock and all its clones to `server`. Returns the difference, zero if at most two seconds.
    pub fn correct(&self, server: Timestamp) -> SignedDuration {
        let offset = server.duration_since(self.uncorrected());
        let offset = if offset.abs() <= TOLERANCE { SignedDuration::ZERO } else { offset };
        let milliseconds = i64::try_from(offset.as_millis()).unwrap_or(0);
        self.0.correction_milliseconds.store(milliseconds, Ordering::Relaxed);
        offset
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
        let offset = clock.correct("2026-03-01T13:00:00Z".parse().unwrap());
        assert!((3599..=3600).contains(&offset.as_secs()), "{offset}");
        assert!("2026-03-01T12:59:59Z".parse::<Timestamp>().unwrap() <= other.now());
    }
}
