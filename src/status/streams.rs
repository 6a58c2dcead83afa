//! Each stream of the ledger: how far behind it is, and its days.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::catalog::Catalog;
use crate::ledger::State;
use crate::model::coverage::{DayState, ScopeCoverage, day_state};
use crate::model::day::Day;
use crate::model::history::{list_of, snapshot_day, snapshot_state};
use crate::model::moment::Moment;
use crate::model::scope::ScopeKey;
use crate::model::stream::{Days, Stream};
use crate::model::window::Window;

/// The state of a day, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DayStatus {
    /// The last reading was doubtful; what stood stands.
    Suspect,
    /// Wanted, and never read.
    Missing,
    /// Read, and broken or overwritten since; read again by the next run.
    Stale,
    /// Read before the service had done revising it.
    Provisional,
    /// Read for the last time.
    Final,
    /// The same, and there is nothing.
    Empty,
}

impl DayStatus {
    /// All of them, the worst first.
    pub const ALL: [Self; 6] = [Self::Suspect, Self::Missing, Self::Stale, Self::Provisional, Self::Final, Self::Empty];

    /// The name everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Self::Suspect => "suspect",
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::Provisional => "provisional",
            Self::Final => "final",
            Self::Empty => "empty",
        }
    }

    fn of(state: Option<&DayState>, name: &str) -> Self {
        if state.is_some_and(|state| state.stale && state.read_at.is_some() && state.suspect.is_none()) {
            return Self::Stale;
        }
        Self::ALL.into_iter().find(|status| status.name() == name).unwrap_or(Self::Missing)
    }

    /// Whether a run still owes something here.
    pub fn is_behind(self) -> bool {
        matches!(self, Self::Suspect | Self::Missing | Self::Stale)
    }
}

/// One day of a stream, over all its scopes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayCell {
    /// The day, as the stream counts days; the first of a month for streams by month.
    pub day: Day,
    /// The worst state over the scopes.
    pub worst: DayStatus,
    /// How many scopes are in which state.
    pub scopes: BTreeMap<DayStatus, u64>,
    /// Rows of all scopes.
    pub rows: u64,
    /// When the first of them was read last.
    pub read_at: Option<Moment>,
    /// What was doubtful, of the first scope where something was.
    pub problem: Option<String>,
}

/// One table of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamStatus {
    /// Its name.
    pub name: String,
    /// The family of the stream: its file in the catalog.
    pub family: String,
    /// For what it is asked: `20 categories`.
    pub asked_for: String,
    /// How many scopes may be read.
    pub scopes: u64,
    /// How many may not.
    pub not_entitled: u64,
    /// Rows of all scopes and days.
    pub rows: u64,
    /// Whether it is a list, which is read whole and has no days.
    pub is_list: bool,
    /// When a list was last read for all scopes.
    pub read_at: Option<Moment>,
    /// Whether the last reading of a list was doubtful.
    pub is_suspect: bool,
    /// The last days, oldest first; none where nothing is wanted or known of a day.
    pub days: Vec<Option<DayCell>>,
    /// Age of the oldest day that a run owes, in seconds since it ended; zero where nothing is owed. What only fills in
    /// history is not.
    pub lag_seconds: u64,
    /// Whether a day is missing that was over a day ago.
    pub lacks_days: bool,
}

/// Everything that every stream of one status shares.
struct View<'a> {
    state: &'a State,
    now: Timestamp,
    shown_days: i64,
}

/// All tables of the ledger that the catalog knows.
pub(super) fn of(
    state: &State,
    catalog: &Catalog,
    starts: &BTreeMap<String, Day>,
    now: Timestamp,
    shown_days: u16,
) -> Vec<StreamStatus> {
    let view = View { state, now, shown_days: i64::from(shown_days) };
    let tables = state.coverage.iter().filter_map(|(name, scopes)| {
        let stream = catalog.get(list_of(name).unwrap_or(name))?;
        Some(view.stream(name, stream, scopes, starts.get(name).copied()))
    });
    tables.collect()
}

