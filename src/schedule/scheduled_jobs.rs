//! When jobs are due, as plain values: the caller passes the time, so tests can simulate any year in a moment.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::model::outcome::Outcome;
use crate::schedule::cron::Schedule;

/// Wait after a first run that could not reach the API or the destination; it doubles with each further one.
const FIRST_RETRY: SignedDuration = SignedDuration::from_mins(5);
const LONGEST_RETRY: SignedDuration = SignedDuration::from_mins(60);

/// The last run of a job before the daemon started, as the ledger records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviousRun {
    pub started_at: Timestamp,
    /// It was killed, or stopped with work left that was due.
    pub is_interrupted: bool,
}

/// Why a run is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    Scheduled,
    /// Its time came while another run was active, of this job or another.
    Delayed,
    /// Its time came while no daemon ran.
    Missed,
    /// The previous run was interrupted.
    Resume,
    /// The previous run could not reach the API or the destination.
    Retry,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRun {
    pub job: String,
    /// The scheduled time.
    pub at: Timestamp,
    pub trigger: Trigger,
}

/// The next run of every job that has a schedule, in the order of the configuration, which decides between runs that are due at
/// the same time.
#[derive(Debug, Clone)]
pub struct ScheduledJobs(Vec<ScheduledJob>);

#[derive(Debug, Clone)]
struct ScheduledJob {
    job: String,
    schedule: Schedule,
    /// None only at the end of the calendar.
    next: Option<(Timestamp, Trigger)>,
    /// Consecutive runs that could not reach the API or the destination.
    unavailable_runs: u32,
}

impl ScheduledJobs {
    /// A run that became due since the job's last run was missed, and is due at once; so is a job whose last run was interrupted.
    /// A job that never ran waits for its first scheduled time: its schedule may be a minute old.
    pub fn new(
        schedules: Vec<(String, Schedule)>,
        previous_runs: &BTreeMap<String, PreviousRun>,
        now: Timestamp,
    ) -> Self {
        let job = |(job, schedule): (String, Schedule)| {
            let previous = previous_runs.get(&job);
            let missed = previous.and_then(|run| schedule.next_after(run.started_at)).filter(|at| *at <= now);
            let next = match (missed, previous) {
                (Some(at), _) => Some((at, Trigger::Missed)),
                (None, Some(PreviousRun { is_interrupted: true, .. })) => Some((now, Trigger::Resume)),
                _ => next_scheduled(&schedule, now),
            };
            ScheduledJob { job, schedule, next, unavailable_runs: 0 }
        };
        Self(schedules.into_iter().map(job).collect())
    }

    /// The earliest next run of all jobs.
    pub fn next(&self) -> Option<Timestamp> {
        self.0.iter().filter_map(|job| job.next.map(|(at, _)| at)).min()
    }

    /// The next run of each job.
    pub fn upcoming(&self) -> impl Iterator<Item = (&str, &Schedule, Timestamp)> {
        self.0.iter().filter_map(|job| Some((job.job.as_str(), &job.schedule, job.next?.0)))
    }

    /// The run that has been due for longest.
    pub fn due(&self, now: Timestamp) -> Option<DueRun> {
        let runs = self.0.iter().filter_map(|job| job.next.map(|(at, trigger)| (at, trigger, &job.job)));
        let (at, trigger, job) = runs.filter(|(at, ..)| *at <= now).min_by_key(|(at, ..)| *at)?;
        Some(DueRun { job: job.clone(), at, trigger })
    }

    /// A run of `job` ended at `now`. A complete run covers the times of the job that passed meanwhile; any other is followed by
    /// another at once, if at least one passed. Other jobs that became due run once each.
    pub fn record_run(&mut self, job: &str, started_at: Timestamp, now: Timestamp, outcome: Outcome) {
        for scheduled in &mut self.0 {
            if scheduled.job == job {
                scheduled.next = scheduled.next_after_run(started_at, now, outcome);
            } else if let Some((at, trigger @ Trigger::Scheduled)) = &mut scheduled.next
                && (started_at..=now).contains(at)
            {
                *trigger = Trigger::Delayed;
            }
        }
    }

    /// Replaces the schedules. A run that is due already and waits for another to end still follows it.
    pub fn reschedule(&mut self, schedules: Vec<(String, Schedule)>, now: Timestamp) {
        let job = |(job, schedule): (String, Schedule)| {
            let waiting = self.0.iter().find(|old| old.job == job).and_then(|old| old.next);
            let next = waiting.filter(|(at, _)| *at <= now).or_else(|| next_scheduled(&schedule, now));
            ScheduledJob { job, schedule, next, unavailable_runs: 0 }
        };
        self.0 = schedules.into_iter().map(job).collect();
    }
}

