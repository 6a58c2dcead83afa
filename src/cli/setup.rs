//! Configuration -> what a run needs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::api::{ApiError, Client, ClientSettings};
use crate::catalog::Catalog;
use crate::cli::failure::Failure;
use crate::cli::{GlobalOptions, exit};
use crate::clock::Clock;
use crate::config::{Config, JobConfig, Location, Problem, Sources, SpoolConfig, key, load, select};
use crate::destination::{Destination, OWN_DIRECTORY};
use crate::error_text::error_chain;
use crate::layout::Layout;
use crate::ledger::{Ledger, State};
use crate::maintain::MaintainedLake;
use crate::model::day::{Day, DayZone};
use crate::model::event::EventSink;
use crate::model::history::history_name;
use crate::model::window::Window;
use crate::run::{Destinations, JobSchedule, OUTAGE_RETRIES, RunRequest, RunSettings};
use crate::schedule::Schedule;
use crate::tables::{Tables, TablesPlace};

/// Warnings about the key begin this many days before it expires.
const EXPIRY_WARNING_DAYS: i64 = 14;

/// Reads the configuration, and logs its warnings.
pub fn configuration(options: &GlobalOptions) -> Result<(Sources, Config), Failure> {
    let process = Sources::from_process(options.config.clone());
    let sources = options.set.iter().cloned().fold(process, Sources::with_flag);
    let config = load(&sources)?;
    for warning in &config.warnings {
        tracing::warn!(detail = %one_line(warning), "configuration warning");
    }
    Ok((sources, config))
}

/// The built-in catalog, without the streams of a configuration.
pub fn built_in() -> Result<Arc<Catalog>, Failure> {
    Catalog::embedded().map(Arc::new).map_err(|error| Failure::new(exit::FAILED, error_chain(&error)))
}

pub fn client(sources: &Sources, config: &Config, clock: &Clock, events: EventSink) -> Result<Arc<Client>, Failure> {
    let key = key::read(sources, &config.api)?;
    if let Some(warning) = key.warning() {
        tracing::warn!(detail = %one_line(warning), "API key warning");
    }
    warn_of_expiry(config, clock.now());
    let settings = ClientSettings { config: &config.api, clock: clock.clone(), events };
    let client = Client::new(settings, key).map_err(|error| match error {
        ApiError::Client(error) => Failure::new(exit::CONFIGURATION, error_chain(&error)).hint(error.hint()),
        error => Failure::new(exit::UNAVAILABLE, error_chain(&error)),
    })?;
    Ok(Arc::new(client))
}

pub fn destinations(config: &Config) -> Result<Destinations, Failure> {
    let lake = Destination::open(&config.destination)?;
    Ok(Destinations {
        spool_dir: spool_dir(&config.spool, lake.directory(), |name| std::env::var_os(name)),
        lake,
        tables: tables(config),
        layout: Layout { partition: config.destination.partition },
        compression: config.destination.compression,
        single_writer: config.destination.single_writer,
        spool_bytes: config.spool.max_bytes.0,
    })
}

/// Where tables are published; `None` without `[tables]`.
fn tables(config: &Config) -> Option<Tables> {
    let place = TablesPlace::Configured(config.tables.destination(&config.destination)?);
    let streams = config.tables.streams(config.catalog());
    let retention = SignedDuration::from_hours(24 * i64::from(config.tables.retention.0));
    Some(Tables { place, streams, target_file_bytes: config.tables.target_file_bytes.0, retention })
}

/// The configured directory of the spool, else a directory for this user's data that can be made again, else one in the lake: a directory
/// that all users share, such as `/tmp`, comes last.
fn spool_dir(config: &SpoolConfig, lake: Option<&Path>, variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    if let Some(dir) = &config.dir {
        return dir.clone();
    }
    let directory = |name: &str, below: &str| {
        // systemd separates several directories by colons.
        let value = variable(name)?.into_string().ok()?;
        let first = PathBuf::from(value.split(':').next()?);
        first.is_absolute().then(|| first.join(below))
    };
    let cache = ["CACHE_DIRECTORY", "STATE_DIRECTORY"].into_iter().find_map(|name| directory(name, "spool"));
    cache
        .or_else(|| directory("XDG_CACHE_HOME", "profound-export/spool"))
        .or_else(|| lake.map(|lake| lake.join(OWN_DIRECTORY).join("spool")))
        .or_else(|| directory("HOME", ".cache/profound-export/spool"))
        .unwrap_or_else(|| std::env::temp_dir().join("profound-export"))
}

/// The lake as messages name it: a local one by its absolute path.
pub fn lake_name(config: &Config) -> String {
    match config.destination.location() {
        Ok(Location::Local(path)) => std::path::absolute(&path).unwrap_or(path).display().to_string(),
        Ok(Location::Store(url)) => url.to_string(),
        Err(_) => config.destination.url.clone(),
    }
}

