//! Whether the schedules of all jobs leave enough time and requests for their runs.

use std::time::Duration;

use crate::api::RateLimitState;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::config::{Config, JobConfig};
use crate::model::format::{format_count, format_duration, format_number};
use crate::model::stream::Tier;
use crate::run::{JobSchedule, SteadyStateForecast};

/// One job with a schedule.
pub struct Scheduled<'a> {
    pub job: &'a JobConfig,
    pub starts: JobSchedule,
    /// What a run needs once nothing is missing.
    pub steady_state: SteadyStateForecast,
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
    for Scheduled { job, starts, steady_state } in scheduled {
        let Some(room) = steady_state.room.filter(|_| !steady_state.fits()) else {
            continue;
        };
        let every = format_duration(starts.every.average.unsigned_abs());
        let (what, setting) = match job.deadline {
            Some(deadline) if deadline.0 == room => {
                (format!("can never finish within its deadline of {}", format_duration(room)), "deadline")
            }
            _ => ("can never finish before it starts again".to_owned(), "cron"),
        };
        let mut fitting = None;
        for tier in Tier::ALL.into_iter().rev() {
            let of_tier = tiers(job, tier)?;
            if of_tier.requests < steady_state.requests
                && of_tier.fits()
                && requests_per_hour(&of_tier, starts) <= allowed_per_hour(rate_limit)
            {
                fitting = Some((tier, of_tier));
                break;
            }
        }
        let longer = match setting {
            "deadline" => format!("give it a deadline of more than {}", format_duration(steady_state.duration)),
            _ => format!("start it less often than every {}", format_duration(min_interval(steady_state, rate_limit))),
        };
        let fewer = match fitting {
            Some((tier, of_tier)) => format!(
                "choose fewer streams, such as the tier `{}` ({}, {})",
                tier.name(),
                format_count(of_tier.requests, "request"),
                format_duration(of_tier.duration),
            ),
            None => "choose fewer streams or categories (`profound-export plan` says what each costs)".to_owned(),
        };
        return Err(Failure::new(exit::CONFIGURATION, format!("job `{}` {what}", job.name))
            .detail(format!(
                "{} every {every} take {}: {allowance} are allowed",
                format_count(steady_state.requests, "request"),
                format_duration(steady_state.duration),
            ))
            .detail(config.quoted(job, setting))
            .hint(format!("{longer}; or {fewer}")));
    }
    check_together(scheduled, rate_limit, &allowance)
}

/// Warnings for jobs with uneven schedules, where only some runs can end before the next one.
pub fn uneven(scheduled: &[Scheduled<'_>]) -> Vec<String> {
    let tight = scheduled.iter().filter(|one| {
        one.job.deadline.is_none()
            && one.steady_state.fits()
            && one.starts.every.shortest.unsigned_abs() < one.steady_state.duration
    });
    tight
        .map(|one| {
            format!(
                "{}: a run takes {}, but some runs start {} apart: they end incomplete (75), and the next \
                 one continues",
                one.job.name,
                format_duration(one.steady_state.duration),
                format_duration(one.starts.every.shortest.unsigned_abs())
            )
        })
        .collect()
}

/// The rate limit and the share of it that each job needs; `None` without scheduled jobs.
pub fn summary(scheduled: &[Scheduled<'_>], rate_limit: &RateLimitState) -> Option<String> {
    let requests = scheduled.iter().map(|one| {
        let takes = format_duration(one.steady_state.duration);
        format!(
            "{}: {} a run, {takes} of {}",
            one.job.name,
            format_count(one.steady_state.requests, "request"),
            format_duration(one.starts.every.average.unsigned_abs())
        )
    });
    let each: Vec<String> = requests.collect();
    let usable = format_number(u64::from(rate_limit.usable()));
    (!each.is_empty())
        .then(|| format!("{usable} requests in {}; {}", format_duration(rate_limit.window()), each.join("; ")))
}

/// Requests per hour that the job needs on average.
fn requests_per_hour(steady_state: &SteadyStateForecast, starts: &JobSchedule) -> f64 {
    steady_state.requests as f64 / hours(starts.every.average.as_secs_f64()).max(f64::EPSILON)
}

/// The shortest interval between starts at which each run ends before the next and the rate limit suffices.
fn min_interval(steady_state: &SteadyStateForecast, rate_limit: &RateLimitState) -> Duration {
    let sustained = steady_state.requests as f64 / allowed_per_hour(rate_limit).max(f64::EPSILON) * 3600.0;
    Duration::try_from_secs_f64(sustained)
        .map_or(steady_state.duration, |sustained| steady_state.duration.max(sustained))
}

/// Requests per hour that the rate limit sustains.
fn allowed_per_hour(rate_limit: &RateLimitState) -> f64 {
    f64::from(rate_limit.usable()) / hours(rate_limit.window().as_secs_f64())
}

fn hours(seconds: f64) -> f64 {
    seconds / 3600.0
}

/// Rejects jobs that fit one by one but not together.
fn check_together(scheduled: &[Scheduled<'_>], rate_limit: &RateLimitState, allowance: &str) -> Result<(), Failure> {
    let needed: f64 = scheduled.iter().map(|one| requests_per_hour(&one.steady_state, &one.starts)).sum();
    if needed <= allowed_per_hour(rate_limit) {
        return Ok(());
    }
    let each = scheduled.iter().map(|one| -> String {
        let (requests, every) = (
            format_count(one.steady_state.requests, "request"),
            format_duration(one.starts.every.average.unsigned_abs()),
        );
        format!(
            "{}: {requests} every {every}, {:.0} per hour",
            one.job.name,
            requests_per_hour(&one.steady_state, &one.starts)
        )
    });
    let failure = Failure::new(exit::CONFIGURATION, "the jobs can never all finish before they start again")
        .detail(format!("together they need {needed:.0} requests per hour: {allowance} are allowed"));
    Err(each
        .fold(failure, Failure::detail)
        .hint("start some of them less often; or choose fewer streams, or streams that no other job has"))
}
