//! When jobs are due. Plain values: the time is told, so that any year can be tried in a moment.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::schedule::Schedule;

/// After a run that could not begin, the next try comes this much later; twice that after another one, and so on.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_mins(5);
/// No try comes later than this.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(60);

/// The last run of a job that is known of when the daemon starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRun {
    /// When it began.
    pub began: Timestamp,
    /// Whether it was killed, or stopped with something left that was due.
    pub cut_short: bool,
}

/// How a run ended, as far as its job's next start goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything that was due is there.
    Complete,
    /// Something is left.
    Left,
    /// The API or the destination could not be used.
    Unavailable,
    /// No job may run any more.
    Fatal,
}

/// Why a job is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its time has come.
    Scheduled,
    /// Its time came while another run was under way, its own or another job's.
    AfterARun,
    /// Its time came while nobody was there to start it.
    Missed,
    /// Its last run was cut short.
    GoesOn,
    /// The API or the destination could not be used the last time.
    TriedAgain,
}

/// A start that has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The job.
    pub job: String,
    /// When it was to start.
    pub at: Timestamp,
    /// Why it starts now.
    pub why: Why,
}

/// The next start of every job that has a schedule.
#[derive(Debug, Clone)]
pub struct Starts {
    /// In the order of the configuration, which decides between starts of the same moment.
    jobs: Vec<Upcoming>,
}

#[derive(Debug, Clone)]
struct Upcoming {
    job: String,
    schedule: Schedule,
    /// None only at the end of the calendar.
    next: Option<(Timestamp, Why)>,
    /// Runs in a row for which API or destination could not be used.
    in_vain: u32,
}

impl Starts {
    /// The starts from `now` on. A start that came since a job's last run was missed, and is due at once; so is a job
    /// whose last run was cut short. A job that never ran waits for its time.
    pub fn new(schedules: Vec<(String, Schedule)>, last_runs: &BTreeMap<String, LastRun>, now: Timestamp) -> Self {
        let upcoming = |(job, schedule): (String, Schedule)| {
            let missed = |last: &LastRun| schedule.next_after(last.began).filter(|at| *at <= now);
            let next = match last_runs.get(&job) {
                Some(last) if missed(last).is_some() => missed(last).map(|at| (at, Why::Missed)),
                Some(LastRun { cut_short: true, .. }) => Some((now, Why::GoesOn)),
                _ => scheduled(&schedule, now),
            };
            Upcoming { job, schedule, next, in_vain: 0 }
        };
        Self { jobs: schedules.into_iter().map(upcoming).collect() }
    }

    /// The earliest start of all.
    pub fn next(&self) -> Option<Timestamp> {
        self.jobs.iter().filter_map(|job| job.next.map(|(at, _)| at)).min()
    }

    /// The next start of each job.
    pub fn upcoming(&self) -> impl Iterator<Item = (&str, &Schedule, Timestamp)> {
        self.jobs.iter().filter_map(|job| Some((job.job.as_str(), &job.schedule, job.next?.0)))
    }

    /// The earliest start that has come by `now`.
    pub fn due(&self, now: Timestamp) -> Option<Start> {
        let due = self.jobs.iter().filter_map(|job| job.next.map(|(at, why)| (at, why, &job.job)));
        let (at, why, job) = due.filter(|(at, ..)| *at <= now).min_by_key(|(at, ..)| *at)?;
        Some(Start { job: job.clone(), at, why })
    }

    /// A run of `job` that began at `began` ended at `now`. Starts of the job that fell into it are covered when it left
    /// nothing; else one of them follows at once. A run that was in vain is tried again before the next start. Starts of
    /// other jobs wait, each once.
    pub fn ended(&mut self, job: &str, began: Timestamp, now: Timestamp, ended: Ended) {
        for upcoming in &mut self.jobs {
            if upcoming.job == job {
                upcoming.next = upcoming.after(began, now, ended);
            } else if let Some((at, why @ Why::Scheduled)) = &mut upcoming.next
                && began <= *at
                && *at <= now
            {
                *why = Why::AfterARun;
            }
        }
    }

