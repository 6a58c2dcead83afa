//! `status`: coverage and the last runs, from the ledger alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::cli::failure::Failure;
use crate::cli::names::in_short;
use crate::cli::setup::{configuration, destinations, schedule};
use crate::cli::table::table;
use crate::cli::{Output, Surroundings, logging, print, print_json};
use crate::clock::Clock;
use crate::config::{Config, JobConfig, Location};
use crate::ledger::{Ledger, RunSummary, State};
use crate::model::coverage::{DayState, NotEntitled, ScopeCoverage};
use crate::model::day::Day;
use crate::model::figures::{grouped, took};
use crate::model::forgotten::Forgotten;
use crate::model::history::{list_of, snapshot_day, snapshot_state};
use crate::model::scope::ScopeKey;
use crate::model::stream::{Days, Stream};
use crate::model::window::Window;
use crate::run::day_state;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// How many days of coverage are shown
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=366))]
    days: i64,
}

pub async fn execute(around: &Surroundings, arguments: Arguments) -> Result<u8, Failure> {
    logging::start(around, "status");
    let (_, config) = configuration(around)?;
    let clock = Clock::system();
    let state = read_state(&config, &clock).await?;
    let (catalog, now) = (config.catalog(), clock.now());
    match around.output {
        Output::Json => print_json(&to_json(&state, catalog, &config, now)?),
        Output::Table => print(&text(&state, catalog, &config, now, arguments.days)?),
    }
}

/// What the ledger says; nothing where there is no lake yet, which looking must not make.
async fn read_state(config: &Config, clock: &Clock) -> Result<State, Failure> {
    if let Ok(Location::Local(path)) = config.destination.location()
        && !path.exists()
    {
        return Ok(State::default());
    }
    Ok(Ledger::open(destinations(config)?.lake, clock.clone()).await?.into_state())
}

/// The worst state of a day over the scopes of a stream comes first.
const STATES: [(&str, char); 5] =
    [("suspect", '!'), ("missing", '–'), ("provisional", '▪'), ("final", '■'), ("empty", '·')];

fn text(state: &State, catalog: &Catalog, config: &Config, now: Timestamp, shown_days: i64) -> Result<String, Failure> {
    if state.number == 0 {
        return Ok("Nothing is exported yet: `profound-export run` begins.".to_owned());
    }
    let mut text = headline(state, catalog, config, now);
    text.push_str("\n\n");
    text.push_str(&jobs(state, config, now)?);
    let legend: Vec<String> = STATES.iter().rev().map(|(name, sign)| format!("{sign} {name}")).collect();
    text.push_str(&format!(
        "\ncoverage  last {shown_days} days, newest at the right   {}   * list\n",
        legend.join("  ")
    ));
    let starts = starts(state, config);
    let rows = state.coverage.iter().filter_map(|(name, scopes)| {
        let stream = catalog.get(list_of(name).unwrap_or(name))?;
        let scopes: Vec<&ScopeCoverage> = scopes.values().filter(|scope| scope.not_entitled.is_none()).collect();
        let picture = match &stream.days {
            _ if list_of(name).is_some() => snapshots(&scopes, now, shown_days),
            Some(days) => picture(state, name, &scopes, days, starts.get(name).copied(), now, shown_days),
            None => "*".to_owned(),
        };
        let rows: u64 =
            scopes.iter().flat_map(|scope| scope.days.values().chain(&scope.whole)).map(|state| state.rows).sum();
        Some(vec![name.clone(), scopes_text(stream, scopes.len()), picture, grouped(rows)])
    });
    text.push_str(&table(&["stream", "asked for", "days", ">rows"], rows));
    for trouble in troubles(state) {
        text.push_str(&format!("{trouble}\n"));
    }
    Ok(text)
}

