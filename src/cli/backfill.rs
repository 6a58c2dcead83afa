//! `backfill`: exports chosen days of a job.

use tokio_util::sync::CancellationToken;

use crate::cli::failure::Failure;
use crate::cli::run::{show, until_done};
use crate::cli::setup::{configuration, goal, settings, window};
use crate::cli::{GlobalOptions, exit, logging};
use crate::clock::Clock;
use crate::config::JobConfig;
use crate::model::day::Day;
use crate::plan::WantedDays;
use crate::run::run_job;

#[derive(Debug, clap::Args)]
pub struct BackfillArgs {
    /// Job
    job: String,
    /// First day
    #[arg(long, value_name = "DAY")]
    from: Day,
    /// Last day
    #[arg(long, value_name = "DAY")]
    to: Day,
    /// Only these of the job's streams: names, tiers, a trailing `*`, a leading `!`
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    streams: Vec<String>,
    /// Also export days that are already there
    #[arg(long)]
    force: bool,
    /// Exit with 0 instead of 75 if the run is incomplete
    #[arg(long)]
    incomplete_ok: bool,
}

pub async fn execute(options: &GlobalOptions, args: BackfillArgs) -> Result<u8, Failure> {
    let (events, _progress) = logging::start(options, "backfill");
    let (sources, config) = configuration(options)?;
    let job = config.job(&args.job)?;
    let window = window(args.from, args.to)?;
    let settings = settings(&sources, &config, Clock::system(), events, CancellationToken::new())?;
    let mut goal = goal(&config, job, settings.clock.now())?;
    if !args.streams.is_empty() {
        // Excludes alone narrow what the job has.
        let excludes = args.streams.iter().all(|pattern| pattern.starts_with('!'));
        let base = if excludes { job.streams.clone() } else { Vec::new() };
        let narrowed = JobConfig { streams: [base, args.streams].concat(), ..job.clone() };
        let wanted = self::goal(&config, &narrowed, settings.clock.now())?.streams;
        goal.streams.retain(|stream| wanted.iter().any(|other| other.name == stream.name));
        if goal.streams.is_empty() {
            return Err(Failure::new(
                exit::USAGE,
                format!("--streams leaves none of the streams of job `{}`", job.name),
            ));
        }
    }
    let now = settings.clock.now();
    let zones = goal.streams.iter().filter_map(|stream| stream.days.as_ref()).map(|days| days.zone);
    if let Some(zone) = zones.into_iter().find(|zone| window.last() >= zone.today(now)) {
        let (last, today) = (window.last(), zone.today(now));
        return Err(Failure::new(exit::USAGE, format!("--to {last} has not ended: it is {today} ({})", zone.name()))
            .hint("days are exported when they have ended: choose a --to before today"));
    }
    // A person waits for a backfill, so it does not end at the job's next start.
    goal.time_limit = job.deadline.map(|deadline| deadline.0);
    goal.days = Some(WantedDays::Only { window, force: args.force });
    let result = until_done(run_job(&settings, &goal), settings.cancel.clone()).await?;
    show(options, &settings, vec![result], args.incomplete_ok)
}
