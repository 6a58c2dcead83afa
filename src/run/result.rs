//! The result of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use crate::model::counters::Counters;
use crate::model::format::{format_count, format_duration, format_number};
use crate::model::outcome::Outcome;
use crate::model::slice::Slice;
use crate::run::error::RunError;
use crate::tables::PublishedTable;

/// The result of a run.
#[derive(Debug, Default)]
pub struct RunResult {
    pub run_id: Uuid,
    pub job: String,
    pub outcome: Outcome,
    /// The failure that ended the run early.
    pub error: Option<RunError>,
    /// The counters of each stream.
    pub streams: BTreeMap<String, Counters>,
    /// Slices that a person must look at, and why.
    pub failed: Vec<(Slice, String)>,
    /// Slices that the next run does.
    pub deferred: Vec<Slice>,
    /// How many of the deferred slices are backfill.
    pub backfill_remaining: u64,
    pub not_entitled: Vec<Slice>,
    /// Tables with a new version.
    pub tables: BTreeMap<String, PublishedTable>,
    /// Retries, discovery and failed slices included.
    pub requests: u64,
    pub elapsed: Duration,
}

impl RunResult {
    /// The sums over all streams.
    pub fn totals(&self) -> Counters {
        self.streams.values().copied().sum()
    }

    /// The counters of the run: the sums over all streams, with every request and slice.
    pub fn counters(&self) -> Counters {
        Counters {
            requests: self.requests,
            failed: self.failed.len() as u64,
            deferred: self.deferred.len() as u64,
            not_entitled: self.not_entitled.len() as u64,
            ..self.totals()
        }
    }

    /// One line for people.
    pub fn summary(&self) -> String {
        let totals = self.totals();
        let mut text = format!(
            "{}: {}. {}, {}, {} ({} unchanged), {}",
            self.job,
            self.outcome.label(),
            format_count(self.requests, "request"),
            format_count(totals.rows, "row"),
            format_count(totals.files, "file"),
            format_number(totals.unchanged),
            format_duration(self.elapsed),
        );
        let mut also = Vec::new();
        if !self.tables.is_empty() {
            also.push(format!("{} published", format_count(self.tables.len() as u64, "table")));
        }
        if !self.failed.is_empty() {
            also.push(format!("{} failed", format_count(self.failed.len() as u64, "slice")));
        }
        if !self.deferred.is_empty() {
            let deferred = self.deferred.len() as u64;
            let backfill = match self.backfill_remaining {
                0 => String::new(),
                backfill if backfill == deferred => " (backfill)".to_owned(),
                backfill => format!(" ({} of them backfill)", format_number(backfill)),
            };
            also.push(format!("{} deferred to the next run{backfill}", format_count(deferred, "slice")));
        }
        if !self.not_entitled.is_empty() {
            also.push(format!("{} not entitled", format_count(self.not_entitled.len() as u64, "slice")));
        }
        if !also.is_empty() {
            text = format!("{text}; {}", also.join(", "));
        }
        text
    }
}