/// Whether the lake is a directory in which nothing has been exported yet.
///
/// # Errors
/// The directory holds something else: a wrong path must not look like a lake to come.
pub fn has_no_lake(config: &Config) -> Result<bool, Failure> {
    let Ok(Location::Local(path)) = config.destination.location() else {
        return Ok(false);
    };
    match std::fs::read_dir(&path) {
        Ok(mut entries) if !path.join(OWN_DIRECTORY).exists() => match entries.next() {
            None => Ok(true),
            Some(_) => {
                let problem = format!("`{}` is not a lake: it has no `{OWN_DIRECTORY}`", lake_name(config));
                let hint = "`profound-export config` prints `destination.url` and where it is set; if the ledger of this lake was deleted, `profound-export ledger rebuild` restores it";
                Err(Failure::new(exit::CONFIGURATION, problem).hint(hint))
            }
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        // Opening it fails in the same way, or finds the lake.
        _ => Ok(false),
    }
}

/// The state of the ledger. Without a lake an empty one: a command that only reads must not create it.
pub async fn ledger_state(config: &Config, clock: &Clock) -> Result<State, Failure> {
    if has_no_lake(config)? {
        return Ok(State::default());
    }
    let lake = destinations(config)?.lake;
    Ok(Ledger::open_lake(lake, clock.clone(), config.catalog()).await?.into_state())
}

/// The ledger of the configured lake, and its destinations in the layout that the ledger records. `None` where there is no
/// lake yet: a command that only reads must not create one.
pub async fn existing_lake(config: &Config, clock: &Clock) -> Result<Option<(Ledger, Destinations)>, Failure> {
    if has_no_lake(config)? {
        return Ok(None);
    }
    let destinations = destinations(config)?;
    let (lake, clock) = (destinations.lake.clone(), clock.clone());
    let ledger = Ledger::open_lake(lake, clock, config.catalog()).await?;
    let Some(partition) = &ledger.state().partition else {
        return Ok(None);
    };
    let layout = Layout::from_name(partition).ok_or_else(|| {
        Failure::new(exit::CONFIGURATION, format!("the lake has the unknown partition `{partition}`"))
            .hint("install the version of profound-export that wrote it, or a later one")
    })?;
    Ok(Some((ledger, Destinations { layout, ..destinations })))
}

/// The tables that `patterns` select, with list snapshots; `None` for all.
pub fn selected_tables(
    config: &Config,
    state: &State,
    patterns: &[String],
) -> Result<Option<BTreeSet<String>>, Failure> {
    if patterns.is_empty() {
        return Ok(None);
    }
    // A table that this version's catalog does not have can still be selected by its name.
    let (known, patterns): (Vec<String>, Vec<String>) = patterns
        .iter()
        .cloned()
        .partition(|pattern| state.coverage.contains_key(pattern) && config.catalog().get(pattern).is_none());
    let mut tables: BTreeSet<String> = known.into_iter().collect();
    if !patterns.is_empty() {
        let streams =
            select(config.catalog(), &patterns).map_err(|problems| Failure::from_problems(exit::USAGE, &problems))?;
        tables.extend(streams.iter().flat_map(|stream| [stream.name.clone(), history_name(&stream.name)]));
    }
    Ok(Some(tables))
}

/// The lake of the commands that maintain it.
pub fn maintained_lake(config: &Config, destinations: Destinations, now: Timestamp) -> MaintainedLake {
    let Destinations { lake, layout, spool_dir, spool_bytes, .. } = destinations;
    MaintainedLake { destination: lake, layout, catalog: Arc::clone(config.catalog()), now, spool_dir, spool_bytes }
}

pub fn settings(
    sources: &Sources,
    config: &Config,
    clock: Clock,
    events: EventSink,
    cancel: CancellationToken,
) -> Result<RunSettings, Failure> {
    Ok(RunSettings {
        catalog: Arc::clone(config.catalog()),
        parameters: config.parameters.clone(),
        salt: config.privacy.salt()?,
        client: client(sources, config, &clock, events.clone())?,
        clock,
        destinations: destinations(config)?,
        concurrency: config.api.concurrency,
        event_streams: config.api.event_streams,
        outage_retries: OUTAGE_RETRIES,
        max_window_days: i64::from(config.api.max_window.0),
        events,
        cancel,
    })
}

/// What a run of `job` is for: what is due, until its deadline or its next start.
pub fn goal(config: &Config, job: &JobConfig, now: Timestamp) -> Result<RunRequest, Failure> {
    let streams = config.streams_of(job).map_err(|problems| Failure::from_problems(exit::CONFIGURATION, &problems))?;
    let today = DayZone::Utc.today(now);
    if let Some(start) = job.start.filter(|start| *start > today) {
        let problem = format!("job `{}` starts on {start}, and today is {today}", job.name);
        return Err(Failure::new(exit::CONFIGURATION, problem)
            .detail(config.quoted(job, "start"))
            .hint("set `start` to the first day to export, which must have begun"));
    }
    let time = match job.deadline {
        Some(deadline) => Some(deadline.0),
        None => {
            let next = schedule(job)?.and_then(|schedule| schedule.next_after(now));
            next.and_then(|next| Duration::try_from(next.duration_since(now)).ok())
        }
    };
    Ok(RunRequest { job: job.clone(), streams, days: None, time_limit: time })
}

/// The schedule of a job that has a `cron`.
pub fn schedule(job: &JobConfig) -> Result<Option<Schedule>, Failure> {
    Ok(job.cron.as_ref().map(|cron| Schedule::new(cron, &job.timezone)).transpose()?)
}

/// The next run of a job that has a schedule, and the time between its runs.
pub fn starts(job: &JobConfig, now: Timestamp) -> Result<Option<JobSchedule>, Failure> {
    let starts = schedule(job)?.and_then(|schedule| schedule.next_after(now).zip(schedule.periods(now)));
    Ok(starts.map(|(next_start, every)| JobSchedule { next_start, every }))
}

/// The jobs called `names`, or all of them when there are no names.
pub fn jobs<'a>(config: &'a Config, names: &[String]) -> Result<Vec<&'a JobConfig>, Failure> {
    if config.jobs.is_empty() {
        return Err(Failure::new(exit::CONFIGURATION, "no job is configured")
            .hint("`profound-export init` writes a jobs.toml with one; or set the path of a file with --config"));
    }
    if names.is_empty() {
        return Ok(config.jobs.iter().collect());
    }
    names.iter().map(|name| config.job(name).map_err(Failure::from)).collect()
}

