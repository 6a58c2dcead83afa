//! Each table of the ledger: its lag and its days.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::catalog::Catalog;
use crate::ledger::State;
use crate::model::compact_timestamp::CompactTimestamp;
use crate::model::coverage::{DayState, ScopeCoverage};
use crate::model::day::Day;
use crate::model::day_status::{DayStatus, Finality};
use crate::model::format::format_number;
use crate::model::history::{list_of, snapshot_day};
use crate::model::proof::Proof;
use crate::model::scope::Scope;
use crate::model::stream::{Days, Stream};
use crate::model::window::Window;
use crate::plan::{Reason, owed_days};

/// One day of a stream, over all scopes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayCell {
    /// In the stream's own time zone; the first of the month for monthly streams.
    pub day: Day,
    /// The most urgent status of all scopes.
    pub worst: DayStatus,
    /// Number of scopes by status.
    pub scopes: BTreeMap<DayStatus, u64>,
    pub rows: u64,
    /// The oldest extraction among the scopes.
    pub extracted_at: Option<CompactTimestamp>,
    /// Why the extractions count as complete.
    pub proofs: Vec<Proof>,
    /// The problem of the first suspect scope.
    pub problem: Option<String>,
}

/// One table of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamStatus {
    pub name: String,
    /// The stream's file in the catalog.
    pub family: String,
    /// Its scopes in words, such as `20 categories`.
    pub requested_for: String,
    /// Scopes that the account may read.
    pub scopes: u64,
    /// Scopes that the account may not read.
    pub not_entitled: u64,
    pub rows: u64,
    /// A list has no days; every run replaces it.
    pub is_list: bool,
    /// When a list was last extracted, for the scope where that is longest ago; `None` if a scope has no copy.
    pub extracted_at: Option<CompactTimestamp>,
    /// Whether the last extraction of a list is suspect.
    pub is_suspect: bool,
    /// The last days, oldest first; `None` for a day that is neither wanted nor known.
    pub days: Vec<Option<DayCell>>,
    /// Seconds since the end of the oldest day that a run owes; zero if none is owed. Backfill is not owed.
    pub lag_seconds: u64,
    /// Whether a day is missing that ended more than a day ago.
    pub has_missing_days: bool,
    /// The first missing day. Days that only a backfill extracts do not count.
    pub missing_since: Option<Day>,
    /// Scopes with a missing day.
    pub missing_scopes: u64,
}

impl StreamStatus {
    /// What is missing: `3 of 20 categories missing 28 Nov`. Scopes are counted, never days of several scopes together. `None` if no
    /// missing day is late.
    pub fn missing_text(&self) -> Option<String> {
        let since = self.missing_since.filter(|_| self.has_missing_days)?;
        let scopes = match self.scopes {
            ..=1 => String::new(),
            _ => format!("{} of {} ", format_number(self.missing_scopes), self.requested_for),
        };
        let is_missing = |cell: &&DayCell| cell.day >= since && cell.scopes.contains_key(&DayStatus::Missing);
        let one_day = self.days.iter().flatten().filter(is_missing).count() == 1;
        Some(format!("{scopes}missing {}{}", if one_day { "" } else { "since " }, since.short()))
    }
}

/// What a stream owes.
struct OwedDays {
    oldest: Day,
    /// The oldest that was never extracted.
    missing: Option<Day>,
    missing_scopes: u64,
}

/// What the streams of one status have in common.
pub(super) struct View<'a> {
    state: &'a State,
    now: Timestamp,
    shown_days: i64,
}

/// The tables that both ledger and catalog have, restricted to scopes for which `is_included` holds.
pub(super) fn of(
    state: &State,
    catalog: &Catalog,
    starts: &BTreeMap<String, Day>,
    now: Timestamp,
    shown_days: u16,
    is_included: impl Fn(&Scope) -> bool,
) -> Vec<StreamStatus> {
    let view = View::new(state, now, shown_days);
    let tables = state.coverage.iter().filter_map(|(name, scopes)| {
        let stream = catalog.get(list_of(name).unwrap_or(name))?;
        let scopes: Vec<&ScopeCoverage> = scopes.values().filter(|scope| is_included(&scope.scope)).collect();
        (!scopes.is_empty()).then(|| view.stream(name, stream, &scopes, starts.get(name).copied()))
    });
    tables.collect()
}

impl<'a> View<'a> {
    pub(super) fn new(state: &'a State, now: Timestamp, shown_days: u16) -> Self {
        Self { state, now, shown_days: i64::from(shown_days) }
    }