impl ScheduledJob {
    fn next_after_run(
        &mut self,
        started_at: Timestamp,
        now: Timestamp,
        outcome: Outcome,
    ) -> Option<(Timestamp, Trigger)> {
        let next = next_scheduled(&self.schedule, now);
        if outcome == Outcome::Unavailable {
            let wait = (FIRST_RETRY * 2_i32.pow(self.unavailable_runs.min(10))).min(LONGEST_RETRY);
            self.unavailable_runs += 1;
            let retry = now.checked_add(wait).ok().map(|at| (at, Trigger::Retry));
            return retry.into_iter().chain(next).min_by_key(|(at, _)| *at);
        }
        self.unavailable_runs = 0;
        let passed = self.schedule.next_after(started_at).filter(|at| *at <= now);
        match passed {
            Some(at) if outcome != Outcome::Complete => Some((at, Trigger::Delayed)),
            _ => next,
        }
    }
}

fn next_scheduled(schedule: &Schedule, now: Timestamp) -> Option<(Timestamp, Trigger)> {
    schedule.next_after(now).map(|at| (at, Trigger::Scheduled))
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, ToSpan};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn schedule(cron: &str, zone: &str) -> Schedule {
        Schedule::new(cron, zone).unwrap()
    }

    /// Simulates `jobs`: every run until `end`, each of which takes `length` and ends as `outcome`, in local time.
    fn simulate(
        mut jobs: ScheduledJobs,
        from: &str,
        end: &str,
        length: SignedDuration,
        outcome: Outcome,
        zone: &str,
    ) -> Vec<String> {
        let (mut now, end) = (at(from), at(end));
        let mut seen = Vec::new();
        while now < end {
            if let Some(due) = jobs.due(now) {
                let shown = now.in_tz(zone).unwrap().strftime("%m-%d %H:%M %Z").to_string();
                seen.push(format!("{} {shown} {:?}", due.job, due.trigger));
                let began = now;
                now += length;
                jobs.record_run(&due.job, began, now, outcome);
            } else {
                now += 1.minute();
            }
        }
        seen
    }

    fn one(cron: &str, zone: &str, from: &str) -> ScheduledJobs {
        ScheduledJobs::new(vec![("nightly".into(), schedule(cron, zone))], &BTreeMap::new(), at(from))
    }

    #[test]
    fn skipped_time_runs_once_where_the_clock_jumps() {
        let from = "2026-03-07T00:00:00Z";
        let jobs = one("30 2 * * *", "America/New_York", from);
        let seen = simulate(
            jobs,
            from,
            "2026-03-10T00:00:00Z",
            5.minutes().try_into().unwrap(),
            Outcome::Complete,
            "America/New_York",
        );
        assert_eq!(
            seen,
            [
                "nightly 03-07 02:30 EST Scheduled",
                "nightly 03-08 03:00 EDT Scheduled",
                "nightly 03-09 02:30 EDT Scheduled"
            ]
        );
    }

    #[test]
    fn repeated_time_runs_once() {
        let from = "2026-10-31T00:00:00Z";
        let jobs = one("30 1 * * *", "America/New_York", from);
        let seen = simulate(
            jobs,
            from,
            "2026-11-03T00:00:00Z",
            5.minutes().try_into().unwrap(),
            Outcome::Complete,
            "America/New_York",
        );
        assert_eq!(
            seen,
            [
                "nightly 10-31 01:30 EDT Scheduled",
                "nightly 11-01 01:30 EDT Scheduled",
                "nightly 11-02 01:30 EST Scheduled"
            ]
        );
    }

    #[test]
    fn local_time_keeps_its_hour_across_daylight_saving() {
        let from = "2026-10-23T00:00:00Z";
        let jobs = one("0 19 * * *", "Europe/Berlin", from);
        let seen = simulate(
            jobs,
            from,
            "2026-10-27T00:00:00Z",
            5.minutes().try_into().unwrap(),
            Outcome::Complete,
            "Europe/Berlin",
        );
        assert_eq!(
            seen,
            [
                "nightly 10-23 19:00 CEST Scheduled",
                "nightly 10-24 19:00 CEST Scheduled",
                "nightly 10-25 19:00 CET Scheduled",
                "nightly 10-26 19:00 CET Scheduled"
            ]
        );
    }

    #[test]
    fn complete_run_covers_times_that_passed_meanwhile() {
        let from = "2026-03-10T00:30:00Z";
        let ninety = SignedDuration::from_mins(90);
        let seen =
            simulate(one("0 * * * *", "UTC", from), from, "2026-03-10T05:59:00Z", ninety, Outcome::Complete, "UTC");
        assert_eq!(
            seen,
            [
                "nightly 03-10 01:00 UTC Scheduled",
                "nightly 03-10 03:00 UTC Scheduled",
                "nightly 03-10 05:00 UTC Scheduled"
            ]
        );
    }

    #[test]
    fn incomplete_run_is_followed_by_a_delayed_one() {
        let from = "2026-03-10T00:30:00Z";
        let hour = SignedDuration::from_mins(60);
        let seen =
            simulate(one("0 * * * *", "UTC", from), from, "2026-03-10T03:59:00Z", hour, Outcome::Incomplete, "UTC");
        assert_eq!(
            seen,
            ["nightly 03-10 01:00 UTC Scheduled", "nightly 03-10 02:00 UTC Delayed", "nightly 03-10 03:00 UTC Delayed"]
        );
    }

    #[test]
    fn jobs_due_at_the_same_time_run_in_the_order_of_the_file() {
        let from = "2026-03-10T00:30:00Z";
        let schedules =
            vec![("zebra".into(), schedule("0 1 * * *", "UTC")), ("alpha".into(), schedule("0 1 * * *", "UTC"))];
        let jobs = ScheduledJobs::new(schedules, &BTreeMap::new(), at(from));
        let ten = SignedDuration::from_mins(10);
        let seen = simulate(jobs, from, "2026-03-10T02:00:00Z", ten, Outcome::Incomplete, "UTC");
        assert_eq!(seen, ["zebra 03-10 01:00 UTC Scheduled", "alpha 03-10 01:10 UTC Delayed"]);
    }

    #[test]
    fn missed_runs_are_caught_up_once() {
        let last = PreviousRun { started_at: at("2026-03-01T06:30:00Z"), is_interrupted: false };
        let from = "2026-03-10T12:00:00Z";
        let jobs = ScheduledJobs::new(
            vec![("nightly".into(), schedule("30 6 * * *", "UTC"))],
            &[("nightly".to_owned(), last)].into(),
            at(from),
        );
        let seen = simulate(jobs, from, "2026-03-11T12:00:00Z", SignedDuration::from_mins(5), Outcome::Complete, "UTC");
        assert_eq!(seen, ["nightly 03-10 12:00 UTC Missed", "nightly 03-11 06:30 UTC Scheduled"]);
    }

    #[test]
    fn interrupted_run_resumes_when_the_daemon_starts() {
        let now = at("2026-03-10T12:00:00Z");
        let due = |is_interrupted| {
            let last = PreviousRun { started_at: at("2026-03-10T06:30:00Z"), is_interrupted };
            let schedules = vec![("nightly".to_owned(), schedule("30 6 * * *", "UTC"))];
            ScheduledJobs::new(schedules, &[("nightly".to_owned(), last)].into(), now).due(now)
        };
        assert_eq!(due(true).map(|due| due.trigger), Some(Trigger::Resume));
        assert_eq!(due(false), None);
    }

    #[test]
    fn unavailable_run_is_retried_with_backoff_until_the_next_one() {
        let from = "2026-03-10T06:00:00Z";
        let seen = simulate(
            one("30 6,9 * * *", "UTC", from),
            from,
            "2026-03-10T09:40:00Z",
            SignedDuration::ZERO,
            Outcome::Unavailable,
            "UTC",
        );
        assert_eq!(
            seen,
            [
                "nightly 03-10 06:30 UTC Scheduled",
                "nightly 03-10 06:35 UTC Retry",
                "nightly 03-10 06:45 UTC Retry",
                "nightly 03-10 07:05 UTC Retry",
                "nightly 03-10 07:45 UTC Retry",
                "nightly 03-10 08:45 UTC Retry",
                "nightly 03-10 09:30 UTC Scheduled"
            ]
        );
    }

    #[test]
    fn reload_reschedules_and_keeps_a_run_that_is_due() {
        let mut jobs = one("0 1 * * *", "UTC", "2026-03-10T00:30:00Z");
        let now = at("2026-03-10T01:10:00Z");
        jobs.reschedule(vec![("nightly".into(), schedule("0 5 * * *", "UTC"))], now);
        assert_eq!(jobs.due(now).map(|due| due.at), Some(at("2026-03-10T01:00:00Z")));
        jobs.record_run("nightly", now, now, Outcome::Complete);
        assert_eq!(jobs.next(), Some(at("2026-03-10T05:00:00Z")));
        jobs.reschedule(vec![("nightly".into(), schedule("0 3 * * *", "UTC"))], now);
        assert_eq!(jobs.next(), Some(at("2026-03-10T03:00:00Z")));
    }
}
