//! Whether the schedules of all jobs have room for what their runs need.

use std::time::Duration;

use crate::api::RateLimitState;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::config::{Config, JobConfig};
use crate::model::format::{format_count, format_duration, format_number};
use crate::model::stream::Tier;
use crate::run::{JobSchedule, SteadyStateForecast};

/// One job that starts by itself.
pub struct Scheduled<'a> {
    /// The job.
    pub job: &'a JobConfig,
    /// When it starts.
    pub starts: JobSchedule,
    /// What each of its runs needs once everything before it is there.
    pub night: SteadyStateForecast,
}

/// Refuses schedules that can never be kept. `tiers` says what a run of a job would need with the streams of a tier.
///
/// # Errors
/// With the arithmetic, and two ways out.
pub fn check(
    config: &Config,
    scheduled: &[Scheduled<'_>],
    budget: &RateLimitState,
    tiers: impl Fn(&JobConfig, Tier) -> Result<SteadyStateForecast, Failure>,
) -> Result<(), Failure> {
    let a_period = format!("{} in {}", format_number(u64::from(budget.usable())), format_duration(budget.window()));
    for Scheduled { job, starts, night } in scheduled {
        let Some(room) = night.room.filter(|_| !night.fits()) else {
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
            if of_tier.requests < night.requests
                && of_tier.fits()
                && an_hour(&of_tier, starts) <= allowed_an_hour(budget)
            {
                fitting = Some((tier, of_tier));
                break;
            }
        }
        let longer = match setting {
            "deadline" => format!("give it a deadline of more than {}", format_duration(night.duration)),
            _ => format!("start it less often than every {}", format_duration(longest_need(night, budget))),
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
                "{} every {every} take {}: {a_period} are allowed",
                format_count(night.requests, "request"),
                format_duration(night.duration),
            ))
            .detail(config.quoted(job, setting))
            .hint(format!("{longer}; or {fewer}")));
    }
    check_together(scheduled, budget, &a_period)
}

/// Jobs whose starts lie unevenly, so that some runs cannot end before the next one, though others can, in words.
pub fn uneven(scheduled: &[Scheduled<'_>]) -> Vec<String> {
    let tight = scheduled.iter().filter(|one| {
        one.job.deadline.is_none() && one.night.fits() && one.starts.every.shortest.unsigned_abs() < one.night.duration
    });
    tight
        .map(|one| {
            format!(
                "{}: a run takes {}, and some starts follow each other after {}: those runs end incomplete (75), and the next \
                 one continues",
                one.job.name,
                format_duration(one.night.duration),
                format_duration(one.starts.every.shortest.unsigned_abs())
            )
        })
        .collect()
}

/// What the runs of all jobs need of the budget, in words; none without a schedule.
pub fn sum(scheduled: &[Scheduled<'_>], budget: &RateLimitState) -> Option<String> {
    let requests = scheduled.iter().map(|one| {
        let takes = format_duration(one.night.duration);
        format!(
            "{}: {} a run, {takes} of {}",
            one.job.name,
            format_count(one.night.requests, "request"),
            format_duration(one.starts.every.average.unsigned_abs())
        )
    });
    let each: Vec<String> = requests.collect();
    let usable = format_number(u64::from(budget.usable()));
    (!each.is_empty())
        .then(|| format!("{usable} requests in {}; {}", format_duration(budget.window()), each.join("; ")))
}

/// Requests an hour that runs as `night` need when they start as `starts` says.
fn an_hour(night: &SteadyStateForecast, starts: &JobSchedule) -> f64 {
    night.requests as f64 / hours(starts.every.average.as_secs_f64()).max(f64::EPSILON)
}

/// How far apart runs like `night` must start, each to end before the next, and all of them to find requests left.
fn longest_need(night: &SteadyStateForecast, budget: &RateLimitState) -> Duration {
    let sustained = night.requests as f64 / allowed_an_hour(budget).max(f64::EPSILON) * 3600.0;
    Duration::try_from_secs_f64(sustained).map_or(night.duration, |sustained| night.duration.max(sustained))
}

/// Requests an hour that the budget allows for as long as one likes.
fn allowed_an_hour(budget: &RateLimitState) -> f64 {
    f64::from(budget.usable()) / hours(budget.window().as_secs_f64())
}

fn hours(seconds: f64) -> f64 {
    seconds / 3600.0
}

/// Whether jobs that have room one by one have it together.
fn check_together(scheduled: &[Scheduled<'_>], budget: &RateLimitState, a_period: &str) -> Result<(), Failure> {
    let needed: f64 = scheduled.iter().map(|one| an_hour(&one.night, &one.starts)).sum();
    if needed <= allowed_an_hour(budget) {
        return Ok(());
    }
    let each = scheduled.iter().map(|one| -> String {
        let (requests, every) =
            (format_count(one.night.requests, "request"), format_duration(one.starts.every.average.unsigned_abs()));
        format!("{}: {requests} every {every}, {:.0} an hour", one.job.name, an_hour(&one.night, &one.starts))
    });
    let refused = Failure::new(exit::CONFIGURATION, "the jobs can never all finish before they start again")
        .detail(format!("together they need {needed:.0} requests an hour: {a_period} are allowed"));
    Err(each
        .fold(refused, Failure::detail)
        .hint("start some of them less often; or choose fewer streams, or streams that no other job has"))
}
