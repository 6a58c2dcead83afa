//! `cargo xtask requests`: what exports cost in requests, as docs/explanation/requests.md.

mod export;
mod forecasts;
mod least;

use profound_export::model::format::{format_count, format_number};

use crate::nights;
use crate::support::year::Year;
use crate::year::{YearArgs, simulate};

const TOOLS: &str = "\
## When the rate limit is reached

An hour that is spent at its beginning is whole again up to sixty minutes later.

| | what happens |
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

/// The year in simulated time.
fn of_year(year: &Year, categories: usize) -> String {
    let nights = year.nights.len();
    format!(
        "\
## A year of history, in simulated time

{streams} streams of tier `core` for {categories} categories, each with one asset of its own, and a domain for every ten of them. The
first night is 2026-01-02; wanted is everything since 2025-01-01. A server counts 600 requests in fixed hours, 60 of them are kept for
others, four requests fly at once, and each takes a second. The plans, the budget and the ledger are the program's own; nothing is sent
and nothing waits. `cargo xtask year` prints this for any number of categories.

{table}
After {nights} everything is there: {days} of streams and scopes. What is due each night comes before history, and is there when the
plan said. The most requests in any trailing hour were {most}, of 600.
",
        streams = year.wanted.streams.len(),
        table = nights::table(year),
        nights = format_count(nights as u64, "night"),
        days = format_count(nights::days_known(year), "day"),
        most = format_number(year.most_in_an_hour as u64),
    )
}
