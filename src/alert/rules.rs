//! Which conditions hold: a pure function of the ledger, of what runs of this process showed, and of the time.

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
    /// Events that cannot be judged now. What stands of them stays as it is.
    pub fn unknown(&self) -> BTreeSet<AlertEvent> {
        AlertEvent::ALL.into_iter().filter(|event| !self.can_judge(*event)).collect()
    }

    fn can_judge(&self, event: AlertEvent) -> bool {
        use AlertEvent as E;
        match event {
            E::KeyExpiring | E::KeyUsedElsewhere => true,
            // A lake that is only slow says neither.
            E::DestinationTrouble => self.status.is_some() || self.destination_problem.is_some(),
            // Only the ledger knows.
            E::KeyRejected | E::JobFailed | E::JobOverdue | E::IncompleteTooLong => self.status.is_some(),
            E::StreamSuspect | E::NotEntitled => self.status.is_some() && self.is_between_runs(),
            E::SchemaDrift => self.is_between_runs(),
        }
    }

    /// What a run finds is told when it has ended: then it is known how much it is.
    fn is_between_runs(&self) -> bool {
        self.observations.running.is_empty() || self.observations.has_finished
    }

    /// Everything that is the matter.
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
        found.retain(|found| !is_of_data(found.event) || self.can_judge(found.event));
        found
    }

    /// How the last run of a job ended: as this process saw it, else as the ledger says.
    fn last_outcome(&self, job: &JobStatus) -> Option<(Outcome, Timestamp)> {
        let seen = self.observations.finished.get(&job.name);
        // The ledger says a moment later when a run began.
        let is_seen = job.last_run.as_ref().zip(seen).is_some_and(|(run, seen)| run.end.run == seen.run);
        let seen = seen.map(|ended| (ended.outcome, ended.started_at));
        seen.into_iter().chain(recorded(job).filter(|_| !is_seen)).max_by_key(|(_, began)| *began)
    }

    fn key_rejected(&self) -> Option<Condition> {
        let seen = self.observations.finished.values().map(|ended| (ended.outcome, ended.started_at));
        let recorded = self.status.iter().flat_map(|status| &status.jobs).filter_map(recorded);
        // The newest run that used the key tells, whichever job it was of: there is one key.
        let used = |(outcome, _): &(Outcome, _)| !matches!(outcome, Outcome::Unavailable | Outcome::ConfigMismatch);
        let (outcome, since) = seen.chain(recorded).filter(used).max_by_key(|(_, began)| *began)?;
        (outcome == Outcome::KeyRejected).then(|| Condition {
            what: "the API rejected the key (HTTP 401)".into(),
            affected: "nothing is exported until there is another key; what is there stays".into(),
            to_do: "make a new key under Settings → API Keys, put it in the place of the old one, and start profound-export again".into(),
            ..Condition::new(AlertEvent::KeyRejected, "", since)
        })
    }

    fn key_expiring(&self) -> Option<Condition> {
        let expires = self.config.api.key_expires?;
        let left = expires.since(DayZone::Utc.today(self.now));
        (left <= EXPIRY_DAYS).then(|| Condition {
            what: match left {
                ..0 => format!("the API key expired on {expires}"),
                0 => "the API key expires today".to_owned(),
                1 => format!("the API key expires tomorrow, on {expires}"),
                _ => format!("the API key expires on {expires}, in {left} days"),
            },
            affected: "every job stops with HTTP 401 on that day".into(),
            to_do: "make a new key under Settings → API Keys, put it in the place of the old one, and write its last day as `api.key_expires`".into(),
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
            what: problem,
            affected: format!("nothing new reaches {}; what is there stays", self.destination),
            to_do: hint.unwrap_or_else(|| "look whether it is there, has room, and lets the credentials write".into()),
            ..Condition::new(AlertEvent::DestinationTrouble, self.destination, since)
        })
    }

    fn key_used_elsewhere(&self) -> Option<Condition> {
        let limit = self.config.alerts.external_requests;
        let is_exceeded = limit > 0 && self.observations.external_requests_of_the_last_hour(self.now) > limit;
        is_exceeded.then(|| Condition {
            what: format!(
                "others sent more than {} with the same key within an hour",
                format_count(limit, "request")
            ),
            affected: "they use the rate limit that jobs wait for".into(),
            to_do: "find out who uses the key, or give them one of their own; `api.reserve_requests` reserves requests for them"
                .into(),
            ..Condition::new(AlertEvent::KeyUsedElsewhere, "", self.now)
        })
    }

    fn job_failed(&self, job: &JobStatus) -> Option<Condition> {
        let (outcome, since) = self.last_outcome(job)?;
        self.failed(&job.name, outcome, since)
    }

    /// Where the lake cannot be looked at, only this process knows how its runs ended.
    fn jobs_that_failed_without_a_lake(&self) -> Vec<Condition> {
        let known = |job: &str| self.status.is_some_and(|status| status.jobs.iter().any(|known| known.name == job));
        let unknown = self.observations.finished.values().filter(|ended| !known(&ended.job));
        unknown.filter_map(|ended| self.failed(&ended.job, ended.outcome, ended.started_at)).collect()
    }

    fn failed(&self, job: &str, outcome: Outcome, since: Timestamp) -> Option<Condition> {
        let seen = self.observations.finished.get(job).filter(|ended| ended.started_at == since);
        // What the destination or the key is to blame for is told as such.
        let is_told = outcome.is_failure()
            && outcome != Outcome::KeyRejected
            && !seen.is_some_and(|run| run.is_destination_error);
        is_told.then(|| Condition {
            job: Some(job.to_owned()),
            what: match seen {
                Some(ended) => match &ended.problem {
                    Some(problem) => format!("{}: {problem}", ended.summary),
                    None => ended.summary.clone(),
                },
                None => format!("the last run of `{job}` ended {outcome}"),
            },
            affected: "what this run did not read is as old as before; everything else is there".into(),
            to_do: seen.and_then(|ended| ended.hint.clone()).unwrap_or_else(|| {
                "the next run asks again; `profound-export status` and the log say what was left and why".into()
            }),
            ..Condition::new(AlertEvent::JobFailed, job, since)
        })
    }

    fn job_overdue(&self, job: &JobStatus) -> Option<Condition> {
        let configured = self.config.job(&job.name).ok()?;
        let schedule = Schedule::new(configured.cron.as_ref()?, &configured.timezone).ok()?;
        // Starts that fall into a run, of this job or of one that it waits for, are served right after it.
        if job.running_since.is_some() || !self.observations.running.is_empty() {
            return None;
        }
        // A job that never ran was perhaps configured a moment ago: nobody knows what it missed.
        // A run that waits for the API has begun, though no record says so yet.
        let begun = self.observations.started.get(&job.name).copied().max(job.last_start)?;
        let due = schedule.next_after(begun)?;
        let grace = SignedDuration::try_from(self.config.alerts.overdue_after.0).ok()?;
        // A daemon that was down, or has just read another schedule, makes up for what was missed, and needs nobody for it.
        // What was told stands until it did.
        let stands = self.state.firing_condition(&key(AlertEvent::JobOverdue, &job.name)).is_some();
        let could_begin = self.observations.idle_since.filter(|_| !stands).map_or(due, |free| free.max(due));
        let is_overdue = could_begin.checked_add(grace).is_ok_and(|latest| latest < self.now);
        let zone = TimeZone::get(&job.timezone).unwrap_or(TimeZone::UTC);
        is_overdue.then(|| Condition {
            job: Some(job.name.clone()),
            what: format!(
                "job `{}` should have begun {}, and did not",
                job.name,
                due.to_zoned(zone).strftime("%a %-d %b at %H:%M %Z")
            ),
            affected: "its tables are not getting newer".into(),
            to_do: "look whether the daemon, timer or CronJob that starts it is alive".into(),
            ..Condition::new(AlertEvent::JobOverdue, &job.name, due)
        })
    }

    fn incomplete_too_long(&self, job: &JobStatus) -> Option<Condition> {
        let lag = SignedDuration::from_secs(i64::try_from(job.lag_seconds).ok()?);
        let most = SignedDuration::try_from(self.config.alerts.incomplete_after.0).ok()?;
        let stream = job.worst_stream.as_ref().filter(|_| most < lag)?;
        // Days end at whole seconds; what is left of the present one must not change the words each time.
        let ended = Timestamp::from_second(self.now.as_second() - lag.as_secs()).unwrap_or(self.now);
        Some(Condition {
            job: Some(job.name.clone()),
            what: format!(
                "job `{}` still owes a day of `{stream}` that ended {}, longer ago than {}",
                job.name,
                ended.strftime("%a %-d %b at %H:%M UTC"),
                self.config.alerts.incomplete_after
            ),
            affected: format!("`{stream}`, and perhaps other streams of the job"),
            to_do:
                "`profound-export status` says which days; `profound-export plan` says whether a run has room for them"
                    .into(),
            ..Condition::new(AlertEvent::IncompleteTooLong, &job.name, ended)
        })
    }
}

/// How the last run of a job ended, as the ledger says.
fn recorded(job: &JobStatus) -> Option<(Outcome, Timestamp)> {
    job.last_run.as_ref().map(|run| (run.end.outcome, run.end.started_at))
}

#[cfg(test)]
mod tests;
