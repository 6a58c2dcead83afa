//! What is wrong, one card for each problem: what, since when, what is affected, what to do. Sentences are for people; messages of errors
//! and their sources are details, which the page folds.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::page_data::PageData;
use crate::config::AlertEvent;
use crate::error_text::as_sentence;
use crate::model::day::{Day, DayZone};
use crate::model::format::{format_count, format_number};
use crate::model::outcome::Outcome;
use crate::status::{JobStatus, Status, StreamStatus, SuspectDays};

/// Names in one sentence.
const MAX_NAMES: usize = 5;
/// Cards about the same kind of problem.
const MAX_CARDS: usize = 5;
/// From this many days before it, the expiry of the key is a problem.
const EXPIRY_DAYS: i64 = 14;
/// The clocks of two machines may differ by this much.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_hours(1);

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct ProblemCard {
    /// What is wrong, in one sentence.
    pub summary: String,
    pub since: Option<Timestamp>,
    pub affected: String,
    pub action: String,
    /// Messages of errors, with their sources.
    pub details: Vec<String>,
    /// Alerts with the same reason, which are no cards of their own.
    #[serde(skip)]
    covers: &'static [AlertEvent],
}

/// The most serious first.
pub(super) fn problems(data: &PageData) -> Vec<ProblemCard> {
    let status = data.status.as_deref();
    let mut cards: Vec<ProblemCard> = key_rejected(data).into_iter().chain(unreadable(data)).collect();
    cards.extend(unrecorded_run(data));
    if let Some(status) = status {
        cards.extend(status.jobs.iter().filter_map(failed_run));
        cards.extend(status.jobs.iter().filter_map(killed_run));
        cards.extend(missing(status, data.now));
        cards.extend(suspect(status));
        cards.extend(clock_behind(status, data.now));
    }
    cards.extend(current_run(data));
    cards.extend(key_expiring(data));
    let firing = data.activity.alerts.iter();
    let others =
        firing.filter(|alert| !cards.iter().any(|card| card.covers.iter().any(|event| event.name() == alert.event)));
    let others: Vec<ProblemCard> = others
        .map(|alert| ProblemCard {
            summary: as_sentence(&alert.summary),
            since: Some(alert.since),
            affected: as_sentence(&alert.impact),
            action: as_sentence(&alert.action),
            ..ProblemCard::default()
        })
        .collect();
    cards.extend(others);
    cards
}

fn key_rejected(data: &PageData) -> Option<ProblemCard> {
    let recorded =
        data.status.as_ref().and_then(|status| status.headline.problem.as_ref()).filter(|run| run.key_rejected);
    let latest = data.activity.latest_run.as_ref();
    let since = data.activity.key_rejected_at.or(recorded.map(|run| run.at))?;
    let hint = latest.and_then(|run| run.hint.clone()).or_else(|| recorded?.hint.clone());
    let detail = latest.and_then(|run| run.problem.clone()).or_else(|| recorded?.problem.clone());
    Some(ProblemCard {
        summary: "The API rejected the key.".into(),
        since: Some(since),
        affected: "Every job: nothing is exported until the key is replaced. Published files are kept.".into(),
        action: hint.as_deref().map_or_else(
            || {
                "Create a new key under Settings → API Keys and replace the rejected one; the next run resumes."
                    .to_owned()
            },
            as_sentence,
        ),
        details: detail.into_iter().collect(),
        covers: &[AlertEvent::KeyRejected, AlertEvent::JobFailed],
    })
}

fn unreadable(data: &PageData) -> Option<ProblemCard> {
    let error = data.read_error.as_ref()?;
    let affected = match &data.status {
        Some(_) => "The status on this page is from the last successful read. Published files are kept.",
        None => "This page has no status to show. Published files are kept.",
    };
    let retry = "The next attempt follows within minutes.";
    Some(ProblemCard {
        summary: as_sentence(&error.message),
        affected: affected.into(),
        action: error.hint.map_or_else(|| retry.to_owned(), |hint| format!("{} {retry}", as_sentence(hint))),
        details: Some(error.chain.clone()).filter(|chain| *chain != error.message).into_iter().collect(),
        covers: &[AlertEvent::DestinationTrouble],
        ..ProblemCard::default()
    })
}

