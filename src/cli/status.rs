//! `status`: coverage and the last runs, from the ledger alone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::cli::failure::Failure;
use crate::cli::setup::{configuration, lake_name, ledger_state, schedule};
use crate::cli::stream_names::abbreviated;
use crate::cli::table::table;
use crate::cli::{GlobalOptions, OutputFormat, exit, logging, print, print_json};
use crate::clock::Clock;
use crate::config::Config;
use crate::ledger::{LearnedFact, RunSummary, State};
use crate::model::coverage::{DayState, ScopeCoverage};
use crate::model::day::Day;
use crate::model::day_status::{DayStatus, Finality};
use crate::model::forgotten::Forgotten;
use crate::model::format::{format_duration, format_number};
use crate::status::{DayCell, JobStatus, Status, StreamStatus, SuspectDays};

#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Days of coverage to show
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=366))]
    days: u16,
}

pub async fn execute(options: &GlobalOptions, args: StatusArgs) -> Result<u8, Failure> {
    logging::start(options, "status");
    let (_, config) = configuration(options)?;
    let clock = Clock::system();
    let state = ledger_state(&config, &clock).await?;
    let (catalog, now) = (config.catalog(), clock.now());
    match options.output {
        OutputFormat::Json => print_json(&to_json(&state, catalog, &config, now)?),
        OutputFormat::Table => {
            print(&text(&Status::of(&state, &config, now, args.days)?, &lake_name(&config), args.days))
        }
    }?;
    // A wrong `destination.url` looks like this, too.
    Ok(if state.number == 0 { exit::FAILED } else { exit::COMPLETE })
}

/// In the order of the legend.
const SIGNS: [(DayStatus, char); 6] = [
    (DayStatus::Empty, '·'),
    (DayStatus::Final, '■'),
    (DayStatus::Provisional, '▪'),
    (DayStatus::Stale, '~'),
    (DayStatus::Missing, '–'),
    (DayStatus::Suspect, '!'),
];

fn text(status: &Status, lake: &str, shown_days: u16) -> String {
    let mut text = format!("{}\nlake: {lake}", status.headline);
    if status.headline.is_new {
        return text;
    }
    text.push_str("\n\n");
    text.push_str(&jobs(&status.jobs));
    let legend: Vec<String> = SIGNS.iter().map(|(status, sign)| format!("{sign} {status}")).collect();
    text.push_str(&format!(
        "\ncoverage  last {shown_days} days, newest at the right   {}   * list\n",
        legend.join("  ")
    ));
    let rows = status.streams.iter().map(|stream| {
        vec![stream.name.clone(), stream.requested_for.clone(), day_signs(stream), format_number(stream.rows)]
    });
    text.push_str(&table(&["stream", "scopes", "days", ">rows"], rows));
    for suspect in &status.suspects {
        let SuspectDays { stream, scope, problem, .. } = suspect;
        text.push_str(&format!("suspect: {stream}, {}{scope}: {problem}\n", suspect.days_prefix()));
    }
    let learned = status.learned.iter().filter_map(LearnedFact::difference_since);
    text.extend(learned.map(|difference| format!("learned: {difference}\n")));
    for not_entitled in &status.not_entitled {
        let at = not_entitled.at.strftime("%-d %b %H:%M UTC");
        let streams = abbreviated(not_entitled.streams.iter().map(String::as_str));
        text.push_str(&format!(
            "not entitled: {streams} of {}, since {at}: {}\n",
            not_entitled.scope, not_entitled.detail
        ));
    }
    text
}

fn jobs(jobs: &[JobStatus]) -> String {
    let rows = jobs.iter().map(|job| {
        let zone = jiff::tz::TimeZone::get(&job.timezone).unwrap_or(jiff::tz::TimeZone::UTC);
        let time = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%a %-d %b %H:%M %Z").to_string();
        let next = job.next_run.map_or_else(|| "manual".to_owned(), time);
        let later = job.later_runs.iter().map(|at| at.to_zoned(zone.clone()).strftime("%a %-d %b %H:%M").to_string());
        let later = later.collect::<Vec<_>>().join(", ");
        let (when, result) = match &job.last_run {
            Some(run) => {
                let length =
                    std::time::Duration::try_from(run.ended_at.duration_since(run.end.started_at)).unwrap_or_default();
                (format!("{}, {}", time(run.end.started_at), format_duration(length)), run.end.outcome.label())
            }
            None => ("never".to_owned(), "-".to_owned()),
        };
        vec![job.name.clone(), when, result, next, later]
    });
    table(&["job", "last run", "result", "next run", "then"], rows)
}

/// One sign per day.
fn day_signs(stream: &StreamStatus) -> String {
    if stream.is_list {
        return "*".to_owned();
    }
    let sign = |cell: &Option<DayCell>| {
        let found = cell.as_ref().and_then(|cell| SIGNS.iter().find(|(status, _)| *status == cell.worst));
        found.map_or(' ', |(_, sign)| *sign)
    };
    stream.days.iter().map(sign).collect()
}

/// The whole status as JSON.
#[derive(serde::Serialize)]
struct StatusOutput<'a> {
    lake: String,
    records: u64,
    jobs: Vec<Value>,
    runs: &'a VecDeque<RunSummary>,
    forgotten: &'a Forgotten,
    learned: Vec<&'a LearnedFact>,
    coverage: CoverageOutput<'a>,
}

fn to_json<'a>(
    state: &'a State,
    catalog: &'a Catalog,
    config: &Config,
    now: Timestamp,
) -> Result<StatusOutput<'a>, Failure> {
    let mut jobs = Vec::new();
    for job in &config.jobs {
        let next = schedule(job)?.and_then(|schedule| schedule.next_after(now));
        let last = state.runs.iter().rev().find(|run| run.end.job == job.name);
        jobs.push(json!({"job": job.name, "next_run": next, "last_run": last}));
    }
    let coverage = CoverageOutput { state, catalog, now };
    let learned = state.facts.iter().filter(|learned| learned.difference().is_some()).collect();
    Ok(StatusOutput {
        lake: lake_name(config),
        records: state.number,
        jobs,
        runs: &state.runs,
        forgotten: &state.forgotten,
        learned,
        coverage,
    })
}

/// Coverage, serialized scope by scope: as one JSON value it takes ten times the memory of the ledger.
struct CoverageOutput<'a> {
    state: &'a State,
    catalog: &'a Catalog,
    now: Timestamp,
}

impl serde::Serialize for CoverageOutput<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let streams = self.state.coverage.iter();
        serializer.collect_seq(streams.flat_map(|(name, scopes)| {
            let finality = Finality::of_table(name, self.catalog.get(name).map(Arc::as_ref));
            scopes.values().map(move |scope| scope_to_json(name, finality, scope, self.now))
        }))
    }
}

fn scope_to_json(name: &str, finality: Option<Finality<'_>>, scope: &ScopeCoverage, now: Timestamp) -> Value {
    let of_list = |state: &DayState| {
        json!({
            "rows": state.rows,
            "extracted_at": state.extracted_at,
            "changed_at": state.changed_at,
            "problem": state.problem(),
        })
    };
    let of_day = |(day, state): (&Day, &DayState)| {
        let final_from = finality.and_then(|finality| finality.final_from(*day, now));
        let mut value = of_list(state);
        value["status"] = json!(DayStatus::of(Some(state), final_from));
        (day.to_string(), value)
    };
    json!({
        "stream": name, "scope": scope.scope, "days": scope.days.iter().map(of_day).collect::<BTreeMap<_, _>>(),
        "list": scope.whole.as_ref().map(of_list), "not_entitled": scope.not_entitled,
    })
}
