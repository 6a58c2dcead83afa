//! Which streams the server cannot answer in this run: a dead endpoint must not eat the requests of the others.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// By how much the slices of a stream that the server could not answer may outnumber those that it could, before the
/// others are not asked any more in a run.
const MOST_UNANSWERED: i32 = 2;
/// Slices that came whole count for so many that may not: some scopes of a healthy stream may be broken, and an endpoint
/// that dies after a hundred slices is given up nearly as soon as one that was dead from the start.
const CREDIT: i32 = 4;

/// What the server could not answer in this run, by stream.
#[derive(Debug, Default)]
pub struct Outages(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    streams: HashMap<String, Answered>,
    postponed: HashSet<String>,
}

/// How often the slices of a stream could not be answered: in all, and more often than they could; and the last status.
#[derive(Debug, Default)]
struct Answered {
    unanswered: u32,
    balance: i32,
    status: u16,
}

impl Outages {
    /// Remembers that a slice of `stream` came whole.
    pub fn came(&self, stream: &str) {
        let mut known = self.known();
        let answered = known.streams.entry(stream.to_owned()).or_default();
        answered.balance = (answered.balance - 1).max(-CREDIT);
    }

    /// Remembers that the server could not answer a slice of `stream`.
    pub fn could_not(&self, stream: &str, status: u16) {
        let mut known = self.known();
        let answered = known.streams.entry(stream.to_owned()).or_default();
        answered.unanswered += 1;
        answered.balance += 1;
        answered.status = status;
    }

    /// Why `stream` is not asked any more in this run, in words; none while it is.
    pub fn gave_up(&self, stream: &str) -> Option<String> {
        let known = self.known();
        let Answered { unanswered, status, .. } =
            known.streams.get(stream).filter(|answered| MOST_UNANSWERED <= answered.balance)?;
        Some(format!("not asked: the API could not answer {unanswered} other slices of this stream (HTTP {status})"))
    }

    /// Leaves what there is of `stream` to the next run.
    pub fn postpone(&self, stream: &str) {
        self.known().postponed.insert(stream.to_owned());
    }

    /// Whether `stream` is left to the next run.
    pub fn is_postponed(&self, stream: &str) -> bool {
        self.known().postponed.contains(stream)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_endpoint_is_given_up_after_two_slices_and_a_healthy_one_is_not_for_two_broken_scopes() {
        let outages = Outages::default();
        outages.could_not("dead", 503);
        assert_eq!(outages.gave_up("dead"), None);
        outages.could_not("dead", 503);
        assert!(outages.gave_up("dead").unwrap().contains("2 other slices of this stream (HTTP 503)"));

        outages.came("healthy");
        outages.could_not("healthy", 500);
        outages.could_not("healthy", 500);
        assert_eq!(outages.gave_up("healthy"), None);
    }

    #[test]
    fn endpoint_that_dies_later_is_given_up_soon() {
        let outages = Outages::default();
        (0..100).for_each(|_| outages.came("dying"));
        let tries = std::iter::repeat_with(|| outages.could_not("dying", 502)).take(10);
        let tries = tries.take_while(|()| outages.gave_up("dying").is_none()).count();
        assert_eq!(tries, 5, "the sixth ends it");
    }
}
