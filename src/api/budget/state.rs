//! The budget as plain state: no waiting, no clock, so that it can be tested for any sequence.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::api::budget::costs::LearnedCosts;
use crate::api::budget::foreign::{Foreign, Mark};
use crate::model::cost::{Costs, RequestKind};
use crate::model::event::RateLimitStatus;

/// Requests per hour of a key, when no header says otherwise (vendor's documentation, Introduction).
pub const DEFAULT_REQUESTS_PER_HOUR: u32 = 600;
/// The longest period, and the one assumed when no header tells a reset.
pub const LONGEST_PERIOD: Duration = Duration::from_secs(3600);
/// The shortest period that is believed.
const SHORTEST_PERIOD: Duration = Duration::from_secs(1);
/// Resets that are told so close to each other are one: headers have whole seconds.
const SAME_RESET: Duration = Duration::from_secs(1);
/// By how much a reset may seem nearer than it is because one response took longer than another.
const LATENCY: Duration = Duration::from_millis(200);
/// How long it is believed that nothing remains, where no reset is told.
const UNTOLD_RESET: Duration = Duration::from_secs(60);

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

/// What came back of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// What was asked for.
    Rows,
    /// An error, which may have cost nothing.
    Refusal,
    /// HTTP 429.
    Wall,
}

/// A request that was sent, until [`BudgetState::end`] takes it back.
#[derive(Debug)]
pub struct Sent {
    kind: RequestKind,
    cost: u32,
    at: Instant,
    answered: bool,
    mark: Mark,
}

/// A part of the budget that was spent.
#[derive(Debug, Clone, Copy)]
struct Spent {
    /// By when at the latest.
    by: Instant,
    cost: u32,
}

/// What may be sent, as far as responses told.
///
/// Costs are counted in requests of the budget: a request of a kind that was seen to take three counts as three.
#[derive(Debug, Clone)]
pub struct BudgetState {
    limit: u32,
    reserve: u32,
    costs: LearnedCosts,
    foreign: Foreign,
    /// Least remaining seen in this period.
    remaining: Option<u32>,
    /// When it was seen.
    least_since: Option<Instant>,
    resets_at: Option<Instant>,
    /// The last reset that was told, also when it is past.
    last_reset: Option<Instant>,
    /// When nothing is believed any more of what remained, where no reset was told.
    doubted_at: Option<Instant>,
    /// The longest time to a reset.
    period: Option<Duration>,
    /// The shortest time between two resets, which may lie several periods apart.
    between_resets: Option<Duration>,
    periods_seen: u32,
    /// When this period was seen to have begun.
    turned_at: Option<Instant>,
    /// Whether a response of this period has come.
    learned: bool,
    /// What was sent and is not over.
    in_flight: u32,
    /// What of that has not been answered.
    unanswered: u32,
    /// What was spent within the trailing period.
    log: VecDeque<Spent>,
    /// All of it.
    logged: u32,
    /// What remained when the one request in flight was sent, if it flies alone.
    alone: Option<u32>,
    /// Whether every request that was sent and is over has been answered.
    exact: bool,
    /// How long requests took, and how many that were.
    took: (Duration, u32),
    blocked_until: Option<Instant>,
    /// When we were last told to wait, until something that was sent after it is answered otherwise.
    walled_at: Option<Instant>,
}

impl BudgetState {
    /// A budget that keeps `reserve` requests of every period for others.
    pub fn new(reserve: u32) -> Self {
        Self {
            limit: DEFAULT_REQUESTS_PER_HOUR,
            reserve,
            costs: LearnedCosts::default(),
            foreign: Foreign::default(),
            remaining: None,
            least_since: None,
            resets_at: None,
            last_reset: None,
            doubted_at: None,
            period: None,
            between_resets: None,
            periods_seen: 0,
            turned_at: None,
            learned: false,
            in_flight: 0,
            unanswered: 0,
            log: VecDeque::new(),
            logged: 0,
            alone: None,
            exact: true,
            took: (Duration::ZERO, 0),
            blocked_until: None,
            walled_at: None,
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
            costs: self.costs.clone(),
            period: Some(self.known_period()),
            // Its length needs no second look.
            periods_seen: 2,
            ..Self::new(self.reserve)
        }
    }

