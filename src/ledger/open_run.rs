//! A run that has not ended, and what it may have written without a record.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ledger::record::Planned;
use crate::model::day::Day;
use crate::model::scope::ScopeKey;
use crate::model::window::Window;

/// A run that recorded nothing for so long counts as killed. Until then it may still put a file that it had begun.
const SILENT_AT_MOST: SignedDuration = SignedDuration::from_mins(10);

/// A run that has not ended, as far as the ledger tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRun {
    /// When it began.
    pub at: Timestamp,
    /// The number of the record that says so; zero where an older version folded it.
    #[serde(default)]
    pub number: u64,
    /// When it last recorded anything.
    #[serde(default)]
    pub heard_at: Option<Timestamp>,
    /// Whether it reads days that someone named.
    #[serde(default)]
    pub backfill: bool,
    /// The job.
    pub job: String,
    /// What it means to write, has not recorded itself, and nobody has read since it counts as killed.
    pub planned: PlannedSlices,
}

impl OpenRun {
    /// When it counts as killed, unless it records something before. A day that was read before may be overwritten by it
    /// after that reading was recorded.
    pub fn counts_as_killed_at(&self) -> Timestamp {
        let heard_at = self.heard_at.unwrap_or(self.at);
        heard_at.checked_add(SILENT_AT_MOST).unwrap_or(heard_at)
    }

    /// Whether it is thought to be alive at `at`.
    pub fn is_alive(&self, at: Timestamp) -> bool {
        at < self.counts_as_killed_at()
    }
}

/// The windows that a run means to write, by stream and scope; none for lists. Every slice and every day asks, so
/// nobody walks through all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlannedSlices(BTreeMap<String, BTreeMap<ScopeKey, Vec<Option<Window>>>>);

impl PlannedSlices {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `day`, or the list, is among them.
    pub fn contains(&self, stream: &str, scope: &ScopeKey, day: Option<Day>) -> bool {
        let windows = self.0.get(stream).and_then(|scopes| scopes.get(scope));
        windows.into_iter().flatten().any(|window| match (window, day) {
            (Some(window), Some(day)) => window.contains(day),
            (None, None) => true,
            _ => false,
        })
    }

    /// Takes out the days of `read`, or the list.
    pub fn remove(&mut self, stream: &str, scope: &ScopeKey, read: Option<Window>) {
        let Some(scopes) = self.0.get_mut(stream) else {
            return;
        };
        let Some(windows) = scopes.get_mut(scope) else {
            return;
        };
        *windows = windows.iter().flat_map(|planned| without(*planned, read)).collect();
        if windows.is_empty() {
            scopes.remove(scope);
        }
        if scopes.is_empty() {
            self.0.remove(stream);
        }
    }
}

/// What is left of `planned` without `read`: nothing, one window or, around days in the middle, two.
fn without(planned: Option<Window>, read: Option<Window>) -> Vec<Option<Window>> {
    match (planned, read) {
        (Some(planned), Some(read)) => {
            let before = Window::new(planned.start, planned.end.min(read.start));
            let after = Window::new(planned.start.max(read.end), planned.end);
            before.into_iter().chain(after).map(Some).collect()
        }
        (None, None) => Vec::new(),
        (planned, _) => vec![planned],
    }
}

impl<'a> FromIterator<&'a Planned> for PlannedSlices {
    fn from_iter<I: IntoIterator<Item = &'a Planned>>(planned: I) -> Self {
        let mut slices = Self::default();
        for Planned { stream, scope, window } in planned {
            let scopes = slices.0.entry(stream.clone()).or_default();
            scopes.entry(scope.clone()).or_default().push(*window);
        }
        slices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(start: &str, end: &str) -> Option<Window> {
        Window::new(start.parse().unwrap(), end.parse().unwrap())
    }

    #[test]
    fn planned_day_stays_until_it_is_recorded() {
        let scope = ScopeKey::default();
        let of = |window| Planned { stream: "visibility_v2".into(), scope: scope.clone(), window };
        let planned = [of(window("2026-03-01", "2026-03-06")), of(None)];
        let mut slices: PlannedSlices = planned.iter().collect();
        let days = |slices: &PlannedSlices| -> Vec<i8> {
            let days = window("2026-02-27", "2026-03-10").unwrap().days();
            let left = days.filter(|day| slices.contains("visibility_v2", &scope, Some(*day)));
            left.map(|day| day.to_string()[8..].parse().unwrap()).collect()
        };
        assert_eq!(days(&slices), [1, 2, 3, 4, 5]);
        assert!(!slices.contains("other", &scope, None));

        slices.remove("visibility_v2", &scope, window("2026-03-03", "2026-03-04"));
        assert_eq!(days(&slices), [1, 2, 4, 5]);
        slices.remove("visibility_v2", &scope, window("2026-03-05", "2026-03-09"));
        assert_eq!(days(&slices), [1, 2, 4]);
        slices.remove("visibility_v2", &scope, None);
        assert!(!slices.contains("visibility_v2", &scope, None));
        assert_eq!(days(&slices), [1, 2, 4]);
        slices.remove("visibility_v2", &scope, window("2026-02-01", "2026-03-05"));
        assert!(slices.is_empty());
    }
}
