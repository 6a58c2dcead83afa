//! `demo`: exports a simulated account to ./demo-lake and shows the result.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use object_store::path::Path as ObjectPath;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::cli::failure::Failure;
use crate::cli::report::{ReportedLake, write_page};
use crate::cli::run::{counters_json, failure, until_done};
use crate::cli::setup::{built_in, goal, settings};
use crate::cli::table::table;
use crate::cli::{GlobalOptions, OutputFormat, exit, logging, print, print_json};
use crate::clock::Clock;
use crate::config::{Config, Flag, JobConfig, Sources, load};
use crate::error_text::error_chain;
use crate::ledger::Ledger;
use crate::model::counters::Counters;
use crate::model::day::{Day, DayZone};
use crate::model::format::{format_bytes, format_duration, format_number};
use crate::model::stream::{Pagination, Stream};
use crate::model::window::Window;
use crate::run::{Outcome, RunResult, RunSettings, run_job};
use crate::simulator::{Account, Simulator, Truth};

/// Days that the demo exports.
const DAYS: i64 = 30;
/// The tier `minimal`, what else the report shows, and a stream for every other kind of request.
const STREAMS: [&str; 7] = [
    "minimal",
    "visibility_v2_by_model",
    "category_topics",
    "category_tags",
    "visibility_v1",
    "citations_v1",
    "answers_v1",
];
/// The page, in the directory of the lake: another run of the demo may replace it.
const REPORT: &str = "report.html";

#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Directory of the lake
    #[arg(long, default_value = "demo-lake", value_name = "DIRECTORY")]
    to: PathBuf,
}

pub async fn execute(options: &GlobalOptions, args: DemoArgs) -> Result<u8, Failure> {
    let (events, progress) = logging::start(&quiet(options), "Exporting");
    let account = Account::default();
    let key = account.key.clone();
    let simulator = Simulator::start(built_in()?, account.clone())
        .await
        .map_err(|error| Failure::new(exit::UNAVAILABLE, error_chain(&error)))?;
    if options.output == OutputFormat::Table {
        print(&format!(
            "Simulated account: {} organizations, {} categories, {} domains, {DAYS} days. No key needed.\n\n",
            account.organizations, account.categories, account.domains
        ))?;
    }
    let (sources, config) = configuration(&simulator, &key, &args)?;
    let settings = settings(&sources, &config, Clock::system(), events, CancellationToken::new())?;
    let job = JobConfig { name: "demo".into(), streams: STREAMS.map(str::to_owned).to_vec(), ..JobConfig::default() };
    // Also what the lake is compared with: midnight may pass during the run.
    let now = simulator.now();
    let job = JobConfig { start: Some(DayZone::Eastern.today(now).plus(-DAYS)), ..job };
    let goal = goal(&config, &job, settings.clock.now())?;
    let result = until_done(run_job(&settings, &goal), settings.cancel.clone()).await?;
    if let Some(progress) = progress {
        progress.finish();
    }
    if result.outcome != Outcome::Complete {
        let problem = format!("the demo did not complete: {}", result.summary());
        let code = exit::FAILED;
        return Err(failure(&settings, result, code).unwrap_or_else(|| Failure::new(code, problem)));
    }
    let differences = differences(&settings, &simulator, now, &goal.streams, job.start).await?;
    let page = write_report(&settings, &config, &args).await?;
    show(options, &settings, &args, &page, &result, &differences)?;
    if differences.is_empty() {
        return Ok(exit::COMPLETE);
    }
    let problem = format!("the lake differs from the simulator:\n  {}", differences.join("\n  "));
    Err(Failure::new(exit::FAILED, problem))
}

/// Writes the report; where.
async fn write_report(settings: &RunSettings, config: &Config, args: &DemoArgs) -> Result<PathBuf, Failure> {
    let lake = settings.destinations.lake.clone();
    let state = Ledger::open_lake(lake, settings.clock.clone(), config.catalog()).await?.into_state();
    let lake = ReportedLake { state: &state, catalog: config.catalog(), destinations: &settings.destinations };
    let report = lake.default_report(settings.clock.now()).await?;
    let page = args.to.join(REPORT);
    write_page(&page, &report.html)?;
    Ok(page)
}

/// Only warnings, because other log lines would hide the table.
fn quiet(options: &GlobalOptions) -> GlobalOptions {
    let log = options.log.clone().or_else(|| Some(Targets::new().with_default(LevelFilter::WARN)));
    GlobalOptions { log, ..options.clone() }
}

fn configuration(simulator: &Simulator, key: &str, args: &DemoArgs) -> Result<(Sources, Config), Failure> {
    let sources =
        Sources { environment: [("PROFOUND_API_KEY".to_owned(), key.to_owned())].into(), ..Sources::default() }
            .with_flag(Flag::new("demo", "api.base_url", simulator.url()))
            .with_flag(Flag::new("--to", "destination.url", args.to.display().to_string()));
    let config = load(&sources)?;
    Ok((sources, config))
}