    /// Takes other schedules. A start that has come and waits for a run to end still follows it.
    pub fn reschedule(&mut self, schedules: Vec<(String, Schedule)>, now: Timestamp) {
        let upcoming = |(job, schedule): (String, Schedule)| {
            let waiting = self.jobs.iter().find(|old| old.job == job).and_then(|old| old.next);
            let next = waiting.filter(|(at, _)| *at <= now).or_else(|| scheduled(&schedule, now));
            Upcoming { job, schedule, next, in_vain: 0 }
        };
        self.jobs = schedules.into_iter().map(upcoming).collect();
    }
}

impl Upcoming {
    /// The start after a run.
    fn after(&mut self, began: Timestamp, now: Timestamp, ended: Ended) -> Option<(Timestamp, Why)> {
        let next = scheduled(&self.schedule, now);
        match ended {
            Ended::Unavailable => {
                let pause = (FIRST_PAUSE * 2_i32.pow(self.in_vain.min(10))).min(LONGEST_PAUSE);
                self.in_vain += 1;
                let again = now.checked_add(pause).ok().map(|at| (at, Why::TriedAgain));
                again.into_iter().chain(next).min_by_key(|(at, _)| *at)
            }
            Ended::Left => {
                self.in_vain = 0;
                let fell_into = self.schedule.next_after(began).filter(|at| *at <= now);
                fell_into.map(|at| (at, Why::AfterARun)).or(next)
            }
            Ended::Complete | Ended::Fatal => {
                self.in_vain = 0;
                next
            }
        }
    }
}

