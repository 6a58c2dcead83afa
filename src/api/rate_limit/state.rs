//! The rate limit as plain state: no waiting and no clock, so that any sequence of requests and responses can be tested.

use std::time::Duration;

use tokio::time::Instant;

use crate::api::rate_limit::blocking::Blocking;
use crate::api::rate_limit::external_usage::{ExternalUsage, SentMark};
use crate::api::rate_limit::in_flight::InFlight;
use crate::api::rate_limit::request_costs::LearnedCosts;
use crate::api::rate_limit::request_log::RequestLog;
use crate::api::rate_limit::window::{DescribedWindow, RateLimitHeaders, RateLimitWindow};
use crate::model::cost::{RequestCosts, RequestKind};
use crate::model::event::RateLimitStatus;

/// When a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Now,
    /// Not before this instant.
    At(Instant),
    /// Not before a request in flight got its response.
    AfterResponse,
}

/// What a request was answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseKind {
    /// Rows.
    Ok,
    /// An error, which may have cost nothing.
    Error,
    /// HTTP 429.
    RateLimited,
}

/// A request in flight, until [`RateLimitState::end`].
#[derive(Debug)]
pub struct SentRequest {
    kind: RequestKind,
    cost: u32,
    at: Instant,
    has_response: bool,
    mark: SentMark,
}

/// What may be sent with the key, as far as responses showed.
///
/// Costs are in requests of the rate limit: where an event stream counts as three, three leave the window.
#[derive(Debug, Clone, Default)]
pub struct RateLimitState {
    reserve: u32,
    window: RateLimitWindow,
    log: RequestLog,
    in_flight: InFlight,
    blocking: Blocking,
    costs: LearnedCosts,
    external: ExternalUsage,
}

impl RateLimitState {
    /// Leaves `reserve` requests of every window to other users of the key.
    pub fn new(reserve: u32) -> Self {
        Self { reserve, ..Self::default() }
    }

    /// The state after a window without any request.
    pub fn after_idle_window(&self) -> Self {
        Self { window: self.window.fresh(), costs: self.costs.clone(), ..Self::new(self.reserve) }
    }

    /// The state to forecast from `now` on: every request costs one, requests in flight are over, and no response will show more
    /// about the length of a window.
    pub fn for_forecast(&self, now: Instant) -> Self {
        let mut log = self.log.clone();
        if self.in_flight.unanswered > 0 {
            log.push(now, self.in_flight.unanswered);
        }
        Self {
            window: self.window.with_fixed_length(),
            log,
            in_flight: InFlight::default(),
            blocking: self.blocking.without_probing(),
            costs: LearnedCosts::default(),
            ..self.clone()
        }
    }

    /// Requests a window.
    pub fn limit(&self) -> u32 {
        self.window.limit()
    }

    /// The least that the API said remains of this window, `None` before it has said so.
    pub fn remaining(&self) -> Option<u32> {
        self.window.remaining()
    }

    /// The length of a window, as far as it is known: an hour until a whole one was seen.
    pub fn window(&self) -> Duration {
        self.window.length()
    }

    /// Requests of a window that may be used.
    pub fn usable(&self) -> u32 {
        (self.limit() - self.reserved()).max(1)
    }

    /// Requests of a window that are left to others: as configured, or a tenth of a limit that is not above that.
    fn reserved(&self) -> u32 {
        if self.reserve < self.limit() { self.reserve } else { self.limit() / 10 }
    }

    pub fn status(&mut self, now: Instant) -> RateLimitStatus {
        self.log.trim(now, self.window());
        RateLimitStatus {
            limit: self.limit(),
            remaining: self.remaining(),
            reserved: self.reserved(),
            own_requests: self.log.cost.saturating_add(self.in_flight.unanswered),
            external_requests: self.external.total(),
            window: self.window(),
            resets_in: self.window.resets_at.map(|reset| reset.saturating_duration_since(now)),
        }
    }

    /// What requests cost, as far as is known.
    pub fn costs(&self) -> RequestCosts {
        self.costs.costs()
    }

    /// Starts from the costs that earlier processes learned.
    pub fn assume_costs(&mut self, costs: RequestCosts) {
        self.costs.assume(costs);
    }

    /// How long a request took on average, `None` before one was over.
    pub fn average_latency(&self) -> Option<Duration> {
        self.in_flight.average_latency()
    }

