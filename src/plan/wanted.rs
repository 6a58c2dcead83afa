//! What a plan is made from: what a job wants, and what is known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::compact_timestamp::CompactTimestamp;
use crate::model::cost::RequestCosts;
use crate::model::coverage::Coverage;
use crate::model::day::Day;
use crate::model::forgotten::Forgotten;
use crate::model::scope::{Scope, ScopeKey, ScopeKind};
use crate::model::stream::Stream;
use crate::model::window::Window;

/// What a job wants, resolved.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Each once.
    pub streams: Vec<Arc<Stream>>,
    pub scopes: BTreeMap<ScopeKind, Vec<Scope>>,
    pub days: WantedDays,
    /// The first day of streams whose every day costs a request; `None` is the same as for other streams.
    pub single_start: Option<Day>,
    /// Replaces the lookback of streams whose rows have their day; for other streams each extraction costs a request.
    pub lookback_days: Option<u16>,
    /// Whether event streams are requested where an endpoint has one, so that a result is one request.
    pub event_streams: bool,
    /// Streams that are requested page by page nevertheless, because their event streams lack columns.
    pub paged: BTreeSet<String>,
    /// How many requests one of each kind counts for in the rate limit.
    pub costs: RequestCosts,
    /// The longest window of one request, in days.
    pub max_window_days: i64,
    /// With more categories, lists of each that change rarely are read once a week.
    pub weekly_refresh_min_categories: u32,
}

/// Which days a run wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedDays {
    /// From a first day to yesterday, unless they are final.
    Since(Day),
    /// Those of these days that were never extracted; with `force`, all of them. No lists.
    Only { window: Window, force: bool },
}

impl WantedDays {
    pub fn is_backfill(self) -> bool {
        matches!(self, Self::Only { .. })
    }
}

/// What is known about the lake.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub coverage: &'a Coverage,
    pub forgotten: &'a Forgotten,
    /// Whether a killed run may have overwritten a day after it was recorded.
    pub may_be_overwritten: &'a dyn Fn(&str, &ScopeKey, Option<Day>) -> bool,
    pub now: Timestamp,
    /// When the run started that this one resumes: days extracted since are not due.
    pub resume_point: Option<CompactTimestamp>,
}

impl<'a> Known<'a> {
    /// For a run that resumes none.
    pub fn at(
        now: Timestamp,
        coverage: &'a Coverage,
        forgotten: &'a Forgotten,
        may_be_overwritten: &'a dyn Fn(&str, &ScopeKey, Option<Day>) -> bool,
    ) -> Self {
        Self { coverage, forgotten, may_be_overwritten, now, resume_point: None }
    }
}
