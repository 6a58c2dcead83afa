//! `/status.json`: what the page shows, for programs. Its size is bounded: consecutive equal days are one entry, and long lists are cut.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::page_data::PageData;
use super::problems::{ProblemCard, problems};
use super::verdict::StatusVerdict;
use crate::ledger::RunSummary;
use crate::model::compact_timestamp::CompactTimestamp;
use crate::model::day::Day;
use crate::model::day_status::DayStatus;
use crate::observe::Activity;
use crate::status::{Headline, JobStatus, NotEntitledStreams, StreamStatus, SuspectDays};

const MAX_ENTRIES: usize = 100;
pub(super) const MAX_RUNS: usize = 20;

/// The object.
#[derive(Debug, Serialize)]
pub(super) struct StatusJson<'a> {
    version: &'static str,
    at: Timestamp,
    /// When the ledger was last read.
    read_at: Option<Timestamp>,
    verdict: StatusVerdict,
    /// The most serious first.
    problems: Vec<ProblemCard>,
    /// Why the last read of the lake failed.
    read_error: Option<&'a str>,
    headline: Option<&'a Headline>,
    destination: String,
    key_expires: Option<Day>,
    activity: &'a Activity,
    jobs: &'a [JobStatus],
    runs: &'a [RunSummary],
    days_by_status: BTreeMap<DayStatus, u64>,
    streams: Vec<StreamJson<'a>>,
    suspects: &'a [SuspectDays],
    not_entitled: Vec<&'a NotEntitledStreams>,
    /// Number of entries cut from the two lists above.
    omitted: usize,
}

#[derive(Debug, Serialize)]
struct StreamJson<'a> {
    name: &'a str,
    family: &'a str,
    requested_for: &'a str,
    scopes: u64,
    not_entitled: u64,
    rows: u64,
    is_list: bool,
    extracted_at: Option<CompactTimestamp>,
    is_suspect: bool,
    lag_seconds: u64,
    has_missing_days: bool,
    missing_since: Option<Day>,
    missing_scopes: u64,
    days: Vec<DaysJson>,
}

/// Consecutive days with the same status.
#[derive(Debug, Serialize)]
struct DaysJson {
    from: Day,
    to: Day,
    status: DayStatus,
    rows: u64,
}

impl<'a> StatusJson<'a> {
    pub fn new(data: &'a PageData) -> Self {
        let status = data.status.as_deref();
        let first = |length: usize| length.min(MAX_ENTRIES);
        let suspects = status.map(|status| status.suspects.as_slice()).unwrap_or_default();
        let not_entitled = status.map(|status| status.not_entitled.as_slice()).unwrap_or_default();
        let runs = status.map(|status| status.runs.as_slice()).unwrap_or_default();
        let omitted = suspects.len() + not_entitled.len() - first(suspects.len()) - first(not_entitled.len());
        let problems = problems(data);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            at: data.now,
            read_at: status.map(|status| status.at),
            verdict: StatusVerdict::new(data, &problems),
            problems,
            read_error: data.read_error.as_ref().map(|error| error.chain.as_str()),
            headline: status.map(|status| &status.headline),
            destination: data.destination(),
            key_expires: data.config.api.key_expires,
            activity: &data.activity,
            jobs: status.map(|status| status.jobs.as_slice()).unwrap_or_default(),
            runs: &runs[..runs.len().min(MAX_RUNS)],
            days_by_status: status.map(|status| status.days_by_status()).unwrap_or_default(),
            streams: data.streams().iter().map(StreamJson::new).collect(),
            suspects: &suspects[..first(suspects.len())],
            not_entitled: not_entitled.iter().take(MAX_ENTRIES).collect(),
            omitted,
        }
    }
}

impl<'a> StreamJson<'a> {
    fn new(stream: &'a StreamStatus) -> Self {
        let mut days: Vec<DaysJson> = Vec::new();
        for cell in stream.days.iter().flatten() {
            match days.last_mut() {
                Some(last) if last.status == cell.worst && last.to.next() == cell.day => {
                    last.to = cell.day;
                    last.rows += cell.rows;
                }
                _ => days.push(DaysJson { from: cell.day, to: cell.day, status: cell.worst, rows: cell.rows }),
            }
        }
        Self {
            name: &stream.name,
            family: &stream.family,
            requested_for: &stream.requested_for,
            scopes: stream.scopes,
            not_entitled: stream.not_entitled,
            rows: stream.rows,
            is_list: stream.is_list,
            extracted_at: stream.extracted_at,
            is_suspect: stream.is_suspect,
            lag_seconds: stream.lag_seconds,
            has_missing_days: stream.has_missing_days,
            missing_since: stream.missing_since,
            missing_scopes: stream.missing_scopes,
            days,
        }
    }
}
