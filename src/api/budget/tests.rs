//! The budget against a server that counts, for any sequence of requests and responses.

mod foreign;

use super::*;

/// A server that counts in fixed periods, and the times at which requests reached it.
struct Server {
    start: Instant,
    period: Duration,
    limit: u32,
    arrivals: Vec<Instant>,
    with_headers: bool,
}

impl Server {
    fn answer(&mut self, now: Instant) -> RateHeaders {
        self.arrivals.push(now);
        let into = Duration::from_nanos(((now - self.start).as_nanos() % self.period.as_nanos()) as u64);
        let begun = now - into;
        let used = self.arrivals.iter().filter(|at| begun <= **at).count() as u32;
        match self.with_headers {
            false => RateHeaders::default(),
            true => RateHeaders {
                limit: Some(self.limit),
                remaining: Some(self.limit.saturating_sub(used)),
                reset_after: Some(self.period - into),
            },
        }
    }

    /// Most arrivals in any period as the server counts it.
    fn most_in_its_own_periods(&self) -> usize {
        let period = |at: &Instant| (*at - self.start).as_nanos() / self.period.as_nanos();
        self.arrivals.chunk_by(|one, next| period(one) == period(next)).map(<[Instant]>::len).max().unwrap_or(0)
    }

    /// Most arrivals in any trailing period.
    fn most_in(&self, period: Duration) -> usize {
        let arrivals = &self.arrivals;
        (0..arrivals.len())
            .map(|end| arrivals[..=end].iter().filter(|at| arrivals[end] - **at < period).count())
            .max()
            .unwrap_or(0)
    }
}

/// Sends `requests` one after another, as fast as the budget allows, `first` into the server's period.
fn spend(server: &mut Server, reserve: u32, requests: usize, first: Duration) -> Duration {
    let mut state = BudgetState::new(reserve);
    let began = server.start + first;
    let mut now = began;
    while server.arrivals.len() < requests {
        match state.turn(now, RequestKind::Page) {
            Turn::Now => {
                let mut sent = state.send(now, RequestKind::Page);
                let headers = server.answer(now);
                now += Duration::from_millis(100);
                state.answer(&mut sent, now, headers, Came::Rows);
                state.end(&mut sent, now);
            }
            Turn::At(until) => {
                assert!(now < until, "a wait must lie ahead");
                now = until;
            }
            Turn::AfterResponse => unreachable!("nothing is in flight"),
        }
    }
    now - began
}

