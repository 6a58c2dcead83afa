//! `plan`: what the next run would request, what it costs, and when it will be done.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::api::RateLimitState;
use crate::cli::failure::Failure;
use crate::cli::setup::{configuration, goal, jobs, schedule, settings, starts};
use crate::cli::table::table;
use crate::cli::{GlobalOptions, OutputFormat, exit, logging, print, print_json};
use crate::clock::Clock;
use crate::config::JobConfig;
use crate::ledger::Ledger;
use crate::model::day::DayZone;
use crate::model::days::DaysKind;
use crate::model::format::{format_bytes, format_count, format_duration, format_number};
use crate::model::scope::ScopeKey;
use crate::model::stream::Stream;
use crate::plan::Due;
use crate::run::{BackfillForecast, Preview, discover, preview};

#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    /// Job [default: all]
    job: Option<String>,
}

pub async fn execute(options: &GlobalOptions, args: PlanArgs) -> Result<u8, Failure> {
    let (events, _progress) = logging::start(options, "plan");
    let (sources, config) = configuration(options)?;
    let names: Vec<String> = args.job.into_iter().collect();
    let chosen = jobs(&config, &names)?;
    let settings = settings(&sources, &config, Clock::system(), events, CancellationToken::new())?;
    let (lake, clock) = (settings.destinations.lake.clone(), settings.clock.clone());
    let ledger = Ledger::open_lake(lake, clock, &settings.catalog).await?;
    let found = discover(&settings.catalog, &settings.client).await?;
    let mut all = Vec::new();
    for job in chosen {
        let now = settings.clock.now();
        let (goal, starts) = (goal(&config, job, now)?, starts(job, now)?);
        let preview = preview(&settings, &goal, ledger.state(), &found, starts)?;
        let shown = Shown {
            job,
            preview: &preview,
            budget: settings.client.rate_limiter().snapshot(),
            zone: schedule(job)?.map_or(TimeZone::UTC, |schedule| schedule.zone().clone()),
            by_hand: starts.is_none(),
        };
        match options.output {
            OutputFormat::Json => all.push(shown.json()),
            OutputFormat::Table => {
                print(&shown.text())?;
            }
        }
    }
    match options.output {
        OutputFormat::Json => print_json(&Value::Array(all)),
        OutputFormat::Table => Ok(exit::COMPLETE),
    }
}

struct Shown<'a> {
    job: &'a JobConfig,
    preview: &'a Preview,
    budget: RateLimitState,
    zone: TimeZone,
    by_hand: bool,
}

/// What one stream costs in a plan.
#[derive(Debug)]
struct Cost<'a> {
    stream: &'a Stream,
    scopes: BTreeSet<ScopeKey>,
    slices: u64,
    longest_window: Option<i64>,
    due: Due,
    requests: u64,
    rows: Option<u64>,
    bytes: Option<u64>,
    over: Duration,
}

impl Cost<'_> {
    /// Files that a year adds: one for each scope and day, or month; lists are written in place.
    fn files_a_year(&self) -> u64 {
        let scopes = self.scopes.len() as u64;
        match self.stream.days.as_ref().map(|days| days.kind) {
            None => 0,
            Some(DaysKind::Dated | DaysKind::Window) => 365 * scopes,
            Some(DaysKind::Month) => 12 * scopes,
        }
    }

    fn why(&self) -> String {
        let reasons = [
            (self.due.missing, "missing"),
            (self.due.lookback, "lookback"),
            (self.due.backfill, "history"),
            (self.due.retry, "again"),
        ];
        let mut told: Vec<String> = reasons
            .iter()
            .filter(|(days, _)| 0 < *days)
            .map(|(days, reason)| format!("{} {reason}", format_number(u64::from(*days))))
            .collect();
        if self.stream.days.is_none() {
            told.insert(0, "list".to_owned());
        } else if self.stream.days.as_ref().is_some_and(|days| days.kind.is_single()) {
            let each = match self.stream.days.as_ref().map(|days| days.kind) {
                _ if self.stream.is_fan_out() => "row of its parent",
                Some(DaysKind::Month) => "month",
                _ => "day",
            };
            told.push(format!("a request a {each}"));
        }
        told.join(", ")
    }
}

