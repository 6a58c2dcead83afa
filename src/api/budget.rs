//! Requests that may still be sent, learned from the response headers.
//!
//! Nobody says whether the vendor's hour is fixed or sliding. So a request is sent only when two conditions hold: a log
//! of our own sends has room in its trailing period, and what the API said remains is more than what is in flight and
//! reserved. The period is the longest time to a reset that was seen, an hour at most. Since the first reset seen may
//! belong to a period that was half over, one request is held back until a second one is known, and the first request
//! of every period goes alone, to learn: together they never pass the limit in any trailing period.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::error::ApiError;

/// Requests per hour of a key, when no header says otherwise (vendor's documentation, Introduction).
pub const DEFAULT_REQUESTS_PER_HOUR: u32 = 600;
/// The longest period, and the one assumed when no header tells a reset.
pub const LONGEST_PERIOD: Duration = Duration::from_secs(3600);

/// What the headers of one response say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateHeaders {
    /// `X-RateLimit-Limit`.
    pub limit: Option<u32>,
    /// `X-RateLimit-Remaining`.
    pub remaining: Option<u32>,
    /// Time from the response to `X-RateLimit-Reset`.
    pub reset_after: Option<Duration>,
}

/// Why the next request must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It may go.
    Now,
    /// Not before this instant.
    At(Instant),
    /// Not before a response to a request in flight has come.
    AfterResponse,
}

/// The budget as plain state: no waiting, no clock, so that it can be tested for any sequence.
#[derive(Debug, Clone)]
pub struct BudgetState {
    limit: u32,
    reserve: u32,
    /// Least remaining seen in this period.
    remaining: Option<u32>,
    resets_at: Option<Instant>,
    period: Option<Duration>,
    periods_seen: u32,
    /// Whether a response of this period has come.
    learned: bool,
    in_flight: u32,
    sent: VecDeque<Instant>,
    blocked_until: Option<Instant>,
}

impl BudgetState {
    /// A budget that keeps `reserve` requests of every period for others.
    pub fn new(reserve: u32) -> Self {
        Self {
            limit: DEFAULT_REQUESTS_PER_HOUR,
            reserve,
            remaining: None,
            resets_at: None,
            period: None,
            periods_seen: 0,
            learned: false,
            in_flight: 0,
            sent: VecDeque::new(),
            blocked_until: None,
        }
    }

    /// Requests per period, as far as known.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// The same budget when a period has passed in which nobody has sent anything.
    pub fn rested(&self) -> Self {
        Self {
            limit: self.limit,
            period: Some(self.known_period()),
            // Its length needs no second look.
            periods_seen: 2,
            ..Self::new(self.reserve)
        }
    }

    /// Least that the API said remains of this period; none before it has said so.
    pub fn remaining(&self) -> Option<u32> {
        self.remaining
    }

    /// Requests of a period that may be used.
    pub fn usable(&self) -> u32 {
        (self.limit - self.reserved()).max(1)
    }

    /// Requests of a period that are left for others: as configured, or a tenth of a limit that is not above that.
    fn reserved(&self) -> u32 {
        if self.reserve < self.limit { self.reserve } else { self.limit / 10 }
    }

    /// The length of a period as far as it is surely known: an hour until a whole one was seen.
    pub fn known_period(&self) -> Duration {
        if self.periods_seen < 2 { LONGEST_PERIOD } else { self.period() }
    }

    /// The length of a period that sends are counted in.
    fn period(&self) -> Duration {
        self.period.unwrap_or(LONGEST_PERIOD)
    }

    /// Whether a request may be sent at `now`, and if not, when to ask again.
    pub fn turn(&mut self, now: Instant) -> Turn {
        if let Some(until) = self.blocked_until {
            if now < until {
                return Turn::At(until);
            }
            self.blocked_until = None;
        }
        if self.resets_at.is_some_and(|reset| reset <= now) {
            self.resets_at = None;
            self.remaining = None;
            self.learned = false;
        }
        if !self.learned && 0 < self.in_flight {
            return Turn::AfterResponse;
        }
        let period = self.period();
        while self.sent.front().is_some_and(|sent| *sent + period <= now) {
            self.sent.pop_front();
        }
        // One is held back until the length of a whole period is known.
        let held_back = u32::from(self.learned && self.periods_seen < 2 && 1 < self.usable());
        let room = (self.usable() - held_back) as usize;
        if room <= self.sent.len() {
            let oldest_in_the_way = self.sent[self.sent.len() - room];
            let by_log = oldest_in_the_way + period;
            return Turn::At(self.resets_at.filter(|reset| held_back == 1 && *reset < by_log).unwrap_or(by_log));
        }
        match self.remaining {
            Some(remaining) if remaining <= self.reserved() + self.in_flight => {
                match (self.in_flight, self.resets_at) {
                    (0, Some(reset)) => Turn::At(reset),
                    (0, None) => Turn::At(now + Duration::from_secs(60)),
                    _ => Turn::AfterResponse,
                }
            }
            _ => Turn::Now,
        }
    }

    /// A request is sent.
    pub fn send(&mut self, now: Instant) {
        self.in_flight += 1;
        self.sent.push_back(now);
    }

