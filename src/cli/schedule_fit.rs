//! Whether the schedules of all jobs leave enough time and requests for their runs.

use std::time::Duration;

use crate::api::RateLimitState;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::config::{Config, JobConfig};
use crate::model::format::{format_count, format_duration, format_number};
use crate::model::stream::Tier;
use crate::run::{JobSchedule, SteadyStateForecast};

const SECONDS_PER_HOUR: f64 = 3600.0;

/// One job with a schedule.
pub struct Scheduled<'a> {
    pub job: &'a JobConfig,
    pub starts: JobSchedule,
    /// What a run needs once nothing is missing.
    pub steady_state: SteadyStateForecast,
}

impl Scheduled<'_> {
    /// `1,081 requests`, of each run.
    fn requests(&self) -> String {
        format_count(self.steady_state.requests, "request")
    }

    /// How long each run takes.
    fn takes(&self) -> String {
        format_duration(self.steady_state.duration)
    }

    /// The average time from one start to the next.
    fn every(&self) -> String {
        format_duration(self.starts.every.average.unsigned_abs())
    }

    /// Requests per hour that the job needs on average.
    fn requests_per_hour(&self) -> f64 {
        self.steady_state.requests as f64 * SECONDS_PER_HOUR / self.starts.every.average.as_secs_f64()
    }
}

/// Rejects schedules that can never be kept. `tiers` forecasts a run of a job with only the streams of a tier.
///
/// # Errors
/// The arithmetic, with two remedies.
pub fn check(
    config: &Config,
    scheduled: &[Scheduled<'_>],
    rate_limit: &RateLimitState,
    tiers: impl Fn(&JobConfig, Tier) -> Result<SteadyStateForecast, Failure>,
) -> Result<(), Failure> {
    let allowance =
        format!("{} in {}", format_number(u64::from(rate_limit.usable())), format_duration(rate_limit.window()));
    let Some(one) = scheduled.iter().find(|one| !one.steady_state.fits()) else {
        return check_together(scheduled, rate_limit, &allowance);
    };
    let mut fewer = "choose fewer streams or categories (`profound-export plan` says what each costs)".to_owned();
    for tier in Tier::ALL.into_iter().rev() {
        let of_tier = Scheduled { steady_state: tiers(one.job, tier)?, ..*one };
        if of_tier.steady_state.requests < one.steady_state.requests
            && of_tier.steady_state.fits()
            && of_tier.requests_per_hour() <= allowed_per_hour(rate_limit)
        {
            let (tier, requests) = (tier.name(), of_tier.requests());
            fewer = format!("choose fewer streams, such as the tier `{tier}` ({requests}, {})", of_tier.takes());
            break;
        }
    }
    let deadline = one.job.deadline.filter(|deadline| Some(deadline.0) == one.steady_state.room);
    let (limit, setting, longer) = match deadline {
        Some(deadline) => (
            format!("within its deadline of {}", format_duration(deadline.0)),
            "deadline",
            format!("give it a deadline of more than {}", one.takes()),
        ),
        None => (
            "before it starts again".to_owned(),
            "cron",
            format!("start it less often than every {}", format_duration(min_interval(&one.steady_state, rate_limit))),
        ),
    };
    Err(Failure::new(exit::CONFIGURATION, format!("job `{}` can never finish {limit}", one.job.name))
        .detail(format!("{} every {} take {}: {allowance} are allowed", one.requests(), one.every(), one.takes()))
        .detail(config.quoted(one.job, setting))
        .hint(format!("{longer}; or {fewer}")))
}

/// Rejects jobs that fit one by one but not together.
fn check_together(scheduled: &[Scheduled<'_>], rate_limit: &RateLimitState, allowance: &str) -> Result<(), Failure> {
    let needed: f64 = scheduled.iter().map(Scheduled::requests_per_hour).sum();
    if needed <= allowed_per_hour(rate_limit) {
        return Ok(());
    }
    let each = scheduled.iter().map(|one| {
        let (name, per_hour) = (&one.job.name, one.requests_per_hour());
        format!("{name}: {} every {}, {per_hour:.0} per hour", one.requests(), one.every())
    });
    let failure = Failure::new(exit::CONFIGURATION, "the jobs can never all finish before they start again")
        .detail(format!("together they need {needed:.0} requests per hour: {allowance} are allowed"));
    Err(each
        .fold(failure, Failure::detail)
        .hint("start some of them less often; or choose fewer streams, or streams that no other job has"))
}

/// Warnings for jobs with uneven schedules, where only some runs can end before the next one.
pub fn uneven(scheduled: &[Scheduled<'_>]) -> impl Iterator<Item = String> {
    scheduled.iter().filter(|one| one.job.deadline.is_none() && one.steady_state.fits()).filter_map(|one| {
        let (takes, shortest) = (one.steady_state.duration, one.starts.every.shortest.unsigned_abs());
        let what = format!(
            "{}: a run takes {}, but some runs start {} apart: they end incomplete (75), and the next one continues",
            one.job.name,
            one.takes(),
            format_duration(shortest)
        );
        (shortest < takes).then_some(what)
    })
}

/// The rate limit and the share of it that each job needs; `None` without scheduled jobs.
pub fn summary(scheduled: &[Scheduled<'_>], rate_limit: &RateLimitState) -> Option<String> {
    let each = scheduled
        .iter()
        .map(|one| format!("{}: {} a run, {} of {}", one.job.name, one.requests(), one.takes(), one.every()));
    let each = each.collect::<Vec<_>>().join("; ");
    let (usable, window) = (format_number(u64::from(rate_limit.usable())), format_duration(rate_limit.window()));
    (!each.is_empty()).then(|| format!("{usable} requests in {window}; {each}"))
}

/// The shortest interval between starts at which each run ends before the next and the rate limit suffices.
fn min_interval(steady_state: &SteadyStateForecast, rate_limit: &RateLimitState) -> Duration {
    let seconds = steady_state.requests as f64 * SECONDS_PER_HOUR / allowed_per_hour(rate_limit);
    // A rate limit that allows nothing sustains no interval.
    Duration::try_from_secs_f64(seconds).unwrap_or_default().max(steady_state.duration)
}

/// Requests per hour that the rate limit sustains.
fn allowed_per_hour(rate_limit: &RateLimitState) -> f64 {
    f64::from(rate_limit.usable()) * SECONDS_PER_HOUR / rate_limit.window().as_secs_f64()
}
