//! When planned requests will be over: the limiter's own rules, simulated into the future.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::api::rate_limit::{Admission, RateLimitHeaders, RateLimitState, ResponseKind, SentRequest};
use crate::model::cost::RequestKind;

/// When each of `requests` requests will be over, counted from `now`, if up to `concurrency` are sent at a time as the rate limit
/// allows, each takes `latency`, and no other user of the key sends any. `requests` includes what kinds of requests cost.
pub fn completion_times(
    state: &RateLimitState,
    now: Instant,
    requests: u64,
    concurrency: usize,
    latency: Duration,
) -> Vec<Duration> {
    let mut state = state.for_forecast(now);
    let mut completed = Vec::new();
    let mut in_flight: VecDeque<(Instant, SentRequest)> = VecDeque::new();
    let start = now;
    let mut now = now;
    while (completed.len() as u64) < requests {
        while let Some((end, mut request)) = in_flight.pop_front_if(|(end, _)| *end <= now) {
            let remaining = state.remaining().map(|remaining| remaining.saturating_sub(1));
            let headers = RateLimitHeaders { remaining, ..RateLimitHeaders::default() };
            state.record_response(&mut request, end, headers, ResponseKind::Ok);
            state.end(&mut request, end);
        }
        let next_end = in_flight.front().map(|(end, _)| *end);
        let admission = match next_end {
            Some(end) if in_flight.len() >= concurrency.max(1) => Admission::At(end),
            _ => state.admit(now, RequestKind::Page),
        };
        now = match admission {
            Admission::Now => {
                in_flight.push_back((now + latency, state.send(now, RequestKind::Page)));
                completed.push((now + latency).saturating_duration_since(start));
                now
            }
            Admission::At(until) => next_end.map_or(until, |end| end.min(until)).max(now),
            // Without a request in flight this cannot happen; a step ahead keeps the loop from spinning if it does.
            Admission::AfterResponse => next_end.unwrap_or(now + Duration::from_secs(1)),
        };
    }
    completed
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const SECOND: Duration = Duration::from_secs(1);

    fn seconds(completed: &[Duration], request: usize) -> u64 {
        completed[request - 1].as_secs()
    }

    /// A state that got one response.
    fn state(reserve: u32, now: Instant, remaining: u32, reset: u64) -> RateLimitState {
        let mut state = RateLimitState::new(reserve);
        let reset_after = Some(Duration::from_secs(reset));
        let headers = RateLimitHeaders { limit: Some(600), remaining: Some(remaining), reset_after };
        let mut request = state.send(now, RequestKind::Page);
        state.record_response(&mut request, now, headers, ResponseKind::Ok);
        state.end(&mut request, now);
        state
    }

    #[test]
    fn full_window_is_used_at_once_and_the_next_one_when_it_starts() {
        let completed = completion_times(&RateLimitState::new(60), Instant::now(), 1081, 4, SECOND);
        assert_eq!(seconds(&completed, 1), 1);
        assert!((130..140).contains(&seconds(&completed, 540)), "{}", seconds(&completed, 540));
        assert!((3600..3610).contains(&seconds(&completed, 541)), "{}", seconds(&completed, 541));
        assert!((7200..7210).contains(&seconds(&completed, 1081)), "{}", seconds(&completed, 1081));
    }

    #[test]
    fn requests_of_others_delay_the_forecast_to_the_reset() {
        let now = Instant::now();
        let completed = completion_times(&state(0, now, 2, 600), now, 3, 4, SECOND);
        assert_eq!(completed.iter().map(Duration::as_secs).collect::<Vec<_>>(), [1, 1, 601]);
    }

    #[test]
    fn window_is_an_hour_if_only_its_middle_was_seen() {
        let now = Instant::now();
        let completed = completion_times(&state(60, now, 500, 600), now, 3000, 4, SECOND);
        assert!(completed[2999] > HOUR * 4, "{:?}", completed[2999]);
    }

    #[test]
    fn requests_in_flight_count() {
        let now = Instant::now();
        let mut state = RateLimitState::new(0);
        let _request = state.send(now, RequestKind::Page);
        let completed = completion_times(&state, now, 600, 4, SECOND);
        assert!(completed[598] < HOUR && completed[599] >= HOUR, "{:?} {:?}", completed[598], completed[599]);
    }

    #[test]
    fn slow_requests_bound_the_forecast_where_the_limit_does_not() {
        let completed = completion_times(&RateLimitState::new(0), Instant::now(), 20, 2, Duration::from_secs(30));
        // The first one goes alone.
        assert!(completed[19] <= Duration::from_secs(30 * 11), "{:?}", completed[19]);
    }
}
