//! The firing conditions: a pure function of the ledger, the observations of this process, and the time.

mod found;

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::alert::condition::{Condition, key};
use crate::alert::observer::RunObservations;
use crate::alert::state::AlertState;
use crate::config::{AlertEvent, Config};
use crate::model::day::DayZone;
use crate::model::format::format_count;
use crate::model::outcome::Outcome;
use crate::schedule::Schedule;
use crate::status::{JobStatus, Status};

/// Days before the end of a key at which its alert fires.
const EXPIRY_DAYS: i64 = 14;

pub(super) struct AlertInputs<'a> {
    /// None if the lake is unavailable.
    pub status: Option<&'a Status>,
    pub observations: &'a RunObservations,
    /// The address of the lake.
    pub destination: &'a str,
    /// Why the lake is unavailable.
    pub destination_problem: Option<&'a str>,
    pub config: &'a Config,
    pub now: Timestamp,
    /// The alerts so far.
    pub state: &'a AlertState,
}

impl AlertInputs<'_> {
    /// Events that cannot be evaluated now, whose alerts keep their state.
    pub fn unknown(&self) -> BTreeSet<AlertEvent> {
        AlertEvent::ALL.into_iter().filter(|event| !self.can_evaluate(*event)).collect()
    }

    fn can_evaluate(&self, event: AlertEvent) -> bool {
        use AlertEvent as E;
        match event {
            E::KeyExpiring | E::KeyUsedElsewhere => true,
            // While a slow lake responds, neither is known.
            E::DestinationTrouble => self.status.is_some() || self.destination_problem.is_some(),
            // Evaluated from the ledger.
            E::KeyRejected | E::JobFailed | E::JobOverdue | E::IncompleteTooLong => self.status.is_some(),
            E::StreamSuspect | E::NotEntitled => self.status.is_some() && self.is_between_runs(),
            E::SchemaDrift => self.is_between_runs(),
        }
    }

    /// A run in progress has seen only a part, and its alert would be incomplete.
    fn is_between_runs(&self) -> bool {
        self.observations.running.is_empty() || self.observations.has_finished
    }

    /// The firing conditions.
    pub fn conditions(&self) -> Vec<Condition> {
        let mut found = Vec::new();
        found.extend(self.key_rejected());
        found.extend(self.key_expiring());
        found.extend(self.destination_trouble());
        found.extend(self.key_used_elsewhere());
        for job in self.status.iter().flat_map(|status| &status.jobs) {
            found.extend(self.job_failed(job));
            found.extend(self.job_overdue(job));
            found.extend(self.incomplete_too_long(job));
        }
        found.extend(self.jobs_that_failed_without_a_lake());
        found.extend(self.suspect_days());
        found.extend(self.lost_access());
        found.extend(self.schema_drift());
        let is_of_data =
            |event| matches!(event, AlertEvent::StreamSuspect | AlertEvent::NotEntitled | AlertEvent::SchemaDrift);
        found.retain(|found| !is_of_data(found.event) || self.can_evaluate(found.event));
        found
    }

    /// How the last run of a job ended: as this process observed it, else as recorded.
    fn last_outcome(&self, job: &JobStatus) -> Option<(Outcome, Timestamp)> {
        let seen = self.observations.finished.get(&job.name);
        // The recorded start of a run is a moment later.
        let is_seen = job.last_run.as_ref().zip(seen).is_some_and(|(run, seen)| run.end.run == seen.run);
        let seen = seen.map(|ended| (ended.outcome, ended.started_at));
        seen.into_iter().chain(recorded(job).filter(|_| !is_seen)).max_by_key(|(_, began)| *began)
    }

    fn key_rejected(&self) -> Option<Condition> {
        let seen = self.observations.finished.values().map(|ended| (ended.outcome, ended.started_at));
        let recorded = self.status.iter().flat_map(|status| &status.jobs).filter_map(recorded);
        // The newest run that used the key decides, whatever its job: there is one key.
        let used = |(outcome, _): &(Outcome, _)| !matches!(outcome, Outcome::Unavailable | Outcome::ConfigMismatch);
        let (outcome, since) = seen.chain(recorded).filter(used).max_by_key(|(_, began)| *began)?;
        (outcome == Outcome::KeyRejected).then(|| Condition {
            summary: "the API rejected the key (HTTP 401)".into(),
            impact: "nothing is exported until the key is replaced; published files are kept".into(),
            action: "create a key under Settings → API Keys, replace the old one, and restart profound-export".into(),
            ..Condition::new(AlertEvent::KeyRejected, "", since)
        })
    }

    fn key_expiring(&self) -> Option<Condition> {
        let expires = self.config.api.key_expires?;
        let left = expires.since(DayZone::Utc.today(self.now));
        (left <= EXPIRY_DAYS).then(|| Condition {
            summary: match left {
                ..0 => format!("the API key expired on {expires}"),
                0 => "the API key expires today".to_owned(),
                1 => format!("the API key expires tomorrow, on {expires}"),
                _ => format!("the API key expires on {expires}, in {left} days"),
            },
            impact: "every job stops with HTTP 401 on that day".into(),
            action:
                "create a key under Settings → API Keys, replace the old one, and set its last day as `api.key_expires`"
                    .into(),
            ..Condition::new(AlertEvent::KeyExpiring, "", self.now)
        })
    }

    fn destination_trouble(&self) -> Option<Condition> {
        let failed = self
            .observations
            .finished
            .values()
            .max_by_key(|ended| ended.started_at)
            .filter(|ended| ended.is_destination_error);
        let of_run = failed.and_then(|ended| Some((ended.problem.clone()?, ended.hint.clone(), ended.started_at)));
        let of_look = self.destination_problem.map(|problem| (problem.to_owned(), None, self.now));
        let (problem, hint, since) = of_run.or(of_look)?;
        Some(Condition {
            summary: problem,
            impact: format!("nothing new is published to {}; published files are kept", self.destination),
            action: hint
                .unwrap_or_else(|| "check that it exists, has space, and that the credentials can write".into()),
            ..Condition::new(AlertEvent::DestinationTrouble, self.destination, since)
        })
    }

    fn key_used_elsewhere(&self) -> Option<Condition> {
        let limit = self.config.alerts.external_requests;
        let is_exceeded = limit > 0 && self.observations.external_requests_of_the_last_hour(self.now) > limit;
        is_exceeded.then(|| Condition {
            summary: format!(
                "more than {} within an hour were sent by others with this key",
                format_count(limit, "request")
            ),
            impact: "they use the rate limit, so jobs wait longer".into(),
            action:
                "find out who uses the key and give them their own; `api.reserve_requests` reserves requests for them"
                    .into(),
            ..Condition::new(AlertEvent::KeyUsedElsewhere, "", self.now)
        })
    }

    fn job_failed(&self, job: &JobStatus) -> Option<Condition> {
        let (outcome, since) = self.last_outcome(job)?;
        self.failed(&job.name, outcome, since)
    }

    /// If the lake is unavailable, only this process knows how its runs ended.
    fn jobs_that_failed_without_a_lake(&self) -> Vec<Condition> {
        let known = |job: &str| self.status.is_some_and(|status| status.jobs.iter().any(|known| known.name == job));
        let unknown = self.observations.finished.values().filter(|ended| !known(&ended.job));
        unknown.filter_map(|ended| self.failed(&ended.job, ended.outcome, ended.started_at)).collect()
    }

    fn failed(&self, job: &str, outcome: Outcome, since: Timestamp) -> Option<Condition> {
        let seen = self.observations.finished.get(job).filter(|ended| ended.started_at == since);
        // A failure of the destination or the key has its own alert.
        let is_firing = outcome.is_failure()
            && outcome != Outcome::KeyRejected
            && !seen.is_some_and(|run| run.is_destination_error);
        is_firing.then(|| Condition {
            job: Some(job.to_owned()),
            summary: match seen {
                Some(ended) => match &ended.problem {
                    Some(problem) => format!("{}: {problem}", ended.summary),
                    None => ended.summary.clone(),
                },
                None => format!("the last run of `{job}` ended {outcome}"),
            },
            impact: "days that this run did not extract keep their published files; everything else is current".into(),
            action: seen.and_then(|ended| ended.hint.clone()).unwrap_or_else(|| {
                "the next run retries; `profound-export status` and the log say what was deferred and why".into()
            }),
            ..Condition::new(AlertEvent::JobFailed, job, since)
        })
    }

    fn job_overdue(&self, job: &JobStatus) -> Option<Condition> {
        let configured = self.config.job(&job.name).ok()?;
        let schedule = Schedule::new(configured.cron.as_ref()?, &configured.timezone).ok()?;
        // A run that becomes due during another run starts right after it.
        if job.running_since.is_some() || !self.observations.running.is_empty() {
            return None;
        }
        // A job that never ran may have been configured a moment ago, so it has missed nothing. A run that waits for the API has
        // started, although it has no record yet.
        let started = self.observations.started.get(&job.name).copied().max(job.last_start)?;
        let due = schedule.next_after(started)?;
        let grace = SignedDuration::try_from(self.config.alerts.overdue_after.0).ok()?;
        // A daemon that was down or reloaded catches up by itself, so it gets the grace from then on. A firing alert fires until it
        // caught up.
        let is_firing = self.state.firing_condition(&key(AlertEvent::JobOverdue, &job.name)).is_some();
        let could_begin = self.observations.idle_since.filter(|_| !is_firing).map_or(due, |free| free.max(due));
        let is_overdue = could_begin.checked_add(grace).is_ok_and(|latest| latest < self.now);
        let zone = TimeZone::get(&job.timezone).unwrap_or(TimeZone::UTC);
        is_overdue.then(|| Condition {
            job: Some(job.name.clone()),
            summary: format!(
                "job `{}` was due {} and did not start",
                job.name,
                due.to_zoned(zone).strftime("%a %-d %b at %H:%M %Z")
            ),
            impact: "its tables get no new days".into(),
            action: "check the daemon, timer or CronJob that starts it".into(),
            ..Condition::new(AlertEvent::JobOverdue, &job.name, due)
        })
    }

    fn incomplete_too_long(&self, job: &JobStatus) -> Option<Condition> {
        let lag = SignedDuration::from_secs(i64::try_from(job.lag_seconds).ok()?);
        let most = SignedDuration::try_from(self.config.alerts.incomplete_after.0).ok()?;
        let stream = job.worst_stream.as_ref().filter(|_| most < lag)?;
        // Days end at whole seconds: fractions would change the summary with each evaluation.
        let ended = Timestamp::from_second(self.now.as_second() - lag.as_secs()).unwrap_or(self.now);
        Some(Condition {
            job: Some(job.name.clone()),
            summary: format!(
                "job `{}` has not exported a day of `{stream}` that ended {}, more than {} ago",
                job.name,
                ended.strftime("%a %-d %b at %H:%M UTC"),
                self.config.alerts.incomplete_after
            ),
            impact: format!("`{stream}`, and possibly other streams of the job"),
            action:
                "`profound-export status` lists the days; `profound-export plan` says whether a run has enough requests for them"
                    .into(),
            ..Condition::new(AlertEvent::IncompleteTooLong, &job.name, ended)
        })
    }
}

/// How the last run of a job ended according to the ledger.
fn recorded(job: &JobStatus) -> Option<(Outcome, Timestamp)> {
    job.last_run.as_ref().map(|run| (run.end.outcome, run.end.started_at))
}

#[cfg(test)]
mod tests;