fn server(limit: u32, period: Duration, with_headers: bool) -> Server {
    Server { start: Instant::now(), period, limit, arrivals: Vec::new(), with_headers }
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn no_trailing_hour_holds_more_than_the_limit_wherever_the_first_request_falls() {
    for minute in [0, 1, 30, 40, 59] {
        for with_headers in [true, false] {
            let mut server = server(600, HOUR, with_headers);
            spend(&mut server, 0, 3000, Duration::from_secs(60 * minute));
            assert!(server.most_in(HOUR) <= 600, "minute {minute}: {}", server.most_in(HOUR));
        }
    }
}

#[test]
fn reserve_is_never_spent() {
    let mut server = server(600, HOUR, true);
    spend(&mut server, 60, 2000, Duration::from_secs(0));
    assert!((530..=540).contains(&server.most_in(HOUR)), "{}", server.most_in(HOUR));
}

#[test]
fn limit_below_the_reserve_leaves_a_tenth_and_not_everything() {
    let mut server = server(20, Duration::from_secs(5), true);
    let took = spend(&mut server, 60, 90, Duration::ZERO);
    assert!((17..=18).contains(&server.most_in(Duration::from_secs(5))));
    assert!(took < Duration::from_secs(35), "{took:?}");
}

#[test]
fn short_periods_are_learned_and_used() {
    let mut server = server(20, Duration::from_secs(5), true);
    let took = spend(&mut server, 0, 100, Duration::from_secs(2));
    assert!(server.most_in(Duration::from_secs(5)) <= 20);
    assert!(took < Duration::from_secs(35), "{took:?}");
}

/// A process that sends with the key, as fast as it may.
struct Process {
    state: BudgetState,
    concurrency: usize,
    flying: Vec<Flight>,
    sent: usize,
}

/// A request on its way: when it reaches the server, when the response comes, and when the body is over.
struct Flight {
    sent: Sent,
    arrives: Instant,
    answered: Instant,
    over: Instant,
    told: Option<(RateHeaders, Came)>,
    is_answered: bool,
}

/// Lets `processes` share a key of `limit` requests in fixed periods for `seconds`, from `first` into a period on, with
/// latencies that follow from `seed`. Requests that are refused are not counted by the server, but stand among the
/// arrivals.
fn share(processes: &mut [Process], limit: u32, period: u64, first: Duration, seconds: u64, seed: u64) -> Server {
    let mut random = fastrand::Rng::with_seed(seed);
    let start = Instant::now();
    let (mut server, step) = (server(limit, Duration::from_secs(period), true), Duration::from_millis(5));
    let (mut window, mut used) = (0, 0);
    let mut now = start + first;
    while now < start + first + Duration::from_secs(seconds) {
        let since = (now - start).as_secs();
        if window != since / period {
            (window, used) = (since / period, 0);
        }
        for process in processes.iter_mut() {
            for flight in &mut process.flying {
                if flight.told.is_none() && flight.arrives <= now {
                    server.arrivals.push(now);
                    let came = if used < limit { Came::Rows } else { Came::Wall };
                    used = limit.min(used + 1);
                    // Headers have whole seconds, and so has the server's clock.
                    flight.told = Some((told(limit, limit - used, (window + 1) * period - since), came));
                }
                if let (Some((headers, came)), false, true) = (flight.told, flight.is_answered, flight.answered <= now)
                {
                    flight.is_answered = true;
                    process.state.answer(&mut flight.sent, now, headers, came);
                    if let (Came::Wall, Some(after)) = (came, headers.reset_after) {
                        process.state.block(now, now + after);
                    }
                }
            }
            for mut flight in process.flying.extract_if(.., |flight| flight.over <= now) {
                process.state.end(&mut flight.sent, now);
            }
            while process.flying.len() < process.concurrency && process.state.turn(now, PAGE) == Turn::Now {
                let arrives = now + Duration::from_millis(random.u64(1..40));
                let answered = arrives + Duration::from_millis(random.u64(1..120));
                let over = answered + Duration::from_millis(random.u64(0..200));
                let sent = process.state.send(now, PAGE);
                process.flying.push(Flight { sent, arrives, answered, over, told: None, is_answered: false });
                process.sent += 1;
            }
        }
        now += step;
    }
    server
}

fn process(reserve: u32, concurrency: usize) -> Process {
    Process { state: BudgetState::new(reserve), concurrency, flying: Vec::new(), sent: 0 }
}

#[test]
fn no_trailing_period_is_passed_whatever_the_latencies_are() {
    for seed in 0..40 {
        let (limit, period) = (20 + (seed % 40) as u32, 3 + seed % 4);
        let mut alone = [process(0, 1 + (seed % 8) as usize)];
        let most = share(&mut alone, limit, period, Duration::from_millis(97 * seed), 8 * period, seed)
            .most_in(Duration::from_secs(period));
        assert!(most <= limit as usize, "seed {seed}: {most} of {limit}");
        // Eight periods, the first cut short; each may lose the second by which headers are late.
        let is_slow = alone[0].concurrency < 4;
        assert!(
            is_slow || 5 * limit as usize <= alone[0].sent,
            "seed {seed}: {} of 8 * {limit} were sent",
            alone[0].sent
        );
    }
}

#[test]
fn processes_with_one_key_pass_its_limit_by_at_most_what_they_have_in_flight() {
    for seed in 0..40 {
        let (limit, period) = (30 + (seed % 40) as u32, 3 + seed % 4);
        let mut both = [process(0, 4), process(0, 1 + (seed % 8) as usize)];
        let server = share(&mut both, limit, period, Duration::from_millis(97 * seed), 8 * period, seed);
        let most = server.most_in_its_own_periods();
        let in_flight = both[0].concurrency + both[1].concurrency;
        assert!(most <= limit as usize + in_flight, "seed {seed}: {most} of {limit} + {in_flight}");
        let sent = both[0].sent + both[1].sent;
        assert!(5 * limit as usize <= sent, "seed {seed}: {sent} of 8 * {limit} were sent");
    }
}

#[test]
fn what_others_spent_before_we_came_is_theirs_and_waits_for_the_reset_and_no_longer() {
    let mut server = server(600, HOUR, true);
    server.arrivals = vec![server.start; 580];
    let took = spend(&mut server, 0, 580 + 560, Duration::from_secs(3000));
    assert!(took < Duration::from_secs(600 + 60), "{took:?}");
}

/// The headers of a server that allows `limit` and resets after `reset` seconds.
fn told(limit: u32, remaining: u32, reset: u64) -> RateHeaders {
    RateHeaders { limit: Some(limit), remaining: Some(remaining), reset_after: Some(Duration::from_secs(reset)) }
}

/// Sends one request and has it answered at once.
fn exchange(state: &mut BudgetState, now: Instant, kind: RequestKind, headers: RateHeaders, came: Came) {
    assert_eq!(state.turn(now, kind), Turn::Now);
    let mut sent = state.send(now, kind);
    state.answer(&mut sent, now, headers, came);
    state.end(&mut sent, now);
}

const PAGE: RequestKind = RequestKind::Page;

#[test]
fn others_on_the_same_key_are_respected() {
    let now = Instant::now();
    let mut state = BudgetState::new(10);
    exchange(&mut state, now, PAGE, told(600, 11, 600), Came::Rows);
    assert_eq!(state.turn(now, PAGE), Turn::Now);
    let mut sent = state.send(now, PAGE);
    assert_eq!(state.turn(now, PAGE), Turn::AfterResponse);
    state.answer(&mut sent, now, told(600, 9, 600), Came::Rows);
    state.end(&mut sent, now);
    assert_eq!(state.turn(now, PAGE), Turn::At(now + Duration::from_secs(600)));
}

#[test]
fn first_request_of_a_period_goes_alone() {
    let now = Instant::now();
    let mut state = BudgetState::new(0);
    assert_eq!(state.turn(now, PAGE), Turn::Now);
    let mut sent = state.send(now, PAGE);
    assert_eq!(state.turn(now, PAGE), Turn::AfterResponse);
    state.answer(&mut sent, now, told(600, 599, 5), Came::Rows);
    assert_eq!(state.turn(now, PAGE), Turn::Now);
}

#[test]
fn first_request_after_a_wall_goes_alone_until_it_is_answered() {
    let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(9));
    let mut state = BudgetState::new(0);
    exchange(&mut state, now, PAGE, RateHeaders::default(), Came::Wall);
    state.block(now, later);
    assert_eq!(state.turn(now, PAGE), Turn::At(later));
    assert_eq!(state.turn(later, PAGE), Turn::Now);
    let mut sent = state.send(later, PAGE);
    assert_eq!(state.turn(later, PAGE), Turn::AfterResponse);
    state.answer(&mut sent, later, RateHeaders::default(), Came::Rows);
    assert_eq!(state.turn(later, PAGE), Turn::Now);
}

