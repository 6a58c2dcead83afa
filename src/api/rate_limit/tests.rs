//! The rate limit against servers that count, for any sequence of requests and responses.

mod external_usage;

use super::*;

const PAGE: RequestKind = RequestKind::Page;
const HOUR: Duration = Duration::from_secs(3600);

/// A server that counts in fixed windows, and the times at which requests reached it.
struct FixedWindowServer {
    start: Instant,
    window: Duration,
    limit: u32,
    arrivals: Vec<Instant>,
    sends_headers: bool,
}

impl FixedWindowServer {
    fn new(limit: u32, window: Duration, sends_headers: bool) -> Self {
        Self { start: Instant::now(), window, limit, arrivals: Vec::new(), sends_headers }
    }

    fn receive(&mut self, now: Instant) -> RateLimitHeaders {
        self.arrivals.push(now);
        if !self.sends_headers {
            return RateLimitHeaders::default();
        }
        let elapsed = Duration::from_nanos(((now - self.start).as_nanos() % self.window.as_nanos()) as u64);
        let window_start = now - elapsed;
        let used = self.arrivals.iter().filter(|at| **at >= window_start).count() as u32;
        RateLimitHeaders {
            limit: Some(self.limit),
            remaining: Some(self.limit.saturating_sub(used)),
            reset_after: Some(self.window - elapsed),
        }
    }

    /// Most arrivals in any of the server's own windows.
    fn max_in_own_windows(&self) -> usize {
        let window = |at: &Instant| (*at - self.start).as_nanos() / self.window.as_nanos();
        self.arrivals.chunk_by(|one, next| window(one) == window(next)).map(<[Instant]>::len).max().unwrap_or(0)
    }

    /// Most arrivals in any trailing window of this length.
    fn max_in_trailing(&self, window: Duration) -> usize {
        let arrivals = &self.arrivals;
        let within = |end: usize| arrivals[..=end].iter().filter(|at| arrivals[end] - **at < window).count();
        (0..arrivals.len()).map(within).max().unwrap_or(0)
    }
}

/// Sends `requests` one after another as fast as the limit allows, starting `offset` into a window of the server. Returns how
/// long that took.
fn send_all(server: &mut FixedWindowServer, reserve: u32, requests: usize, offset: Duration) -> Duration {
    let mut state = RateLimitState::new(reserve);
    let start = server.start + offset;
    let mut now = start;
    while server.arrivals.len() < requests {
        match state.admit(now, PAGE) {
            Admission::Now => {
                let mut request = state.send(now, PAGE);
                let headers = server.receive(now);
                now += Duration::from_millis(100);
                state.record_response(&mut request, now, headers, ResponseKind::Ok);
                state.end(&mut request, now);
            }
            Admission::At(until) => {
                assert!(until > now, "a wait must lie ahead");
                now = until;
            }
            Admission::AfterResponse => unreachable!("nothing is in flight"),
        }
    }
    now - start
}

#[test]
fn no_trailing_hour_exceeds_the_limit_from_any_first_request() {
    for minute in [0, 1, 30, 40, 59] {
        for sends_headers in [true, false] {
            let mut server = FixedWindowServer::new(600, HOUR, sends_headers);
            send_all(&mut server, 0, 3000, Duration::from_secs(60 * minute));
            assert!(server.max_in_trailing(HOUR) <= 600, "minute {minute}: {}", server.max_in_trailing(HOUR));
        }
    }
}

#[test]
fn reserved_requests_are_never_sent() {
    let mut server = FixedWindowServer::new(600, HOUR, true);
    send_all(&mut server, 60, 2000, Duration::ZERO);
    assert!((530..=540).contains(&server.max_in_trailing(HOUR)), "{}", server.max_in_trailing(HOUR));
}

