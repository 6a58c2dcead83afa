//! Own requests of the trailing window.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// A request that the server counted at `at` or before.
#[derive(Debug, Clone, Copy)]
struct LoggedRequest {
    at: Instant,
    cost: u32,
}

/// Own requests of the trailing window, each from the moment by which it had reached the API. Requests of others are not logged:
/// the API enforces them through `X-RateLimit-Remaining`, and a log of them would make a run that starts later wait beyond the
/// reset.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestLog {
    requests: VecDeque<LoggedRequest>,
    /// Of all requests in the log.
    pub(super) cost: u32,
}

impl RequestLog {
    pub(super) fn push(&mut self, at: Instant, cost: u32) {
        self.requests.push_back(LoggedRequest { at, cost });
        self.cost = self.cost.saturating_add(cost);
    }

    /// Removes what left the trailing `window` by `now`.
    pub(super) fn trim(&mut self, now: Instant, window: Duration) {
        while let Some(request) = self.requests.pop_front_if(|request| request.at + window <= now) {
            self.cost = self.cost.saturating_sub(request.cost);
        }
    }

    /// The request with which, oldest first, `excess` will have left the log; `None` if the log holds less.
    pub(super) fn last_of_excess(&self, mut excess: u32) -> Option<Instant> {
        let last = self.requests.iter().find(|request| {
            excess = excess.saturating_sub(request.cost);
            excess == 0
        });
        last.map(|request| request.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_leave_the_log_with_the_trailing_window() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut log = RequestLog::default();
        for (seconds, cost) in [(0, 3), (1, 1), (2, 3)] {
            log.push(at(seconds), cost);
        }
        assert_eq!([1, 3, 4, 5, 7].map(|excess| log.last_of_excess(excess)), [0, 0, 1, 2, 2].map(|s| Some(at(s))));
        assert_eq!(log.last_of_excess(8), None);
        log.trim(at(10), Duration::from_secs(10));
        assert_eq!(log.cost, 4);
        log.trim(at(12), Duration::from_secs(10));
        assert_eq!(log.cost, 0);
    }
}
