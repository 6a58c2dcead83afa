//! An account with a year of history, as the ledger of a lake would know it. The same whenever it is made.

// Each bench uses its own part.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use profound_export::catalog::Catalog;
use profound_export::ledger::{DayEntry, Entry, FileChange, Planned, Record, SliceEntry, State};
use profound_export::model::cost::RequestCosts;
use profound_export::model::coverage::{DayState, ScopeCoverage};
use profound_export::model::day::Day;
use profound_export::model::days::Days;
use profound_export::model::proof::Proof;
use profound_export::model::scope::{Named, Scope, ScopeKind};
use profound_export::model::stream::{Stream, Tier};
use profound_export::model::window::Window;
use profound_export::plan::{Wanted, WantedDays};
use uuid::Uuid;

/// Categories of the measured accounts.
pub const CATEGORIES: [usize; 3] = [20, 200, 2_000];
/// Slices that are committed together, in one record.
const SLICES_A_RECORD: usize = 16;

/// An account and what its job exports.
pub struct Account {
    pub wanted: Wanted,
    /// The start of a run.
    pub now: Timestamp,
}

impl Account {
    /// One owned asset a category, a domain for ten of them; tier `core`, a year back.
    pub fn of(categories: usize) -> Self {
        let named = |kind: &str, number: usize| {
            let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{kind}{number}").as_bytes());
            Named { id: id.to_string(), name: format!("{kind} {number}") }
        };
        let category = |number| Scope { category: Some(named("Category", number)), ..Scope::default() };
        let organization = Scope { organization: Some(named("Organization", 0)), ..Scope::default() };
        let asset = |number| Scope { asset: Some(named("Asset", number)), ..category(number) };
        let domain = |number| {
            let host = format!("shop-{number}.example.com");
            Scope { domain: Some(Named { id: host.clone(), name: host }), ..organization.clone() }
        };
        let scopes = [
            (ScopeKind::Account, vec![Scope::default()]),
            (ScopeKind::Organization, vec![organization.clone()]),
            (ScopeKind::Category, (0..categories).map(category).collect()),
            (ScopeKind::CategoryAsset, (0..categories).map(asset).collect()),
            (ScopeKind::Domain, (0..categories.div_ceil(10)).map(domain).collect()),
        ];
        let catalog = Catalog::embedded().expect("the catalog is sound");
        let now: Timestamp = "2026-03-01T11:30:00Z".parse().expect("an instant");
        let wanted = Wanted {
            streams: catalog.tier(Tier::Core).map(Arc::clone).collect(),
            scopes: BTreeMap::from(scopes),
            days: WantedDays::Since("2025-03-01".parse().expect("a day")),
            single_start: None,
            lookback_days: None,
            event_streams: true,
            paged: BTreeSet::new(),
            costs: RequestCosts::default(),
            max_window_days: 31,
            weekly_refresh_min_categories: 50,
        };
        Self { wanted, now }
    }

    /// The state of the ledger after a complete run on each day of the year before `now`.
    pub fn state(&self) -> State {
        let mut state = State { number: 1, ..State::default() };
        let before = self.now - SignedDuration::from_hours(24);
        for (number, (stream, scope)) in (0_u64..).zip(self.asked()) {
            let mut coverage = ScopeCoverage::new(scope.clone());
            match &stream.days {
                None => coverage.whole = Some(read(mix(number), before)),
                Some(days) => {
                    for day in days.complete(self.start(), before) {
                        let seed = mix(number << 32 | u64::from(day.to_epoch_days().unsigned_abs()));
                        coverage.days.insert(day, read(seed, last_read(days, day, before)));
                    }
                }
            }
            state.coverage.entry(stream.name.clone()).or_default().insert(scope.key(), coverage);
        }
        state.starts.insert("nightly".into(), self.start());
        state
    }

