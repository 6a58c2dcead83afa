//! `cargo xtask year`: daily runs of a large account until a year is backfilled, in simulated time: planning time, forecast and
//! actual duration of each run, and the maximum requests in any hour.

use std::time::Duration;

use catalog::model::stream::Tier;
use profound_export::api::RateLimitState;
use profound_export::model::format::{format_count, format_duration, format_number};
use tokio::time::Instant;

use crate::support::{self, year};

#[derive(Debug, clap::Args)]
pub struct YearArgs {
    /// Categories of the simulated account
    #[arg(default_value_t = 200)]
    pub categories: usize,
}

pub fn run(args: &YearArgs) {
    let categories = args.categories;
    let year = simulate(categories);
    println!("Categories: {categories}, tier core, 2025-01-01 to 2026-01-01, 540 of 600 requests an hour\n");
    println!("{}", runs_table(&year));
    let now = "2026-02-02T11:30:00Z".parse().expect("an instant");
    let before = std::time::Instant::now();
    let (plan, _) = year::planned(&year.wanted, &year.state, (now, Instant::now()), &RateLimitState::new(60));
    let planning = before.elapsed();
    println!("maximum requests in any trailing hour: {}", year.max_requests_per_hour);
    println!(
        "planning the next run: {:.2} s for {}",
        planning.as_secs_f64(),
        format_count(plan.slices.len() as u64, "slice"),
    );
    println!("recorded days of streams and scopes: {}", format_number(recorded_days(&year)));
}

/// A year of daily runs of tier `core`; the first is 2026-01-02.
pub fn simulate(categories: usize) -> year::Year {
    year::year(categories, Tier::Core, support::instant("2026-01-02T11:30:00Z"), Duration::ZERO)
}

/// A row for each run.
pub fn runs_table(year: &year::Year) -> String {
    let mut text =
        "| run | requests | due days took | forecast | deferred slices |\n|---:|---:|---:|---:|---:|\n".to_owned();
    for (number, run) in (1..).zip(&year.runs) {
        text.push_str(&format!(
            "| {number} | {} | {} | {} | {} |\n",
            format_number(run.requests),
            format_duration(run.elapsed),
            format_duration(run.planned),
            format_number(run.deferred as u64),
        ));
    }
    text
}

/// Days of streams and scopes in the ledger at the end.
pub fn recorded_days(year: &year::Year) -> u64 {
    let scopes = year.state.coverage.values().flat_map(|scopes| scopes.values());
    scopes.map(|scope| scope.days.len() as u64).sum()
}