impl<'a> Shown<'a> {
    /// What each stream costs, in the order in which it is first asked: what is due now, or history.
    fn costs(&self, history: bool) -> Vec<Cost<'a>> {
        let plan = &self.preview.plan;
        let mut costs: Vec<Cost<'a>> = Vec::new();
        let slices = plan.slices.iter().zip(&self.preview.forecast.complete_after);
        for (planned, over) in slices.filter(|(planned, _)| planned.is_backfill == history) {
            let stream: &'a Stream = &planned.slice.stream;
            let known = costs.iter().position(|cost| cost.stream.name == stream.name);
            let at = known.unwrap_or_else(|| {
                costs.push(Cost {
                    stream,
                    scopes: BTreeSet::new(),
                    slices: 0,
                    longest_window: None,
                    due: Due::default(),
                    requests: 0,
                    rows: None,
                    bytes: None,
                    over: Duration::ZERO,
                });
                costs.len() - 1
            });
            let cost = &mut costs[at];
            cost.scopes.insert(planned.slice.scope.key());
            cost.slices += 1;
            cost.longest_window = cost.longest_window.max(planned.slice.window.map(|window| window.len_days()));
            cost.due += planned.due;
            cost.requests += planned.requests;
            cost.over = cost.over.max(*over);
            for (sum, more) in [(&mut cost.rows, planned.rows), (&mut cost.bytes, planned.bytes)] {
                *sum = more.map_or(*sum, |more| Some(sum.unwrap_or(0) + more));
            }
        }
        costs
    }

    /// An instant so long after the start.
    fn at(&self, after: Duration) -> Timestamp {
        let start = self.preview.forecast.starts_at;
        SignedDuration::try_from(after).ok().and_then(|after| start.checked_add(after).ok()).unwrap_or(Timestamp::MAX)
    }

    fn local(&self, at: Timestamp) -> Zoned {
        at.to_zoned(self.zone.clone())
    }

    /// `07:23`, with the day where it is not that of the start.
    fn clock(&self, after: Duration) -> String {
        let (start, at) = (self.local(self.preview.forecast.starts_at), self.local(self.at(after)));
        let form = if start.date() == at.date() { "%H:%M" } else { "%a %H:%M" };
        at.strftime(form).to_string()
    }

    fn text(&self) -> String {
        let (plan, forecast) = (&self.preview.plan, &self.preview.forecast);
        let start = match self.by_hand {
            true => "runs by hand".to_owned(),
            false => self.local(forecast.starts_at).strftime("next run %a %-d %b %H:%M %Q").to_string(),
        };
        let last = DayZone::Eastern.yesterday(forecast.starts_at);
        let mut text = format!("{}   {start}   days {} to {last}\n\n", self.job.name, self.preview.start);
        for warning in &self.preview.warnings {
            text.push_str(&format!("warning: {warning}\n"));
        }
        for news in &self.preview.notices {
            text.push_str(&format!("note: {news}\n"));
        }
        let costs = self.costs(false);
        let or_unknown = |figure: Option<u64>, shown: fn(u64) -> String| figure.map_or_else(|| "?".to_owned(), shown);
        let rows = costs.iter().map(|cost| {
            let days =
                if cost.stream.days.is_none() { "-".to_owned() } else { format_number(u64::from(cost.due.days())) };
            vec![
                cost.stream.name.clone(),
                format_number(cost.scopes.len() as u64),
                days,
                format_number(cost.requests),
                or_unknown(cost.rows, format_number),
                or_unknown(cost.bytes, format_bytes),
                self.clock(cost.over),
                match cost.files_a_year() {
                    0 => "-".to_owned(),
                    files => format_number(files),
                },
                cost.why(),
            ]
        });
        let sum = |of: &dyn Fn(&Cost<'a>) -> u64| costs.iter().map(of).sum::<u64>();
        let requests = sum(&|cost| cost.requests);
        let total = vec![
            String::new(),
            String::new(),
            String::new(),
            format_number(requests),
            format_number(sum(&|cost| cost.rows.unwrap_or(0))),
            format_bytes(sum(&|cost| cost.bytes.unwrap_or(0))),
            self.clock(forecast.due_complete_after),
            format_number(sum(&Cost::files_a_year)),
            String::new(),
        ];
        let headings =
            ["stream", ">scopes", ">days due", ">requests", ">rows", ">size", ">done", ">files a year", "why"];
        text.push_str(&table(&headings, rows.chain([total])));
        let slices = plan.slices.iter().filter(|planned| !planned.is_backfill).count() as u64;
        let discovery = match self.preview.discovery_requests {
            0 => String::new(),
            more => format!(", and {more} more to find out what the account holds"),
        };
        text.push_str(&format!(
            "\n{} in {}{discovery}.\n",
            format_count(requests, "request"),
            format_count(slices, "slice")
        ));
        text.push_str(&self.budget_line());
        if let Some(history) = &forecast.backfill {
            text.push_str(&self.history_line(history));
        }
        text.push_str(&self.night_line());
        if !plan.not_entitled.is_empty() {
            let slices = format_count(plan.not_entitled.len() as u64, "slice");
            text.push_str(&format!("{slices} not asked: the account may not read them, as of the last 24 hours.\n"));
        }
        text
    }

    fn budget_line(&self) -> String {
        let (budget, forecast) = (&self.budget, &self.preview.forecast);
        let reserved = budget.limit().saturating_sub(budget.usable());
        let done = format!(
            "Done about {}, {} after the start.",
            self.clock(forecast.due_complete_after),
            format_duration(forecast.due_complete_after)
        );
        let in_time = forecast.room.is_none_or(|room| forecast.due_complete_after <= room);
        let cut = forecast.room.filter(|_| !in_time).map_or_else(String::new, |time| {
            format!(" The run may take {}: what is left then is done by the next ones.", format_duration(time))
        });
        format!(
            "Budget {} in {}, {reserved} reserved for people: {} usable. {done}{cut}\n",
            budget.limit(),
            format_duration(budget.window()),
            budget.usable(),
        )
    }

    fn history_line(&self, history: &BackfillForecast) -> String {
        let BackfillForecast { first, last, slices, requests, complete_at } = history;
        let done = match complete_at {
            Some(at) => {
                let form = if self.preview.forecast.room.is_none() { "%a %-d %b %H:%M" } else { "%a %-d %b %Y" };
                format!("complete about {}", self.local(*at).strftime(form))
            }
            None => "never complete: the runs leave nothing over for it".to_owned(),
        };
        let (slices, requests) = (format_count(*slices, "slice"), format_count(*requests, "request"));
        format!("Then history, {first} to {last}, newest first: {requests} in {slices}; {done}.\n")
    }

    fn night_line(&self) -> String {
        let night = &self.preview.forecast.steady_state;
        let needs = format!(
            "When all that is there, a run needs {} and {}",
            format_count(night.requests, "request"),
            format_duration(night.duration)
        );
        match (night.room, night.fits()) {
            (None, _) => format!("{needs}.\n"),
            (Some(room), true) => format!("{needs}; it has {}.\n", format_duration(room)),
            (Some(room), false) => {
                format!("{needs}, but it has {}: `profound-export check` says what would fit.\n", format_duration(room))
            }
        }
    }

    fn json(&self) -> Value {
        let (plan, forecast, budget) = (&self.preview.plan, &self.preview.forecast, &self.budget);
        let streams = |history: bool| -> Vec<Value> {
            let of = |cost: &Cost<'_>| {
                json!({
                    "stream": cost.stream.name,
                    "tier": cost.stream.tier,
                    "scopes": cost.scopes.len(),
                    "slices": cost.slices,
                    "longest_window_days": cost.longest_window,
                    "due": due_json(cost.due),
                    "requests": cost.requests,
                    "rows": cost.rows,
                    "bytes": cost.bytes,
                    "done_at": self.at(cost.over),
                    "files_a_year": cost.files_a_year(),
                })
            };
            self.costs(history).iter().map(of).collect()
        };
        let slices = plan.slices.iter().zip(&forecast.complete_after).map(|(planned, over)| {
            json!({
                "stream": planned.slice.stream.name,
                "scope": planned.slice.scope,
                "window": planned.slice.window.map(|window| json!({"first": window.start, "last": window.last()})),
                "due": due_json(planned.due),
                "requests": planned.requests,
                "rows": planned.rows,
                "bytes": planned.bytes,
                "history": planned.is_backfill,
                "done_at": self.at(*over),
            })
        });
        json!({
            "job": self.job.name,
            "starts_at": forecast.starts_at,
            "start": self.preview.start,
            "requests": plan.requests() + self.preview.discovery_requests,
            "discovery_requests": self.preview.discovery_requests,
            "done_at": self.at(forecast.due_complete_after),
            "room_seconds": forecast.room.map(|room| room.as_secs()),
            "budget": {
                "limit": budget.limit(),
                "usable": budget.usable(),
                "period_seconds": budget.window().as_secs(),
                "remaining": budget.remaining(),
            },
            "history": forecast.backfill.as_ref().map(|history| json!({
                "first": history.first,
                "last": history.last,
                "slices": history.slices,
                "requests": history.requests,
                "done_at": history.complete_at,
            })),
            "night": {
                "requests": forecast.steady_state.requests,
                "seconds": forecast.steady_state.duration.as_secs(),
                "room_seconds": forecast.steady_state.room.map(|room| room.as_secs()),
                "fits": forecast.steady_state.fits(),
            },
            "streams": streams(false),
            "history_streams": streams(true),
            "slices": slices.collect::<Vec<_>>(),
            "not_entitled": plan.not_entitled.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "warnings": self.preview.warnings,
            "news": self.preview.notices,
        })
    }
}

fn due_json(due: Due) -> Value {
    json!({"missing": due.missing, "lookback": due.lookback, "history": due.backfill, "retry": due.retry})
}
