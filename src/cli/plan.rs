//! `plan`: what the next run would request, what it costs, and when it will be done.

use std::collections::BTreeSet;
use std::ops::Add as _;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use serde::Serialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::api::RateLimitState;
use crate::cli::failure::Failure;
use crate::cli::setup::{configuration, goal, jobs, schedule, settings, starts};
use crate::cli::table::{fitted, paragraph, terminal_width};
use crate::cli::{GlobalOptions, exit, logging};
use crate::clock::Clock;
use crate::config::JobConfig;
use crate::ledger::Ledger;
use crate::model::day::DayZone;
use crate::model::days::DaysKind;
use crate::model::format::{format_bytes, format_count, format_duration, format_number};
use crate::model::stream::{Stream, Tier};
use crate::plan::{Due, PlannedSlice};
use crate::run::{BackfillForecast, Discovered, Preview, discover, preview};

#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    /// Jobs [default: all]
    pub jobs: Vec<String>,
    /// Send no request: plan for what earlier runs found
    #[arg(long)]
    pub offline: bool,
}

pub async fn execute(options: &GlobalOptions, args: PlanArgs) -> Result<u8, Failure> {
    let (events, _progress) = logging::start(options, "plan");
    let (sources, config) = configuration(options)?;
    let chosen = jobs(&config, &args.jobs)?;
    let settings = settings(&sources, &config, Clock::system(), events, CancellationToken::new())?;
    let lake = settings.destinations.lake.clone();
    let ledger = Ledger::open_lake(lake.clone(), settings.clock.clone(), &settings.catalog).await?;
    let found = if args.offline {
        if ledger.state().partition.is_none() {
            return Err(Failure::new(
                exit::USAGE,
                format!("nothing is known yet: {} has no record of a run", lake.url()),
            )
            .hint("`profound-export plan` without --offline asks the API what the account holds"));
        }
        Discovered::from_ledger(ledger.state())
    } else {
        settings.client.report_waits(discover(&settings.catalog, &settings.client)).await?
    };
    let mut plans = Vec::new();
    for job in chosen {
        let now = settings.clock.now();
        let (goal, starts) = (goal(&config, job, now)?, starts(job, now)?);
        plans.push(JobPlan {
            job,
            preview: preview(&settings, &goal, ledger.state(), &found, starts)?,
            rate_limit: settings.client.rate_limiter().snapshot(),
            zone: schedule(job)?.map_or(TimeZone::UTC, |schedule| schedule.zone().clone()),
            is_manual: starts.is_none(),
            tables: config.tables.url.as_deref(),
        });
    }
    let width = terminal_width();
    options.show(
        || plans.iter().map(|plan| plan.text(width)).collect(),
        || plans.iter().map(JobPlan::json).collect::<Value>(),
    )
}

/// The plan of one job.
struct JobPlan<'a> {
    job: &'a JobConfig,
    preview: Preview,
    rate_limit: RateLimitState,
    zone: TimeZone,
    is_manual: bool,
    /// Where tables are published.
    tables: Option<&'a str>,
}

/// What one stream costs in a plan.
#[derive(Debug, Serialize)]
struct StreamCost<'a> {
    #[serde(skip)]
    declared: &'a Stream,
    stream: &'a str,
    tier: Option<Tier>,
    scopes: u64,
    slices: u64,
    longest_window_days: Option<i64>,
    due: Due,
    requests: u64,
    rows: Option<u64>,
    bytes: Option<u64>,
    done_at: Timestamp,
    /// Files added per year: one per scope and day, or month. Lists are replaced in place.
    files_a_year: u64,
}

