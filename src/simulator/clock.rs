//! The simulated clock: set to any instant, it goes on from there.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// Shows a time of its own that passes as fast as the real one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    set_to: Timestamp,
    set_at: Instant,
}

impl Clock {
    /// A clock that shows `now`, or the real time.
    pub(super) fn starting_at(now: Option<Timestamp>) -> Self {
        // A server of its own: the exporter's clock does not reach it, as it would not reach the real service.
        Self { set_to: now.unwrap_or_else(Timestamp::now), set_at: Instant::now() }
    }

    /// What it shows.
    pub(super) fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.set_at.elapsed()).unwrap_or(SignedDuration::ZERO);
        self.set_to.checked_add(passed).unwrap_or(Timestamp::MAX)
    }
}

/// `instant` as HTTP headers write it.
pub(super) fn http_date(instant: Timestamp) -> String {
    instant.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
