//! What is the matter: a pure function of what the ledger says, what runs of this process told, and the time.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::alert::condition::Condition;
use crate::alert::ears::Heard;
use crate::config::{AlertEvent, Config};
use crate::model::day::DayZone;
use crate::model::figures::{counted, took};
use crate::schedule::Schedule;
use crate::status::{JobStatus, Status};

/// Days before its end at which a key is told of: once at each step.
const EXPIRY_STEPS_DAYS: [i64; 3] = [14, 7, 1];

/// Everything that the rules look at.
pub(super) struct Facts<'a> {
    /// What stands; none where the lake could not be looked at.
    pub status: Option<&'a Status>,
    /// What runs of this process told.
    pub heard: &'a Heard,
    /// The address of the lake.
    pub destination: &'a str,
    /// Why the lake cannot be looked at.
    pub destination_problem: Option<&'a str>,
    /// What is configured.
    pub config: &'a Config,
    /// The time.
    pub now: Timestamp,
    /// Since when this process starts jobs at their time; none where something else starts it.
    pub serves_since: Option<Timestamp>,
    /// Conditions that stand already, by key.
    pub stands: &'a dyn Fn(&str) -> bool,
}

impl Facts<'_> {
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
        found.extend(self.suspects());
        found.extend(self.not_entitled());
        found.extend(self.drift());
        found
    }

    /// How the last run of a job ended: as this process saw it, else as the ledger says.
    fn last_outcome<'a>(&'a self, job: &'a JobStatus) -> Option<(&'a str, Timestamp)> {
        let seen = self.heard.ended.get(&job.name);
        // The record of a run that this process saw says less, and that it began a moment later.
        let recorded = job.last_run.as_ref().filter(|run| seen.is_none_or(|seen| seen.run != run.end.run));
        let seen = seen.map(|ended| (ended.outcome, ended.started_at));
        let recorded = recorded.map(|run| (run.end.outcome.as_str(), run.end.started_at));
        seen.into_iter().chain(recorded).max_by_key(|(_, began)| *began)
    }

    fn key_rejected(&self) -> Option<Condition> {
        let seen = self.heard.ended.values().map(|ended| (ended.outcome, ended.started_at));
        let recorded = self.status.iter().flat_map(|status| &status.jobs).filter_map(|job| self.last_outcome(job));
        // The newest run tells, whichever job it was of: there is one key.
        let (outcome, since) = seen.chain(recorded).max_by_key(|(_, began)| *began)?;
        (outcome == "key_rejected").then(|| Condition {
            event: AlertEvent::KeyRejected,
            subject: String::new(),
            job: None,
            level: 0,
            is_lasting: false,
            what: "the API rejected the key (HTTP 401)".into(),
            since,
            affected: "nothing is exported until there is another key; what is there stays".into(),
            to_do: "make a new key under Settings → API Keys, put it in the place of the old one, and start profound-export again".into(),
        })
    }

    fn key_expiring(&self) -> Option<Condition> {
        let expires = self.config.api.key_expires?;
        let left = expires.since(DayZone::Utc.today(self.now));
        let steps = EXPIRY_STEPS_DAYS.iter().filter(|step| left <= **step).count();
        let level = u8::try_from(steps).ok().filter(|level| 0 < *level)?;
        Some(Condition {
            event: AlertEvent::KeyExpiring,
            subject: String::new(),
            job: None,
            level,
            is_lasting: false,
            what: match left {
                ..0 => format!("the API key expired on {expires}"),
                0 => "the API key expires today".to_owned(),
                1 => format!("the API key expires tomorrow, on {expires}"),
                _ => format!("the API key expires on {expires}, in {left} days"),
            },
            since: self.now,
            affected: "every job stops with HTTP 401 on that day".into(),
            to_do: "make a new key under Settings → API Keys, put it in the place of the old one, and write its last day as `api.key_expires`".into(),
        })
    }

    fn destination_trouble(&self) -> Option<Condition> {
        let failed =
            self.heard.ended.values().max_by_key(|ended| ended.started_at).filter(|ended| ended.at_destination);
        let of_run = failed.and_then(|ended| Some((ended.problem.clone()?, ended.hint.clone(), ended.started_at)));
        let of_look = self.destination_problem.map(|problem| (problem.to_owned(), None, self.now));
        let (problem, hint, since) = of_run.or(of_look)?;
        Some(Condition {
            event: AlertEvent::DestinationTrouble,
            subject: self.destination.to_owned(),
            job: None,
            level: 0,
            is_lasting: false,
            what: problem,
            since,
            affected: format!("nothing new reaches {}; what is there stays", self.destination),
            to_do: hint.unwrap_or_else(|| "look whether it is there, has room, and lets the credentials write".into()),
        })
    }

    fn key_used_elsewhere(&self) -> Option<Condition> {
        let most = self.config.alerts.foreign_requests;
        let seen = self.heard.foreign_within_an_hour(self.now);
        (0 < most && most < seen).then(|| Condition {
            event: AlertEvent::KeyUsedElsewhere,
            subject: String::new(),
            job: None,
            level: 0,
            is_lasting: false,
            what: format!("others sent at least {} with the same key within an hour", counted(seen, "request")),
            since: self.now,
            affected: "they spend the budget that jobs wait for".into(),
            to_do:
                "find out who uses the key, or give them one of their own; `api.reserve_requests` leaves room for them"
                    .into(),
        })
    }

    fn job_failed(&self, job: &JobStatus) -> Option<Condition> {
        let (outcome, since) = self.last_outcome(job)?;
        self.failed(&job.name, outcome, since)
    }

    /// Where the lake cannot be looked at, only this process knows how its runs ended.
    fn jobs_that_failed_without_a_lake(&self) -> Vec<Condition> {
        let known = |job: &str| self.status.is_some_and(|status| status.jobs.iter().any(|known| known.name == job));
        let unknown = self.heard.ended.values().filter(|ended| !known(&ended.job));
        unknown.filter_map(|ended| self.failed(&ended.job, ended.outcome, ended.started_at)).collect()
    }

    fn failed(&self, job: &str, outcome: &str, since: Timestamp) -> Option<Condition> {
        let seen = self.heard.ended.get(job).filter(|ended| ended.started_at == since);
        // What the destination or the key is to blame for is told as such.
        let is_told =
            matches!(outcome, "failed" | "unavailable" | "refused") && !seen.is_some_and(|run| run.at_destination);
        is_told.then(|| Condition {
            event: AlertEvent::JobFailed,
            subject: job.to_owned(),
            job: Some(job.to_owned()),
            level: 0,
            is_lasting: false,
            what: match seen {
                Some(ended) => match &ended.problem {
                    Some(problem) => format!("{}: {problem}", ended.summary),
                    None => ended.summary.clone(),
                },
                None => format!("the last run of `{job}` ended {outcome}"),
            },
            since,
            affected: "what this run did not read is as old as before; everything else is there".into(),
            to_do: seen.and_then(|ended| ended.hint.clone()).unwrap_or_else(|| {
                "the next run asks again; `profound-export status` and the log say what was left and why".into()
            }),
        })
    }

    fn job_overdue(&self, job: &JobStatus) -> Option<Condition> {
        let configured = self.config.job(&job.name).ok()?;
        let schedule = Schedule::new(configured.cron.as_ref()?, &configured.timezone).ok()?;
        // A job that never ran was perhaps configured a moment ago: nobody knows what it missed.
        // A run that waits for the API has begun, though no record says so yet.
        let begun = self.heard.began.get(&job.name).copied().max(job.last_start)?;
        let due = schedule.next_after(begun)?;
        let grace = SignedDuration::try_from(self.config.alerts.overdue_after.0).ok()?;
        // A daemon that comes back makes up what was missed, and needs nobody for it. What was told stands until it did.
        let stands = (self.stands)(&format!("{}/{}", AlertEvent::JobOverdue.name(), job.name));
        let expected = self.serves_since.filter(|_| !stands).map_or(due, |since| due.max(since));
        let is_overdue = expected.checked_add(grace).is_ok_and(|latest| latest < self.now);
        let zone = TimeZone::get(&job.timezone).unwrap_or(TimeZone::UTC);
        is_overdue.then(|| Condition {
            event: AlertEvent::JobOverdue,
            subject: job.name.clone(),
            job: Some(job.name.clone()),
            level: 0,
            is_lasting: false,
            what: format!(
                "job `{}` should have begun {}, and did not",
                job.name,
                due.to_zoned(zone).strftime("%a %-d %b at %H:%M %Z")
            ),
            since: due,
            affected: "its tables are not getting newer".into(),
            to_do: "look whether the daemon, timer or CronJob that starts it is alive".into(),
        })
    }

    fn incomplete_too_long(&self, job: &JobStatus) -> Option<Condition> {
        let lag = SignedDuration::from_secs(i64::try_from(job.lag_seconds).ok()?);
        let most = SignedDuration::try_from(self.config.alerts.incomplete_after.0).ok()?;
        let stream = job.worst_stream.as_ref().filter(|_| most < lag)?;
        let age = std::time::Duration::from_secs(job.lag_seconds);
        Some(Condition {
            event: AlertEvent::IncompleteTooLong,
            subject: job.name.clone(),
            job: Some(job.name.clone()),
            level: 0,
            is_lasting: false,
            what: format!("job `{}` owes a day of `{stream}` that ended {} ago", job.name, took(age)),
            since: self.now.checked_sub(lag).unwrap_or(self.now),
            affected: format!("`{stream}`, and perhaps other streams of the job"),
            to_do:
                "`profound-export status` says which days; `profound-export plan` says whether a run has room for them"
                    .into(),
        })
    }

    fn suspects(&self) -> Vec<Condition> {
        let suspects = self.status.iter().flat_map(|status| &status.suspects);
        let condition = |suspect: &crate::status::SuspectDays| {
            Condition {
            event: AlertEvent::StreamSuspect,
            subject: format!("{}/{}", suspect.stream, suspect.scope),
            job: None,
            level: 0,
            is_lasting: false,
            what: format!("`{}`, {}{}: {}", suspect.stream, suspect.days_words(), suspect.scope, suspect.problem),
            since: self.now,
            affected: "these days hold what was read before, or nothing".into(),
            to_do: "nothing, if the next run heals it; if it stays, the API and the catalog disagree: `profound-export check --sample`".into(),
        }
        };
        suspects.map(condition).collect()
    }

    /// What was lost as this process heard, or was told as lost before, for as long as the API says so.
    fn not_entitled(&self) -> Vec<Condition> {
        let mut found = Vec::new();
        let refused = self.status.iter().flat_map(|status| &status.not_entitled);
        for told in refused {
            for stream in &told.streams {
                let heard = self.heard.lost.get(&(stream.clone(), told.scope.clone()));
                let condition = Condition {
                    event: AlertEvent::NotEntitled,
                    subject: format!("{stream}/{}", told.scope),
                    job: None,
                    level: 0,
                    is_lasting: false,
                    what: format!("the account may not read `{stream}` of {} any more: {}", told.scope, told.detail),
                    since: heard.map_or(told.at, |(at, _)| *at),
                    affected: "the table keeps what it has, and gets no newer".into(),
                    to_do: "ask the vendor whether the plan or the rights of the key changed; else leave the stream out of the job".into(),
                };
                if heard.is_some() || (self.stands)(&condition.key()) {
                    found.push(condition);
                }
            }
        }
        found
    }

    fn drift(&self) -> Vec<Condition> {
        let drift = self.heard.drift.iter();
        let condition = |((stream, member), since): (&(String, String), &Timestamp)| Condition {
            event: AlertEvent::SchemaDrift,
            subject: format!("{stream}/{member}"),
            job: None,
            level: 0,
            is_lasting: true,
            what: format!("rows of `{stream}` hold a member `{member}` that this version does not know"),
            since: *since,
            affected: "nothing is lost: it is kept in the column `_extra`".into(),
            to_do: "a later version may give it a column; until then read it from `_extra`".into(),
        };
        drift.map(condition).collect()
    }
}

#[cfg(test)]
mod tests;