    /// When a request of `kind` may be sent.
    pub fn admit(&mut self, now: Instant, kind: RequestKind) -> Admission {
        if let Some(until) = self.blocking.until(now) {
            return Admission::At(until);
        }
        if self.window.advance(now) {
            self.forget_remaining();
        }
        // The first request of a window goes alone, to learn what remains, and so does the first one after a 429.
        let is_first = !self.window.has_response || self.blocking.is_probing();
        if is_first && self.in_flight.unanswered > 0 {
            return Admission::AfterResponse;
        }
        self.log.trim(now, self.window());
        self.admit_by_log(kind).unwrap_or_else(|| self.admit_by_remaining(now, kind))
    }

    /// The first condition: own requests of the trailing window leave room. `None` if they do.
    fn admit_by_log(&self, kind: RequestKind) -> Option<Admission> {
        // The length of a window shows when the next one starts: the request that shows it needs no room.
        if !self.window.has_response && self.window.windows_seen == 1 {
            return None;
        }
        // Room for the request that will show it.
        let kept = if self.window.has_response && !self.window.is_length_known() {
            self.costs().max().min(self.usable() - 1)
        } else {
            0
        };
        let room = self.usable() - kept;
        let cost = self.costs().cost(kind).min(room);
        let needed = self.log.cost.saturating_add(self.in_flight.unanswered + cost);
        let excess = needed.checked_sub(room).filter(|excess| *excess > 0)?;
        let by_log = self.log.last_of_excess(excess).map(|at| at + self.window());
        let by_reset = self.window.resets_at.filter(|_| !self.window.is_length_known());
        let soonest = by_log.into_iter().chain(by_reset).min();
        Some(soonest.map_or(Admission::AfterResponse, Admission::At))
    }

    /// The second condition: what the API said remains is more than what is in flight and reserved.
    fn admit_by_remaining(&self, now: Instant, kind: RequestKind) -> Admission {
        let cost = self.costs().cost(kind).min(self.usable());
        let needed = self.reserved().saturating_add(self.in_flight.cost + cost);
        match self.remaining() {
            Some(remaining) if remaining < needed && self.in_flight.cost > 0 => Admission::AfterResponse,
            Some(remaining) if remaining < needed => Admission::At(self.window.remaining_ends_at(now)),
            _ => Admission::Now,
        }
    }

    pub fn send(&mut self, now: Instant, kind: RequestKind) -> SentRequest {
        let cost = self.costs().cost(kind);
        self.in_flight.send(cost, self.window.remaining());
        SentRequest { kind, cost, at: now, has_response: false, mark: self.external.record_sent(kind) }
    }

    /// The headers of a response arrived.
    pub fn record_response(
        &mut self,
        request: &mut SentRequest,
        now: Instant,
        headers: RateLimitHeaders,
        kind: ResponseKind,
    ) {
        request.has_response = true;
        self.log_request(request, now);
        self.in_flight.record_response(request.cost);
        self.blocking.record_response(request.at, kind);
        let limit = self.limit();
        let described = self.window.observe(request.at, now, headers);
        if self.limit() != limit {
            // What remains of another limit says nothing about requests of others.
            self.external.end_window();
        }
        match described {
            DescribedWindow::Previous => return,
            DescribedWindow::Next => self.forget_remaining(),
            DescribedWindow::Current => {}
        }
        if let Some(remaining) = headers.remaining {
            if let (Some(before), ResponseKind::Ok) = (self.in_flight.take_remaining_before(), kind) {
                self.costs.observe(request.kind, before.saturating_sub(remaining));
            }
            self.external.observe(request.mark, remaining, kind, self.costs.costs());
        }
    }

    /// The body of a response is over, or no response will come.
    pub fn end(&mut self, request: &mut SentRequest, now: Instant) {
        if !request.has_response {
            request.has_response = true;
            self.log_request(request, now);
            self.in_flight.record_lost(request.cost);
        }
        self.in_flight.end(request.cost, now.saturating_duration_since(request.at));
    }

    /// No request may be sent from `now` until `until`.
    pub fn block(&mut self, now: Instant, until: Instant) {
        self.blocking.block(now, until);
    }

    /// The server has counted `request` by `now`, whenever that was.
    fn log_request(&mut self, request: &SentRequest, now: Instant) {
        self.external.record_answered(request.mark);
        self.log.push(now, request.cost);
    }

    /// Another window started: what remained before says nothing about what remains now.
    fn forget_remaining(&mut self) {
        self.in_flight.take_remaining_before();
        self.external.end_window();
    }
}
