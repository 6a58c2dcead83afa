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
    pub about: String,
    /// All scopes together.
    pub all: StreamStatus,
    /// The scopes that lag most come first, then by name.
    pub scopes: Vec<ScopeDetails>,
}

/// One stream of one scope.
#[derive(Debug, Clone, Serialize)]
pub struct ScopeDetails {
    /// The scope, by names.
    pub scope: String,
    /// The scope, by ids, because two scopes can have the same name.
    pub key: ScopeKey,
    pub not_entitled: Option<NotEntitled>,
    pub status: StreamStatus,
}

impl StreamDetails {
    /// The table called `name` at `now`; `None` if the ledger or the catalog has no such table.
    pub fn of(state: &State, config: &Config, now: Timestamp, shown_days: u16, name: &str) -> Option<Self> {
        let scopes: Vec<&ScopeCoverage> = state.coverage.get(name)?.values().collect();
        let stream = config.catalog().get(list_of(name).unwrap_or(name))?;
        let start = starts(state, config).get(name).copied();
        let view = View::new(state, now, shown_days);
        let all = view.stream(name, stream, &scopes, start);
        let of_scope = |scope: &ScopeCoverage| ScopeDetails {
            scope: scope.scope.names(),
            key: scope.scope.key(),
            not_entitled: scope.not_entitled.clone(),
            status: view.stream(name, stream, &[scope], start),
        };
        let mut scopes: Vec<ScopeDetails> = scopes.into_iter().map(of_scope).collect();
        scopes
            .sort_by(|one, other| (other.status.lag_seconds, &one.scope).cmp(&(one.status.lag_seconds, &other.scope)));
        Some(Self { about: stream.about.clone(), all, scopes })
    }
}
