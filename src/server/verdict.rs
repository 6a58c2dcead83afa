//! The first line of the page: one sentence about the most serious problem, and the next step.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::page_data::PageData;
use super::problems::ProblemCard;
use crate::model::format::format_number;
use crate::observe::Activity;
use crate::status::Status;

/// How urgent the sentence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tone {
    /// Nothing to do.
    Fresh,
    /// A run in progress does it.
    Busy,
    /// Someone should look.
    Trouble,
}

/// The status in one sentence, and what comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct StatusVerdict {
    pub tone: Tone,
    pub sentence: String,
    pub next: Option<String>,
}

impl StatusVerdict {
    /// The most serious of `problems`, which come in that order, says what to do.
    pub fn new(data: &PageData, problems: &[ProblemCard]) -> Self {
        let activity = &data.activity;
        let trouble = |sentence: String| {
            let next = problems.first().map(|problem| problem.action.clone());
            Self { tone: Tone::Trouble, sentence, next }
        };
        if activity.key_rejected_at.is_some() {
            return trouble("The API rejected the key; no requests are sent.".to_owned());
        }
        if data.read_error.is_some() {
            return trouble("The lake cannot be read.".to_owned());
        }
        if let Some(ended) = activity.latest_run.as_ref().filter(|ended| ended.outcome.is_failure()) {
            return trouble(format!("The last run of `{}` {}.", ended.job, ended.outcome.verb()));
        }
        let Some(status) = data.status.as_deref() else {
            return Self { tone: Tone::Busy, sentence: "Reading the lake.".to_owned(), next: None };
        };
        let headline = &status.headline;
        let active_run = active_run(status, activity, data.now);
        // The next run does what the last one deferred, without a person.
        let only_deferred =
            headline.streams_missing_days == 0 && headline.suspects == 0 && headline.unfinished_jobs.is_empty();
        let is_incomplete = headline.is_new || active_run.is_some() || only_deferred;
        let tone = match (headline.is_fresh(), headline.failed_runs.is_empty() && is_incomplete) {
            (true, _) => Tone::Fresh,
            (false, true) => Tone::Busy,
            (false, false) => return trouble(headline.sentence()),
        };
        let next_step = || if headline.is_new { first_run(status) } else { headline.next_step() };
        let next: Vec<String> = active_run.or_else(next_step).into_iter().chain(headline.backfill_sentence()).collect();
        Self { tone, sentence: headline.sentence(), next: (!next.is_empty()).then(|| next.join(" ")) }
    }
}

fn first_run(status: &Status) -> Option<String> {
    let (job, at) = status.jobs.iter().filter_map(|job| Some((job, job.next_run?))).min_by_key(|(_, at)| *at)?;
    let zone = TimeZone::get(&job.timezone).unwrap_or(TimeZone::UTC);
    Some(format!("First run of `{}`: {}.", job.name, at.to_zoned(zone).strftime("%a %-d %b at %H:%M %Z")))
}

fn active_run(status: &Status, activity: &Activity, now: Timestamp) -> Option<String> {
    let Some(run) = &activity.run else {
        let job = status.jobs.iter().find(|job| job.running_since.is_some())?;
        return Some(format!("A run of `{}` is in progress in another process.", job.name));
    };
    let slices = run
        .planned_slices
        .map(|planned| {
            format!(", {} of {} slices done", format_number(run.finished_slices as u64), format_number(planned as u64))
        })
        .unwrap_or_default();
    let waits = activity
        .rate_limited_until
        .filter(|until| *until > now)
        .map(|until| format!("; rate limit reached, waiting until {} UTC", until.strftime("%H:%M")))
        .unwrap_or_default();
    Some(format!("A run of `{}` is in progress{slices}{waits}.", run.job))
}