    /// A request is over, whatever came of it.
    pub fn end(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A response came at `now`.
    pub fn learn(&mut self, now: Instant, headers: RateHeaders) {
        if let Some(limit) = headers.limit.filter(|limit| 0 < *limit) {
            self.limit = limit;
        }
        if let Some(after) = headers.reset_after {
            let after = after.min(LONGEST_PERIOD);
            if self.resets_at.is_none() {
                self.periods_seen += 1;
            }
            self.resets_at = Some(now + after);
            self.period = self.period.max(Some(after.max(Duration::from_secs(1))));
        }
        if let Some(remaining) = headers.remaining {
            self.remaining = Some(self.remaining.map_or(remaining, |least| least.min(remaining)));
        }
        self.learned = true;
    }

    /// Nothing may be sent before `until`.
    pub fn block(&mut self, until: Instant) {
        self.blocked_until = self.blocked_until.max(Some(until));
    }
}

/// A wait for the budget, for people to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// When the next request may go.
    pub until: Instant,
}

/// The budget of one key, shared by everything that sends with it.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<BudgetState>,
    changed: Notify,
    waiting: watch::Sender<Option<Waiting>>,
}

/// A request in flight; ends when dropped.
#[derive(Debug)]
pub struct Permit(Arc<Shared>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).end();
        self.0.changed.notify_waiters();
    }
}

impl Budget {
    /// A budget that keeps `reserve` requests of every period for others.
    pub fn new(reserve: u32) -> Self {
        let state = Mutex::new(BudgetState::new(reserve));
        Self(Arc::new(Shared { state, changed: Notify::new(), waiting: watch::Sender::new(None) }))
    }

    /// Waits until a request may be sent.
    ///
    /// # Errors
    /// [`ApiError::OutOfTime`] as soon as the wait would pass `deadline`, [`ApiError::Cancelled`].
    pub async fn permit(&self, deadline: Option<Instant>, cancel: &CancellationToken) -> Result<Permit, ApiError> {
        loop {
            // Made before the state is looked at, so that no change between the two is missed.
            let changed = self.0.changed.notified();
            let turn = {
                let mut state = self.state();
                let turn = state.turn(Instant::now());
                if turn == Turn::Now {
                    state.send(Instant::now());
                }
                turn
            };
            match turn {
                _ if cancel.is_cancelled() => return Err(ApiError::Cancelled),
                Turn::Now => {
                    self.0.waiting.send_if_modified(|waiting| waiting.take().is_some());
                    return Ok(Permit(Arc::clone(&self.0)));
                }
                Turn::At(until) => {
                    if deadline.is_some_and(|deadline| deadline < until) {
                        return Err(ApiError::OutOfTime { wait: until.saturating_duration_since(Instant::now()) });
                    }
                    self.0.waiting.send_replace(Some(Waiting { until }));
                    tokio::select! {
                        () = tokio::time::sleep_until(until) => {}
                        () = changed => {}
                        () = cancel.cancelled() => return Err(ApiError::Cancelled),
                    }
                }
                Turn::AfterResponse => tokio::select! {
                    () = changed => {}
                    () = cancel.cancelled() => return Err(ApiError::Cancelled),
                },
            }
        }
    }

    /// A response came.
    pub fn learn(&self, headers: RateHeaders) {
        self.state().learn(Instant::now(), headers);
        self.0.changed.notify_waiters();
    }

    /// Nothing may be sent for `pause`.
    pub fn block(&self, pause: Duration) {
        self.state().block(Instant::now() + pause);
    }

    /// Tells when a wait begins, and `None` when it ends.
    pub fn waiting(&self) -> watch::Receiver<Option<Waiting>> {
        self.0.waiting.subscribe()
    }

    /// The state as it is now.
    pub fn snapshot(&self) -> BudgetState {
        self.state().clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, BudgetState> {
        // The state is plain numbers: a panic elsewhere leaves it usable.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
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
            match state.turn(now) {
                Turn::Now => {
                    state.send(now);
                    let headers = server.answer(now);
                    now += Duration::from_millis(100);
                    state.end();
                    state.learn(now, headers);
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

    #[test]
    fn others_on_the_same_key_are_respected() {
        let now = Instant::now();
        let mut state = BudgetState::new(10);
        let reset_after = Some(Duration::from_secs(600));
        state.learn(now, RateHeaders { limit: Some(600), remaining: Some(11), reset_after });
        assert_eq!(state.turn(now), Turn::Now);
        state.send(now);
        assert_eq!(state.turn(now), Turn::AfterResponse);
        state.end();
        state.learn(now, RateHeaders { limit: Some(600), remaining: Some(9), reset_after });
        assert_eq!(state.turn(now), Turn::At(now + Duration::from_secs(600)));
    }

    #[test]
    fn first_request_of_a_period_goes_alone() {
        let now = Instant::now();
        let mut state = BudgetState::new(0);
        assert_eq!(state.turn(now), Turn::Now);
        state.send(now);
        assert_eq!(state.turn(now), Turn::AfterResponse);
        state.learn(
            now,
            RateHeaders { limit: Some(600), remaining: Some(599), reset_after: Some(Duration::from_secs(5)) },
        );
        assert_eq!(state.turn(now), Turn::Now);
    }

    #[tokio::test(start_paused = true)]
    async fn wait_that_would_pass_the_deadline_ends_at_once() {
        let (budget, cancel) = (Budget::new(0), CancellationToken::new());
        budget.block(Duration::from_secs(60));
        let soon = Instant::now() + Duration::from_secs(59);
        assert!(matches!(budget.permit(Some(soon), &cancel).await, Err(ApiError::OutOfTime { .. })));
        let waiting = budget.waiting();
        let later = Instant::now() + Duration::from_secs(61);
        budget.permit(Some(later), &cancel).await.unwrap();
        assert_eq!(*waiting.borrow(), None);
        cancel.cancel();
        assert!(matches!(budget.permit(None, &cancel).await, Err(ApiError::Cancelled)));
    }
}
