//! Two hundred categories, tier `core`, a year of history, in simulated time: how long planning takes, when each night
//! ends and when the plan said it would, and how many requests any hour held.
//!
//! `cargo run --release --example year -- [CATEGORIES]`

#[path = "support/nights.rs"]
mod nights;
#[allow(dead_code, unused_imports, unused_macros, reason = "what tests share, of which this needs a part")]
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::time::Duration;

use profound_export::api::BudgetState;
use profound_export::model::figures::{counted, grouped};
use profound_export::model::stream::Tier;
use tokio::time::Instant;

use support::year;

fn main() {
    let categories = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(200);
    let year = year::year(categories, Tier::Core, support::instant("2026-01-02T11:30:00Z"), Duration::ZERO);
    println!("Categories: {categories}, tier core, 2025-01-01 to 2026-01-01, 540 of 600 requests an hour\n");
    println!("{}", nights::table(&year));
    let now = "2026-02-02T11:30:00Z".parse().unwrap();
    let before = std::time::Instant::now();
    let (plan, _) = year::planned(&year.wanted, &year.state, (now, Instant::now()), &BudgetState::new(60));
    let planning = before.elapsed();
    println!("most requests in any trailing hour: {}", year.most_in_an_hour);
    println!(
        "planning the night after it: {:.2} s for {}",
        planning.as_secs_f64(),
        counted(plan.slices.len() as u64, "slice"),
    );
    println!("days of streams and scopes known at the end: {}", grouped(nights::days_known(&year)));
}