impl<'a> StreamCost<'a> {
    fn new(declared: &'a Stream, slices: &[&PlannedSlice], done_at: Timestamp) -> Self {
        let scopes = slices.iter().map(|planned| planned.slice.scope.key()).collect::<BTreeSet<_>>().len() as u64;
        Self {
            declared,
            stream: &declared.name,
            tier: declared.tier,
            scopes,
            slices: slices.len() as u64,
            longest_window_days: slices.iter().filter_map(|planned| Some(planned.slice.window?.len_days())).max(),
            due: slices.iter().map(|planned| planned.due).fold(Due::default(), Due::add),
            requests: slices.iter().map(|planned| planned.requests).sum(),
            // With an unknown part a sum would be too small.
            rows: slices.iter().map(|planned| planned.rows).sum(),
            bytes: slices.iter().map(|planned| planned.bytes).sum(),
            done_at,
            files_a_year: match declared.days.as_ref().map(|days| days.kind) {
                None => 0,
                Some(DaysKind::Dated | DaysKind::Window) => 365 * scopes,
                Some(DaysKind::Week) => 52 * scopes,
                Some(DaysKind::Month) => 12 * scopes,
            },
        }
    }

    /// Why the days are due, and what makes the stream expensive.
    fn why(&self) -> String {
        let due = &self.due;
        let reasons =
            [(due.missing, "missing"), (due.lookback, "lookback"), (due.backfill, "backfill"), (due.retry, "retry")];
        let reasons = reasons.iter().filter(|(days, _)| *days > 0);
        let reasons = reasons.map(|(days, reason)| format!("{} {reason}", format_number(u64::from(*days))));
        let (list, per_request) = match &self.declared.days {
            None => (Some("list"), None),
            Some(days) if !days.kind.is_single() => (None, None),
            Some(_) if self.declared.is_fan_out() => (None, Some("one request per row of its parent")),
            Some(days) if days.kind == DaysKind::Week => (None, Some("one request per week")),
            Some(days) if days.kind == DaysKind::Month => (None, Some("one request per month")),
            Some(_) => (None, Some("one request per day")),
        };
        let list = list.map(str::to_owned).into_iter();
        list.chain(reasons).chain(per_request.map(str::to_owned)).collect::<Vec<_>>().join(", ")
    }
}