#[test]
fn tenth_is_reserved_of_a_limit_below_the_reserve() {
    let mut server = FixedWindowServer::new(20, Duration::from_secs(5), true);
    let elapsed = send_all(&mut server, 60, 90, Duration::ZERO);
    assert!((17..=18).contains(&server.max_in_trailing(Duration::from_secs(5))));
    assert!(elapsed < Duration::from_secs(35), "{elapsed:?}");
}

#[test]
fn short_windows_are_learned_and_used() {
    let mut server = FixedWindowServer::new(20, Duration::from_secs(5), true);
    let elapsed = send_all(&mut server, 0, 100, Duration::from_secs(2));
    assert!(server.max_in_trailing(Duration::from_secs(5)) <= 20);
    assert!(elapsed < Duration::from_secs(35), "{elapsed:?}");
}

/// A process that sends with the key as fast as it may.
struct Process {
    state: RateLimitState,
    concurrency: usize,
    in_flight: Vec<FlyingRequest>,
    sent: usize,
}

struct FlyingRequest {
    request: SentRequest,
    reaches_server_at: Instant,
    responds_at: Instant,
    ends_at: Instant,
    response: Option<(RateLimitHeaders, ResponseKind)>,
    is_recorded: bool,
}

impl Process {
    fn new(reserve: u32, concurrency: usize) -> Self {
        Self { state: RateLimitState::new(reserve), concurrency, in_flight: Vec::new(), sent: 0 }
    }
}

/// Lets `processes` share a key of `limit` requests in fixed windows of `window` seconds, for eight windows from `offset` into the
/// first one, with latencies by `seed`. The server does not count rate limited requests, but they are among the arrivals.
fn share_key(processes: &mut [Process], limit: u32, window: u64, offset: Duration, seed: u64) -> FixedWindowServer {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut server = FixedWindowServer::new(limit, Duration::from_secs(window), true);
    let start = server.start;
    let (mut window_number, mut used) = (0, 0);
    let mut now = start + offset;
    while now < start + offset + Duration::from_secs(8 * window) {
        let elapsed = (now - start).as_secs();
        if window_number != elapsed / window {
            (window_number, used) = (elapsed / window, 0);
        }
        for process in processes.iter_mut() {
            for flying in &mut process.in_flight {
                if flying.response.is_none() && flying.reaches_server_at <= now {
                    server.arrivals.push(now);
                    let kind = if used < limit { ResponseKind::Ok } else { ResponseKind::RateLimited };
                    used = limit.min(used + 1);
                    // Headers have whole seconds, and so has the server's clock.
                    flying.response =
                        Some((headers(limit, limit - used, (window_number + 1) * window - elapsed), kind));
                }
                if let Some((headers, kind)) = flying.response
                    && !flying.is_recorded
                    && flying.responds_at <= now
                {
                    flying.is_recorded = true;
                    process.state.record_response(&mut flying.request, now, headers, kind);
                    if let (ResponseKind::RateLimited, Some(after)) = (kind, headers.reset_after) {
                        process.state.block(now, now + after);
                    }
                }
            }
            for mut flying in process.in_flight.extract_if(.., |flying| flying.ends_at <= now) {
                process.state.end(&mut flying.request, now);
            }
            while process.in_flight.len() < process.concurrency && process.state.admit(now, PAGE) == Admission::Now {
                let reaches_server_at = now + Duration::from_millis(random.u64(1..40));
                let responds_at = reaches_server_at + Duration::from_millis(random.u64(1..120));
                process.in_flight.push(FlyingRequest {
                    request: process.state.send(now, PAGE),
                    reaches_server_at,
                    responds_at,
                    ends_at: responds_at + Duration::from_millis(random.u64(0..200)),
                    response: None,
                    is_recorded: false,
                });
                process.sent += 1;
            }
        }
        now += Duration::from_millis(5);
    }
    server
}