/// The last run of this process, if it failed and the ledger has no record of it: the lake or the configuration is the problem.
fn unrecorded_run(data: &PageData) -> Option<ProblemCard> {
    let run = data.activity.latest_run.as_ref().filter(|run| run.outcome.is_failure())?;
    let jobs = data.status.iter().flat_map(|status| &status.jobs);
    let mut recorded = jobs.filter(|job| job.name == run.job).filter_map(|job| job.last_run.as_ref());
    // A failure that is recorded has a card with more details, and a later run of another process may have succeeded.
    let is_recorded = recorded.any(|last| last.end.outcome.is_failure() || last.ended_at > run.ended_at);
    (!is_recorded && run.outcome != Outcome::KeyRejected).then(|| ProblemCard {
        summary: format!("The last run of `{}` {}.", run.job, run.outcome.verb()),
        since: Some(run.ended_at),
        affected: format!("Days that `{}` owes. Published files are kept.", run.job),
        action: run.hint.as_deref().map_or_else(|| "The next run retries.".to_owned(), as_sentence),
        details: run.problem.clone().into_iter().collect(),
        covers: &[AlertEvent::JobFailed, AlertEvent::DestinationTrouble],
    })
}

fn failed_run(job: &JobStatus) -> Option<ProblemCard> {
    let end = &job.last_run.as_ref().filter(|run| run.end.outcome.is_failure())?.end;
    if end.outcome == Outcome::KeyRejected {
        return None;
    }
    let counters = end.counters;
    let all = counters.slices + counters.failed + counters.deferred + counters.not_entitled;
    let kind = if end.backfill { "backfill" } else { "run" };
    let summary = if end.outcome == Outcome::Failed && counters.failed > 0 {
        format!(
            "{} of {} failed in the last {kind} of `{}`.",
            format_number(counters.failed),
            format_count(all, "slice"),
            job.name
        )
    } else {
        format!("The last {kind} of `{}` {}.", job.name, end.outcome.verb())
    };
    let failing = job.trend.iter().rev().take_while(|run| run.outcome.is_failure() && !end.backfill);
    let retry = match job.next_run {
        Some(at) => {
            let zone = TimeZone::get(&job.timezone).unwrap_or(TimeZone::UTC);
            format!("The next run retries: {}.", at.to_zoned(zone).strftime("%a %-d %b %H:%M %Z"))
        }
        None => "The next run retries.".to_owned(),
    };
    Some(ProblemCard {
        summary,
        since: failing.last().map(|run| run.started_at).or(Some(end.started_at)),
        affected: format!(
            "{}. Published files are kept.",
            streams_of(end.failed_streams.iter()).unwrap_or_else(|| "days that it did not extract".into())
        ),
        action: end.hint.as_deref().map_or_else(String::new, |hint| as_sentence(hint) + " ") + &retry,
        details: end.problems.clone(),
        covers: match end.outcome {
            Outcome::Unavailable => &[AlertEvent::JobFailed, AlertEvent::DestinationTrouble],
            _ => &[AlertEvent::JobFailed],
        },
    })
}

/// The streams of slices that failed.
fn streams_of<'a>(failed: impl Iterator<Item = &'a String>) -> Option<String> {
    let streams: BTreeSet<String> = failed.map(|stream| format!("`{stream}`")).collect();
    (!streams.is_empty()).then(|| listed(streams.into_iter().collect(), "stream"))
}

fn killed_run(job: &JobStatus) -> Option<ProblemCard> {
    let since = job.killed_since?;
    Some(ProblemCard {
        summary: format!("A run of `{}` did not end: it was killed, or its machine stopped.", job.name),
        since: Some(since),
        affected: "The days that it planned stay due. Published files are whole.".into(),
        action:
            "None: the next run resumes it. If it was not stopped on purpose, the end of its log says where it was."
                .into(),
        ..ProblemCard::default()
    })
}

fn missing(status: &Status, now: Timestamp) -> Option<ProblemCard> {
    let late: Vec<(&StreamStatus, String)> =
        status.streams.iter().filter_map(|stream| Some((stream, stream.missing_text()?))).collect();
    let seconds = late.iter().map(|(stream, _)| stream.lag_seconds).max()?;
    let text = |(stream, text): &(&StreamStatus, String)| format!("`{}`: {text}", stream.name);
    let next = "The next run extracts them; `profound-export plan` says whether it has enough requests.";
    let card = ProblemCard {
        since: i64::try_from(seconds).ok().and_then(|lag| now.checked_sub(SignedDuration::from_secs(lag)).ok()),
        action: next.into(),
        covers: &[AlertEvent::IncompleteTooLong],
        ..ProblemCard::default()
    };
    Some(match late.as_slice() {
        [(stream, missing)] => ProblemCard {
            summary: format!("`{}` is not complete: {missing}.", stream.name),
            affected: "The days that are missing. All others are published.".into(),
            ..card
        },
        _ => ProblemCard {
            summary: format!("{} are not complete.", format_count(late.len() as u64, "stream")),
            affected: format!("{}.", listed(late.iter().map(text).collect(), "stream")),
            ..card
        },
    })
}