/// Streams whose row count in the files differs from the simulator's.
async fn differences(
    settings: &RunSettings,
    simulator: &Simulator,
    now: Timestamp,
    streams: &[Arc<Stream>],
    start: Option<Day>,
) -> Result<Vec<String>, Failure> {
    let mut differences = Vec::new();
    for stream in streams {
        let window = stream.days.as_ref().and_then(|days| Window::inclusive(start?, days.zone.yesterday(now)));
        let mut truth = Truth::default();
        for scope in simulator.scopes(stream.scope) {
            truth.add(&simulator.truth(stream, &scope, window));
        }
        let found = rows_in_files(settings, &stream.name, window).await?;
        if found != truth.rows {
            differences.push(format!("{}: {found} rows exported, {} simulated", stream.name, truth.rows));
        }
    }
    Ok(differences)
}

/// Rows of a stream in `window`, counted from the footers of its files.
async fn rows_in_files(settings: &RunSettings, stream: &str, window: Option<Window>) -> Result<u64, Failure> {
    let destinations = &settings.destinations;
    let mut rows = 0;
    for path in destinations.lake.list(&ObjectPath::from(stream), None).await? {
        let day = destinations.layout.parse(&path).and_then(|file| file.day);
        if let (Some(window), Some(day)) = (window, day)
            && !window.contains(day)
        {
            continue;
        }
        let file = destinations.lake.directory().map(|root| root.join(path.as_ref())).unwrap_or_default();
        let unreadable = |problem: String| Failure::new(exit::FAILED, format!("cannot read `{path}`: {problem}"));
        let file = std::fs::File::open(file).map_err(|error| unreadable(error.to_string()))?;
        let reader = SerializedFileReader::new(file).map_err(|error| unreadable(error.to_string()))?;
        rows += u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or_default();
    }
    Ok(rows)
}

/// Requests with cursor pagination, at the page size of each stream.
fn cursor_requests(settings: &RunSettings, result: &RunResult) -> u64 {
    let pages = |(name, totals): (&String, &Counters)| {
        let limit = match settings.catalog.get(name).map(|stream| stream.pagination.clone()) {
            Some(Pagination::Cursor { limit }) => limit,
            _ => return totals.requests,
        };
        totals.rows.div_ceil(limit).max(totals.slices)
    };
    result.streams.iter().map(pages).sum()
}

fn show(
    options: &GlobalOptions,
    settings: &RunSettings,
    args: &DemoArgs,
    page: &Path,
    result: &RunResult,
    differences: &[String],
) -> Result<u8, Failure> {
    let totals = result.totals();
    if options.output == OutputFormat::Json {
        let streams: BTreeMap<_, _> =
            result.streams.iter().map(|(name, totals)| (name, counters_json(totals))).collect();
        return print_json(&json!({
            "lake": args.to, "report": page, "streams": streams, "rows": totals.rows, "files": totals.files,
            "bytes": totals.bytes, "requests": result.requests, "seconds": result.elapsed.as_secs_f64(), "differences": differences,
        }));
    }
    let row = |name: &str, done: Counters, requests: u64, time: std::time::Duration| {
        vec![
            name.to_owned(),
            format_number(done.rows),
            format_number(done.files),
            format_number(done.unchanged),
            format_bytes(done.bytes),
            format_number(requests),
            format_duration(time),
        ]
    };
    let mut rows: Vec<_> =
        result.streams.iter().map(|(name, stream)| row(name, *stream, stream.requests, stream.elapsed)).collect();
    rows.push(row("", totals, result.requests, result.elapsed));
    let mut text = table(&["stream", ">rows", ">files", ">unchanged", ">size", ">requests", ">time"], rows);
    text.push_str(&format!(
        "\nCursor pagination would have needed {} requests.\n",
        format_number(cursor_requests(settings, result))
    ));
    if differences.is_empty() {
        text.push_str("Verified: every stream equals the simulator's own totals.\n");
    }
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
    let lake = args.to.display();
    let next = [
        ("Lake:", absolute(&args.to)),
        ("Report:", format!("{} (open it in a browser)", absolute(page))),
        (
            "DuckDB:",
            format!(
                "duckdb -c \"select day, model.name as model, count(*) as answers from read_parquet('{lake}/answers_v2/**/*.parquet', hive_partitioning = true) group by all order by all\""
            ),
        ),
        (
            "Polars:",
            format!(
                "python -c \"import polars as pl; print(pl.scan_parquet('{lake}/answers_v2/**/*.parquet').group_by('date').len().sort('date').collect())\""
            ),
        ),
        ("Your account:", "profound-export init".to_owned()),
    ];
    text.push('\n');
    for (what, line) in next {
        text.push_str(&format!("{what:<15}{line}\n"));
    }
    print(&text)
}
