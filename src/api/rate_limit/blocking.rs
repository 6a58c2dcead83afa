//! Pauses after HTTP 429.

use tokio::time::Instant;

use crate::api::rate_limit::ResponseKind;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Blocking {
    until: Option<Instant>,
    /// When the API last rate limited a request, until a request sent after it gets another response.
    rate_limited_at: Option<Instant>,
}

impl Blocking {
    /// No request may be sent from `now` until `until`.
    pub(super) fn block(&mut self, now: Instant, until: Instant) {
        self.until = self.until.max(Some(until));
        self.rate_limited_at = Some(now);
    }

    /// The end of the pause, if `now` is in one.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| now < *until)
    }

    /// Whether requests go one at a time until one of them shows that the limit is lifted.
    pub(super) fn is_probing(&self) -> bool {
        self.rate_limited_at.is_some()
    }

    /// A request that was sent at `sent_at` got a response.
    pub(super) fn record_response(&mut self, sent_at: Instant, kind: ResponseKind) {
        if kind != ResponseKind::RateLimited && self.rate_limited_at.is_some_and(|limited| limited <= sent_at) {
            self.rate_limited_at = None;
        }
    }

    pub(super) fn without_probing(self) -> Self {
        Self { rate_limited_at: None, ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn pauses_never_get_shorter() {
        let now = Instant::now();
        let (soon, late) = (now + Duration::from_secs(1), now + Duration::from_secs(9));
        let mut blocking = Blocking::default();
        blocking.block(now, late);
        blocking.block(now, soon);
        assert_eq!((blocking.until(soon), blocking.until(late)), (Some(late), None));
    }

    #[test]
    fn only_a_request_sent_after_the_429_ends_the_probing() {
        let now = Instant::now();
        let (before, after) = (now - Duration::from_secs(1), now + Duration::from_secs(1));
        let mut blocking = Blocking::default();
        blocking.block(now, now);
        blocking.record_response(before, ResponseKind::Ok);
        blocking.record_response(after, ResponseKind::RateLimited);
        assert!(blocking.is_probing());
        blocking.record_response(after, ResponseKind::Error);
        assert!(!blocking.is_probing());
    }
}
