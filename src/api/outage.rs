//! Whether the API answers at all: a circuit breaker over all endpoints, so that an outage does not spend the rate limit.

use std::collections::BTreeSet;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::MutexGuard;

use crate::api::error::ApiError;

/// Failed attempts in a row from which the API counts as down. Two requests in flight with all their retries.
const OPENS_AT: u32 = 10;
/// Of so many endpoints: one that fails alone is its own trouble.
const MIN_ENDPOINTS: usize = 2;

/// A circuit breaker over all endpoints. While it is open, each endpoint that has not failed yet gets one request, one at a time and
/// without retries: the first answer closes it.
#[derive(Debug, Default)]
pub struct OutageBreaker {
    failures: Mutex<Failures>,
    probe: tokio::sync::Mutex<()>,
}

/// Since the last answer.
#[derive(Debug, Default)]
struct Failures {
    attempts: u32,
    endpoints: BTreeSet<String>,
    last: String,
    retry_after: Option<Duration>,
    is_outage: bool,
}

impl OutageBreaker {
    /// The API answered, if only with an error of its own.
    pub fn record_answer(&self) {
        *self.failures.lock() = Failures::default();
    }

    pub fn record_failure(&self, endpoint: &str, error: &ApiError) {
        let mut failures = self.failures.lock();
        failures.attempts += 1;
        failures.endpoints.insert(without_transport(endpoint).to_owned());
        failures.last = error.to_string();
        failures.retry_after = match error {
            ApiError::ServerError { retry_after, .. } => *retry_after,
            _ => None,
        };
        failures.is_outage |= failures.attempts >= OPENS_AT && failures.endpoints.len() >= MIN_ENDPOINTS;
    }

    /// [`ApiError::Outage`] while the API counts as down.
    pub fn outage(&self) -> Option<ApiError> {
        self.failures.lock().outage()
    }

    /// Lets each endpoint be requested once more, though the API counts as down.
    pub fn probe_again(&self) {
        self.failures.lock().endpoints.clear();
    }

    /// Admits a request of `endpoint`. While the API is down, waits until no other request is in flight.
    ///
    /// # Errors
    /// [`ApiError::Outage`] if the API is down and the endpoint has shown it.
    pub async fn admit(&self, endpoint: &str) -> Result<Option<MutexGuard<'_, ()>>, ApiError> {
        if self.outage().is_none() {
            return Ok(None);
        }
        let turn = self.probe.lock().await;
        let failures = self.failures.lock();
        match failures.outage() {
            Some(outage) if failures.endpoints.contains(without_transport(endpoint)) => Err(outage),
            Some(_) => Ok(Some(turn)),
            None => Ok(None),
        }
    }
}

impl Failures {
    fn outage(&self) -> Option<ApiError> {
        let Self { attempts, last, retry_after, .. } = self;
        self.is_outage.then(|| ApiError::Outage { attempts: *attempts, last: last.clone(), retry_after: *retry_after })
    }
}

/// An event stream and the pages of the same endpoint fail together.
fn without_transport(endpoint: &str) -> &str {
    endpoint.trim_end_matches("/stream")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaker_opens_after_failures_of_several_endpoints_and_closes_with_an_answer() {
        let breaker = OutageBreaker::default();
        let error = ApiError::broken("models", "cut");
        let fail = |endpoint| {
            breaker.record_failure(endpoint, &error);
            breaker.outage()
        };
        assert!((0..100).all(|_| fail("/v2/reports/visibility").is_none()), "one endpoint alone");
        assert!((0..100).all(|_| fail("/v2/reports/visibility/stream").is_none()), "the same endpoint");
        breaker.record_answer();
        let failures = ["/v2/reports/visibility", "/v2/reports/citations"].into_iter().cycle();
        let outage = failures.take(10).filter_map(fail).collect::<Vec<_>>();
        let [ApiError::Outage { attempts: 10, last, retry_after: None }] = outage.as_slice() else {
            panic!("{outage:?}")
        };
        assert_eq!(*last, error.to_string());
        breaker.record_answer();
        assert!(breaker.outage().is_none());
    }
}
