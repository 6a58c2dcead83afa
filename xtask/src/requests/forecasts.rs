//! The forecasts of `plan` for accounts of several sizes.

use std::time::Duration;

use jiff::SignedDuration;
use profound_export::model::format::{format_duration, format_number};
use profound_export::model::periods::Periods;
use profound_export::run::{JobSchedule, discover, preview};
use profound_export::simulator::Account;

use crate::support::{self, Export, Place, day};

const CATEGORIES: [usize; 3] = [1, 20, 200];

const HEADER: &str = "\
| categories | first run | due days done after | daily run | done after | backfill of a year | complete after |
|---:|---:|---:|---:|---:|---:|---:|
";

/// The table of forecasts.
pub async fn table() -> String {
    let mut text = HEADER.to_owned();
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
    let due = preview.run.plan.slices.iter().filter(|planned| !planned.is_backfill).map(|planned| planned.requests);
    let forecast = &preview.forecast;
    let backfill = forecast.backfill.as_ref().unwrap();
    let complete = match backfill.complete_at {
        Some(at) => days_or_time(Duration::try_from(at.duration_since(starts.next_start)).unwrap()),
        None => "never".to_owned(),
    };
    format!(
        "| {categories} | {} | {} | {} | {} | {} | {complete} |\n",
        format_number(due.sum::<u64>() + preview.run.discovery_requests),
        format_duration(forecast.due_complete_after),
        format_number(forecast.steady_state.requests),
        format_duration(forecast.steady_state.duration),
        format_number(backfill.requests),
    )
}

/// The number of daily runs, or the time within the first one.
fn days_or_time(time: Duration) -> String {
    match time.as_secs() / 86_400 {
        0 => format_duration(time),
        days => format!("{} runs", format_number(days + 1)),
    }
}
