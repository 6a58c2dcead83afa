//! When requests that are still to be sent will be over: the budget's own rules, played forward.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::api::budget::{BudgetState, Came, RateHeaders, Sent, Turn};
use crate::model::cost::RequestKind;

/// When each of `requests` requests of the budget will be over, from `now` on, in order: sent one after the other as
/// `budget` allows, at most `at_once` at a time, each taking `each`. Nobody else is thought to use the key.
pub fn pace(budget: &BudgetState, now: Instant, requests: u64, at_once: usize, each: Duration) -> Vec<Duration> {
    // What a kind of request costs is counted in `requests` already.
    let mut budget = budget.imagined(now);
    let mut over = Vec::new();
    let mut under_way: VecDeque<(Instant, Sent)> = VecDeque::new();
    let began = now;
    let mut now = now;
    while (over.len() as u64) < requests {
        while let Some((end, mut sent)) = under_way.pop_front_if(|(end, _)| *end <= now) {
            let remaining = budget.remaining().map(|remaining| remaining.saturating_sub(1));
            budget.answer(&mut sent, end, RateHeaders { remaining, ..RateHeaders::default() }, Came::Rows);
            budget.end(&mut sent, end);
        }
        let next_end = under_way.front().map(|(end, _)| *end);
        let turn = match next_end {
            Some(end) if at_once.max(1) <= under_way.len() => Turn::At(end),
            _ => budget.turn(now, RequestKind::Page),
        };
        now = match turn {
            Turn::Now => {
                under_way.push_back((now + each, budget.send(now, RequestKind::Page)));
                over.push((now + each).saturating_duration_since(began));
                now
            }
            Turn::At(until) => next_end.map_or(until, |end| end.min(until)).max(now),
            // Nothing in flight and nothing to wait for cannot be; a moment later it is asked again all the same.
            Turn::AfterResponse => next_end.unwrap_or(now + Duration::from_secs(1)),
        };
    }
    over
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn seconds(over: &[Duration], request: usize) -> u64 {
        over[request - 1].as_secs()
    }

    #[test]
    fn hour_that_is_full_is_spent_at_once_and_the_next_one_when_it_comes() {
        let over = pace(&BudgetState::new(60), Instant::now(), 1081, 4, Duration::from_secs(1));
        assert_eq!(seconds(&over, 1), 1);
        assert!((130..140).contains(&seconds(&over, 540)), "{}", seconds(&over, 540));
        assert!((3600..3610).contains(&seconds(&over, 541)), "{}", seconds(&over, 541));
        assert!((7200..7210).contains(&seconds(&over, 1081)), "{}", seconds(&over, 1081));
    }

    #[test]
    fn what_others_have_spent_of_the_hour_is_waited_for() {
        let now = Instant::now();
        let mut budget = BudgetState::new(0);
        let reset_after = Some(Duration::from_secs(600));
        let headers = RateHeaders { limit: Some(600), remaining: Some(2), reset_after };
        let mut sent = budget.send(now, RequestKind::Page);
        budget.answer(&mut sent, now, headers, Came::Rows);
        budget.end(&mut sent, now);
        let over = pace(&budget, now, 3, 4, Duration::from_secs(1));
        assert_eq!(over.iter().map(Duration::as_secs).collect::<Vec<_>>(), [1, 1, 601]);
    }

    #[test]
    fn hour_is_an_hour_when_its_middle_was_all_that_was_seen() {
        let now = Instant::now();
        let mut budget = BudgetState::new(60);
        let headers =
            RateHeaders { limit: Some(600), remaining: Some(500), reset_after: Some(Duration::from_secs(600)) };
        let mut sent = budget.send(now, RequestKind::Page);
        budget.answer(&mut sent, now, headers, Came::Rows);
        budget.end(&mut sent, now);
        let over = pace(&budget, now, 3000, 4, Duration::from_secs(1));
        assert!(HOUR * 4 < over[2999], "{:?}", over[2999]);
    }

    #[test]
    fn requests_in_flight_are_thought_to_be_over_and_count() {
        let now = Instant::now();
        let mut budget = BudgetState::new(0);
        let _sent = budget.send(now, RequestKind::Page);
        let over = pace(&budget, now, 600, 4, Duration::from_secs(1));
        assert!(over[598] < HOUR && HOUR <= over[599], "{:?} {:?}", over[598], over[599]);
    }

    #[test]
    fn slow_requests_bound_the_pace_when_the_budget_does_not() {
        let over = pace(&BudgetState::new(0), Instant::now(), 20, 2, Duration::from_secs(30));
        // The first goes alone, to learn.
        assert!(over[19] <= Duration::from_secs(30 * 11) && over[19] < HOUR);
    }
}