    /// The records of one run: its plan, and every slice of the last four days.
    pub fn run(&self, first: u64) -> Vec<Record> {
        let run = Uuid::nil();
        let slices: Vec<SliceEntry> = (0_u64..)
            .zip(self.asked())
            .map(|(number, (stream, scope))| {
                let window = stream.days.as_ref().map(|days| {
                    let yesterday = days.zone.yesterday(self.now);
                    Window { start: yesterday.plus(-3), end: yesterday.next() }
                });
                let days = window.map_or_else(|| vec![None], |window| window.days().map(Some).collect::<Vec<_>>());
                SliceEntry {
                    run,
                    stream: stream.name.clone(),
                    fingerprint: "9cdaf3cd4d19f213".into(),
                    scope: scope.clone(),
                    window,
                    proof: Proof::Total,
                    total: Some(100),
                    rows: 100,
                    outside_rows: 0,
                    requests: 1,
                    extracted_at: self.now,
                    days: days.into_iter().map(|day| entry(mix(number), day)).collect(),
                }
            })
            .collect();
        let planned = slices.iter().map(|slice| Planned {
            stream: slice.stream.clone(),
            scope: slice.scope.key(),
            window: slice.window,
        });
        let started = Entry::RunStarted { run, job: "nightly".into(), planned: planned.collect(), backfill: false };
        let slices = slices.chunks(SLICES_A_RECORD).map(|some| some.iter().cloned().map(Entry::Slice).collect());
        (first..)
            .zip([vec![started]].into_iter().chain(slices))
            .map(|(number, entries)| Record {
                format: 1,
                number,
                id: Uuid::from_u128(u128::from(number)),
                at: self.now,
                version: "0.1.0".into(),
                entries,
            })
            .collect()
    }

    fn start(&self) -> Day {
        match self.wanted.days {
            WantedDays::Since(start) => start,
            WantedDays::Only { window, .. } => window.start,
        }
    }

    /// Each stream of each of its scopes.
    fn asked(&self) -> impl Iterator<Item = (&Arc<Stream>, &Scope)> {
        let scopes = |stream: &Arc<Stream>| self.wanted.scopes.get(&stream.scope).into_iter().flatten();
        self.wanted.streams.iter().flat_map(move |stream| scopes(stream).map(move |scope| (stream, scope)))
    }
}

/// Days and lists of `state`.
pub fn known(state: &State) -> usize {
    let scopes = state.coverage.values().flat_map(|scopes| scopes.values());
    scopes.map(|scope| scope.days.len() + usize::from(scope.whole.is_some())).sum()
}

/// When a day was last extracted: the first run in which it was final.
fn last_read(days: &Days, day: Day, before: Timestamp) -> Timestamp {
    (days.final_at(day, days.lookback) + SignedDuration::from_hours(7)).min(before)
}

/// A day that was extracted within 30 minutes after `at`. One in ten has no rows.
fn read(seed: u64, at: Timestamp) -> DayState {
    let extracted_at = at + SignedDuration::from_micros((seed % 1_800_000_000) as i64);
    let DayEntry { rows, hash, bytes, .. } = entry(seed, None);
    DayState {
        extracted_at: Some(extracted_at.into()),
        changed_at: Some((extracted_at - SignedDuration::from_hours(24 * (seed % 3) as i64)).into()),
        rows,
        hash,
        proof: Some(Proof::Total),
        file: rows > 0,
        bytes,
        ..DayState::unknown()
    }
}

fn entry(seed: u64, day: Option<Day>) -> DayEntry {
    let (rows, hash, bytes, written) = match seed % 10 {
        0 => (0, 0, 0, FileChange::Absent),
        _ => (
            seed % 3_000,
            u128::from(mix(seed)) << 64 | u128::from(mix(!seed)),
            4_000 + seed % 60_000,
            FileChange::Published,
        ),
    };
    DayEntry { day, rows, hash: hash.into(), file: written, bytes, etag: Some("e".into()), signal: None }
}

/// A pseudo-random number (SplitMix64).
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