fn suspect(status: &Status) -> Vec<ProblemCard> {
    let streams: Vec<&[SuspectDays]> = status.suspects.chunk_by(|one, next| one.stream == next.stream).collect();
    let mut cards: Vec<ProblemCard> =
        streams.iter().take(MAX_CARDS).map(|of_stream| suspect_stream(of_stream, status)).collect();
    if let Some(more) = streams.len().checked_sub(MAX_CARDS).filter(|more| *more > 0) {
        let names = streams.iter().skip(MAX_CARDS).map(|of_stream| format!("`{}`", of_stream[0].stream));
        cards.push(ProblemCard {
            summary: format!("{} more with suspect data.", format_count(more as u64, "stream")),
            affected: format!("{}.", listed(names.collect(), "stream")),
            ..suspect_stream(streams[MAX_CARDS], status)
        });
    }
    cards
}

fn suspect_stream(suspects: &[SuspectDays], status: &Status) -> ProblemCard {
    let name = &suspects[0].stream;
    let scopes = suspects.chunk_by(|one, next| one.scope == next.scope).count();
    let of = match status.streams.iter().find(|stream| stream.name == *name).filter(|stream| stream.scopes > 1) {
        Some(stream) => format!(" for {} of {}", format_number(scopes as u64), stream.requested_for),
        None => String::new(),
    };
    let days = || suspects.iter().flat_map(|suspect| &suspect.days);
    let days = match (days().min(), days().max()) {
        (Some(first), Some(last)) if first == last => format!("{}. ", first.short()),
        (Some(first), Some(last)) => format!("{} to {}. ", first.short(), last.short()),
        _ => String::new(),
    };
    ProblemCard {
        summary: format!("`{name}` has suspect data{of}."),
        since: None,
        affected: format!("{days}The published files are kept."),
        action: "None if the next run repairs it. If it stays: `profound-export check --sample` shows whether the API answers, \
                 and which values have a new form."
            .into(),
        details: suspects.iter().take(MAX_NAMES).map(|suspect| format!("{}{}: {}", suspect.days_prefix(), suspect.scope, suspect.problem)).collect(),
        covers: &[AlertEvent::StreamSuspect, AlertEvent::IncompleteTooLong],
    }
}

/// A clock behind the ledger makes lag, next runs and the set of complete days wrong.
fn clock_behind(status: &Status, now: Timestamp) -> Option<ProblemCard> {
    let last = status.runs.first().map(|run| run.ended_at).filter(|last| last.duration_since(now) > CLOCK_TOLERANCE)?;
    Some(ProblemCard {
        summary: format!(
            "The clock of this machine is behind the ledger, whose last run ended {}.",
            last.strftime("%a %-d %b %Y %H:%M UTC")
        ),
        affected: "Lag, next runs, and which days count as complete.".into(),
        action: "Correct the clock of this machine, or find out which machine wrote that record with a wrong one."
            .into(),
        ..ProblemCard::default()
    })
}

fn current_run(data: &PageData) -> Option<ProblemCard> {
    let run = data.activity.run.as_ref().filter(|run| run.failed_slices > 0)?;
    let failed = || data.activity.problems.iter().filter(|problem| problem.is_error && problem.run == Some(run.run));
    let details: Vec<String> = failed().take(MAX_NAMES).map(|problem| problem.message.clone()).collect();
    Some(ProblemCard {
        summary: format!(
            "{} failed so far in the current run of `{}`.",
            format_count(run.failed_slices as u64, "slice"),
            run.job
        ),
        since: Some(run.started_at),
        affected: format!(
            "{}. Published files are kept.",
            streams_of(failed().filter_map(|problem| problem.stream.as_ref())).unwrap_or_else(|| "their days".into())
        ),
        action: "The next run retries.".into(),
        details,
        ..ProblemCard::default()
    })
}

fn key_expiring(data: &PageData) -> Option<ProblemCard> {
    let expires: Day = data.config.api.key_expires?;
    let left = expires.since(DayZone::Utc.today(data.now));
    let summary = match left {
        ..0 => format!("The key expired on {expires}."),
        0 => "The key expires today.".to_owned(),
        1 => format!("The key expires tomorrow ({expires})."),
        _ => format!("The key expires in {left} days ({expires})."),
    };
    (left <= EXPIRY_DAYS).then(|| ProblemCard {
        summary,
        affected: "Every job stops on that day.".into(),
        action: "Create a new key under Settings → API Keys, and set its last day as `api.key_expires`.".into(),
        covers: &[AlertEvent::KeyExpiring],
        ..ProblemCard::default()
    })
}

/// The first few of `names`, and how many more there are.
fn listed(mut names: Vec<String>, noun: &str) -> String {
    let more = names.len().saturating_sub(MAX_NAMES);
    names.truncate(MAX_NAMES);
    let more = (more > 0).then(|| format!("and {}", format_count(more as u64, &format!("more {noun}"))));
    names.into_iter().chain(more).collect::<Vec<_>>().join(", ")
}