/// Is everything there, and if not, what is done about it.
fn headline(state: &State, catalog: &Catalog, config: &Config, now: Timestamp) -> String {
    let ended = |job: &JobConfig| state.runs.iter().rev().find(|run| run.end.job == job.name);
    let bad =
        config.jobs.iter().filter_map(ended).find(|run| !matches!(run.end.outcome.as_str(), "complete" | "incomplete"));
    let starts = starts(state, config);
    let lacking = lacking(state, catalog, &starts, now);
    let suspects = suspects(state).len();
    let mut parts = Vec::new();
    if let Some(run) = bad {
        parts.push(format!("the last run of `{}` ended {}", run.end.job, run.end.outcome.replace('_', " ")));
    }
    if 0 < lacking {
        parts.push(format!("{lacking} streams lack days"));
    }
    if 0 < suspects {
        parts.push(format!("{suspects} readings are suspect"));
    }
    let history = history(state, catalog, &starts, now).unwrap_or_default();
    match parts.is_empty() {
        true => format!("Everything that was due is there.{history}"),
        false => {
            format!("Not everything is there: {}. The next run asks for what is missing.{history}", parts.join(", "))
        }
    }
}

/// The first day that any job wants of each stream; what no job has any more is not missing.
fn starts(state: &State, config: &Config) -> BTreeMap<String, Day> {
    let mut starts = BTreeMap::new();
    for job in &config.jobs {
        let (Some(start), Ok(streams)) = (state.starts.get(&job.name), config.streams_of(job)) else {
            continue;
        };
        for stream in streams {
            let earliest = starts.entry(stream.name.clone()).or_insert(*start);
            *earliest = (*earliest).min(*start);
        }
    }
    starts
}

/// How much of what lies before the first readings is there; none where nothing does.
fn history(state: &State, catalog: &Catalog, starts: &BTreeMap<String, Day>, now: Timestamp) -> Option<String> {
    let earliest = starts.values().min()?;
    let (mut wanted, mut missing) = (0_u64, 0_u64);
    for (name, scopes) in &state.coverage {
        let dated = catalog.get(name).and_then(|stream| stream.days.as_ref()).filter(|days| !days.kind.is_single());
        let (Some(days), Some(start)) = (dated, starts.get(name)) else {
            continue;
        };
        let complete: Vec<Day> = days.complete(*start, now).collect();
        for scope in scopes.values().filter(|scope| scope.not_entitled.is_none()) {
            let Some(first) = scope.history_ends() else {
                continue;
            };
            let before = &complete[..complete.partition_point(|day| *day < first)];
            let is_forgotten = |day: &&Day| state.forgotten.covers(name, &scope.scope, Some(**day));
            let is_read = |day: &&Day| scope.days.get(day).is_some_and(|state| state.read_at.is_some());
            let forgotten = before.iter().filter(is_forgotten).count();
            wanted += (complete.len() - forgotten) as u64;
            missing += before.iter().filter(|day| !is_forgotten(day) && !is_read(day)).count() as u64;
        }
    }
    let there = 100 * (wanted - missing) / wanted.max(1);
    (0 < missing).then(|| {
        format!(" History from {earliest} on is {there} % there; runs go on with it as far as their requests reach.")
    })
}

/// Streams that lack a day which a job wants, for a scope that may be read.
fn lacking(state: &State, catalog: &Catalog, starts: &BTreeMap<String, Day>, now: Timestamp) -> usize {
    let lacks = |(name, scopes): &(&String, &BTreeMap<ScopeKey, ScopeCoverage>)| {
        let days = catalog.get(name).and_then(|stream| stream.days.as_ref());
        let (Some(days), Some(start)) = (days, starts.get(*name).copied()) else {
            return false;
        };
        // The day that has just ended is not late before the next run.
        let due = now - jiff::SignedDuration::from_hours(24);
        let open = |scope: &&ScopeCoverage| scope.not_entitled.is_none();
        scopes.values().filter(open).any(|scope| {
            // What lies before the first reading is history, which has its own place.
            let start = scope.history_ends().map_or(start, |first| start.max(first));
            let mut wanted = scope.wanted(days, start, due);
            wanted.any(|day| {
                !state.forgotten.covers(name, &scope.scope, Some(day))
                    && day_state(scope.days.get(&day), day, days) == "missing"
            })
        })
    };
    state.coverage.iter().filter(lacks).count()
}

