//! What may need a person: suspect extractions, and streams that the account may not read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::ledger::{LearnedFact, State};
use crate::model::coverage::NotEntitled;
use crate::model::day::Day;
use crate::model::scope::ScopeKey;

/// Suspect days of one stream and scope with the same problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SuspectDays {
    pub stream: String,
    /// The scope, by names.
    pub scope: String,
    pub problem: String,
    /// In order; empty for a list.
    pub days: Vec<Day>,
}

impl SuspectDays {
    /// The days as the start of a line, such as `18 Nov, `; empty for a list.
    pub fn days_prefix(&self) -> String {
        match self.days.as_slice() {
            [] => String::new(),
            [day] => format!("{}, ", day.short()),
            [first, .., last] => format!("{} days from {} to {}, ", self.days.len(), first.short(), last.short()),
        }
    }
}

/// Streams that the account may not read for one scope, with the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotEntitledStreams {
    /// The scope, by names.
    pub scope: String,
    /// The API's message.
    pub detail: String,
    /// When the API last sent it for the first of the streams.
    pub at: Timestamp,
    pub streams: Vec<String>,
}

/// Facts because of which requests differ from what the catalog declares.
pub(super) fn learned(state: &State) -> Vec<LearnedFact> {
    state.facts.iter().filter(|learned| learned.difference().is_some()).cloned().collect()
}

pub(super) fn suspects(state: &State) -> Vec<SuspectDays> {
    // By key, since two scopes can have the same name: their days are not one list.
    let mut found: BTreeMap<(&str, String, &ScopeKey, &str), Vec<Day>> = BTreeMap::new();
    for (stream, scopes) in &state.coverage {
        for (key, scope) in scopes {
            for (day, known) in scope.states() {
                if let Some(problem) = known.problem() {
                    found.entry((stream.as_str(), scope.scope.to_string(), key, problem)).or_default().extend(day);
                }
            }
        }
    }
    let suspect = |((stream, scope, _, problem), days): ((&str, String, &ScopeKey, &str), Vec<Day>)| SuspectDays {
        stream: stream.to_owned(),
        scope,
        problem: problem.to_owned(),
        days,
    };
    found.into_iter().map(suspect).collect()
}

pub(super) fn not_entitled(state: &State) -> Vec<NotEntitledStreams> {
    let mut found: BTreeMap<(String, &str), NotEntitledStreams> = BTreeMap::new();
    for (stream, scopes) in &state.coverage {
        for scope in scopes.values() {
            let Some(NotEntitled { at, detail, .. }) = &scope.not_entitled else {
                continue;
            };
            let name = scope.scope.to_string();
            let of_scope = found.entry((name.clone(), detail)).or_insert_with(|| NotEntitledStreams {
                scope: name,
                detail: detail.clone(),
                at: *at,
                streams: Vec::new(),
            });
            of_scope.streams.push(stream.clone());
        }
    }
    found.into_values().collect()
}
