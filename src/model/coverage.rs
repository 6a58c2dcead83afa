//! Which days of which stream and scope are there, and how well.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::compact_timestamp::CompactTimestamp;
use crate::model::content_hash::ContentHash;
use crate::model::day::Day;
use crate::model::day_states::DayStates;
use crate::model::days::Days;
use crate::model::proof::Proof;
use crate::model::scope::{Scope, ScopeKey};

/// Days between two that were read from which on what lies between them is history: a backfill of old days leaves such a
/// gap, an outage does not.
const LONG_GAP_DAYS: i64 = 62;

/// Everything that has been read, by stream and scope.
pub type Coverage = BTreeMap<String, BTreeMap<ScopeKey, ScopeCoverage>>;

/// What is known of one stream of one scope.
#[derive(Debug, Clone, PartialEq)]
pub struct ScopeCoverage {
    /// The scope, with the names last seen.
    pub scope: Scope,
    /// The list, for streams without days.
    pub whole: Option<DayState>,
    /// The days.
    pub days: DayStates,
    /// That the account may not read it, and when that was last said.
    pub not_entitled: Option<NotEntitled>,
}

/// That the account may not read something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotEntitled {
    /// When the API said so.
    pub at: Timestamp,
    /// The API's words.
    pub detail: String,
}

/// What is known of one day, or of one list. A large lake has more than a million of them, so each is small and what is
/// rare lies elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayState {
    /// When it was last read whole; none while only a doubtful reading exists.
    pub extracted_at: Option<CompactTimestamp>,
    /// When what was read last differed from what stood before.
    pub changed_at: Option<CompactTimestamp>,
    /// Rows.
    pub rows: u64,
    /// What the rows say.
    pub hash: ContentHash,
    /// How the end was known.
    pub proof: Option<Proof>,
    /// Whether a file stands.
    pub file: bool,
    /// Length of the file.
    pub bytes: u64,
    /// That another writer may have overwritten the file, or that it was found broken.
    pub stale: bool,
    /// What was doubtful about the last reading; what stood stands.
    pub suspect: Option<Box<Suspect>>,
    /// Whether the stream's signal says that there is something to read; none for streams without a signal.
    pub signal: Option<bool>,
}

/// A reading that could not be proven whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// What was doubtful, in words.
    pub problem: String,
    /// The rows of a reading so much smaller that another run must confirm it.
    pub unconfirmed: Option<u64>,
}

impl DayState {
    /// A day of which nothing is known yet.
    pub fn unknown() -> Self {
        Self {
            extracted_at: None,
            changed_at: None,
            rows: 0,
            hash: ContentHash::default(),
            proof: None,
            file: false,
            bytes: 0,
            stale: false,
            suspect: None,
            signal: None,
        }
    }

    /// What was doubtful about the last reading, in words.
    pub fn problem(&self) -> Option<&str> {
        self.suspect.as_ref().map(|suspect| suspect.problem.as_str())
    }
}

impl ScopeCoverage {
    /// A scope of which nothing is known yet.
    pub fn new(scope: Scope) -> Self {
        Self { scope, whole: None, days: DayStates::default(), not_entitled: None }
    }

    /// What is known of `day`, or of the list.
    pub fn state(&self, day: Option<Day>) -> Option<&DayState> {
        match day {
            Some(day) => self.days.get(&day),
            None => self.whole.as_ref(),
        }
    }

    /// The same, to change it.
    pub fn state_mut(&mut self, day: Option<Day>) -> &mut DayState {
        match day {
            Some(day) => self.days.state_mut(day),
            None => self.whole.get_or_insert_with(DayState::unknown),
        }
    }

    /// The days, or first days of months, that are over at `now` and that a job wants which begins with `start`. Where
    /// each costs a request, those that are history are left to backfills.
    pub fn wanted(&self, days: &Days, start: Day, now: Timestamp) -> impl DoubleEndedIterator<Item = Day> + use<> {
        let start = match days.kind.is_single() {
            true => self.history_ends().map_or(start, |first| start.max(first)),
            false => start,
        };
        days.complete(start, now)
    }

    /// The first day of those read day after day, from the newest back to the first long gap: what was never read before
    /// it is history.
    pub fn history_ends(&self) -> Option<Day> {
        let mut read = self.days.iter().rev().filter(|(_, state)| state.extracted_at.is_some()).map(|(day, _)| *day);
        let newest = read.next()?;
        let joined = read.try_fold(newest, |later, day| match later.since(day) <= LONG_GAP_DAYS {
            true => Ok(day),
            false => Err(later),
        });
        Some(joined.unwrap_or_else(|before_the_gap| before_the_gap))
    }

    /// Whether the last reading of any day, or of the list, was doubtful.
    pub fn is_suspect(&self) -> bool {
        self.days.values().chain(&self.whole).any(|state| state.suspect.is_some())
    }

    /// Whether anything was ever read here that had rows.
    pub fn had_rows(&self) -> bool {
        self.days.values().chain(&self.whole).any(|state| 0 < state.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_ends_where_days_were_read_one_after_the_other_whatever_was_filled_in_long_before() {
        let read = |days: &[&str]| {
            let state = DayState { extracted_at: Some("2026-12-01T00:00:00Z".parse().unwrap()), ..DayState::unknown() };
            let days = days.iter().map(|day| (day.parse().unwrap(), state.clone())).collect();
            ScopeCoverage { days, ..ScopeCoverage::new(Scope::default()) }.history_ends().map(|day| day.to_string())
        };
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["2026-11-01", "2026-11-02"]).as_deref(), Some("2026-11-01"));
        assert_eq!(read(&["2026-09-15", "2026-11-02"]).as_deref(), Some("2026-09-15"), "an outage");
        assert_eq!(read(&["2025-01-01", "2025-01-02", "2026-11-01", "2026-11-02"]).as_deref(), Some("2026-11-01"));
    }
}
