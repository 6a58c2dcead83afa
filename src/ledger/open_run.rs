//! A run that has not ended, and what it may have written without a record.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ledger::record::Planned;
use crate::model::day::Day;
use crate::model::scope::ScopeKey;
use crate::model::window::Window;

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
    /// What it means to write and no later record covers.
    pub planned: PlannedSlices,
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

    /// Takes out what a slice over `read` covers.
    pub fn remove(&mut self, stream: &str, scope: &ScopeKey, read: Option<Window>) {
        let Some(scopes) = self.0.get_mut(stream) else {
            return;
        };
        let Some(windows) = scopes.get_mut(scope) else {
            return;
        };
        windows.retain(|planned| match (planned, read) {
            (Some(planned), Some(read)) => planned.start < read.start || read.end < planned.end,
            (planned, read) => *planned != read,
        });
        if windows.is_empty() {
            scopes.remove(scope);
        }
        if scopes.is_empty() {
            self.0.remove(stream);
        }
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
    fn planned_slice_stays_until_one_that_holds_it_whole_is_recorded() {
        let scope = ScopeKey::default();
        let of = |window| Planned { stream: "visibility_v2".into(), scope: scope.clone(), window };
        let planned = [of(window("2026-03-01", "2026-03-05")), of(None)];
        let mut slices: PlannedSlices = planned.iter().collect();
        let day = |text: &str| Some(text.parse().unwrap());
        assert!(slices.contains("visibility_v2", &scope, day("2026-03-04")));
        assert!(!slices.contains("visibility_v2", &scope, day("2026-03-05")));
        assert!(!slices.contains("other", &scope, None));

        slices.remove("visibility_v2", &scope, window("2026-03-01", "2026-03-03"));
        assert!(slices.contains("visibility_v2", &scope, day("2026-03-01")), "half of it is not all of it");
        slices.remove("visibility_v2", &scope, None);
        assert!(!slices.contains("visibility_v2", &scope, None));
        slices.remove("visibility_v2", &scope, window("2026-02-01", "2026-03-05"));
        assert!(slices.is_empty());
    }
}
