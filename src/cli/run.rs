//! `run`: runs jobs once, one after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::cli::deferred::{deferred_by_stream, deferred_lines};
use crate::cli::failure::Failure;
use crate::cli::process_monitor::ProcessMonitor;
use crate::cli::setup::{cancel_on_signal, configuration, goal, jobs, settings};
use crate::cli::status_page;
use crate::cli::stream_names::abbreviated;
use crate::cli::{GlobalOptions, exit, logging, plan};
use crate::clock::Clock;
use crate::error_text::error_chain;
use crate::model::counters::Counters;
use crate::run::{Outcome, RunResult, RunSettings, run_job};

/// Limit for ending after a signal: service managers kill after thirty seconds.
const STOP_TIMEOUT: Duration = Duration::from_secs(25);

#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Jobs [default: all]
    jobs: Vec<String>,
    /// Exit with 0 instead of 75 if a run is incomplete, for schedulers that would restart at once
    #[arg(long)]
    incomplete_ok: bool,
    /// Only print what the run would request and what it costs, as `plan` does
    #[arg(long)]
    dry_run: bool,
}

pub async fn execute(options: &GlobalOptions, args: RunArgs) -> Result<u8, Failure> {
    if args.dry_run {
        return plan::execute(options, plan::PlanArgs { jobs: args.jobs, offline: false }).await;
    }
    let (events, progress) = logging::start(options, "run");
    let (sources, config) = configuration(options)?;
    let chosen = jobs(&config, &args.jobs)?;
    let cancel = CancellationToken::new();
    let clock = Clock::system();
    let monitor = ProcessMonitor::new(&config, &clock);
    let address = config.server.of_run();
    let settings = match settings(&sources, &config, clock.clone(), events.and(monitor.events()), cancel.clone()) {
        Ok(settings) => settings,
        Err(failure) => return Err(monitor.end_without_start(&chosen, failure, &cancel).await),
    };
    let running = async {
        let mut ended = Vec::new();
        for job in chosen {
            let goal = goal(&config, job, settings.clock.now())?;
            let result = run_job(&settings, &goal).await;
            // A process that ends cannot be scraped, so it leaves its metrics in the text file.
            if config.metrics.textfile.is_some() {
                monitor.refresh().await;
            }
            // No requests are sent with a rejected key or after a signal.
            let stop = result.outcome == Outcome::KeyRejected || settings.cancel.is_cancelled();
            ended.push(result);
            if stop {
                break;
            }
        }
        Ok::<_, Failure>(ended)
    };
    let shown = async {
        tokio::join!(monitor.refresh_periodically(), status_page::show(&monitor, &clock, address));
    };
    let ended = tokio::select! {
        ended = until_done(running, cancel.clone()) => ended??,
        () = shown, if address.is_some() => Vec::new(),
    };
    if let Some(progress) = progress {
        progress.finish();
    }
    let code = show(options, &settings, ended, args.incomplete_ok)?;
    monitor.notify_before_exit(&cancel).await;
    monitor.shut_down().await;
    Ok(code)
}

/// Waits for `running`. After a signal, it has limited time to end.
///
/// # Errors
/// It did not end in time.
pub async fn until_done<T>(running: impl Future<Output = T>, cancel: CancellationToken) -> Result<T, Failure> {
    tokio::pin!(running);
    tokio::select! {
        done = &mut running => return Ok(done),
        () = cancel_on_signal(cancel) => {
            tracing::info!("stopping: slices in progress are dropped, published files are kept");
        }
    }
    tokio::time::timeout(STOP_TIMEOUT, running).await.map_err(|_| {
        let seconds = STOP_TIMEOUT.as_secs();
        Failure::new(
            exit::UNAVAILABLE,
            format!("the end of the run could not be recorded within {seconds} s of the signal"),
        )
        .hint("recorded slices are kept, and the next run exports the others again; check why the destination is slow")
    })
}

