//! `status`: coverage and the last runs, from the ledger alone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::cli::failure::Failure;
use crate::cli::setup::{configuration, lake_name, ledger_state, schedule};
use crate::cli::stream_names::abbreviated;
use crate::cli::table::{paragraph, table, terminal_width, wrapped};
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
            let status = Status::of(&state, &config, now, args.days)?;
            let tables = config.tables.url.as_deref();
            print(&text(&status, &lake_name(&config), tables, args.days, terminal_width()))
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

/// A narrow terminal shows at least this many days, whatever is cut.
const MIN_DAYS: usize = 7;

fn text(status: &Status, lake: &str, tables: Option<&str>, shown_days: u16, width: Option<usize>) -> String {
    let mut text = format!("{}lake: {lake}", paragraph(&status.headline.to_string(), width));
    text.extend(tables.map(|url| format!("\ntables: {url}")));
    if status.records == 0 {
        return text;
    }
    text.push_str("\n\n");
    text.push_str(&jobs(&status.jobs, width));
    text.push_str(&coverage(&status.streams, shown_days, width));
    let mut line = |line: String| text.push_str(&paragraph(&line, width));
    for suspect in &status.suspects {
        let SuspectDays { stream, scope, problem, .. } = suspect;
        line(format!("suspect: {stream}, {}{scope}: {problem}", suspect.days_prefix()));
    }
    let learned = status.learned.iter().filter_map(LearnedFact::difference_since);
    learned.for_each(|difference| line(format!("learned: {difference}")));
    for not_entitled in &status.not_entitled {
        let at = not_entitled.at.strftime("%-d %b %H:%M UTC");
        let streams = abbreviated(not_entitled.streams.iter().map(String::as_str));
        line(format!("not entitled: {streams} of {}, since {at}: {}", not_entitled.scope, not_entitled.detail));
    }
    text
}

fn jobs(jobs: &[JobStatus], width: Option<usize>) -> String {
    const HEADINGS: [&str; 5] = ["job", "last run", "result", "next run", "then"];
    let rows: Vec<Vec<String>> = jobs.iter().map(job).collect();
    let wide = table(&HEADINGS, rows.clone());
    if fits(&wide, width) {
        return wide;
    }
    // A block for each job.
    let block = |row: Vec<String>| {
        let lines = HEADINGS.iter().zip(row).map(|(heading, cell)| vec![(*heading).to_owned(), cell]);
        wrapped(&[], lines.collect(), width)
    };
    rows.into_iter().map(block).collect::<Vec<_>>().join("\n")
}

fn job(job: &JobStatus) -> Vec<String> {
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
    vec![job.name.clone(), when, result.to_owned(), next, later]
}

/// The days of each stream. A narrow terminal shows no scopes, and fewer days.
fn coverage(streams: &[StreamStatus], shown_days: u16, width: Option<usize>) -> String {
    let row = |stream: &StreamStatus, days: usize| {
        let signs: Vec<char> = day_signs(stream).chars().collect();
        let signs = signs[signs.len().saturating_sub(days)..].iter().collect();
        vec![stream.name.clone(), stream.requested_for.clone(), signs, format_number(stream.rows)]
    };
    let mut days = usize::from(shown_days);
    let mut shown = table(&["stream", "scopes", "days", ">rows"], streams.iter().map(|stream| row(stream, days)));
    if let Some(width) = width.filter(|_| !fits(&shown, width)) {
        let narrow = |days: usize| {
            let rows = streams.iter().map(|stream| {
                let mut row = row(stream, days);
                row.remove(1);
                row
            });
            table(&["stream", "days", ">rows"], rows)
        };
        days = (MIN_DAYS..=days).rev().find(|days| fits(&narrow(*days), Some(width))).unwrap_or(MIN_DAYS.min(days));
        shown = narrow(days);
    }
    let legend: Vec<String> = SIGNS.iter().map(|(status, sign)| format!("{sign}\u{a0}{status}")).collect();
    let legend = format!("coverage  last {days} days, newest at the right   {}   *\u{a0}list", legend.join("  "));
    // A sign and its meaning stay in one line.
    format!("\n{}{shown}", paragraph(&legend, width).replace('\u{a0}', " "))
}

/// Whether no line is longer than `width`.
fn fits(text: &str, width: Option<usize>) -> bool {
    width.is_none_or(|width| text.lines().all(|line| line.chars().count() <= width))
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
    tables: Option<&'a str>,
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
    config: &'a Config,
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
        tables: config.tables.url.as_deref(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::JobConfig;
    use crate::model::compact_timestamp::CompactTimestamp;
    use crate::model::scope::{Named, Scope};

    #[test]
    fn status_is_readable_at_60_columns() {
        let now: Timestamp = "2026-03-10T16:00:00Z".parse().unwrap();
        let mut config = crate::config::load(&crate::config::Sources::default()).unwrap();
        config.jobs.push(JobConfig {
            name: "nightly".into(),
            cron: Some("30 6 * * *".into()),
            timezone: "Europe/Berlin".into(),
            ..JobConfig::default()
        });
        let extracted = |rows| DayState {
            extracted_at: Some(CompactTimestamp::from(now)),
            rows,
            file: true,
            ..DayState::unknown()
        };
        let category = Named { id: "c".into(), name: "Tea".into() };
        let mut reports = ScopeCoverage::new(Scope { category: Some(category), ..Scope::default() });
        let first: Day = "2026-02-08".parse().unwrap();
        reports.days =
            (0..30).map(|day| (Day::from_epoch_days(first.to_epoch_days() + day), extracted(41_152))).collect();
        let mut list = ScopeCoverage::new(Scope::default());
        list.whole = Some(extracted(5));
        let mut state = State { number: 7, ..State::default() };
        for (stream, scope) in [("citations_v2_domain_by_topic_model", reports), ("regions", list)] {
            state.coverage.insert(stream.into(), BTreeMap::from([(scope.scope.key(), scope)]));
        }
        let status = Status::of(&state, &config, now, 30).unwrap();

        let narrow = text(&status, "s3://lake", None, 30, Some(60));

        assert!(fits(&narrow, Some(60)), "{narrow}");
        insta::assert_snapshot!(narrow);
        assert!(text(&status, "s3://lake", None, 30, None).contains("1 category"), "nothing is cut elsewhere");
    }
}