    /// The same budget to be played forward from `now`: every request costs one, and what is in flight is over.
    pub fn imagined(&self, now: Instant) -> Self {
        let mut log = self.log.clone();
        log.extend((0 < self.unanswered).then_some(Spent { by: now, cost: self.unanswered }));
        let logged = self.logged.saturating_add(self.unanswered);
        Self {
            costs: LearnedCosts::default(),
            in_flight: 0,
            unanswered: 0,
            walled_at: None,
            log,
            logged,
            // Nobody tells of resets there, so the length of a period is what is known of it now.
            period: Some(self.known_period()),
            periods_seen: 2,
            ..self.clone()
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

    /// What is left at `now`, for people to see.
    pub fn told(&mut self, now: Instant) -> RateLimitStatus {
        self.forget(now);
        RateLimitStatus {
            limit: self.limit,
            remaining: self.remaining,
            reserved: self.reserved(),
            own_requests: self.logged.saturating_add(self.unanswered),
            external_requests: self.foreign.seen(),
            window: self.known_period(),
            resets_in: self.resets_at.map(|reset| reset.saturating_duration_since(now)),
        }
    }

    /// What requests cost, as far as known.
    pub fn costs(&self) -> Costs {
        self.costs.costs()
    }

    /// How long a request took on average, from its sending to the end of its body; none before one was over.
    pub fn request_takes(&self) -> Option<Duration> {
        self.took.0.checked_div(self.took.1)
    }

    /// Takes over what earlier processes learned of costs.
    pub fn expect(&mut self, costs: Costs) {
        self.costs.expect(costs);
    }

    /// Requests of a period that are left for others: as configured, or a tenth of a limit that is not above that.
    fn reserved(&self) -> u32 {
        if self.reserve < self.limit { self.reserve } else { self.limit / 10 }
    }

    /// The length of a period as far as it is surely known: an hour until a whole one was seen.
    pub fn known_period(&self) -> Duration {
        match self.period {
            // A period whose first response came late is longer than the time to its reset.
            Some(period) if 2 <= self.periods_seen => {
                period.max(self.whole_seconds_between_resets()).min(LONGEST_PERIOD)
            }
            _ => LONGEST_PERIOD,
        }
    }

    /// Resets are told in whole seconds.
    fn whole_seconds_between_resets(&self) -> Duration {
        Duration::from_secs(self.between_resets.map_or(0, |between| (between + LATENCY).as_secs()))
    }

    /// Whether a request of `kind` may be sent at `now`, and if not, when to ask again.
    pub fn turn(&mut self, now: Instant, kind: RequestKind) -> Turn {
        if let Some(until) = self.blocked_until {
            if now < until {
                return Turn::At(until);
            }
            self.blocked_until = None;
        }
        if self.resets_at.or(self.doubted_at).is_some_and(|reset| reset <= now) {
            self.turn_period(now);
        }
        // The first request of a period goes alone, to learn, and so does the first after a wall.
        if (!self.learned || self.walled_at.is_some()) && 0 < self.unanswered {
            return Turn::AfterResponse;
        }
        self.forget(now);
        self.turn_by_log(kind).unwrap_or_else(|| self.turn_by_remaining(now, kind))
    }

    /// The first condition: what was spent in the trailing period leaves room.
    fn turn_by_log(&self, kind: RequestKind) -> Option<Turn> {
        let unknown_period = self.periods_seen < 2;
        // How long a period is shows when the next one begins: room is kept for the request that tells.
        if !self.learned && self.periods_seen == 1 {
            return None;
        }
        let kept = match self.learned && unknown_period {
            true => self.costs().most().min(self.usable() - 1),
            false => 0,
        };
        let room = self.usable() - kept;
        let cost = self.costs().cost(kind).min(room);
        let taken = self.logged.saturating_add(self.unanswered + cost);
        if taken <= room {
            return None;
        }
        let mut too_much = taken - room;
        let in_the_way = self.log.iter().find(|spent| {
            too_much = too_much.saturating_sub(spent.cost);
            too_much == 0
        });
        let by_log = in_the_way.map(|spent| spent.by + self.known_period());
        let by_reset = self.resets_at.filter(|_| unknown_period);
        let soonest = by_log.into_iter().chain(by_reset).min();
        Some(soonest.map_or(Turn::AfterResponse, Turn::At))
    }

    /// The second condition: what the API said remains is more than what is in flight and reserved.
    fn turn_by_remaining(&self, now: Instant, kind: RequestKind) -> Turn {
        let cost = self.costs().cost(kind).min(self.usable());
        match self.remaining {
            Some(remaining) if remaining < self.reserved().saturating_add(self.in_flight + cost) => {
                match (self.in_flight, self.resets_at.or(self.doubted_at)) {
                    (0, reset) => Turn::At(reset.unwrap_or(now + UNTOLD_RESET)),
                    _ => Turn::AfterResponse,
                }
            }
            _ => Turn::Now,
        }
    }

    /// A request is sent.
    pub fn send(&mut self, now: Instant, kind: RequestKind) -> Sent {
        let cost = self.costs().cost(kind);
        let calm = self.unanswered == 0 && self.exact;
        self.alone = self.remaining.filter(|_| calm);
        self.in_flight += cost;
        self.unanswered += cost;
        Sent { kind, cost, at: now, answered: false, mark: self.foreign.send(kind) }
    }

    /// A response came to what was `sent`.
    pub fn answer(&mut self, sent: &mut Sent, now: Instant, headers: RateHeaders, came: Came) {
        self.answered(sent, now);
        self.exact |= self.unanswered == 0;
        if self.walled_at.is_some_and(|walled| came != Came::Wall && walled <= sent.at) {
            self.walled_at = None;
        }
        if let Some(limit) = headers.limit.filter(|limit| 0 < *limit) {
            if limit != self.limit {
                // What remains of another limit is no less and no more than before.
                self.foreign.turn();
            }
            self.limit = limit;
        }
        let told = headers.reset_after.map(|after| after.min(LONGEST_PERIOD));
        if told.is_some_and(|told| self.is_of_last_period(now + told, sent.at)) {
            return;
        }
        if let (Some(known), Some(told)) = (self.resets_at, told)
            && self.is_later_period(known, now + told, sent.at, headers.remaining)
        {
            // The period turned while this was under way.
            self.turn_period(now);
        }
        if let Some(after) = told {
            let reset = now + after;
            if self.resets_at.is_none() {
                self.periods_seen += 1;
                let since_last = self.last_reset.map(|last| reset.saturating_duration_since(last));
                self.between_resets = since_last.into_iter().chain(self.between_resets).min();
            }
            // Headers have whole seconds, so a reset is told late and never early: the earliest is the nearest.
            self.resets_at = Some(self.resets_at.map_or(reset, |known| known.min(reset)));
            self.last_reset = self.resets_at;
            self.period = self.period.max(Some(after.max(SHORTEST_PERIOD)));
        }
        if told.is_none() && self.resets_at.is_none() && self.periods_seen == 1 {
            // Resets are told so seldom that nothing better will be known of the period.
            self.periods_seen += 1;
        }
        self.doubted_at = headers.remaining.filter(|_| told.is_none()).map(|_| now + UNTOLD_RESET);
        if let Some(remaining) = headers.remaining {
            if let (Some(before), Came::Rows) = (self.alone.take(), came) {
                self.costs.observe(sent.kind, before.saturating_sub(remaining));
            }
            let least = self.remaining.map_or(remaining, |least| least.min(remaining));
            if self.remaining != Some(least) {
                self.least_since = Some(now);
            }
            self.remaining = Some(least);
            self.foreign.told(sent.mark, remaining, came, self.costs.costs());
        }
        self.learned = true;
    }

    /// A request is over, whatever came of it.
    pub fn end(&mut self, sent: &mut Sent, now: Instant) {
        if !sent.answered {
            self.answered(sent, now);
            (self.alone, self.exact) = (None, false);
        }
        self.in_flight = self.in_flight.saturating_sub(sent.cost);
        self.took = (self.took.0 + now.saturating_duration_since(sent.at), self.took.1 + 1);
    }

    /// Nothing may be sent from `now` until `until`.
    pub fn block(&mut self, now: Instant, until: Instant) {
        self.blocked_until = self.blocked_until.max(Some(until));
        self.walled_at = Some(now);
    }

    /// What was sent reached the API by now, whenever that was.
    fn answered(&mut self, sent: &mut Sent, now: Instant) {
        sent.answered = true;
        self.foreign.over(sent.mark);
        self.unanswered = self.unanswered.saturating_sub(sent.cost);
        self.logged = self.logged.saturating_add(sent.cost);
        self.log.push_back(Spent { by: now, cost: sent.cost });
    }

    /// Whether a response was under way when the period turned, and tells of the one before.
    fn is_of_last_period(&self, told: Instant, sent: Instant) -> bool {
        let before_the_turn = self.turned_at.is_some_and(|turned| sent < turned);
        let ended = match self.resets_at {
            Some(known) => told + SAME_RESET < known,
            None => self.last_reset.is_some_and(|last| told < last + SAME_RESET + LATENCY),
        };
        before_the_turn && ended
    }

    /// Whether a response that tells of a reset at `told` is of a later period than the one that ends at `known`.
    fn is_later_period(&self, known: Instant, told: Instant, sent: Instant, remaining: Option<u32>) -> bool {
        let sure = self.period.map_or(LONGEST_PERIOD, |period| (period / 2).max(SAME_RESET * 3 / 2));
        // What remains never grows within a period. Responses may overtake each other, so only what was sent after the
        // least was known proves anything.
        let grew = self.remaining < remaining && self.least_since.is_some_and(|since| since <= sent);
        known + sure < told || grew
    }

    /// Takes what left the trailing period out of the log.
    fn forget(&mut self, now: Instant) {
        let period = self.known_period();
        while let Some(spent) = self.log.pop_front_if(|spent| spent.by + period <= now) {
            self.logged = self.logged.saturating_sub(spent.cost);
        }
    }

    /// The period is seen at `now` to be over.
    fn turn_period(&mut self, now: Instant) {
        self.turned_at = Some(now);
        self.resets_at = None;
        self.doubted_at = None;
        self.remaining = None;
        self.learned = false;
        self.alone = None;
        self.foreign.turn();
    }
}