fn jobs(state: &State, config: &Config, now: Timestamp) -> Result<String, Failure> {
    let mut rows = Vec::new();
    for job in &config.jobs {
        let last = state.runs.iter().rev().find(|run| run.end.job == job.name);
        let zone = jiff::tz::TimeZone::get(&job.timezone).unwrap_or(jiff::tz::TimeZone::UTC);
        let time = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%a %-d %b %H:%M %Z").to_string();
        let next =
            schedule(job)?.and_then(|schedule| schedule.next_after(now)).map_or_else(|| "by hand".to_owned(), time);
        let (when, result) = match last {
            Some(run) => {
                let length =
                    std::time::Duration::try_from(run.ended_at.duration_since(run.end.started_at)).unwrap_or_default();
                (format!("{}, {}", time(run.end.started_at), took(length)), run.end.outcome.replace('_', " "))
            }
            None => ("never".to_owned(), "-".to_owned()),
        };
        rows.push(vec![job.name.clone(), when, result, next]);
    }
    Ok(table(&["job", "last run", "result", "next run"], rows))
}

fn picture(
    state: &State,
    name: &str,
    scopes: &[&ScopeCoverage],
    days: &Days,
    start: Option<Day>,
    now: Timestamp,
    shown_days: i64,
) -> String {
    // A day that nobody wants is not missing.
    let wanted = |scope: &&ScopeCoverage| -> BTreeSet<Day> {
        let is_missed = |day: &Day| !state.forgotten.covers(name, &scope.scope, Some(*day));
        start.map(|start| scope.wanted(days, start, now).filter(is_missed).collect()).unwrap_or_default()
    };
    let wanted: Vec<BTreeSet<Day>> = scopes.iter().map(wanted).collect();
    let last = days.zone.yesterday(now);
    let sign = |day: Day| {
        let found: Vec<&str> = match days.marks(Window::day(day)).next() {
            Some(_) => scopes
                .iter()
                .zip(&wanted)
                .map(|(scope, wanted)| (scope.days.get(&day), wanted))
                .filter(|(known, wanted)| known.is_some() || wanted.contains(&day))
                .map(|(known, _)| day_state(known, day, days))
                .collect(),
            None => Vec::new(),
        };
        let worst = STATES.iter().find(|(name, _)| found.contains(name));
        worst.map_or(' ', |(_, sign)| *sign)
    };
    (0..shown_days).rev().map(|back| sign(last.plus(-back))).collect()
}

/// The days of which there are snapshots, up to today: they are taken of the day itself.
fn snapshots(scopes: &[&ScopeCoverage], now: Timestamp, shown_days: i64) -> String {
    let sign = |day: Day| {
        let taken = scopes.iter().filter_map(|scope| scope.days.get(&day));
        let found: Vec<&str> = taken.map(|state| snapshot_state(state, day, now)).collect();
        STATES.iter().find(|(name, _)| found.contains(name)).map_or(' ', |(_, sign)| *sign)
    };
    (0..shown_days).rev().map(|back| sign(snapshot_day(now).plus(-back))).collect()
}

fn scopes_text(stream: &Stream, count: usize) -> String {
    match stream.scope.describe() {
        "account" => "the account".to_owned(),
        "category" if count == 1 => "1 category".to_owned(),
        "category" => format!("{count} categories"),
        "organization" if count == 1 => "1 organization".to_owned(),
        "organization" => format!("{count} organizations"),
        "domain" if count == 1 => "1 domain".to_owned(),
        "domain" => format!("{count} domains"),
        _ => format!("{count} assets"),
    }
}

