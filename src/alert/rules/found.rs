//! Conditions in the data: suspect days, lost access, unknown fields. Each is one condition, however many streams and scopes it
//! concerns: a changed plan or a failing endpoint concerns hundreds at once, and hundreds of notifications help no operator.

use std::collections::BTreeSet;

use crate::alert::condition::{Condition, key};
use crate::alert::rules::AlertInputs;
use crate::config::AlertEvent;
use crate::model::format::format_count;

impl AlertInputs<'_> {
    pub(super) fn suspect_days(&self) -> Option<Condition> {
        let suspects = &self.status?.suspects;
        let first = suspects.first()?;
        let streams: BTreeSet<&str> = suspects.iter().map(|suspect| suspect.stream.as_str()).collect();
        Some(Condition {
            summary: format!(
                "suspect days of {}: {}{}: {}",
                first_and_count(streams.into_iter().map(|stream| format!("`{stream}`")), "stream"),
                first.days_prefix(),
                first.scope,
                first.problem
            ),
            impact: "the published files of these days are kept".into(),
            action: "none if the next run repairs it; if it stays, `profound-export check --sample` shows whether the API answers and which values have a new form".into(),
            ..Condition::new(AlertEvent::StreamSuspect, "", self.now)
        })
    }

    /// Scopes that lost access during a run of this process, or in an earlier alert, for as long as the API denies them.
    pub(super) fn lost_access(&self) -> Option<Condition> {
        let before = self.state.firing_condition(&key(AlertEvent::NotEntitled, ""));
        let is_lost = |scope: &(String, String)| {
            self.observations.lost.contains_key(scope) || before.is_some_and(|before| before.scopes.contains(scope))
        };
        let denied = self.status?.not_entitled.iter().flat_map(|denied| {
            denied.streams.iter().map(move |stream| ((stream.clone(), denied.scope.clone()), denied))
        });
        let lost: Vec<_> = denied.filter(|(scope, _)| is_lost(scope)).collect();
        let ((stream, scope), first) = lost.first()?;
        let (streams, scopes): (BTreeSet<_>, BTreeSet<_>) = lost.iter().map(|(scope, _)| scope.clone()).unzip();
        let since =
            lost.iter().map(|(scope, denied)| self.observations.lost.get(scope).map_or(denied.at, |at| *at)).min();
        Some(Condition {
            scopes: lost.iter().map(|(scope, _)| scope.clone()).collect(),
            summary: format!(
                "the account lost access to {} of {}: {}",
                first_and_count([format!("`{stream}`")].into_iter().chain(streams.into_iter().filter(|other| other != stream)), "stream"),
                first_and_count([scope.clone()].into_iter().chain(scopes.into_iter().filter(|other| other != scope)), "scope"),
                first.detail
            ),
            impact: "the published files are kept and get no new days".into(),
            action: "ask the vendor whether the plan or the privileges of the key changed; else exclude the streams from the job".into(),
            ..Condition::new(AlertEvent::NotEntitled, "", since.unwrap_or(self.now))
        })
    }

    pub(super) fn schema_drift(&self) -> Option<Condition> {
        let drift = &self.observations.drift;
        let since = *drift.values().min()?;
        let (streams, fields): (BTreeSet<_>, BTreeSet<_>) = drift.keys().cloned().unzip();
        let quoted = |names: BTreeSet<String>| names.into_iter().map(|name| format!("`{name}`"));
        Some(Condition {
            is_lasting: true,
            summary: format!(
                "rows of {} have unknown fields: {}",
                first_and_count(quoted(streams), "stream"),
                first_and_count(quoted(fields), "field")
            ),
            impact: "nothing is lost: unknown fields are kept in the column `_extra`".into(),
            action: "read them from `_extra` until a later version declares a column for them".into(),
            ..Condition::new(AlertEvent::SchemaDrift, "", since)
        })
    }
}

/// The first of `names`, and how many others there are.
fn first_and_count(names: impl IntoIterator<Item = String>, noun: &str) -> String {
    let mut names = names.into_iter();
    let first = names.next().unwrap_or_default();
    match names.count() {
        0 => first,
        more => format!("{first} and {}", format_count(more as u64, &format!("other {noun}"))),
    }
}
