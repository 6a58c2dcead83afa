//! What exports cost in requests, and what happens when the hour is spent, as a document.
//!
//! `cargo run --release --example requests > docs/explanation/requests.md` takes two minutes; an argument is the number of categories
//! of the year in simulated time.

mod export;
mod forecasts;
mod hour;
mod least;
#[path = "../support/nights.rs"]
mod nights;
#[allow(dead_code, unused_imports, unused_macros, reason = "what tests share, of which this needs a part")]
#[path = "../../tests/it/support/mod.rs"]
mod support;

use std::time::Duration;

use profound_export::model::figures::{counted, grouped};
use profound_export::model::stream::Tier;

use support::year;

const TOOLS: &str = "\
## When the hour is spent

An hour that is spent at its beginning is whole again up to sixty minutes later.

| | what happens |
|---|---|
| the vendor's SDK | gives up after 1.4 s |
| Airbyte's CDK | gives up after 34 s |
| dlt | gives up after about 20 minutes |
| profound-export | waits until the time that the API tells, and finishes |
";

#[tokio::main]
async fn main() {
    let categories = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(200);
    let year = std::thread::spawn(move || {
        year::year(categories, Tier::Core, support::instant("2026-01-02T11:30:00Z"), Duration::ZERO)
    });
    println!("# Requests\n");
    println!(
        "Written by `cargo run --release --example requests > docs/explanation/requests.md`, against the simulator.\n"
    );
    println!("{}", export::section().await);
    println!("{TOOLS}");
    println!("{}", forecasts::section().await);
    println!("{}", hour::section().await);
    eprintln!("a year of {categories} categories");
    print!("{}", of_year(&year.join().unwrap(), categories));
}

/// The year in simulated time.
fn of_year(year: &year::Year, categories: usize) -> String {
    let nights = year.nights.len();
    format!(
        "\
## A year of history, in simulated time

{streams} streams of tier `core` for {categories} categories, each with one asset of its own, and a domain for every ten of them. The
first night is 2026-01-02; wanted is everything since 2025-01-01. A server counts 600 requests in fixed hours, 60 of them are kept for
others, four requests fly at once, and each takes a second. The plans, the budget and the ledger are the program's own; nothing is sent
and nothing waits. `cargo run --release --example year` prints this for any number of categories.

{table}
After {nights} everything is there: {days} of streams and scopes. What is due each night comes before history, and is there when the
plan said. The most requests in any trailing hour were {most}, of 600.
",
        streams = year.wanted.streams.len(),
        table = nights::table(year),
        nights = counted(nights as u64, "night"),
        days = counted(nights::days_known(year), "day"),
        most = grouped(year.most_in_an_hour as u64),
    )
}