impl View<'_> {
    fn stream(
        &self,
        name: &str,
        stream: &Stream,
        scopes: &BTreeMap<ScopeKey, ScopeCoverage>,
        start: Option<Day>,
    ) -> StreamStatus {
        let all = scopes.len();
        let scopes: Vec<&ScopeCoverage> = scopes.values().filter(|scope| scope.not_entitled.is_none()).collect();
        let days = stream.days.as_ref().filter(|_| list_of(name).is_none());
        let owed = days.zip(start).and_then(|(days, start)| self.oldest_owed(name, &scopes, days, start));
        let age = |day: Day, days: &Days| {
            u64::try_from(self.now.duration_since(days.settled(day, 0)).as_secs()).unwrap_or_default()
        };
        let known = || scopes.iter().flat_map(|scope| scope.days.values().chain(&scope.whole));
        let lists = || scopes.iter().filter_map(|scope| scope.whole.as_ref());
        StreamStatus {
            name: name.to_owned(),
            family: stream.family.clone(),
            asked_for: asked_for(stream, scopes.len()),
            scopes: scopes.len() as u64,
            not_entitled: (all - scopes.len()) as u64,
            rows: known().map(|state| state.rows).sum(),
            is_list: days.is_none() && list_of(name).is_none(),
            read_at: lists().map(|list| list.read_at).min().flatten(),
            is_suspect: lists().any(|list| list.suspect.is_some()),
            days: match (list_of(name), days) {
                (Some(_), _) => self.snapshots(&scopes),
                (None, Some(days)) => self.days(name, &scopes, days, start),
                (None, None) => Vec::new(),
            },
            lag_seconds: owed.zip(days).map_or(0, |((day, _), days)| age(day, days)),
            lacks_days: owed.zip(days).is_some_and(|((_, missing), days)| {
                // The day that has just ended is not late before the next run.
                missing.is_some_and(|day| 24 * 3600 <= age(day, days))
            }),
        }
    }

    /// The oldest day that a run owes, and the oldest of those that were never read.
    fn oldest_owed(
        &self,
        name: &str,
        scopes: &[&ScopeCoverage],
        days: &Days,
        start: Day,
    ) -> Option<(Day, Option<Day>)> {
        let (mut owed, mut missing): (Option<Day>, Option<Day>) = (None, None);
        for scope in scopes {
            // What lies before the first reading is history, which has its own place.
            let start = scope.history_ends().map_or(start, |first| start.max(first));
            for day in scope.wanted(days, start, self.now) {
                if self.state.forgotten.covers(name, &scope.scope, Some(day)) {
                    continue;
                }
                let known = scope.days.get(&day);
                let status = DayStatus::of(known, day_state(known, day, days));
                if status.is_behind() {
                    owed = Some(owed.map_or(day, |oldest| oldest.min(day)));
                }
                if status == DayStatus::Missing {
                    missing = Some(missing.map_or(day, |oldest| oldest.min(day)));
                    break;
                }
            }
        }
        owed.map(|owed| (owed, missing))
    }

    fn days(&self, name: &str, scopes: &[&ScopeCoverage], days: &Days, start: Option<Day>) -> Vec<Option<DayCell>> {
        // A day that nobody wants is not missing.
        let wanted = |scope: &&ScopeCoverage| -> BTreeSet<Day> {
            let is_missed = |day: &Day| !self.state.forgotten.covers(name, &scope.scope, Some(*day));
            start.map(|start| scope.wanted(days, start, self.now).filter(is_missed).collect()).unwrap_or_default()
        };
        let wanted: Vec<BTreeSet<Day>> = scopes.iter().map(wanted).collect();
        let cell = |day: Day| {
            // Of streams by month only the first day stands for anything.
            days.marks(Window::day(day)).next()?;
            let known = scopes.iter().zip(&wanted).map(|(scope, wanted)| (scope.days.get(&day), wanted));
            let known = known.filter(|(known, wanted)| known.is_some() || wanted.contains(&day));
            cell_of(day, known.map(|(known, _)| (known, day_state(known, day, days))))
        };
        self.shown(days.zone.yesterday(self.now)).map(cell).collect()
    }

    /// The days of which there are snapshots, up to today: they are taken of the day itself.
    fn snapshots(&self, scopes: &[&ScopeCoverage]) -> Vec<Option<DayCell>> {
        let cell = |day: Day| {
            let taken = scopes.iter().filter_map(|scope| scope.days.get(&day));
            cell_of(day, taken.map(|state| (Some(state), snapshot_state(state, day, self.now))))
        };
        self.shown(snapshot_day(self.now)).map(cell).collect()
    }

    fn shown(&self, last: Day) -> impl Iterator<Item = Day> {
        (0..self.shown_days).rev().map(move |back| last.plus(-back))
    }
}

fn cell_of<'a>(day: Day, scopes: impl Iterator<Item = (Option<&'a DayState>, &'static str)>) -> Option<DayCell> {
    let mut cell: Option<DayCell> = None;
    for (state, name) in scopes {
        let status = DayStatus::of(state, name);
        let cell = cell.get_or_insert_with(|| DayCell {
            day,
            worst: status,
            scopes: BTreeMap::new(),
            rows: 0,
            read_at: None,
            problem: None,
        });
        cell.worst = cell.worst.min(status);
        *cell.scopes.entry(status).or_default() += 1;
        let Some(state) = state else {
            continue;
        };
        cell.rows += state.rows;
        cell.read_at = cell.read_at.into_iter().chain(state.read_at).min();
        if cell.problem.is_none() {
            cell.problem = state.problem().map(str::to_owned);
        }
    }
    cell
}

fn asked_for(stream: &Stream, count: usize) -> String {
    let (one, many) = match stream.scope.describe() {
        "account" => return "the account".to_owned(),
        "category" => ("category", "categories"),
        "organization" => ("organization", "organizations"),
        "domain" => ("domain", "domains"),
        _ => ("asset", "assets"),
    };
    format!("{count} {}", if count == 1 { one } else { many })
}
