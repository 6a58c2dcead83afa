//! Requests in flight, from their sending to the end of their bodies.

use std::time::Duration;

#[derive(Debug, Clone, Default)]
pub(super) struct InFlight {
    /// Of the requests whose bodies are not over.
    pub(super) cost: u32,
    /// The part of `cost` that has no response yet: the server may or may not have counted it.
    pub(super) unanswered: u32,
    /// What remained when the only request in flight was sent.
    remaining_before: Option<u32>,
    /// A request ended without a response, so the server may still count it.
    is_one_lost: bool,
    total_latency: Duration,
    ended: u32,
}

impl InFlight {
    /// A request was sent when `remaining` requests remained.
    pub(super) fn send(&mut self, cost: u32, remaining: Option<u32>) {
        let is_alone = self.unanswered == 0 && !self.is_one_lost;
        self.remaining_before = remaining.filter(|_| is_alone);
        self.cost += cost;
        self.unanswered += cost;
    }

    /// A request got a response, whose headers count everything before it.
    pub(super) fn record_response(&mut self, cost: u32) {
        self.unanswered = self.unanswered.saturating_sub(cost);
        self.is_one_lost &= self.unanswered > 0;
    }

    /// A request ended without a response.
    pub(super) fn record_lost(&mut self, cost: u32) {
        self.unanswered = self.unanswered.saturating_sub(cost);
        self.remaining_before = None;
        self.is_one_lost = true;
    }

    /// A request is over, `latency` after it was sent.
    pub(super) fn end(&mut self, cost: u32, latency: Duration) {
        self.cost = self.cost.saturating_sub(cost);
        self.total_latency += latency;
        self.ended += 1;
    }

    /// What remained before the request that just got a response, if no other can have changed it meanwhile.
    pub(super) fn take_remaining_before(&mut self) -> Option<u32> {
        self.remaining_before.take()
    }

    /// How long a request took on average, from its sending to the end of its body.
    pub(super) fn average_latency(&self) -> Option<Duration> {
        self.total_latency.checked_div(self.ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lone_request_shows_its_cost() {
        let mut in_flight = InFlight::default();
        in_flight.send(1, Some(9));
        in_flight.record_response(1);
        assert_eq!(in_flight.take_remaining_before(), Some(9));
        in_flight.send(1, Some(8));
        in_flight.send(1, Some(8));
        in_flight.record_response(1);
        assert_eq!(in_flight.take_remaining_before(), None, "two are in flight");
    }

    #[test]
    fn lost_request_hides_the_cost_of_the_next_one() {
        let mut in_flight = InFlight::default();
        in_flight.send(1, Some(9));
        in_flight.record_lost(1);
        in_flight.send(1, Some(9));
        in_flight.record_response(1);
        assert_eq!(in_flight.take_remaining_before(), None);
        in_flight.send(1, Some(7));
        assert_eq!(in_flight.take_remaining_before(), Some(7), "counted by the response since");
    }

    #[test]
    fn request_is_in_flight_until_its_body_is_over() {
        let mut in_flight = InFlight::default();
        in_flight.send(3, None);
        in_flight.record_response(3);
        assert_eq!((in_flight.cost, in_flight.unanswered), (3, 0));
        in_flight.end(3, Duration::from_secs(2));
        assert_eq!((in_flight.cost, in_flight.average_latency()), (0, Some(Duration::from_secs(2))));
    }
}
