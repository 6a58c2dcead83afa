//! A year of daily runs in simulated time: plans, the rate limiter against a server with fixed windows, and the ledger's
//! replay. Nothing is sent, and nothing waits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use profound_export::api::{Admission, RateLimitHeaders, RateLimitState, ResponseKind, SentRequest};
use profound_export::catalog::Catalog;
use profound_export::ledger::{DayEntry, Entry, FileChange, Record, SliceEntry, State};
use profound_export::model::content_hash::ContentHash;
use profound_export::model::cost::{RequestCosts, RequestKind};
use profound_export::model::day::Day;
use profound_export::model::periods::Periods;
use profound_export::model::proof::Proof;
use profound_export::model::scope::{Named, Scope, ScopeKind};
use profound_export::model::slice::Slice;
use profound_export::model::stream::Tier;
use profound_export::plan::{Known, Plan, Wanted, WantedDays, plan, steady_state_plan};
use profound_export::run::{Forecast, ForecastInputs, forecast};
use tokio::time::Instant;
use uuid::Uuid;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Concurrent requests, and the time of each.
const AT_ONCE: usize = 4;
const TAKES: Duration = Duration::from_secs(1);
const LIMIT: u32 = 600;
const RESERVED: u32 = 60;
/// Rows and bytes of every day.
const ROWS: u64 = 120;
const BYTES: u64 = 9_000;

/// One daily run.
#[derive(Debug, Clone)]
pub struct DailyRun {
    /// Time until the due days are published, as forecast.
    pub planned: Duration,
    /// Time until they were.
    pub elapsed: Duration,
    /// Requests of the run, backfill included.
    pub requests: u64,
    /// Backfill slices that are deferred.
    pub deferred: usize,
    /// Time from the first run until the backfill is complete, as forecast.
    pub backfill_complete: Option<SignedDuration>,
}

/// The results of a year of daily runs.
#[derive(Debug)]
pub struct Year {
    /// The runs until no day of the year was missing.
    pub runs: Vec<DailyRun>,
    /// Most requests that reached the server in any trailing hour.
    pub max_requests_per_hour: usize,
    /// The state of the ledger at the end.
    pub state: State,
    /// What the job exports.
    pub wanted: Wanted,
}

fn named(kind: &str, number: usize) -> Option<Named> {
    Some(Named { id: format!("{number:08x}-0000-4000-8000-{kind:0>12}"), name: format!("{kind} {number}") })
}

/// Tier `tier` of so many categories, each with one asset of its own, and a domain for every ten of them, from `start`
/// on.
pub fn wanted(categories: usize, tier: Tier, start: Day) -> Wanted {
    let catalog = Catalog::embedded().unwrap();
    let streams = catalog.streams().filter(|stream| stream.tier.is_some_and(|own| own <= tier)).cloned().collect();
    let category = |number| Scope { category: named("category", number), ..Scope::default() };
    let asset = |number| Scope { asset: named("asset", number), ..category(number) };
    let organization = || Scope { organization: named("org", 1), ..Scope::default() };
    let domain = |number| Scope { domain: named("domain", number), ..organization() };
    let scopes = BTreeMap::from([
        (ScopeKind::Account, vec![Scope::default()]),
        (ScopeKind::Organization, vec![organization()]),
        (ScopeKind::Category, (0..categories).map(category).collect()),
        (ScopeKind::CategoryAsset, (0..categories).map(asset).collect()),
        (ScopeKind::Domain, (0..categories.div_ceil(10)).map(domain).collect()),
    ]);
    Wanted {
        streams,
        scopes,
        days: WantedDays::Since(start),
        single_start: None,
        lookback_days: None,
        event_streams: true,
        paged: BTreeSet::new(),
        costs: RequestCosts::default(),
        max_window_days: 31,
        weekly_refresh_min_categories: 50,
    }
}

/// Applies the ledger record of `slice`, extracted at `at`, to `state`.
pub fn record(state: &mut State, slice: &Slice, at: Timestamp) {
    let number = state.number + 1;
    let hash = ContentHash::from(u128::from(number));
    let day = |day| DayEntry {
        day,
        rows: ROWS,
        hash,
        file: FileChange::Published,
        bytes: BYTES,
        etag: Some(number.to_string()),
        signal: None,
    };
    let entry = SliceEntry {
        run: Uuid::nil(),
        stream: slice.stream.name.clone(),
        fingerprint: String::new(),
        scope: slice.scope.clone(),
        window: slice.window,
        proof: Proof::Total,
        total: Some(ROWS),
        rows: ROWS,
        outside_rows: 0,
        requests: 1,
        extracted_at: at,
        days: slice.recorded_days().into_iter().map(day).collect(),
    };
    let entries = vec![Entry::Slice(entry)];
    state.apply(&Record { format: 1, number, id: Uuid::nil(), at, version: String::new(), entries });
}

/// The requests of one key to a server with fixed rate-limit windows of an hour.
struct Wire {
    budget: RateLimitState,
    began: Instant,
    /// How much of the server's window was over at `began`.
    into_the_window: Duration,
    now: Instant,
    under_way: VecDeque<(Instant, SentRequest, RateLimitHeaders)>,
    arrivals: Vec<Duration>,
}

