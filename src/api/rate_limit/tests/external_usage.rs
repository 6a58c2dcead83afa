//! External usage of the key, against a server that counts the requests of everyone.

use super::*;

/// A server that counts in fixed windows; kinds of requests may cost differently.
struct CountingServer {
    start: Instant,
    window: Duration,
    limit: u32,
    window_number: u128,
    used: u32,
}

impl CountingServer {
    fn new(limit: u32, window: u64) -> Self {
        Self { start: Instant::now(), window: Duration::from_secs(window), limit, window_number: 0, used: 0 }
    }

    fn receive(&mut self, now: Instant, cost: u32) -> (RateLimitHeaders, ResponseKind) {
        let (elapsed, window) = ((now - self.start).as_nanos(), self.window.as_nanos());
        if self.window_number != elapsed / window {
            (self.window_number, self.used) = (elapsed / window, 0);
        }
        let kind = if self.used + cost <= self.limit { ResponseKind::Ok } else { ResponseKind::RateLimited };
        if kind == ResponseKind::Ok {
            self.used += cost;
        }
        let reset = Duration::from_nanos((window - elapsed % window) as u64).as_secs() + 1;
        (headers(self.limit, self.limit - self.used, reset), kind)
    }
}

/// A request in flight. It may not reach the server, and its response may be lost.
struct UnreliableRequest {
    request: SentRequest,
    kind: RequestKind,
    reaches_server_at: Option<Instant>,
    ends_at: Instant,
    response: Option<(RateLimitHeaders, ResponseKind)>,
    is_recorded: bool,
}

/// Lets one process send with a key for eight windows, while others send about one request in `rarity` steps (none if that is
/// zero). Returns the external requests that the process saw, and how many there were.
fn observed(seed: u64, costs: RequestCosts, rarity: u32) -> (u64, u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (limit, window, concurrency) = (random.u32(40..200), random.u64(3..8), random.usize(1..9));
    let mut server = CountingServer::new(limit, window);
    let mut state = RateLimitState::new(random.u32(0..20));
    let (mut in_flight, mut external): (Vec<UnreliableRequest>, u64) = (Vec::new(), 0);
    let (mut now, end) = (server.start + Duration::from_millis(random.u64(0..3000)), server.window * 8);
    while now < server.start + end {
        if rarity > 0 && random.u32(0..rarity) == 0 && server.receive(now, 1).1 == ResponseKind::Ok {
            external += 1;
        }
        for flying in &mut in_flight {
            if flying.response.is_none() && flying.reaches_server_at.is_some_and(|at| at <= now) {
                // Some requests fail, which is free.
                flying.response = Some(match random.u32(0..20) {
                    0 => (server.receive(now, 0).0, ResponseKind::Error),
                    _ => server.receive(now, costs.cost(flying.kind)),
                });
            }
            if let Some((headers, kind)) = flying.response
                && !flying.is_recorded
                && flying.ends_at <= now
            {
                flying.is_recorded = true;
                // Some responses are lost after the server counted their requests.
                if random.u32(0..30) != 0 {
                    state.record_response(&mut flying.request, now, headers, kind);
                    if let (ResponseKind::RateLimited, Some(after)) = (kind, headers.reset_after) {
                        state.block(now, now + after);
                    }
                }
            }
        }
        for mut flying in in_flight.extract_if(.., |flying| flying.ends_at <= now) {
            state.end(&mut flying.request, now);
        }
        let kind = if random.bool() { RequestKind::Events } else { RequestKind::Page };
        if in_flight.len() < concurrency && state.admit(now, kind) == Admission::Now {
            let reaches_server_at = now + Duration::from_millis(random.u64(1..60));
            let ends_at = reaches_server_at + Duration::from_millis(random.u64(1..400));
            let is_lost = random.u32(0..30) == 0;
            in_flight.push(UnreliableRequest {
                request: state.send(now, kind),
                kind,
                reaches_server_at: (!is_lost).then_some(reaches_server_at),
                ends_at,
                response: None,
                is_recorded: false,
            });
        }
        now += Duration::from_millis(5);
    }
    (state.status(now).external_requests, external)
}

fn some_costs(seed: u64) -> RequestCosts {
    RequestCosts::default()
        .with(RequestKind::Events, 1 + (seed % 4) as u32)
        .with(RequestKind::Page, 1 + (seed / 4 % 2) as u32)
}

#[test]
fn own_requests_never_count_as_external() {
    for seed in 0..200 {
        assert_eq!(observed(seed, some_costs(seed), 0), (0, 0), "seed {seed}");
    }
}

#[test]
fn external_requests_are_never_overestimated_and_a_third_is_seen() {
    let (mut seen_in_all, mut all) = (0, 0);
    for seed in 0..200 {
        let (seen, external) = observed(seed, some_costs(seed), 40);
        assert!(seen <= external, "seed {seed}: {seen} of {external}");
        let (seen, external) = observed(seed, RequestCosts::default(), 40);
        assert!(seen <= external, "seed {seed}: {seen} of {external}");
        (seen_in_all, all) = (seen_in_all + seen, all + external);
    }
    assert!(3 * seen_in_all > all, "{seen_in_all} of {all}");
}

#[test]
fn next_lone_request_shows_external_requests() {
    let mut server = CountingServer::new(600, 3600);
    let (mut state, now) = (RateLimitState::new(0), server.start);
    let send = |state: &mut RateLimitState, server: &mut CountingServer| {
        let (headers, kind) = server.receive(now, 1);
        exchange(state, now, PAGE, headers, kind);
        state.status(now).external_requests
    };
    send(&mut state, &mut server);
    assert_eq!(send(&mut state, &mut server), 0);
    for (external, seen) in [(1, 1), (7, 8), (0, 8), (30, 38)] {
        (0..external).for_each(|_| _ = server.receive(now, 1));
        assert_eq!(send(&mut state, &mut server), seen, "after {external} external requests");
    }
}

#[test]
fn external_requests_are_kept_when_the_window_resets() {
    let mut server = CountingServer::new(600, 60);
    let (mut state, mut now) = (RateLimitState::new(0), server.start);
    for _ in 0..3 {
        for external in [0, 0, 5] {
            (0..external).for_each(|_| _ = server.receive(now, 1));
            let (headers, kind) = server.receive(now, 1);
            exchange(&mut state, now, PAGE, headers, kind);
        }
        now += Duration::from_secs(61);
    }
    assert_eq!(state.status(now).external_requests, 15);
}

#[test]
fn changed_limit_is_not_external_usage() {
    let now = Instant::now();
    let mut state = RateLimitState::new(0);
    for (limit, remaining) in [(600, 599), (600, 598), (100, 97), (100, 96)] {
        exchange(&mut state, now, PAGE, headers(limit, remaining, 60), ResponseKind::Ok);
    }
    assert_eq!(state.status(now).external_requests, 0);
}
