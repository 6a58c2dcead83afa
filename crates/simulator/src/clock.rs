//! The simulated clock: a [`Clock`] of the server's own, which the exporter's corrections do not reach.

use jiff::Timestamp;

use catalog::clock::Clock;

/// A clock that shows `now` and goes on from there, or the real time.
pub(super) fn starting_at(now: Option<Timestamp>) -> Clock {
    now.map_or_else(Clock::system, Clock::starting_at)
}

/// `instant` as HTTP headers write it.
pub(super) fn http_date(instant: Timestamp) -> String {
    instant.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