impl Wire {
    fn elapsed(&self) -> Duration {
        self.now - self.began
    }

    fn take_answers(&mut self) {
        while let Some((end, mut sent, headers)) = self.under_way.pop_front_if(|(end, ..)| *end <= self.now) {
            self.budget.record_response(&mut sent, end, headers, ResponseKind::Ok);
            self.budget.end(&mut sent, end);
        }
    }

    /// The headers of the response to a request that reaches the server now.
    fn arrive(&mut self) -> RateLimitHeaders {
        let at = self.elapsed() + self.into_the_window;
        self.arrivals.push(at);
        let hour = at.as_secs() / HOUR.as_secs();
        let used = self.arrivals.iter().rev().take_while(|at| at.as_secs() / HOUR.as_secs() == hour).count() as u32;
        let reset_after = Duration::from_secs((hour + 1) * HOUR.as_secs()) - at;
        let remaining = Some(LIMIT.saturating_sub(used));
        RateLimitHeaders { limit: Some(LIMIT), remaining, reset_after: Some(reset_after) }
    }

    /// Sends one request as soon as the limiter admits it; returns when its response ends.
    fn send(&mut self) -> Instant {
        loop {
            self.take_answers();
            let next = self.under_way.front().map(|(end, ..)| *end);
            let turn = match next {
                Some(end) if AT_ONCE <= self.under_way.len() => Admission::At(end),
                _ => self.budget.admit(self.now, RequestKind::Page),
            };
            self.now = match turn {
                Admission::Now => {
                    let sent = self.budget.send(self.now, RequestKind::Page);
                    let headers = self.arrive();
                    self.under_way.push_back((self.now + TAKES, sent, headers));
                    return self.now + TAKES;
                }
                Admission::At(until) => next.map_or(until, |end| end.min(until)),
                Admission::AfterResponse => next.unwrap(),
            };
        }
    }

    fn rest_until(&mut self, at: Instant) {
        self.now = self.now.max(at);
        self.take_answers();
    }
}

fn max_requests_per_hour(arrivals: &[Duration]) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (index, at) in arrivals.iter().enumerate() {
        while HOUR <= *at - arrivals[first] {
            first += 1;
        }
        most = most.max(index + 1 - first);
    }
    most
}

/// The plan at `now`, and its forecast.
pub fn planned(
    wanted: &Wanted,
    state: &State,
    (now, instant): (Timestamp, Instant),
    budget: &RateLimitState,
) -> (Plan, Forecast) {
    let doubtful = |_: &str, _: &_, _| false;
    let known = Known::at(now, &state.coverage, &state.forgotten, &doubtful);
    let (plan, night) = (plan(wanted, &known), steady_state_plan(wanted, &known, DAY));
    let around = ForecastInputs {
        now,
        instant,
        starts_at: now,
        budget: budget.clone(),
        discovery_requests: 0,
        concurrency: AT_ONCE,
        request_duration: Some(TAKES),
        deadline: None,
        every: Some(Periods::constant(DAY)),
    };
    let forecast = forecast(&plan, &night, &around);
    (plan, forecast)
}

/// Runs once a day until the whole year before `first_run` is exported. The first run starts when `into_the_window` of the
/// server's window is over.
pub fn year(categories: usize, tier: Tier, first_run: Timestamp, into_the_window: Duration) -> Year {
    let start: Day = "2025-01-01".parse().unwrap();
    let wanted = wanted(categories, tier, start);
    let began = Instant::now();
    let budget = RateLimitState::new(RESERVED);
    let mut wire =
        Wire { budget, began, into_the_window, now: began, under_way: VecDeque::new(), arrivals: Vec::new() };
    let mut state = State::default();
    let mut runs: Vec<DailyRun> = Vec::new();
    while runs.last().is_none_or(|night| night.deferred > 0) {
        let since = DAY * i32::try_from(runs.len()).unwrap();
        let starts_at = first_run + since;
        wire.rest_until(began + Duration::try_from(since).unwrap());
        let (starts, sent) = (wire.now, wire.arrivals.len());
        let ends = starts + Duration::try_from(DAY).unwrap();
        // The forecast counts from the present instant, and the wire's budget has instants of its own.
        let (plan, forecast) = planned(&wanted, &state, (starts_at, wire.now), &wire.budget);
        let (mut elapsed, mut deferred) = (Duration::ZERO, 0);
        for planned in &plan.slices {
            let mut over = starts;
            for _ in 0..planned.requests {
                over = if wire.now < ends { wire.send() } else { ends };
            }
            if over < ends {
                record(&mut state, &planned.slice, starts_at + SignedDuration::try_from(over - starts).unwrap())
            } else {
                deferred += 1
            }
            if !planned.is_backfill {
                elapsed = elapsed.max(over - starts);
            }
        }
        let there = forecast.backfill.and_then(|history| history.complete_at);
        let backfill_complete = there.map(|at| at.duration_since(first_run));
        let requests = (wire.arrivals.len() - sent) as u64;
        runs.push(DailyRun { planned: forecast.due_complete_after, elapsed, requests, deferred, backfill_complete });
    }
    Year { runs, max_requests_per_hour: max_requests_per_hour(&wire.arrivals), state, wanted }
}
