//! Whether the schedules of all jobs have room for what their runs need.

use crate::api::BudgetState;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::config::{Config, JobConfig};
use crate::model::figures::{counted, grouped, took};
use crate::model::stream::Tier;
use crate::run::{NightForecast, Starts};

/// One job that starts by itself.
pub struct Scheduled<'a> {
    /// The job.
    pub job: &'a JobConfig,
    /// When it starts.
    pub starts: Starts,
    /// What each of its runs needs once everything before it is there.
    pub night: NightForecast,
}

/// Refuses schedules that can never be kept. `tiers` says what a run of a job would need with the streams of a tier.
///
/// # Errors
/// With the arithmetic, and two ways out.
pub fn check(
    config: &Config,
    scheduled: &[Scheduled<'_>],
    budget: &BudgetState,
    tiers: impl Fn(&JobConfig, Tier) -> Result<NightForecast, Failure>,
) -> Result<(), Failure> {
    let a_period = format!("{} in {}", grouped(u64::from(budget.usable())), took(budget.known_period()));
    for Scheduled { job, starts, night } in scheduled {
        let Some(room) = night.room.filter(|_| !night.fits()) else {
            continue;
        };
        let every = took(starts.every.average.unsigned_abs());
        let (what, setting) = match job.deadline {
            Some(deadline) if deadline.0 == room => {
                (format!("can never finish within its deadline of {}", took(room)), "deadline")
            }
            _ => ("can never finish before it starts again".to_owned(), "cron"),
        };
        let mut fitting = None;
        for tier in Tier::ALL.into_iter().rev() {
            let of_tier = tiers(job, tier)?;
            if of_tier.requests < night.requests && of_tier.fits() {
                fitting = Some((tier, of_tier));
                break;
            }
        }
        let longer = match setting {
            "deadline" => format!("give it a deadline of more than {}", took(night.takes)),
            _ => format!("start it less often than every {}", took(night.takes)),
        };
        let fewer = match fitting {
            Some((tier, of_tier)) => format!(
                "choose fewer streams, such as the tier `{}` ({}, {})",
                tier.name(),
                counted(of_tier.requests, "request"),
                took(of_tier.takes),
            ),
            None => "choose fewer streams or categories (`profound-export plan` says what each costs)".to_owned(),
        };
        return Err(Failure::new(exit::CONFIGURATION, format!("job `{}` {what}", job.name))
            .detail(format!(
                "{} every {every} take {}: {a_period} are allowed",
                counted(night.requests, "request"),
                took(night.takes),
            ))
            .detail(config.quoted(job, setting))
            .hint(format!("{longer}; or {fewer}")));
    }
    check_together(scheduled, budget, &a_period)
}

/// Jobs whose starts lie unevenly, so that some runs cannot end before the next one, though others can, in words.
pub fn uneven(scheduled: &[Scheduled<'_>]) -> Vec<String> {
    let tight = scheduled.iter().filter(|one| {
        one.job.deadline.is_none() && one.night.fits() && one.starts.every.shortest.unsigned_abs() < one.night.takes
    });
    tight
        .map(|one| {
            format!(
                "{}: a run takes {}, and some starts follow each other after {}: those runs end incomplete (75), and the next \
                 one continues",
                one.job.name,
                took(one.night.takes),
                took(one.starts.every.shortest.unsigned_abs())
            )
        })
        .collect()
}

/// What the runs of all jobs need of the budget, in words; none without a schedule.
pub fn sum(scheduled: &[Scheduled<'_>], budget: &BudgetState) -> Option<String> {
    let requests = scheduled.iter().map(|one| {
        let takes = took(one.night.takes);
        format!(
            "{}: {} a run, {takes} of {}",
            one.job.name,
            counted(one.night.requests, "request"),
            took(one.starts.every.average.unsigned_abs())
        )
    });
    let each: Vec<String> = requests.collect();
    let usable = grouped(u64::from(budget.usable()));
    (!each.is_empty()).then(|| format!("{usable} requests in {}; {}", took(budget.known_period()), each.join("; ")))
}

/// Whether jobs that have room one by one have it together.
fn check_together(scheduled: &[Scheduled<'_>], budget: &BudgetState, a_period: &str) -> Result<(), Failure> {
    let hours = |seconds: f64| seconds / 3600.0;
    let an_hour = |one: &Scheduled<'_>| {
        one.night.requests as f64 / hours(one.starts.every.average.as_secs_f64()).max(f64::EPSILON)
    };
    let needed: f64 = scheduled.iter().map(an_hour).sum();
    let allowed = f64::from(budget.usable()) / hours(budget.known_period().as_secs_f64());
    if needed <= allowed {
        return Ok(());
    }
    let each = scheduled.iter().map(|one| -> String {
        let (requests, every) = (counted(one.night.requests, "request"), took(one.starts.every.average.unsigned_abs()));
        format!("{}: {requests} every {every}, {:.0} an hour", one.job.name, an_hour(one))
    });
    let refused = Failure::new(exit::CONFIGURATION, "the jobs can never all finish before they start again")
        .detail(format!("together they need {needed:.0} requests an hour: {a_period} are allowed"));
    Err(each
        .fold(refused, Failure::detail)
        .hint("start some of them less often; or choose fewer streams, or streams that no other job has"))
}
