//! What came of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use crate::model::counters::Counters;
use crate::model::format::{format_count, format_duration, format_number};
use crate::model::outcome::Outcome;
use crate::model::slice::Slice;
use crate::run::error::RunError;

/// What came of a run.
#[derive(Debug)]
pub struct RunResult {
    /// The run.
    pub run_id: Uuid,
    /// The job.
    pub job: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What stopped it, when something did.
    pub error: Option<RunError>,
    /// Figures by stream.
    pub streams: BTreeMap<String, Counters>,
    /// Slices that someone must look at, with why.
    pub failed: Vec<(Slice, String)>,
    /// Slices left for the next run.
    pub left: Vec<Slice>,
    /// How many of these only fill in days long over.
    pub backfill_remaining: u64,
    /// What the account may not read.
    pub not_entitled: Vec<Slice>,
    /// Requests spent, retries and discovery included.
    pub requests: u64,
    /// How long it took.
    pub took: Duration,
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
            deferred: self.left.len() as u64,
            not_entitled: self.not_entitled.len() as u64,
            ..self.totals()
        }
    }

    /// One line that says it all.
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
            format_duration(self.took),
        );
        let mut also = Vec::new();
        if !self.failed.is_empty() {
            also.push(format!("{} failed", format_count(self.failed.len() as u64, "slice")));
        }
        if !self.left.is_empty() {
            let left = self.left.len() as u64;
            let history = match self.backfill_remaining {
                0 => String::new(),
                history if history == left => " (history)".to_owned(),
                history => format!(" ({} of them history)", format_number(history)),
            };
            also.push(format!("{} left for the next run{history}", format_count(left, "slice")));
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
