//! `check`: whether everything a run needs is there, before the night.

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::cli::failure::Failure;
use crate::cli::setup::{configuration, goal, jobs, schedule, settings};
use crate::cli::{Surroundings, exit, logging, print, sample};
use crate::config::JobConfig;
use crate::run::{Discovered, discover, resolve};

/// Next runs shown of each job.
const RUNS_SHOWN: usize = 3;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Also read one small page of each chosen stream, and print every value that would not fit its column
    #[arg(long)]
    sample: bool,
}

pub async fn execute(around: &Surroundings, arguments: Arguments) -> Result<u8, Failure> {
    let (events, _progress) = logging::start(around, "check");
    let (sources, config) = configuration(around)?;
    print("configuration  fine")?;
    let settings = settings(&sources, &config, events, CancellationToken::new())?;
    print(&format!("key            {}", settings.client.key_origin()))?;
    let found = discover(&settings.catalog, &settings.client).await?;
    print(&format!(
        "API            {} answers: {}",
        config.api.base_url.as_str().trim_end_matches('/'),
        holdings(&found)
    ))?;
    if let Some(wrong_by) = settings.client.clock_error().filter(|wrong_by| 300 < wrong_by.as_secs().abs()) {
        print(&format!("clock          differs from the API's by {wrong_by:#}; days follow the API's"))?;
    }
    let lake = &settings.destinations.lake;
    match settings.destinations.single_writer {
        true => {
            print(&format!("destination    {}; a single writer is promised, so creating is not probed", lake.url()))?
        }
        false => {
            lake.probe().await?;
            print(&format!("destination    {} can be written, and creates without overwriting", lake.url()))?
        }
    };
    let mut misfitting = 0;
    for job in jobs(&config, &[])? {
        let goal = goal(&settings.catalog, job, settings.clock.now())?;
        let resolved = resolve(job, &found)?;
        let next = next_runs(job, settings.clock.now())?;
        print(&format!("job            {}: {} streams; {next}", job.name, goal.streams.len()))?;
        for warning in &resolved.warnings {
            print(&format!("warning        {warning}"))?;
        }
        if arguments.sample {
            let (text, bad) = sample::report(&settings, &goal.streams, &resolved, &found).await;
            print(&text)?;
            misfitting += bad;
        }
    }
    match misfitting {
        0 => Ok(exit::COMPLETE),
        _ => Err(Failure::new(exit::FAILED, format!("{misfitting} streams would fail")).hint("leave them out with `!name` until a version that knows the new form is there; everything else can be exported")),
    }
}

fn holdings(found: &Discovered) -> String {
    let count = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    [
        count(found.organizations.len(), "organization", "organizations"),
        count(found.categories.len(), "category", "categories"),
        count(found.assets.len(), "asset", "assets"),
        count(found.domains.len(), "domain", "domains"),
    ]
    .join(", ")
}

fn next_runs(job: &JobConfig, now: Timestamp) -> Result<String, Failure> {
    let Some(schedule) = schedule(job)? else {
        return Ok("runs by hand, as it has no `cron`".to_owned());
    };
    let zone = schedule.zone().clone();
    let times: Vec<String> = schedule
        .upcoming(now)
        .take(RUNS_SHOWN)
        .map(|at| at.to_zoned(zone.clone()).strftime("%a %-d %b %H:%M %Z").to_string())
        .collect();
    Ok(format!("next runs {}", times.join(", ")))
}
