//! The first line of the page: one sentence about the most serious problem, and the next step.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::error_text::{as_sentence, with_full_stop};
use crate::model::format::format_number;
use crate::model::outcome::Outcome;
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
    /// The most serious problem comes first; `read_error` is why the lake cannot be read.
    pub fn new(status: Option<&Status>, activity: &Activity, read_error: Option<&str>, now: Timestamp) -> Self {
        let trouble = |sentence: String, next: Option<String>| Self { tone: Tone::Trouble, sentence, next };
        if activity.key_rejected_at.is_some() {
            let hint = activity.latest_run.as_ref().and_then(|ended| ended.hint.as_deref());
            return trouble("The API rejected the key; no requests are sent.".to_owned(), hint.map(as_sentence));
        }
        if let Some(error) = read_error {
            let next = match status {
                Some(_) => {
                    "The status below is from the last successful read. The next attempt follows within minutes."
                }
                None => "The next attempt follows within minutes.",
            };
            return trouble(format!("The lake cannot be read: {}", with_full_stop(error)), Some(next.to_owned()));
        }
        if let Some(ended) = activity.latest_run.as_ref().filter(|ended| ended.outcome.is_failure()) {
            let problem = ended.problem.as_deref().unwrap_or("some slices could not be exported");
            let sentence =
                format!("The last run of `{}` {}: {}", ended.job, verb(ended.outcome), with_full_stop(problem));
            let next = ended.hint.as_deref().map_or_else(|| "The next run retries.".to_owned(), as_sentence);
            return trouble(sentence, Some(next));
        }
        let Some(status) = status else {
            return Self { tone: Tone::Busy, sentence: "Reading the lake.".to_owned(), next: None };
        };
        let headline = &status.headline;
        let active_run = active_run(activity, now);
        let is_busy = headline.failed_runs.is_empty() && (headline.is_new || active_run.is_some());
        let tone = if headline.is_fresh() {
            Tone::Fresh
        } else if is_busy {
            Tone::Busy
        } else {
            Tone::Trouble
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

fn active_run(activity: &Activity, now: Timestamp) -> Option<String> {
    let run = activity.run.as_ref()?;
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

/// How a run ended, as the verb of a sentence.
fn verb(outcome: Outcome) -> String {
    match outcome {
        Outcome::Unavailable => "could not reach the API or the destination".to_owned(),
        Outcome::ConfigMismatch => "does not match its configuration or its lake".to_owned(),
        other => other.label(),
    }
}
