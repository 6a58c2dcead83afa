//! The coverage of each stream and scope: which days are exported, and in which state.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::day::Day;
pub use crate::model::day_states::{DayState, DayStates, Suspect};
use crate::model::scope::{Scope, ScopeKey};

/// A longer gap between two extracted days marks the boundary of a manual backfill; an outage leaves shorter gaps.
const LONG_GAP_DAYS: i64 = 62;

/// By stream and scope.
pub type Coverage = BTreeMap<String, BTreeMap<ScopeKey, ScopeCoverage>>;

#[derive(Debug, Clone, PartialEq)]
pub struct ScopeCoverage {
    /// With the latest names.
    pub scope: Scope,
    /// For streams without days.
    pub whole: Option<DayState>,
    pub days: DayStates,
    pub not_entitled: Option<NotEntitled>,
}

/// The latest 403 or 404 for a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotEntitled {
    pub run: Uuid,
    pub at: Timestamp,
    pub detail: String,
    /// Whether two runs in a row got it. One alone may be a mistake of the moment, so the next run requests the scope again.
    pub is_confirmed: bool,
}

impl ScopeCoverage {
    pub fn new(scope: Scope) -> Self {
        Self { scope, whole: None, days: DayStates::default(), not_entitled: None }
    }

    /// The state of `day`; without one, of the list.
    pub fn state(&self, day: Option<Day>) -> Option<&DayState> {
        match day {
            Some(day) => self.days.get(&day),
            None => self.whole.as_ref(),
        }
    }

    pub fn state_mut(&mut self, day: Option<Day>) -> &mut DayState {
        match day {
            Some(day) => self.days.state_mut(day),
            None => self.whole.get_or_insert_with(DayState::unknown),
        }
    }

    /// The oldest extracted day after the last long gap.
    pub fn backfill_boundary(&self) -> Option<Day> {
        let mut read = self.days.iter().rev().filter(|(_, state)| state.extracted_at.is_some()).map(|(day, _)| *day);
        let newest = read.next()?;
        let joined =
            read.try_fold(newest, |later, day| if later.since(day) <= LONG_GAP_DAYS { Ok(day) } else { Err(later) });
        Some(joined.unwrap_or_else(|before_the_gap| before_the_gap))
    }

    /// The states of all days, oldest first, and of the list.
    pub fn states(&self) -> impl Iterator<Item = (Option<Day>, &DayState)> {
        let days = self.days.iter().map(|(day, state)| (Some(*day), state));
        days.chain(self.whole.iter().map(|state| (None, state)))
    }

    pub fn is_suspect(&self) -> bool {
        self.days.values().chain(&self.whole).any(|state| state.suspect.is_some())
    }

    pub fn had_rows(&self) -> bool {
        self.days.values().chain(&self.whole).any(|state| state.rows > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backfill_boundary_is_the_first_day_after_a_long_gap() {
        let read = |days: &[&str]| {
            let state = DayState { extracted_at: Some("2026-12-01T00:00:00Z".parse().unwrap()), ..DayState::unknown() };
            let days = days.iter().map(|day| (day.parse().unwrap(), state.clone())).collect();
            ScopeCoverage { days, ..ScopeCoverage::new(Scope::default()) }
                .backfill_boundary()
                .map(|day| day.to_string())
        };
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["2026-11-01", "2026-11-02"]).as_deref(), Some("2026-11-01"));
        assert_eq!(read(&["2026-09-15", "2026-11-02"]).as_deref(), Some("2026-09-15"), "an outage");
        assert_eq!(read(&["2025-01-01", "2025-01-02", "2026-11-01", "2026-11-02"]).as_deref(), Some("2026-11-01"));
    }
}