impl JobPlan<'_> {
    /// What each stream costs, in the order of its first request: due slices, or the backfill.
    fn costs(&self, is_backfill: bool) -> Vec<StreamCost<'_>> {
        let mut streams: Vec<(&Stream, Vec<&PlannedSlice>, Duration)> = Vec::new();
        let slices = self.preview.run.plan.slices.iter().zip(&self.preview.forecast.complete_after);
        for (planned, complete_after) in slices.filter(|(planned, _)| planned.is_backfill == is_backfill) {
            let stream: &Stream = &planned.slice.stream;
            match streams.iter_mut().find(|(known, ..)| known.name == stream.name) {
                Some((_, slices, last)) => {
                    slices.push(planned);
                    *last = (*last).max(*complete_after);
                }
                None => streams.push((stream, vec![planned], *complete_after)),
            }
        }
        streams.into_iter().map(|(stream, slices, last)| StreamCost::new(stream, &slices, self.at(last))).collect()
    }

    fn at(&self, after: Duration) -> Timestamp {
        let start = self.preview.forecast.starts_at;
        SignedDuration::try_from(after).ok().and_then(|after| start.checked_add(after).ok()).unwrap_or(Timestamp::MAX)
    }

    fn local(&self, at: Timestamp) -> Zoned {
        at.to_zoned(self.zone.clone())
    }

    /// `07:23`, with the weekday if it is not the day of the start.
    fn clock(&self, at: Timestamp) -> String {
        let (start, at) = (self.local(self.preview.forecast.starts_at), self.local(at));
        let form = if start.date() == at.date() { "%H:%M" } else { "%a %H:%M" };
        at.strftime(form).to_string()
    }

    fn text(&self, width: Option<usize>) -> String {
        let costs = self.costs(false);
        let paragraphs = |text: String| text.lines().map(|line| paragraph(line, width)).collect::<String>();
        let (before, after) = (paragraphs(self.heading()), paragraphs(self.totals(&costs)));
        format!("{before}{}{after}", self.cost_table(&costs, width))
    }

    /// What all streams cost, in sentences.
    fn totals(&self, costs: &[StreamCost<'_>]) -> String {
        let plan = &self.preview.run.plan;
        let discovery = match self.preview.run.discovery_requests {
            0 => String::new(),
            requests => format!(", plus {requests} to discover what the account holds"),
        };
        let requests = format_count(costs.iter().map(|cost| cost.requests).sum(), "request");
        let slices = format_count(costs.iter().map(|cost| cost.slices).sum(), "slice");
        let mut text = format!("\n{requests} in {slices}{discovery}.\n");
        text.push_str(&self.rate_limit_line());
        text.extend(self.preview.forecast.backfill.as_ref().map(|backfill| self.backfill_line(backfill)));
        text.push_str(&self.steady_state_line());
        if !plan.not_entitled.is_empty() {
            let slices = format_count(plan.not_entitled.len() as u64, "slice");
            text.push_str(&format!("{slices} not requested: not entitled within the last 24 hours.\n"));
        }
        text.extend(self.tables.map(|url| format!("Then the tables at {url} are published, without a request.\n")));
        text
    }

    fn warnings(&self) -> impl Iterator<Item = String> {
        let run = &self.preview.run;
        let lists =
            run.list_problems.iter().map(|(object, problem)| format!("the list of {}: {problem}", object.plural()));
        run.warnings.iter().cloned().chain(lists)
    }

    /// The job, its days, warnings and notes.
    fn heading(&self) -> String {
        let starts_at = self.preview.forecast.starts_at;
        let start = if self.is_manual {
            "runs manually".to_owned()
        } else {
            self.local(starts_at).strftime("next run %a %-d %b %H:%M %Q").to_string()
        };
        let last = DayZone::Eastern.yesterday(starts_at);
        let mut text = format!("{}   {start}   days {} to {last}\n\n", self.job.name, self.preview.run.start);
        text.extend(self.warnings().map(|warning| format!("warning: {warning}\n")));
        text.extend(self.preview.run.notices.iter().map(|notice| format!("note: {notice}\n")));
        text
    }

    /// What people decide by comes first: a narrow terminal shows the first columns.
    fn cost_table(&self, costs: &[StreamCost<'_>], width: Option<usize>) -> String {
        let or = |missing: &str, text: Option<String>| text.unwrap_or_else(|| missing.to_owned());
        let rows = costs.iter().map(|cost| {
            vec![
                cost.stream.to_owned(),
                format_number(cost.requests),
                or("?", cost.rows.map(format_number)),
                self.clock(cost.done_at),
                or("?", cost.bytes.map(format_bytes)),
                format_number(cost.scopes),
                or("-", cost.declared.days.as_ref().map(|_| format_number(u64::from(cost.due.days())))),
                or("-", Some(cost.files_a_year).filter(|files| *files > 0).map(format_number)),
                cost.why(),
            ]
        });
        let sum = |of: fn(&StreamCost<'_>) -> u64| costs.iter().map(of).sum::<u64>();
        // With an unknown part a sum would be too small.
        let known_sum = |of: fn(&StreamCost<'_>) -> Option<u64>| costs.iter().map(of).sum::<Option<u64>>();
        let total = vec![
            String::new(),
            format_number(sum(|cost| cost.requests)),
            or("?", known_sum(|cost| cost.rows).map(format_number)),
            self.clock(self.at(self.preview.forecast.due_complete_after)),
            or("?", known_sum(|cost| cost.bytes).map(format_bytes)),
            String::new(),
            String::new(),
            format_number(sum(|cost| cost.files_a_year)),
            String::new(),
        ];
        let headings =
            ["stream", ">requests", ">rows", ">done", ">size", ">scopes", ">days due", ">files a year", "why"];
        fitted(&headings, rows.chain([total]).collect(), width)
    }

    fn rate_limit_line(&self) -> String {
        let (limit, takes) = (&self.rate_limit, self.preview.forecast.due_complete_after);
        let overrun =
            self.preview.forecast.steady_state.room.filter(|room| takes > *room).map_or_else(String::new, |room| {
                format!(" The run may take {}; later runs do the rest.", format_duration(room))
            });
        format!(
            "Rate limit {} per {}, {} reserved, {} usable. Done at about {}, {} after the start.{overrun}\n",
            limit.limit(),
            format_duration(limit.window()),
            limit.limit().saturating_sub(limit.usable()),
            limit.usable(),
            self.clock(self.at(takes)),
            format_duration(takes),
        )
    }

    fn backfill_line(&self, backfill: &BackfillForecast) -> String {
        let BackfillForecast { first, last, slices, requests, complete_at } = backfill;
        let done = match complete_at {
            Some(at) => {
                let form =
                    if self.preview.forecast.steady_state.room.is_none() { "%a %-d %b %H:%M" } else { "%a %-d %b %Y" };
                format!("complete on about {}", self.local(*at).strftime(form))
            }
            None => "never complete, because runs have no spare requests".to_owned(),
        };
        let (slices, requests) = (format_count(*slices, "slice"), format_count(*requests, "request"));
        format!("Then backfill, {first} to {last}, newest first: {requests} in {slices}; {done}.\n")
    }

    fn steady_state_line(&self) -> String {
        let steady_state = &self.preview.forecast.steady_state;
        let needs = format!(
            "After that, each run needs {} and {}",
            format_count(steady_state.requests, "request"),
            format_duration(steady_state.duration)
        );
        match steady_state.room.map(format_duration) {
            None => format!("{needs}.\n"),
            Some(room) if steady_state.fits() => format!("{needs}; it has {room}.\n"),
            Some(room) => format!("{needs}, but it has {room}: `profound-export check` says what would fit.\n"),
        }
    }

    fn json(&self) -> Value {
        let (plan, forecast, rate_limit) = (&self.preview.run.plan, &self.preview.forecast, &self.rate_limit);
        let available = forecast.steady_state.room.map(|room| room.as_secs());
        let slices = plan.slices.iter().zip(&forecast.complete_after).map(|(planned, complete_after)| {
            json!({
                "stream": planned.slice.stream.name,
                "scope": planned.slice.scope,
                "window": planned.slice.window.map(|window| json!({"first": window.start, "last": window.last()})),
                "due": planned.due,
                "requests": planned.requests,
                "rows": planned.rows,
                "bytes": planned.bytes,
                "backfill": planned.is_backfill,
                "done_at": self.at(*complete_after),
            })
        });
        json!({
            "job": self.job.name,
            "starts_at": forecast.starts_at,
            "start": self.preview.run.start,
            "requests": plan.requests() + self.preview.run.discovery_requests,
            "discovery_requests": self.preview.run.discovery_requests,
            "done_at": self.at(forecast.due_complete_after),
            "available_seconds": available,
            "rate_limit": {
                "limit": rate_limit.limit(),
                "usable": rate_limit.usable(),
                "window_seconds": rate_limit.window().as_secs(),
                "remaining": rate_limit.remaining(),
            },
            "backfill": forecast.backfill,
            "steady_state": {
                "requests": forecast.steady_state.requests,
                "seconds": forecast.steady_state.duration.as_secs(),
                "available_seconds": available,
                "fits": forecast.steady_state.fits(),
            },
            "streams": self.costs(false),
            "backfill_streams": self.costs(true),
            "slices": slices.collect::<Value>(),
            "not_entitled": plan.not_entitled.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "warnings": self.warnings().collect::<Vec<_>>(),
            "notices": self.preview.run.notices,
            "tables": self.tables,
        })
    }
}
