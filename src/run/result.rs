//! What came of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use crate::model::event::{RunFigures, SliceDone};
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
    pub streams: BTreeMap<String, StreamTotals>,
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

/// What came of one stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamTotals {
    /// Slices published.
    pub slices: u64,
    /// The sums of their figures.
    pub done: SliceDone,
}

impl RunResult {
    /// The sums over all streams.
    pub fn totals(&self) -> StreamTotals {
        let mut totals = StreamTotals::default();
        for stream in self.streams.values() {
            totals.slices += stream.slices;
            add(&mut totals.done, stream.done);
        }
        totals
    }

    /// All of it in figures.
    pub fn figures(&self) -> RunFigures {
        let StreamTotals { slices, done } = self.totals();
        RunFigures {
            requests: self.requests,
            rows: done.rows,
            files: done.files,
            unchanged: done.unchanged,
            bytes: done.bytes,
            slices,
            failed: self.failed.len() as u64,
            left: self.left.len() as u64,
            not_entitled: self.not_entitled.len() as u64,
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
            format_count(totals.done.rows, "row"),
            format_count(totals.done.files, "file"),
            format_number(totals.done.unchanged),
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

    pub(super) fn count(&mut self, stream: &str, done: SliceDone) {
        let totals = self.streams.entry(stream.to_owned()).or_default();
        totals.slices += 1;
        add(&mut totals.done, done);
    }
}

fn add(sum: &mut SliceDone, done: SliceDone) {
    sum.rows += done.rows;
    sum.files += done.files;
    sum.unchanged += done.unchanged;
    sum.bytes += done.bytes;
    sum.requests += done.requests;
    sum.outside += done.outside;
    sum.took += done.took;
}