/// The days from `--from` to `--to`, both included.
pub fn window(from: Day, to: Day) -> Result<Window, Failure> {
    let failure = || Failure::new(exit::USAGE, format!("--from {from} is after --to {to}"));
    Window::inclusive(from, to).ok_or_else(failure)
}

/// Cancels on SIGTERM and SIGINT. Must run inside the runtime, and ends with it.
pub async fn cancel_on_signal(cancel: CancellationToken) {
    let stopped = async {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            if let Ok(mut terminate) = signal(SignalKind::terminate()) {
                tokio::select! {
                    _ = terminate.recv() => return,
                    _ = tokio::signal::ctrl_c() => return,
                }
            }
        }
        tokio::signal::ctrl_c().await.ok();
    };
    stopped.await;
    cancel.cancel();
}

pub fn warn_of_expiry(config: &Config, now: Timestamp) {
    let Some(expires) = config.api.key_expires else {
        return;
    };
    let left = expires.since(DayZone::Utc.today(now));
    if left <= EXPIRY_WARNING_DAYS {
        tracing::warn!(%expires, days_left = left, "API key expires soon or has expired");
    }
}

fn one_line(problem: &Problem) -> String {
    problem.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spool_is_in_a_directory_of_this_user() {
        let dir = |variables: &[(&str, &str)], lake: Option<&str>| {
            let variable = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(*value))
            };
            spool_dir(&SpoolConfig::default(), lake.map(Path::new), variable).display().to_string()
        };
        let (home, xdg) = (("HOME", "/home/eve"), ("XDG_CACHE_HOME", "/home/eve/cache"));
        assert_eq!(dir(&[home], Some("/data/lake")), "/data/lake/_profound_export/spool");
        assert_eq!(dir(&[home], None), "/home/eve/.cache/profound-export/spool");
        assert_eq!(dir(&[home, xdg], Some("/data/lake")), "/home/eve/cache/profound-export/spool");
        let state = ("STATE_DIRECTORY", "/var/lib/profound-export:/var/lib/other");
        assert_eq!(dir(&[home, xdg, state], None), "/var/lib/profound-export/spool");
        assert_eq!(dir(&[state, ("CACHE_DIRECTORY", "/var/cache/x")], None), "/var/cache/x/spool");
        // Variables that are empty or relative count as unset.
        let unset = [("XDG_CACHE_HOME", ""), ("STATE_DIRECTORY", ""), ("CACHE_DIRECTORY", "cache"), home];
        assert_eq!(dir(&unset, None), "/home/eve/.cache/profound-export/spool");
        let configured = SpoolConfig { dir: Some("/fast/disk".into()), ..SpoolConfig::default() };
        assert_eq!(spool_dir(&configured, None, |_| None), Path::new("/fast/disk"));
    }
}
