//! What someone may want to look at: doubtful readings, and what the account may not read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::ledger::State;
use crate::model::coverage::NotEntitled;
use crate::model::day::Day;

/// Doubtful readings of one stream and scope, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SuspectDays {
    /// The stream.
    pub stream: String,
    /// The scope, by names.
    pub scope: String,
    /// What was doubtful, in words.
    pub problem: String,
    /// The days, in order; none for a list.
    pub days: Vec<Day>,
}

impl SuspectDays {
    /// The days in words: `18 Nov, `, or nothing for a list.
    pub fn days_words(&self) -> String {
        match self.days.as_slice() {
            [] => String::new(),
            [day] => format!("{}, ", day.short()),
            [first, .., last] => format!("{} days from {} to {}, ", self.days.len(), first.short(), last.short()),
        }
    }
}

/// Streams that the account may not read of one scope, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotEntitledStreams {
    /// The scope, by names.
    pub scope: String,
    /// The API's words.
    pub detail: String,
    /// When it last said so of the first of them.
    pub at: Timestamp,
    /// The streams.
    pub streams: Vec<String>,
}

pub(super) fn suspects(state: &State) -> Vec<SuspectDays> {
    let mut found: BTreeMap<(&str, String, &str), Vec<Day>> = BTreeMap::new();
    for (stream, scopes) in &state.coverage {
        for scope in scopes.values() {
            let days = scope.days.iter().map(|(day, state)| (Some(*day), state));
            for (day, known) in days.chain(scope.whole.iter().map(|state| (None, state))) {
                if let Some(problem) = known.problem() {
                    found.entry((stream.as_str(), scope.scope.to_string(), problem)).or_default().extend(day);
                }
            }
        }
    }
    let suspect = |((stream, scope, problem), days): ((&str, String, &str), Vec<Day>)| SuspectDays {
        stream: stream.to_owned(),
        scope,
        problem: problem.to_owned(),
        days,
    };
    found.into_iter().map(suspect).collect()
}

pub(super) fn not_entitled(state: &State) -> Vec<NotEntitledStreams> {
    let mut found: BTreeMap<(String, &str), (&NotEntitled, Vec<String>)> = BTreeMap::new();
    for (stream, scopes) in &state.coverage {
        for scope in scopes.values() {
            if let Some(told) = &scope.not_entitled {
                let key = (scope.scope.to_string(), told.detail.as_str());
                found.entry(key).or_insert_with(|| (told, Vec::new())).1.push(stream.clone());
            }
        }
    }
    let told = |((scope, detail), (told, streams)): ((String, &str), (&NotEntitled, Vec<String>))| NotEntitledStreams {
        scope,
        detail: detail.to_owned(),
        at: told.at,
        streams,
    };
    found.into_iter().map(told).collect()
}
