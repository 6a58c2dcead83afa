//! What others spend with the same key, against a server that counts everybody.

use super::*;

/// A server that counts in fixed periods, where kinds of requests may cost differently.
struct Counter {
    began: Instant,
    period: Duration,
    limit: u32,
    window: u128,
    used: u32,
}

impl Counter {
    fn new(limit: u32, period: u64) -> Self {
        Self { began: Instant::now(), period: Duration::from_secs(period), limit, window: 0, used: 0 }
    }

    /// Counts what `cost`s so much at `now`, and says what is told of it.
    fn count(&mut self, now: Instant, cost: u32) -> (RateHeaders, Came) {
        let (since, period) = ((now - self.began).as_nanos(), self.period.as_nanos());
        if self.window != since / period {
            (self.window, self.used) = (since / period, 0);
        }
        let came = if self.used + cost <= self.limit { Came::Rows } else { Came::Wall };
        if came == Came::Rows {
            self.used += cost;
        }
        let left = Duration::from_nanos((period - since % period) as u64);
        (told(self.limit, self.limit - self.used, left.as_secs() + 1), came)
    }
}

/// A request on its way, of which the server may never hear, or never be heard.
struct Way {
    sent: Sent,
    kind: RequestKind,
    arrives: Option<Instant>,
    back: Instant,
    heard: Option<(RateHeaders, Came)>,
    is_answered: bool,
}

/// Lets one process send with a key for eight periods, while others send a request now and then, about once in `rarely`
/// steps (never where that is zero). Returns what the process saw of them, and how many there were.
fn watched(seed: u64, costs: Costs, rarely: u32) -> (u64, u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (limit, period, concurrency) = (random.u32(40..200), random.u64(3..8), random.usize(1..9));
    let mut server = Counter::new(limit, period);
    let mut state = BudgetState::new(random.u32(0..20));
    let (mut flying, mut others): (Vec<Way>, u64) = (Vec::new(), 0);
    let (mut now, end) = (server.began + Duration::from_millis(random.u64(0..3000)), server.period * 8);
    while now < server.began + end {
        if 0 < rarely && random.u32(0..rarely) == 0 && server.count(now, 1).1 == Came::Rows {
            others += 1;
        }
        for way in &mut flying {
            if way.heard.is_none() && way.arrives.is_some_and(|arrives| arrives <= now) {
                // Some are refused, which is free.
                way.heard = Some(match random.u32(0..20) {
                    0 => (server.count(now, 0).0, Came::Refusal),
                    _ => server.count(now, costs.cost(way.kind)),
                });
            }
            if let (Some((headers, came)), false, true) = (way.heard, way.is_answered, way.back <= now) {
                way.is_answered = true;
                // Some answers are lost after they were counted.
                if random.u32(0..30) != 0 {
                    state.answer(&mut way.sent, now, headers, came);
                    if let (Came::Wall, Some(after)) = (came, headers.reset_after) {
                        state.block(now, now + after);
                    }
                }
            }
        }
        for mut way in flying.extract_if(.., |way| way.back <= now) {
            state.end(&mut way.sent, now);
        }
        let kind = if random.bool() { RequestKind::Events } else { RequestKind::Page };
        if flying.len() < concurrency && state.turn(now, kind) == Turn::Now {
            let arrives = now + Duration::from_millis(random.u64(1..60));
            let back = arrives + Duration::from_millis(random.u64(1..400));
            let lost = random.u32(0..30) == 0;
            let sent = state.send(now, kind);
            let arrives = (!lost).then_some(arrives);
            flying.push(Way { sent, kind, arrives, back, heard: None, is_answered: false });
        }
        now += Duration::from_millis(5);
    }
    (state.told(now).external_requests, others)
}

fn any_costs(seed: u64) -> Costs {
    Costs::default().with(RequestKind::Events, 1 + (seed % 4) as u32).with(RequestKind::Page, 1 + (seed / 4 % 2) as u32)
}

#[test]
fn nothing_of_our_own_passes_for_somebody_elses_however_it_overlaps_and_whatever_it_costs() {
    for seed in 0..200 {
        assert_eq!(watched(seed, any_costs(seed), 0), (0, 0), "seed {seed}");
    }
}

#[test]
fn never_more_is_seen_of_others_than_there_was_and_a_third_of_it_at_least_where_requests_cost_one() {
    let (mut seen_of_all, mut all) = (0, 0);
    for seed in 0..200 {
        let (seen, others) = watched(seed, any_costs(seed), 40);
        assert!(seen <= others, "seed {seed}: {seen} of {others}");
        let (seen, others) = watched(seed, Costs::default(), 40);
        assert!(seen <= others, "seed {seed}: {seen} of {others}");
        (seen_of_all, all) = (seen_of_all + seen, all + others);
    }
    assert!(all < 3 * seen_of_all, "{seen_of_all} of {all}");
}

#[test]
fn requests_of_others_are_seen_by_the_next_one_that_flies_alone() {
    let mut server = Counter::new(600, 3600);
    let (mut state, now) = (BudgetState::new(0), server.began);
    let ask = |state: &mut BudgetState, server: &mut Counter| {
        let (headers, came) = server.count(now, 1);
        exchange(state, now, PAGE, headers, came);
        state.told(now).external_requests
    };
    ask(&mut state, &mut server);
    assert_eq!(ask(&mut state, &mut server), 0);
    for (others, seen) in [(1, 1), (7, 8), (0, 8), (30, 38)] {
        (0..others).for_each(|_| _ = server.count(now, 1));
        assert_eq!(ask(&mut state, &mut server), seen, "after {others} of others");
    }
}

#[test]
fn what_others_spent_is_kept_when_the_period_turns() {
    let mut server = Counter::new(600, 60);
    let (mut state, mut now) = (BudgetState::new(0), server.began);
    for _ in 0..3 {
        for others in [0, 0, 5] {
            (0..others).for_each(|_| _ = server.count(now, 1));
            let (headers, came) = server.count(now, 1);
            exchange(&mut state, now, PAGE, headers, came);
        }
        now += Duration::from_secs(61);
    }
    assert_eq!(state.told(now).external_requests, 15);
}

#[test]
fn another_limit_is_not_somebody_who_sends() {
    let now = Instant::now();
    let mut state = BudgetState::new(0);
    for (limit, remaining) in [(600, 599), (600, 598), (100, 97), (100, 96)] {
        exchange(&mut state, now, PAGE, told(limit, remaining, 60), Came::Rows);
    }
    assert_eq!(state.told(now).external_requests, 0);
}