/// Stream, scope and problem of doubtful readings, each with its days.
fn suspects(state: &State) -> BTreeMap<(&str, String, &str), Vec<Day>> {
    let mut found: BTreeMap<_, Vec<Day>> = BTreeMap::new();
    for (stream, scopes) in &state.coverage {
        for scope in scopes.values() {
            let days = scope.days.iter().map(|(day, state)| (Some(*day), state));
            for (day, known) in days.chain(scope.whole.iter().map(|state| (None, state))) {
                if let Some(problem) = known.problem() {
                    found.entry((stream.as_str(), scope.scope.to_string(), problem)).or_default().extend(day);
                }
            }
        }
    }
    found
}

fn troubles(state: &State) -> Vec<String> {
    let mut lines = Vec::new();
    for ((stream, scope, problem), days) in suspects(state) {
        let days = match days.as_slice() {
            [] => String::new(),
            [day] => format!("{}, ", day.short()),
            [first, .., last] => format!("{} days from {} to {}, ", days.len(), first.short(), last.short()),
        };
        lines.push(format!("suspect: {stream}, {days}{scope}: {problem}"));
    }
    let mut not_entitled: BTreeMap<(String, String), (Vec<&str>, &NotEntitled)> = BTreeMap::new();
    for (stream, scopes) in &state.coverage {
        for scope in scopes.values() {
            if let Some(told) = &scope.not_entitled {
                let key = (scope.scope.to_string(), told.detail.clone());
                not_entitled.entry(key).or_insert_with(|| (Vec::new(), told)).0.push(stream);
            }
        }
    }
    for ((scope, detail), (streams, told)) in not_entitled {
        let at = told.at.strftime("%-d %b %H:%M UTC");
        lines.push(format!("not entitled: {} of {scope}, told {at}: {detail}", in_short(streams)));
    }
    lines
}

/// All of it as JSON.
#[derive(serde::Serialize)]
struct Told<'a> {
    records: u64,
    jobs: Vec<Value>,
    runs: &'a VecDeque<RunSummary>,
    forgotten: &'a Forgotten,
    coverage: ToldCoverage<'a>,
}

fn to_json<'a>(state: &'a State, catalog: &'a Catalog, config: &Config, now: Timestamp) -> Result<Told<'a>, Failure> {
    let mut jobs = Vec::new();
    for job in &config.jobs {
        let next = schedule(job)?.and_then(|schedule| schedule.next_after(now));
        let last = state.runs.iter().rev().find(|run| run.end.job == job.name);
        jobs.push(json!({"job": job.name, "next_run": next, "last_run": last}));
    }
    let coverage = ToldCoverage { state, catalog, now };
    Ok(Told { records: state.number, jobs, runs: &state.runs, forgotten: &state.forgotten, coverage })
}

/// The coverage as JSON, made scope by scope: all of it at once takes ten times the room of the ledger.
struct ToldCoverage<'a> {
    state: &'a State,
    catalog: &'a Catalog,
    now: Timestamp,
}

impl serde::Serialize for ToldCoverage<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let streams = self.state.coverage.iter();
        serializer.collect_seq(streams.flat_map(|(name, scopes)| {
            let days = self.catalog.get(name).and_then(|stream| stream.days.as_ref());
            scopes.values().map(move |scope| scope_to_json(name, days, scope, self.now))
        }))
    }
}

fn scope_to_json(name: &str, days: Option<&Days>, scope: &ScopeCoverage, now: Timestamp) -> Value {
    let of_day = |(day, state): (&Day, &DayState)| {
        let name = match days {
            _ if list_of(name).is_some() => snapshot_state(state, *day, now),
            Some(days) => day_state(Some(state), *day, days),
            None => "final",
        };
        let value = json!({
            "state": name, "rows": state.rows, "read_at": state.read_at, "changed_at": state.changed_at,
            "problem": state.problem(),
        });
        (day.to_string(), value)
    };
    let of_list = |state: &DayState| {
        json!({
            "rows": state.rows, "read_at": state.read_at, "changed_at": state.changed_at, "problem": state.problem(),
        })
    };
    json!({
        "stream": name, "scope": scope.scope, "days": scope.days.iter().map(of_day).collect::<BTreeMap<_, _>>(),
        "list": scope.whole.as_ref().map(of_list), "not_entitled": scope.not_entitled,
    })
}
