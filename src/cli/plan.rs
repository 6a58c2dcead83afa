//! `plan`: what the next run would ask for, and what it costs.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::api::BudgetState;
use crate::cli::failure::Failure;
use crate::cli::setup::{configuration, goal, jobs, schedule, settings};
use crate::cli::table::table;
use crate::cli::{Output, Surroundings, exit, logging, print, print_json};
use crate::config::JobConfig;
use crate::model::figures::grouped;
use crate::plan::{Due, PlannedSlice};
use crate::run::{Preview, preview};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The job [default: all]
    job: Option<String>,
}

/// What a stream costs in a plan.
#[derive(Debug, Default)]
struct Cost {
    scopes: std::collections::BTreeSet<String>,
    slices: u64,
    due: Due,
    requests: u64,
    rows: Option<u64>,
    is_list: bool,
}

pub async fn execute(around: &Surroundings, arguments: Arguments) -> Result<u8, Failure> {
    let (events, _progress) = logging::start(around, "plan");
    let (sources, config) = configuration(around)?;
    let names: Vec<String> = arguments.job.into_iter().collect();
    let chosen = jobs(&config, &names)?;
    let settings = settings(&sources, &config, events, CancellationToken::new())?;
    let mut all = Vec::new();
    for job in chosen {
        let goal = goal(&config, job, settings.clock.now())?;
        let preview = preview(&settings, &goal).await?;
        let budget = settings.client.budget().snapshot();
        match around.output {
            Output::Json => all.push(to_json(job, &preview, &budget)),
            Output::Table => {
                let next = schedule(job)?.and_then(|schedule| {
                    schedule.next_after(settings.clock.now()).map(|at| at.to_zoned(schedule.zone().clone()))
                });
                let next = next.map_or_else(
                    || "runs by hand".to_owned(),
                    |at| format!("next run {}", at.strftime("%a %-d %b %H:%M %Q")),
                );
                print(&text(job, &next, &preview, &budget))?;
            }
        }
    }
    match around.output {
        Output::Json => print_json(&Value::Array(all)),
        Output::Table => Ok(exit::COMPLETE),
    }
}

fn costs(slices: &[PlannedSlice]) -> BTreeMap<(bool, String), Cost> {
    let mut costs: BTreeMap<(bool, String), Cost> = BTreeMap::new();
    for planned in slices {
        let dated = planned.slice.window.is_some();
        let cost = costs.entry((dated, planned.slice.stream.name.clone())).or_default();
        cost.scopes.insert(planned.slice.scope.key().to_string());
        cost.slices += 1;
        cost.due += planned.due;
        cost.requests += planned.requests;
        cost.is_list = !dated;
        if let Some(rows) = planned.rows {
            *cost.rows.get_or_insert(0) += rows;
        }
    }
    costs
}

fn text(job: &JobConfig, next: &str, preview: &Preview, budget: &BudgetState) -> String {
    let plan = &preview.plan;
    let mut text = format!("{}   {next}   first day wanted: {}\n\n", job.name, preview.start);
    for warning in &preview.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    let rows = costs(&plan.slices).into_iter().map(|((_, name), cost)| {
        let days = if cost.is_list { "-".to_owned() } else { cost.due.days().to_string() };
        let rows = cost.rows.map_or_else(|| "?".to_owned(), grouped);
        vec![name, cost.scopes.len().to_string(), days, cost.requests.to_string(), rows, why(&cost)]
    });
    text.push_str(&table(&["stream", ">scopes", ">days due", ">requests", ">expected rows", "why"], rows));
    let requests = plan.requests() + preview.discovery_requests;
    let usable = u64::from(budget.usable()).max(1);
    let reserved = u64::from(budget.limit()) - usable.min(u64::from(budget.limit()));
    text.push_str(&format!(
        "\n{} requests in {} slices. Budget {} in {} minutes, {reserved} reserved for people: {usable} usable.",
        grouped(requests),
        grouped(plan.slices.len() as u64),
        budget.limit(),
        budget.known_period().as_secs().div_ceil(60),
    ));
    // What fits into the first period goes at once; each further one waits for its turn.
    let waits = requests.saturating_sub(1) / usable;
    text.push_str(&match waits {
        0 => " It fits into one.\n".to_owned(),
        _ => format!(" It takes {} of them.\n", waits + 1),
    });
    if !plan.not_entitled.is_empty() {
        text.push_str(&format!("{} slices are not asked: the account may not read them.\n", plan.not_entitled.len()));
    }
    text
}

fn why(cost: &Cost) -> String {
    if cost.is_list {
        return "list".to_owned();
    }
    let mut reasons = Vec::new();
    for (days, name) in
        [(cost.due.missing, "missing"), (cost.due.provisional, "not final"), (cost.due.doubtful, "doubtful")]
    {
        if 0 < days {
            reasons.push(format!("{days} {name}"));
        }
    }
    reasons.join(", ")
}

fn to_json(job: &JobConfig, preview: &Preview, budget: &BudgetState) -> Value {
    let slices: Vec<Value> = preview
        .plan
        .slices
        .iter()
        .map(|planned| {
            json!({
                "stream": planned.slice.stream.name,
                "scope": planned.slice.scope,
                "window": planned.slice.window.map(|window| json!({"first": window.start, "last": window.last()})),
                "due": {"missing": planned.due.missing, "provisional": planned.due.provisional, "doubtful": planned.due.doubtful},
                "requests": planned.requests,
                "rows": planned.rows,
            })
        })
        .collect();
    json!({
        "job": job.name,
        "start": preview.start,
        "requests": preview.plan.requests() + preview.discovery_requests,
        "discovery_requests": preview.discovery_requests,
        "usable_requests": budget.usable(),
        "slices": slices,
        "not_entitled": preview.plan.not_entitled.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "warnings": preview.warnings,
    })
}