#[test]
fn no_trailing_window_exceeds_the_limit_at_any_latency() {
    for seed in 0..40 {
        let (limit, window) = (20 + (seed % 40) as u32, 3 + seed % 4);
        let mut alone = [Process::new(0, 1 + (seed % 8) as usize)];
        let server = share_key(&mut alone, limit, window, Duration::from_millis(97 * seed), seed);
        let max = server.max_in_trailing(Duration::from_secs(window));
        assert!(max <= limit as usize, "seed {seed}: {max} of {limit}");
        // Of eight windows the first is cut short, and each may lose the second by which headers are late.
        let is_slow = alone[0].concurrency < 4;
        assert!(is_slow || alone[0].sent >= 5 * limit as usize, "seed {seed}: {} of 8 * {limit}", alone[0].sent);
    }
}

#[test]
fn processes_with_one_key_exceed_the_limit_at_most_in_flight() {
    for seed in 0..40 {
        let (limit, window) = (30 + (seed % 40) as u32, 3 + seed % 4);
        let mut both = [Process::new(0, 4), Process::new(0, 1 + (seed % 8) as usize)];
        let server = share_key(&mut both, limit, window, Duration::from_millis(97 * seed), seed);
        let max = server.max_in_own_windows();
        let in_flight = both[0].concurrency + both[1].concurrency;
        assert!(max <= limit as usize + in_flight, "seed {seed}: {max} of {limit} + {in_flight}");
        let sent = both[0].sent + both[1].sent;
        assert!(sent >= 5 * limit as usize, "seed {seed}: {sent} of 8 * {limit} were sent");
    }
}

#[test]
fn past_external_requests_delay_until_the_reset_only() {
    let mut server = FixedWindowServer::new(600, HOUR, true);
    server.arrivals = vec![server.start; 580];
    let elapsed = send_all(&mut server, 0, 580 + 560, Duration::from_secs(3000));
    assert!(elapsed < Duration::from_secs(600 + 60), "{elapsed:?}");
}

fn headers(limit: u32, remaining: u32, reset: u64) -> RateLimitHeaders {
    RateLimitHeaders { limit: Some(limit), remaining: Some(remaining), reset_after: Some(Duration::from_secs(reset)) }
}

/// Sends one request, which is answered at once.
fn exchange(
    state: &mut RateLimitState,
    now: Instant,
    request: RequestKind,
    headers: RateLimitHeaders,
    response: ResponseKind,
) {
    assert_eq!(state.admit(now, request), Admission::Now);
    let mut sent = state.send(now, request);
    state.record_response(&mut sent, now, headers, response);
    state.end(&mut sent, now);
}

#[test]
fn remaining_requests_respect_other_users_of_the_key() {
    let now = Instant::now();
    let mut state = RateLimitState::new(10);
    exchange(&mut state, now, PAGE, headers(600, 11, 600), ResponseKind::Ok);
    assert_eq!(state.admit(now, PAGE), Admission::Now);
    let mut request = state.send(now, PAGE);
    assert_eq!(state.admit(now, PAGE), Admission::AfterResponse);
    state.record_response(&mut request, now, headers(600, 9, 600), ResponseKind::Ok);
    state.end(&mut request, now);
    assert_eq!(state.admit(now, PAGE), Admission::At(now + Duration::from_secs(600)));
}

#[test]
fn first_request_of_a_window_is_sent_alone() {
    let now = Instant::now();
    let mut state = RateLimitState::new(0);
    assert_eq!(state.admit(now, PAGE), Admission::Now);
    let mut request = state.send(now, PAGE);
    assert_eq!(state.admit(now, PAGE), Admission::AfterResponse);
    state.record_response(&mut request, now, headers(600, 599, 5), ResponseKind::Ok);
    assert_eq!(state.admit(now, PAGE), Admission::Now);
}