    /// One table, restricted to `scopes`.
    pub(super) fn stream(
        &self,
        name: &str,
        stream: &Stream,
        scopes: &[&ScopeCoverage],
        start: Option<Day>,
    ) -> StreamStatus {
        let all = scopes.len();
        let scopes: Vec<&ScopeCoverage> = scopes.iter().copied().filter(|scope| scope.not_entitled.is_none()).collect();
        let days = stream.days.as_ref().filter(|_| list_of(name).is_none());
        let owed = days.zip(start).and_then(|(days, start)| self.owed(name, &scopes, days, start));
        let age = |day: Day, days: &Days| {
            u64::try_from(self.now.duration_since(days.final_at(day, 0)).as_secs()).unwrap_or_default()
        };
        let known = || scopes.iter().flat_map(|scope| scope.days.values().chain(&scope.whole));
        let lists = || scopes.iter().filter_map(|scope| scope.whole.as_ref());
        StreamStatus {
            name: name.to_owned(),
            family: stream.family.clone(),
            requested_for: requested_for(stream, scopes.len()),
            scopes: scopes.len() as u64,
            not_entitled: (all - scopes.len()) as u64,
            rows: known().map(|state| state.rows).sum(),
            is_list: days.is_none() && list_of(name).is_none(),
            extracted_at: lists().map(|list| list.extracted_at).min().flatten(),
            is_suspect: lists().any(|list| list.suspect.is_some()),
            days: match (list_of(name), days) {
                (Some(_), _) => self.snapshots(&scopes),
                (None, Some(days)) => self.days(name, &scopes, days, start),
                (None, None) => Vec::new(),
            },
            lag_seconds: owed.as_ref().zip(days).map_or(0, |(owed, days)| age(owed.oldest, days)),
            has_missing_days: owed.as_ref().zip(days).is_some_and(|(owed, days)| {
                // The day that has just ended is not late before the next daily run.
                owed.missing.is_some_and(|day| age(day, days) >= 24 * 3600)
            }),
            missing_since: owed.as_ref().and_then(|owed| owed.missing),
            missing_scopes: owed.map_or(0, |owed| owed.missing_scopes),
        }
    }

    fn owed(&self, name: &str, scopes: &[&ScopeCoverage], days: &Days, start: Day) -> Option<OwedDays> {
        let (mut owed, mut missing, mut missing_scopes): (Option<Day>, Option<Day>, u64) = (None, None, 0);
        for scope in scopes {
            for (day, reason) in owed_days(scope, days, start, self.now) {
                // Backfill is not late; the headline shows it.
                if reason == Reason::Backfill || self.state.forgotten.covers(name, &scope.scope, Some(day)) {
                    continue;
                }
                owed = Some(owed.map_or(day, |oldest| oldest.min(day)));
                if reason == Reason::Missing {
                    missing = Some(missing.map_or(day, |oldest| oldest.min(day)));
                    missing_scopes += 1;
                    break;
                }
            }
        }
        owed.map(|oldest| OwedDays { oldest, missing, missing_scopes })
    }

    fn days(&self, name: &str, scopes: &[&ScopeCoverage], days: &Days, start: Option<Day>) -> Vec<Option<DayCell>> {
        // A day that no job wants is not missing.
        let mut wanted = start.map(|start| days.complete(start, self.now));
        let wanted = wanted.as_mut().and_then(|wanted| {
            let first = wanted.next()?;
            Some(first..=wanted.next_back().unwrap_or(first))
        });
        let cell = |day: Day| {
            // A monthly stream has a cell only on the first of a month.
            days.recorded_days(Window::from_day(day)).next()?;
            let known = scopes.iter().filter_map(|scope| {
                let state = scope.days.get(&day);
                let is_wanted = || {
                    wanted.as_ref().is_some_and(|wanted| wanted.contains(&day))
                        && !self.state.forgotten.covers(name, &scope.scope, Some(day))
                };
                (state.is_some() || is_wanted()).then_some(state)
            });
            cell_of(day, known, Finality::Lookback(days).final_from(day, self.now))
        };
        self.shown(days.zone.yesterday(self.now)).map(cell).collect()
    }

    /// Days with list snapshots, including today: a snapshot is taken on the day itself.
    fn snapshots(&self, scopes: &[&ScopeCoverage]) -> Vec<Option<DayCell>> {
        let today = snapshot_day(self.now);
        let cell = |day: Day| {
            let taken = scopes.iter().filter_map(|scope| scope.days.get(&day)).map(Some);
            cell_of(day, taken, Finality::Snapshots.final_from(day, self.now))
        };
        self.shown(today).map(cell).collect()
    }

    fn shown(&self, last: Day) -> impl Iterator<Item = Day> {
        (0..self.shown_days).rev().map(move |back| last.plus(-back))
    }
}

fn cell_of<'a>(
    day: Day,
    scopes: impl Iterator<Item = Option<&'a DayState>>,
    final_from: Option<CompactTimestamp>,
) -> Option<DayCell> {
    let mut cell: Option<DayCell> = None;
    for state in scopes {
        let status = DayStatus::of(state, final_from);
        let cell = cell.get_or_insert_with(|| DayCell {
            day,
            worst: status,
            scopes: BTreeMap::new(),
            rows: 0,
            extracted_at: None,
            proofs: Vec::new(),
            problem: None,
        });
        cell.worst = cell.worst.min(status);
        *cell.scopes.entry(status).or_default() += 1;
        let Some(state) = state else {
            continue;
        };
        cell.rows += state.rows;
        cell.extracted_at = cell.extracted_at.into_iter().chain(state.extracted_at).min();
        if let Some(proof) = state.proof.filter(|proof| !cell.proofs.contains(proof)) {
            cell.proofs.push(proof);
        }
        if cell.problem.is_none() {
            cell.problem = state.problem().map(str::to_owned);
        }
    }
    cell
}

fn requested_for(stream: &Stream, count: usize) -> String {
    let (one, many) = match stream.scope.describe() {
        "account" => return "the account".to_owned(),
        "category" => ("category", "categories"),
        "organization" => ("organization", "organizations"),
        "domain" => ("domain", "domains"),
        _ => ("asset", "assets"),
    };
    format!("{count} {}", if count == 1 { one } else { many })
}
