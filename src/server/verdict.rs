//! Is everything fresh, and if not, what is to be done: one sentence and the next step, of everything that is known.

use jiff::Timestamp;
use serde::Serialize;

use crate::error_text::{as_sentence, with_full_stop};
use crate::model::format::format_number;
use crate::model::outcome::Outcome;
use crate::observe::Activity;
use crate::status::Status;

/// What the sentence means for whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tone {
    /// Nothing is to be done.
    Fresh,
    /// Something is being done.
    Busy,
    /// Someone should look.
    Trouble,
}

/// What stands, in a sentence, and what comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Verdict {
    pub tone: Tone,
    pub sentence: String,
    pub next: Option<String>,
}

impl Verdict {
    /// The worst thing that is known; `trouble` is why the lake cannot be read.
    pub fn of(status: Option<&Status>, doing: &Activity, trouble: Option<&str>, now: Timestamp) -> Self {
        let is_trouble = |sentence: String, next: Option<String>| Self { tone: Tone::Trouble, sentence, next };
        if doing.key_rejected_at.is_some() {
            let ended = doing.ended.as_ref();
            let next = ended.and_then(|ended| ended.hint.as_ref()).map(|hint| as_sentence(hint));
            return is_trouble("The API rejected the key, and nothing more is sent.".to_owned(), next);
        }
        if let Some(trouble) = trouble {
            let next = match status {
                Some(_) => "What is shown below is what was read before. It is tried again every few minutes.",
                None => "It is tried again every few minutes.",
            };
            return is_trouble(format!("The lake cannot be read: {}", with_full_stop(trouble)), Some(next.to_owned()));
        }
        if let Some(ended) = doing.ended.as_ref().filter(|ended| ended.outcome.is_failure()) {
            let problem =
                ended.problem.as_deref().map_or_else(|| "some of it could not be exported".to_owned(), str::to_owned);
            let sentence =
                format!("The last run of `{}` {}: {}", ended.job, spoken(ended.outcome), with_full_stop(&problem));
            let next = ended.hint.as_deref().map_or_else(|| "The next run tries again.".to_owned(), as_sentence);
            return is_trouble(sentence, Some(next));
        }
        let Some(status) = status else {
            return Self { tone: Tone::Busy, sentence: "The lake is being read.".to_owned(), next: None };
        };
        let headline = &status.headline;
        let under_way = under_way(doing, now);
        let tone = match () {
            () if headline.is_fresh() => Tone::Fresh,
            () if headline.is_new && headline.failed_runs.is_empty() => Tone::Busy,
            () if under_way.is_some() && headline.failed_runs.is_empty() => Tone::Busy,
            () => Tone::Trouble,
        };
        let next = match headline.is_new {
            true => first_start(status),
            false => headline.next_step(),
        };
        let next: Vec<String> = under_way.or(next).into_iter().chain(headline.backfill_sentence()).collect();
        Self { tone, sentence: headline.sentence(), next: (!next.is_empty()).then(|| next.join(" ")) }
    }
}

fn first_start(status: &Status) -> Option<String> {
    let (job, at) = status.jobs.iter().filter_map(|job| Some((job, job.next_run?))).min_by_key(|(_, at)| *at)?;
    let zone = jiff::tz::TimeZone::get(&job.timezone).unwrap_or(jiff::tz::TimeZone::UTC);
    Some(format!("`{}` begins {}.", job.name, at.to_zoned(zone).strftime("%a %-d %b at %H:%M %Z")))
}

fn under_way(doing: &Activity, now: Timestamp) -> Option<String> {
    let run = doing.run.as_ref()?;
    let slices = run
        .planned
        .map(|planned| format!(", {} of {} slices", format_number(run.over as u64), format_number(planned as u64)));
    let waits = doing.waits_until.filter(|until| now < *until);
    let waits =
        waits.map(|until| format!("; it waits until {} UTC, when requests are free again", until.strftime("%H:%M")));
    Some(format!("A run of `{}` is under way{}{}.", run.job, slices.unwrap_or_default(), waits.unwrap_or_default()))
}

/// How a run ended, as the verb of a sentence.
fn spoken(outcome: Outcome) -> String {
    match outcome {
        Outcome::Unavailable => "could not go on".to_owned(),
        Outcome::ConfigMismatch => "does not fit the lake or its settings".to_owned(),
        other => other.label(),
    }
}
