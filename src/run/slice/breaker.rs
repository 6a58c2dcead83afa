//! Stops requesting an endpoint that keeps failing, so that it does not spend the requests of other streams.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;

/// The breaker of a stream opens when its failed slices outnumber its successful ones by this many.
const OPENS_AT: i32 = 2;
/// Successful slices count for at most this many failed ones. Some scopes of a healthy stream may be broken, and an
/// endpoint that fails after a hundred slices must not be requested a hundred times more.
const MAX_CREDIT: i32 = 4;

/// A circuit breaker for each stream of a run.
#[derive(Debug, Default)]
pub struct CircuitBreaker(Mutex<HashMap<String, Circuit>>);

#[derive(Debug, Default)]
struct Circuit {
    failures: u32,
    /// Failures less successes.
    balance: i32,
    last_status: u16,
    deferred: Option<Deferral>,
}

/// Why the remaining slices of a stream are not requested now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deferral {
    /// The next run requests them.
    NextRun,
    /// The API was down. They are requested at the end of this run if it answers other streams by then.
    Outage,
}

impl CircuitBreaker {
    pub fn record_success(&self, stream: &str) {
        let mut circuits = self.0.lock();
        let circuit = circuits.entry(stream.to_owned()).or_default();
        circuit.balance = (circuit.balance - 1).max(-MAX_CREDIT);
    }

    pub fn record_failure(&self, stream: &str, status: u16) {
        let mut circuits = self.0.lock();
        let circuit = circuits.entry(stream.to_owned()).or_default();
        circuit.failures += 1;
        circuit.balance += 1;
        circuit.last_status = status;
    }

    /// Why `stream` is not requested in the rest of this run, if its breaker is open.
    pub fn is_open(&self, stream: &str) -> Option<String> {
        let circuits = self.0.lock();
        let circuit = circuits.get(stream).filter(|circuit| circuit.balance >= OPENS_AT)?;
        let (failures, status) = (circuit.failures, circuit.last_status);
        Some(format!("not requested: the API could not answer {failures} other slices of this stream (HTTP {status})"))
    }

    pub fn defer(&self, stream: &str, deferral: Deferral) {
        self.0.lock().entry(stream.to_owned()).or_default().deferred = Some(deferral);
    }

    pub fn is_deferred(&self, stream: &str) -> bool {
        self.0.lock().get(stream).is_some_and(|circuit| circuit.deferred.is_some())
    }

    /// Lets the streams that an outage deferred be requested, and returns their names.
    pub fn resume_after_outage(&self) -> BTreeSet<String> {
        let mut circuits = self.0.lock();
        let waiting = circuits.iter_mut().filter(|(_, circuit)| circuit.deferred == Some(Deferral::Outage));
        waiting.map(|(stream, circuit)| (stream.clone(), circuit.deferred.take()).0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaker_opens_after_two_failures_unless_the_stream_is_healthy() {
        let breaker = CircuitBreaker::default();
        breaker.record_failure("dead", 503);
        assert_eq!(breaker.is_open("dead"), None);
        breaker.record_failure("dead", 503);
        assert!(breaker.is_open("dead").unwrap().contains("2 other slices of this stream (HTTP 503)"));

        breaker.record_success("healthy");
        breaker.record_failure("healthy", 500);
        breaker.record_failure("healthy", 500);
        assert_eq!(breaker.is_open("healthy"), None);
    }

    #[test]
    fn breaker_opens_soon_after_an_endpoint_dies() {
        let breaker = CircuitBreaker::default();
        (0..100).for_each(|_| breaker.record_success("dying"));
        let failures = std::iter::repeat_with(|| breaker.record_failure("dying", 502)).take(10);
        let failures = failures.take_while(|()| breaker.is_open("dying").is_none()).count();
        assert_eq!(failures, 5, "the sixth opens it");
    }
}
