//! Runs without an end, and the files that they may have written without a record.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ledger::record::Planned;
use crate::model::day::Day;
use crate::model::scope::ScopeKey;
use crate::model::window::Window;

/// A run is presumed killed this long after its last record. Until then it may still finish an upload.
const MAX_SILENCE: SignedDuration = SignedDuration::from_mins(10);

/// A run without an end in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRun {
    pub at: Timestamp,
    /// Of the record of its start.
    pub number: u64,
    pub last_record_at: Option<Timestamp>,
    pub backfill: bool,
    pub job: String,
    /// What it planned and has not recorded, and no run has extracted since it was presumed killed.
    pub planned: PlannedSlices,
}

impl OpenRun {
    /// When it is presumed killed, unless it records something before. Until then it may overwrite days that others record.
    pub fn presumed_killed_at(&self) -> Timestamp {
        let last_record_at = self.last_record_at.unwrap_or(self.at);
        last_record_at.checked_add(MAX_SILENCE).unwrap_or(last_record_at)
    }

    pub fn is_alive(&self, at: Timestamp) -> bool {
        at < self.presumed_killed_at()
    }

    /// Whether uploads that begin at `at` are over before it is presumed killed, as far as uploads end in five minutes.
    pub fn may_upload(&self, at: Timestamp) -> bool {
        self.is_alive(at + MAX_SILENCE / 2)
    }
}

/// The planned windows by stream and scope, `None` for lists. Looked up for every slice and day, so not a plain list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlannedSlices(BTreeMap<String, BTreeMap<ScopeKey, Vec<Option<Window>>>>);

impl PlannedSlices {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, stream: &str, scope: &ScopeKey, day: Option<Day>) -> bool {
        let windows = self.0.get(stream).and_then(|scopes| scopes.get(scope));
        windows.into_iter().flatten().any(|window| match (window, day) {
            (Some(window), Some(day)) => window.contains(day),
            (None, None) => true,
            _ => false,
        })
    }

    pub fn add(&mut self, planned: &Planned) {
        let scopes = self.0.entry(planned.stream.clone()).or_default();
        let windows = scopes.entry(planned.scope.clone()).or_default();
        if !windows.contains(&planned.window) {
            windows.push(planned.window);
        }
    }

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

/// `planned` without the days of `read`: no window, one, or two around days in the middle.
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
        planned.into_iter().for_each(|planned| slices.add(planned));
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
    fn planned_day_is_kept_until_it_is_recorded() {
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
