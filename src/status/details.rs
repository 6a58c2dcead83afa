//! One stream, scope by scope.

use jiff::Timestamp;
use serde::Serialize;

use crate::config::Config;
use crate::ledger::State;
use crate::model::coverage::{NotEntitled, ScopeCoverage};
use crate::model::history::list_of;
use crate::model::scope::ScopeKey;
use crate::status::starts;
use crate::status::streams::{StreamStatus, View};

/// One stream, as a whole and by scope.
#[derive(Debug, Clone, Serialize)]
pub struct StreamDetails {
    /// What it is.
    pub about: String,
    /// All its scopes together.
    pub all: StreamStatus,
    /// Each of them; those with something behind come first, then by name.
    pub scopes: Vec<ScopeDetails>,
}

/// One stream of one scope.
#[derive(Debug, Clone, Serialize)]
pub struct ScopeDetails {
    /// The scope, by names.
    pub scope: String,
    /// The scope, by ids: names come twice.
    pub key: ScopeKey,
    /// That the account may not read it.
    pub not_entitled: Option<NotEntitled>,
    /// Everything else.
    pub status: StreamStatus,
}

impl StreamDetails {
    /// What `state` says at `now` of the table called `name`; none where it knows no such table.
    pub fn of(state: &State, config: &Config, now: Timestamp, shown_days: u16, name: &str) -> Option<Self> {
        let scopes = state.coverage.get(name)?;
        let stream = config.catalog().get(list_of(name).unwrap_or(name))?;
        let start = starts(state, config).get(name).copied();
        let view = View::new(state, now, shown_days);
        let all: Vec<&ScopeCoverage> = scopes.values().collect();
        let scope = |scope: &&ScopeCoverage| ScopeDetails {
            scope: scope.scope.names(),
            key: scope.scope.key(),
            not_entitled: scope.not_entitled.clone(),
            status: view.stream(name, stream, &[*scope], start),
        };
        let mut scopes: Vec<ScopeDetails> = all.iter().map(scope).collect();
        scopes
            .sort_by(|one, other| (other.status.lag_seconds, &one.scope).cmp(&(one.status.lag_seconds, &other.scope)));
        Some(Self { about: stream.about.clone(), all: view.stream(name, stream, &all, start), scopes })
    }
}