/// Prints the results of runs. The most serious outcome is the exit code.
pub fn show(
    options: &GlobalOptions,
    settings: &RunSettings,
    ended: Vec<RunResult>,
    incomplete_ok: bool,
) -> Result<u8, Failure> {
    let text = || {
        let results: String = ended.iter().map(text).collect();
        format!("{results}lake: {}; `profound-export status` shows what it holds", settings.destinations.lake.url())
    };
    options.show(text, || ended.iter().map(to_json).collect::<Value>())?;
    let worst = ended.iter().map(|result| result.outcome).max().unwrap_or(Outcome::Complete);
    for result in ended {
        let code = code(result.outcome, incomplete_ok);
        if let Some(failure) = failure(settings, result, code) {
            failure.print(options.log_format);
        }
    }
    Ok(code(worst, incomplete_ok))
}

/// The exit code of an outcome.
pub fn code(outcome: Outcome, incomplete_ok: bool) -> u8 {
    match outcome {
        Outcome::Incomplete if incomplete_ok => exit::COMPLETE,
        outcome => outcome.exit_code(),
    }
}

/// What stopped a run, and what is exported nevertheless.
pub fn failure(settings: &RunSettings, result: RunResult, code: u8) -> Option<Failure> {
    if result.outcome == Outcome::Incomplete {
        return None;
    }
    let safe = result.totals().slices;
    let all = safe + (result.deferred.len() + result.failed.len()) as u64;
    let error = result.error?;
    let mut failure = Failure { code, ..Failure::from(error) };
    if result.outcome == Outcome::KeyRejected {
        failure = failure.detail(format!("key {}", settings.client.key_origin()));
    }
    if all > 0 {
        failure = failure
            .detail(format!("{safe} of {all} slices of this run are exported and safe; no more requests were sent"));
    }
    Some(failure)
}

fn text(result: &RunResult) -> String {
    let mut text = format!("{}\n", result.summary());
    for (slice, problem) in &result.failed {
        text.push_str(&format!("  failed: {slice}: {problem}\n"));
    }
    if let (Outcome::Incomplete, Some(error)) = (result.outcome, &result.error) {
        let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        text.push_str(&format!("  ended early: {}{hint}\n", error_chain(error)));
    }
    for line in deferred_lines(&result.deferred) {
        text.push_str(&format!("  deferred to the next run: {line}\n"));
    }
    let mut not_entitled: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for slice in &result.not_entitled {
        not_entitled.entry(slice.scope.to_string()).or_default().push(&slice.stream.name);
    }
    for (scope, streams) in not_entitled {
        text.push_str(&format!("  not entitled: {} of {scope}\n", abbreviated(streams)));
    }
    text
}

/// What was requested and written, for programs.
pub fn counters_json(done: &Counters) -> Value {
    json!({
        "slices": done.slices, "rows": done.rows, "files": done.files, "unchanged": done.unchanged, "bytes": done.bytes,
        "requests": done.requests, "outside_rows": done.outside_rows, "seconds": done.elapsed.as_secs_f64(),
    })
}

fn to_json(result: &RunResult) -> Value {
    let streams: BTreeMap<&String, Value> =
        result.streams.iter().map(|(name, totals)| (name, counters_json(totals))).collect();
    json!({
        "run": result.run_id,
        "job": result.job,
        "outcome": result.outcome,
        "requests": result.requests,
        "seconds": result.elapsed.as_secs_f64(),
        "totals": counters_json(&result.totals()),
        "streams": streams,
        "tables": result.tables,
        "failed": result.failed.iter().map(|(slice, problem)| json!({"slice": slice.to_string(), "problem": problem})).collect::<Vec<_>>(),
        "ended_early_by": result.error.as_ref().map(|error| error_chain(error)),
        "deferred_by_stream": deferred_by_stream(&result.deferred),
        "backfill_remaining": result.backfill_remaining,
        "deferred": result.deferred.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "not_entitled": result.not_entitled.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
