//! What a plan is made from: wishes, and what is known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::compact_timestamp::CompactTimestamp;
use crate::model::cost::Costs;
use crate::model::coverage::Coverage;
use crate::model::day::Day;
use crate::model::forgotten::Forgotten;
use crate::model::scope::{Scope, ScopeKey, ScopeKind};
use crate::model::stream::Stream;
use crate::model::window::Window;

/// What a job wants, resolved.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The streams, each once.
    pub streams: Vec<Arc<Stream>>,
    /// What they are asked for.
    pub scopes: BTreeMap<ScopeKind, Vec<Scope>>,
    /// Which days.
    pub days: WantedDays,
    /// The first day wanted of streams where each day costs a request; none is the same as of the others.
    pub single_start: Option<Day>,
    /// Replaces the lookback of streams whose rows carry their day; for the others each reading costs a request.
    pub lookback_days: Option<u16>,
    /// Whether results come as event streams where there are any, so that each is one request.
    pub event_streams: bool,
    /// Streams whose results come page by page all the same, because their events lack columns.
    pub paged: BTreeSet<String>,
    /// How many requests of the budget one of each kind takes.
    pub costs: Costs,
    /// Days of the longest window of one request.
    pub max_window_days: i64,
    /// With more categories, lists of each that change rarely are read once a week.
    pub weekly_refresh_min_categories: u32,
}

/// Which days a run wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedDays {
    /// From a first day to yesterday, as far as they are not final.
    Since(Day),
    /// Of these days those that were never read; with `force`, all of them. Lists are left alone.
    Only {
        /// The days.
        window: Window,
        /// Whether days that are there are read again.
        force: bool,
    },
}

impl WantedDays {
    /// Whether somebody asked for these very days.
    pub fn is_backfill(self) -> bool {
        matches!(self, Self::Only { .. })
    }
}

/// What is known beside the wishes.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// What has been read.
    pub coverage: &'a Coverage,
    /// What was removed for good.
    pub forgotten: &'a Forgotten,
    /// Whether a run that was killed may have overwritten a day after it was recorded.
    pub doubtful: &'a dyn Fn(&str, &ScopeKey, Option<Day>) -> bool,
    /// The time.
    pub now: Timestamp,
    /// When the run began that this one goes on with: what was read since is not read again.
    pub read_since: Option<CompactTimestamp>,
}

impl<'a> Known<'a> {
    /// What `coverage` says at `now`, for a run that goes on with none.
    pub fn at(
        now: Timestamp,
        coverage: &'a Coverage,
        forgotten: &'a Forgotten,
        doubtful: &'a dyn Fn(&str, &ScopeKey, Option<Day>) -> bool,
    ) -> Self {
        Self { coverage, forgotten, doubtful, now, read_since: None }
    }
}
