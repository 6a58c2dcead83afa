//! `cargo xtask requests`: the request costs of exports, as docs/explanation/requests.md.

mod export;
mod forecasts;
mod least;

use profound_export::model::format::{format_count, format_number};

use crate::support::year::Year;
use crate::year::{YearArgs, recorded_days, runs_table, simulate};

const TOOLS: &str = "\
## When the rate limit is reached

A rate-limit window that is used up at its start resets up to sixty minutes later.

| client | behaviour |
|---|---|
| the vendor's SDK | gives up after 1.4 s |
| Airbyte's CDK | gives up after 34 s |
| dlt | gives up after about 20 minutes |
| profound-export | waits until the announced reset, and finishes |
";

#[tokio::main]
pub async fn run(args: &YearArgs) {
    let categories = args.categories;
    let year = std::thread::spawn(move || simulate(categories));
    println!("# Requests\n");
    println!("Written by `cargo xtask requests > docs/explanation/requests.md`, against the simulator.\n");
    println!("{}", export::section().await);
    println!("{TOOLS}");
    println!("{}", forecasts::section().await);
    eprintln!("a year of {categories} categories");
    print!("{}", of_year(&year.join().expect("a year"), categories));
}

/// The section about the simulated year.
fn of_year(year: &Year, categories: usize) -> String {
    let runs = year.runs.len();
    format!(
        "\
## A year of backfill, in simulated time

{streams} streams of tier `core` for {categories} categories, each with one asset of its own, and a domain for every ten of them. The
job runs daily from 2026-01-02 on and exports everything since 2025-01-01. The server counts 600 requests in fixed hours, 60 of them are
reserved for others, four requests are in flight at once, and each takes a second. Plans, rate limiter and ledger are the program's own;
no request is sent, and time is simulated. `cargo xtask year` prints this for any number of categories.

{table}
After {runs} the backfill is complete: {days} of streams and scopes. Due days precede the backfill in every run, and were done when
forecast. The maximum in any trailing hour was {most} of 600 requests.
",
        streams = year.wanted.streams.len(),
        table = runs_table(year),
        runs = format_count(runs as u64, "run"),
        days = format_count(recorded_days(year), "day"),
        most = format_number(year.max_requests_per_hour as u64),
    )
}
