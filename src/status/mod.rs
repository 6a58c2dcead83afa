//! The status of a lake: whether everything due is exported, the lag of jobs and streams, and each day of each stream.
//!
//! A pure function of ledger, configuration and time. The `status` command, the status page, metrics and alerts show these values and compute
//! none of their own.

mod cache;
mod details;
mod exceptions;
mod headline;
mod jobs;
mod run_details;
mod streams;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::config::Config;
use crate::ledger::{LearnedFact, RunSummary, State};
use crate::model::day::Day;
use crate::model::day_status::DayStatus;
use crate::model::scope::{Named, Scope};
use crate::plan::first_wanted_day;
use crate::schedule::ScheduleError;

pub use cache::{ReadError, StatusCache, StatusError};
pub use details::{ScopeDetails, StreamDetails};
pub use exceptions::{NotEntitledStreams, SuspectDays};
pub use headline::{BackfillProgress, FailedRun, Headline};
pub use jobs::{JobStatus, TrendPoint};
pub use run_details::{RunDetails, RunSlice, SliceResult};
pub use streams::{DayCell, StreamStatus};

/// The status of a lake at one time.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    pub at: Timestamp,
    /// Number of the last ledger record; zero if nothing is exported yet.
    pub records: u64,
    pub headline: Headline,
    /// In the order of the configuration file.
    pub jobs: Vec<JobStatus>,
    /// The last runs, newest first.
    pub runs: Vec<RunSummary>,
    /// By name.
    pub streams: Vec<StreamStatus>,
    /// Categories in the ledger, by name.
    pub categories: Vec<Named>,
    pub suspects: Vec<SuspectDays>,
    pub not_entitled: Vec<NotEntitledStreams>,
    /// How requests differ from what the catalog declares.
    pub learned: Vec<LearnedFact>,
}

impl Status {
    /// The status at `now`, with the last `shown_days` days of each stream.
    ///
    /// # Errors
    /// An invalid schedule, which a checked configuration cannot have.
    pub fn of(state: &State, config: &Config, now: Timestamp, shown_days: u16) -> Result<Self, ScheduleError> {
        let starts = starts(state, config);
        let streams = streams::of(state, config.catalog(), &starts, now, shown_days, |_| true);
        let suspects = exceptions::suspects(state);
        let jobs = jobs::of(state, config, &streams, now)?;
        let headline = Headline::of(state, config.catalog(), &starts, &jobs, &streams, &suspects, now);
        Ok(Self {
            at: now,
            records: state.number,
            headline,
            jobs,
            runs: state.runs.iter().rev().cloned().collect(),
            streams,
            categories: categories(state),
            suspects,
            not_entitled: exceptions::not_entitled(state),
            learned: exceptions::learned(state),
        })
    }

    /// The tables restricted to one category.
    pub fn streams_of_category(
        state: &State,
        config: &Config,
        now: Timestamp,
        shown_days: u16,
        category: &str,
    ) -> Vec<StreamStatus> {
        let is_in_category = |scope: &Scope| scope.category.as_ref().is_some_and(|named| named.id == category);
        streams::of(state, config.catalog(), &starts(state, config), now, shown_days, is_in_category)
    }

    /// Days of all streams and scopes by status, of the days that are shown. A stream that the account may not read for a scope counts once,
    /// since it has no days.
    pub fn days_by_status(&self) -> BTreeMap<DayStatus, u64> {
        let mut counts = BTreeMap::from(DayStatus::ALL.map(|status| (status, 0)));
        counts.insert(DayStatus::NotEntitled, self.streams.iter().map(|stream| stream.not_entitled).sum());
        for stream in &self.streams {
            for cell in stream.days.iter().flatten() {
                for (status, count) in &cell.scopes {
                    *counts.entry(*status).or_default() += count;
                }
            }
        }
        counts
    }
}

fn categories(state: &State) -> Vec<Named> {
    let scopes = state.coverage.values().flat_map(BTreeMap::values);
    let named: BTreeMap<&str, &Named> =
        scopes.filter_map(|scope| scope.scope.category.as_ref()).map(|named| (named.id.as_str(), named)).collect();
    let mut found: Vec<Named> = named.into_values().cloned().collect();
    found.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    found
}

/// The first day that any job wants, by stream. Streams that no job exports any more have none, so none of their days is missing.
fn starts(state: &State, config: &Config) -> BTreeMap<String, Day> {
    let mut starts = BTreeMap::new();
    for job in &config.jobs {
        let (Some(start), Ok(streams)) = (state.starts.get(&job.name), config.streams_of(job)) else {
            continue;
        };
        for stream in streams {
            let kind = stream.days.as_ref().map(|days| days.kind).unwrap_or_default();
            let first = first_wanted_day(kind, *start, state.single_starts.get(&job.name).copied());
            let earliest = starts.entry(stream.name.clone()).or_insert(first);
            *earliest = (*earliest).min(first);
        }
    }
    starts
}
