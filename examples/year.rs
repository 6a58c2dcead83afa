//! Two hundred categories, tier `core`, a year of history, in simulated time: how long planning takes, when each night
//! ends and when the plan said it would, and how many requests any hour held.
//!
//! `cargo run --release --example year -- [CATEGORIES]`

#[path = "../tests/it/support/year.rs"]
mod support;

use profound_export::api::BudgetState;
use profound_export::model::figures::{counted, grouped, took};
use profound_export::model::stream::Tier;

fn main() {
    let categories = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(200);
    let year = support::year(categories, Tier::Core, "2026-01-02T11:30:00Z".parse().unwrap());
    println!(
        "{} of tier core, 2025-01-01 to 2026-01-01, 540 of 600 requests an hour\n",
        counted(categories as u64, "categorie")
    );
    println!("| night | requests | what was due took | as planned | slices of history left |");
    println!("|---:|---:|---:|---:|---:|");
    for (index, night) in year.nights.iter().enumerate() {
        println!(
            "| {} | {} | {} | {} | {} |",
            index + 1,
            grouped(night.requests),
            took(night.took),
            took(night.planned),
            grouped(night.left as u64),
        );
    }
    let now = "2026-02-02T11:30:00Z".parse().unwrap();
    let before = std::time::Instant::now();
    let (plan, _) = support::planned(&year.wanted, &year.state, now, &BudgetState::new(60));
    let planning = before.elapsed();
    let days = year.state.coverage.values().flat_map(|scopes| scopes.values()).map(|scope| scope.days.len());
    println!("\nmost requests in any trailing hour: {}", year.most_in_an_hour);
    println!(
        "planning the night after it: {:.2} s for {}",
        planning.as_secs_f64(),
        counted(plan.slices.len() as u64, "slice"),
    );
    println!("days of streams and scopes known at the end: {}", grouped(days.sum::<usize>() as u64));
}
