//! What `plan` says of accounts of several sizes.

use std::time::Duration;

use jiff::SignedDuration;
use profound_export::model::format::{format_duration, format_number};
use profound_export::model::periods::Periods;
use profound_export::run::{JobSchedule, discover, preview};
use profound_export::simulator::Account;

use crate::support::{self, Export, Place, day};

const CATEGORIES: [usize; 3] = [1, 20, 200];

const BEFORE: &str = "\
## What `plan` says

Tier `core`, a run each day, 540 of 600 requests an hour, nothing exported yet. The first run brings what is due now: lists, the newest
window of each stream, and the newest day of those whose rows carry no date. Then it begins with history, which is a year here; what
later runs leave over resumes it. A run each day needs the requests under *a night* once everything before it is there. FactCheck is
counted for every category, because entitlement is not known yet. A request is thought to take one second.

| categories | first run | done after | a night | done after | a year of history | there after |
|---:|---:|---:|---:|---:|---:|---:|
";

/// The table.
pub async fn section() -> String {
    let mut text = BEFORE.to_owned();
    for categories in CATEGORIES {
        text.push_str(&row(categories).await);
    }
    text
}

async fn row(categories: usize) -> String {
    eprintln!("the plan of {categories} categories");
    let account = Account { categories, requests_per_period: 600, ..support::account() };
    let mut export = Export::start(Place::Memory, account, &["core"]).await;
    export.job.start = Some(day("2025-03-10"));
    let settings = export.settings();
    let found = discover(&settings.catalog, &settings.client).await.unwrap();
    let starts =
        JobSchedule { next_start: export.simulator.now(), every: Periods::constant(SignedDuration::from_hours(24)) };
    let preview = preview(&settings, &export.goal(), &export.state().await, &found, Some(starts)).unwrap();
    let due = preview.plan.slices.iter().filter(|planned| !planned.is_backfill).map(|planned| planned.requests);
    let forecast = &preview.forecast;
    let history = forecast.backfill.as_ref().unwrap();
    let there = match history.complete_at {
        Some(at) => nights_or_time(Duration::try_from(at.duration_since(starts.next_start)).unwrap()),
        None => "never".to_owned(),
    };
    format!(
        "| {categories} | {} | {} | {} | {} | {} | {there} |\n",
        format_number(due.sum::<u64>() + preview.discovery_requests),
        format_duration(forecast.due_complete_after),
        format_number(forecast.steady_state.requests),
        format_duration(forecast.steady_state.duration),
        format_number(history.requests),
    )
}

/// The number of nights where it is more than one.
fn nights_or_time(time: Duration) -> String {
    match time.as_secs() / 86_400 {
        0 => format_duration(time),
        nights => format!("{} nights", format_number(nights + 1)),
    }
}