#[test]
fn nothing_is_waited_for_for_ever_when_no_reset_is_told() {
    let mut now = Instant::now();
    let mut state = BudgetState::new(0);
    let headers = |remaining| RateHeaders { limit: Some(600), remaining: Some(remaining), reset_after: None };
    exchange(&mut state, now, PAGE, headers(0), Came::Rows);
    let Turn::At(until) = state.turn(now, PAGE) else { panic!("something remains") };
    now = until;
    exchange(&mut state, now, PAGE, headers(599), Came::Rows);
    assert_eq!(state.turn(now, PAGE), Turn::Now);
}

#[test]
fn what_was_under_way_when_the_period_turned_does_not_pass_for_the_next_one() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut state = BudgetState::new(0);
    exchange(&mut state, start, PAGE, told(600, 300, 60), Came::Rows);
    let (mut early, mut late) = (state.send(at(58), PAGE), state.send(at(58), PAGE));
    state.answer(&mut early, at(59), told(600, 599, 3600), Came::Rows);
    assert_eq!(state.known_period(), HOUR, "the next period is recognised, and its length is known");
    state.answer(&mut late, at(59), told(600, 0, 1), Came::Rows);
    assert_eq!(state.turn(at(59), PAGE), Turn::Now, "what was left of the last period is over");
}

#[test]
fn costs_are_learned_from_requests_that_fly_alone_and_count_in_the_log() {
    let now = Instant::now();
    let mut state = BudgetState::new(0);
    let events = RequestKind::Events;
    for remaining in [597, 594, 591, 588] {
        exchange(&mut state, now, events, told(600, remaining, 3600), Came::Rows);
    }
    assert_eq!((state.costs().cost(events), state.costs().cost(PAGE)), (3, 1));
    // A refusal that was free says nothing, nor do two that fly together.
    exchange(&mut state, now, events, told(600, 588, 3600), Came::Refusal);
    let (mut one, mut other) = (state.send(now, events), state.send(now, events));
    state.answer(&mut one, now, told(600, 582, 3600), Came::Rows);
    state.answer(&mut other, now, told(600, 582, 3600), Came::Rows);
    assert_eq!(state.costs().cost(events), 3);

    let mut next = BudgetState::new(0);
    next.expect(state.costs());
    let sent = std::iter::from_fn(|| match next.turn(now, events) {
        Turn::Now => {
            let mut sent = next.send(now, events);
            next.answer(&mut sent, now, RateHeaders::default(), Came::Rows);
            next.end(&mut sent, now);
            Some(())
        }
        _ => None,
    });
    assert_eq!(sent.count(), 199, "one is kept back until the period is known");
}

#[tokio::test(start_paused = true)]
async fn wait_that_would_pass_the_deadline_ends_at_once() {
    let (budget, cancel) = (Budget::new(0), CancellationToken::new());
    budget.block(Duration::from_secs(60));
    let soon = Instant::now() + Duration::from_secs(59);
    assert!(matches!(budget.permit(PAGE, Some(soon), &cancel).await, Err(ApiError::OutOfTime { .. })));
    let waiting = budget.waiting();
    let later = Instant::now() + Duration::from_secs(61);
    budget.permit(PAGE, Some(later), &cancel).await.unwrap();
    assert_eq!(*waiting.borrow(), None);
    cancel.cancel();
    assert!(matches!(budget.permit(PAGE, None, &cancel).await, Err(ApiError::Cancelled)));
}