#[test]
fn first_request_after_a_429_is_sent_alone() {
    let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(9));
    let mut state = RateLimitState::new(0);
    exchange(&mut state, now, PAGE, RateLimitHeaders::default(), ResponseKind::RateLimited);
    state.block(now, later);
    assert_eq!(state.admit(now, PAGE), Admission::At(later));
    assert_eq!(state.admit(later, PAGE), Admission::Now);
    let mut request = state.send(later, PAGE);
    assert_eq!(state.admit(later, PAGE), Admission::AfterResponse);
    state.record_response(&mut request, later, RateLimitHeaders::default(), ResponseKind::Ok);
    assert_eq!(state.admit(later, PAGE), Admission::Now);
}

#[test]
fn wait_ends_where_no_reset_is_announced() {
    let now = Instant::now();
    let mut state = RateLimitState::new(0);
    let headers = |remaining| RateLimitHeaders { limit: Some(600), remaining: Some(remaining), reset_after: None };
    exchange(&mut state, now, PAGE, headers(0), ResponseKind::Ok);
    let Admission::At(until) = state.admit(now, PAGE) else { panic!("requests remain") };
    exchange(&mut state, until, PAGE, headers(599), ResponseKind::Ok);
    assert_eq!(state.admit(until, PAGE), Admission::Now);
}

#[test]
fn late_response_does_not_block_the_next_window() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut state = RateLimitState::new(0);
    exchange(&mut state, start, PAGE, headers(600, 300, 60), ResponseKind::Ok);
    let (mut early, mut late) = (state.send(at(58), PAGE), state.send(at(58), PAGE));
    state.record_response(&mut early, at(59), headers(600, 599, 3600), ResponseKind::Ok);
    assert_eq!(state.window(), HOUR, "the next window is recognized, and its length is known");
    state.record_response(&mut late, at(59), headers(600, 0, 1), ResponseKind::Ok);
    assert_eq!(state.admit(at(59), PAGE), Admission::Now);
}

#[test]
fn costs_are_learned_from_lone_requests_and_count_in_the_log() {
    let now = Instant::now();
    let mut state = RateLimitState::new(0);
    let events = RequestKind::Events;
    for remaining in [597, 594, 591, 588] {
        exchange(&mut state, now, events, headers(600, remaining, 3600), ResponseKind::Ok);
    }
    assert_eq!((state.costs().cost(events), state.costs().cost(PAGE)), (3, 1));
    // An error that was free says nothing, nor do two requests at a time.
    exchange(&mut state, now, events, headers(600, 588, 3600), ResponseKind::Error);
    let (mut one, mut other) = (state.send(now, events), state.send(now, events));
    state.record_response(&mut one, now, headers(600, 582, 3600), ResponseKind::Ok);
    state.record_response(&mut other, now, headers(600, 582, 3600), ResponseKind::Ok);
    assert_eq!(state.costs().cost(events), 3);

    let mut next = RateLimitState::new(0);
    next.assume_costs(state.costs());
    let mut sent = 0;
    while next.admit(now, events) == Admission::Now {
        exchange(&mut next, now, events, RateLimitHeaders::default(), ResponseKind::Ok);
        sent += 1;
    }
    assert_eq!(sent, 199, "one is held back until the length of a window is known");
}

#[tokio::test(start_paused = true)]
async fn wait_that_would_pass_the_deadline_fails_at_once() {
    let limiter = RateLimiter::new(0);
    limiter.block(Duration::from_secs(60));
    let after = |seconds| RunLimits {
        deadline: Some(Instant::now() + Duration::from_secs(seconds)),
        cancel: CancellationToken::new(),
    };
    assert!(matches!(limiter.reserve(PAGE, &after(59)).await, Err(ApiError::OutOfTime { .. })));
    let waiting_until = limiter.waiting_until();
    limiter.reserve(PAGE, &after(61)).await.unwrap();
    assert_eq!(*waiting_until.borrow(), None);
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(limiter.waited().as_secs(), 60, "time without a wait does not count");
    let cancelled = RunLimits::default();
    cancelled.cancel.cancel();
    assert!(matches!(limiter.reserve(PAGE, &cancelled).await, Err(ApiError::Cancelled)));
}