fn scheduled(schedule: &Schedule, now: Timestamp) -> Option<(Timestamp, Why)> {
    schedule.next_after(now).map(|at| (at, Why::Scheduled))
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

    /// Every start of `starts` until `end`, where each run takes `length` and ends as `ended`; as the clock of `zone` shows
    /// them.
    fn lived(
        mut starts: Starts,
        from: &str,
        end: &str,
        length: SignedDuration,
        ended: Ended,
        zone: &str,
    ) -> Vec<String> {
        let (mut now, end) = (at(from), at(end));
        let mut seen = Vec::new();
        while now < end {
            if let Some(start) = starts.due(now) {
                let shown = now.in_tz(zone).unwrap().strftime("%m-%d %H:%M %Z").to_string();
                seen.push(format!("{} {shown} {:?}", start.job, start.why));
                let began = now;
                now += length;
                starts.ended(&start.job, began, now, ended);
            } else {
                now += 1.minute();
            }
        }
        seen
    }

    fn one(cron: &str, zone: &str, from: &str) -> Starts {
        Starts::new(vec![("nightly".into(), schedule(cron, zone))], &BTreeMap::new(), at(from))
    }

    #[test]
    fn time_that_does_not_exist_starts_once_where_the_clock_jumps() {
        let from = "2026-03-07T00:00:00Z";
        let starts = one("30 2 * * *", "America/New_York", from);
        let seen = lived(
            starts,
            from,
            "2026-03-10T00:00:00Z",
            5.minutes().try_into().unwrap(),
            Ended::Complete,
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
    fn time_that_comes_twice_starts_once() {
        let from = "2026-10-31T00:00:00Z";
        let starts = one("30 1 * * *", "America/New_York", from);
        let seen = lived(
            starts,
            from,
            "2026-11-03T00:00:00Z",
            5.minutes().try_into().unwrap(),
            Ended::Complete,
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
    fn start_in_local_time_keeps_its_hour_when_the_clocks_change() {
        let from = "2026-10-23T00:00:00Z";
        let starts = one("0 19 * * *", "Europe/Berlin", from);
        let seen = lived(
            starts,
            from,
            "2026-10-27T00:00:00Z",
            5.minutes().try_into().unwrap(),
            Ended::Complete,
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
    fn starts_that_fall_into_a_complete_run_of_the_same_job_are_covered_by_it() {
        let from = "2026-03-10T00:30:00Z";
        let ninety = SignedDuration::from_mins(90);
        let seen = lived(one("0 * * * *", "UTC", from), from, "2026-03-10T05:59:00Z", ninety, Ended::Complete, "UTC");
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
    fn run_that_ends_at_its_next_start_with_something_left_is_followed_at_once() {
        let from = "2026-03-10T00:30:00Z";
        let hour = SignedDuration::from_mins(60);
        let seen = lived(one("0 * * * *", "UTC", from), from, "2026-03-10T03:59:00Z", hour, Ended::Left, "UTC");
        assert_eq!(
            seen,
            [
                "nightly 03-10 01:00 UTC Scheduled",
                "nightly 03-10 02:00 UTC AfterARun",
                "nightly 03-10 03:00 UTC AfterARun"
            ]
        );
    }

    #[test]
    fn jobs_due_at_once_run_one_after_the_other_in_the_order_of_the_file() {
        let from = "2026-03-10T00:30:00Z";
        let schedules =
            vec![("zebra".into(), schedule("0 1 * * *", "UTC")), ("alpha".into(), schedule("0 1 * * *", "UTC"))];
        let starts = Starts::new(schedules, &BTreeMap::new(), at(from));
        let ten = SignedDuration::from_mins(10);
        let seen = lived(starts, from, "2026-03-10T02:00:00Z", ten, Ended::Left, "UTC");
        assert_eq!(seen, ["zebra 03-10 01:00 UTC Scheduled", "alpha 03-10 01:10 UTC AfterARun"]);
    }

    #[test]
    fn start_that_was_missed_while_the_daemon_was_down_is_due_once_and_at_once() {
        let last = LastRun { began: at("2026-03-01T06:30:00Z"), cut_short: false };
        let from = "2026-03-10T12:00:00Z";
        let starts = Starts::new(
            vec![("nightly".into(), schedule("30 6 * * *", "UTC"))],
            &[("nightly".to_owned(), last)].into(),
            at(from),
        );
        let seen = lived(starts, from, "2026-03-11T12:00:00Z", SignedDuration::from_mins(5), Ended::Complete, "UTC");
        assert_eq!(seen, ["nightly 03-10 12:00 UTC Missed", "nightly 03-11 06:30 UTC Scheduled"]);
    }

    #[test]
    fn run_that_was_cut_short_goes_on_at_once_and_one_that_ended_waits_for_its_time() {
        let now = at("2026-03-10T12:00:00Z");
        let due = |cut_short| {
            let last = LastRun { began: at("2026-03-10T06:30:00Z"), cut_short };
            let schedules = vec![("nightly".to_owned(), schedule("30 6 * * *", "UTC"))];
            Starts::new(schedules, &[("nightly".to_owned(), last)].into(), now).due(now)
        };
        assert_eq!(due(true).map(|start| start.why), Some(Why::GoesOn));
        assert_eq!(due(false), None);
    }

    #[test]
    fn run_that_was_in_vain_is_tried_again_ever_later_and_no_later_than_the_next_start() {
        let from = "2026-03-10T06:00:00Z";
        let seen = lived(
            one("30 6,9 * * *", "UTC", from),
            from,
            "2026-03-10T09:40:00Z",
            SignedDuration::ZERO,
            Ended::Unavailable,
            "UTC",
        );
        assert_eq!(
            seen,
            [
                "nightly 03-10 06:30 UTC Scheduled",
                "nightly 03-10 06:35 UTC TriedAgain",
                "nightly 03-10 06:45 UTC TriedAgain",
                "nightly 03-10 07:05 UTC TriedAgain",
                "nightly 03-10 07:45 UTC TriedAgain",
                "nightly 03-10 08:45 UTC TriedAgain",
                "nightly 03-10 09:30 UTC Scheduled"
            ]
        );
    }

    #[test]
    fn other_schedules_take_force_at_once_and_a_start_that_waits_still_follows() {
        let mut starts = one("0 1 * * *", "UTC", "2026-03-10T00:30:00Z");
        let now = at("2026-03-10T01:10:00Z");
        starts.reschedule(vec![("nightly".into(), schedule("0 5 * * *", "UTC"))], now);
        assert_eq!(starts.due(now).map(|start| start.at), Some(at("2026-03-10T01:00:00Z")));
        starts.ended("nightly", now, now, Ended::Complete);
        assert_eq!(starts.next(), Some(at("2026-03-10T05:00:00Z")));
        starts.reschedule(vec![("nightly".into(), schedule("0 3 * * *", "UTC"))], now);
        assert_eq!(starts.next(), Some(at("2026-03-10T03:00:00Z")));
    }
}
