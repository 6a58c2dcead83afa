//! One run, slice by slice, from the records that it added.

use std::ops::RangeInclusive;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::ledger::{Entry, FileChange, OpenRun, Record, RunSummary, SliceEntry, State};
use crate::model::proof::Proof;
use crate::model::scope::Scope;
use crate::model::window::Window;

/// Records of a run that are read, the last ones: a page must not read ten thousand objects of a store.
const MAX_RECORDS: u64 = 400;

/// A run and its slices.
#[derive(Debug, Clone, Serialize)]
pub struct RunDetails {
    pub run: Uuid,
    /// In the order in which they were recorded.
    pub slices: Vec<RunSlice>,
    /// Earlier records of the run that were not read.
    pub omitted_records: u64,
}

/// A slice that a run recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunSlice {
    pub stream: String,
    /// The scope, by names.
    pub scope: String,
    pub window: Option<Window>,
    pub at: Timestamp,
    #[serde(flatten)]
    pub result: SliceResult,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum SliceResult {
    Published { rows: u64, requests: u64, files: u64, proof: Proof },
    Suspect { problem: String },
    NotEntitled { detail: String },
}

impl RunDetails {
    /// The records that may be of `run`: from its start to its end, or to the last record if it has not ended. Of a run that planned
    /// nothing, its end. With the number of those before them that are left out.
    pub(super) fn records_of(state: &State, run: Uuid) -> Option<(RangeInclusive<u64>, u64)> {
        let ended = |summary: &RunSummary| match summary.first_number {
            Some(first) => first..=summary.number,
            None => summary.number..=summary.number,
        };
        let open = |open: &OpenRun| open.number..=state.number;
        let summary = state.runs.iter().find(|summary| summary.end.run == run);
        summary.map(ended).or_else(|| state.open_runs.get(&run).map(open)).map(|numbers| {
            let first = numbers.end().saturating_sub(MAX_RECORDS - 1).max(*numbers.start());
            (first..=*numbers.end(), first - numbers.start())
        })
    }

    pub(super) fn new(run: Uuid, records: &[Record], omitted_records: u64) -> Self {
        let entries = records.iter().flat_map(|record| record.entries.iter().map(move |entry| (record.at, entry)));
        let slices = entries.filter(|(_, entry)| entry.run() == Some(run)).filter_map(|(at, entry)| slice(at, entry));
        Self { run, slices: slices.collect(), omitted_records }
    }
}

fn slice(at: Timestamp, entry: &Entry) -> Option<RunSlice> {
    let of = |stream: &str, scope: &Scope, window: Option<Window>, result: SliceResult| {
        Some(RunSlice { stream: stream.to_owned(), scope: scope.names(), window, at, result })
    };
    match entry {
        Entry::Slice(SliceEntry { stream, scope, window, rows, requests, proof, days, .. }) => {
            let files = days.iter().filter(|day| day.file == FileChange::Published).count() as u64;
            of(
                stream,
                scope,
                *window,
                SliceResult::Published { rows: *rows, requests: *requests, files, proof: *proof },
            )
        }
        Entry::Suspect { stream, scope, window, problem, .. } => {
            of(stream, scope, *window, SliceResult::Suspect { problem: problem.clone() })
        }
        Entry::NotEntitled { stream, scope, detail, .. } => {
            of(stream, scope, None, SliceResult::NotEntitled { detail: detail.clone() })
        }
        _ => None,
    }
}
