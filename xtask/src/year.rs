//! `cargo xtask year`: nightly runs of a large account over a year of history, in simulated time: how long planning takes,
//! when each night ends and when its plan said it would, and the most requests in any hour.

use std::time::Duration;

use catalog::model::stream::Tier;
use profound_export::api::RateLimitState;
use profound_export::model::format::{format_count, format_number};
use tokio::time::Instant;

use crate::nights;
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
    println!("{}", nights::table(&year));
    let now = "2026-02-02T11:30:00Z".parse().expect("an instant");
    let before = std::time::Instant::now();
    let (plan, _) = year::planned(&year.wanted, &year.state, (now, Instant::now()), &RateLimitState::new(60));
    let planning = before.elapsed();
    println!("most requests in any trailing hour: {}", year.most_in_an_hour);
    println!(
        "planning the night after it: {:.2} s for {}",
        planning.as_secs_f64(),
        format_count(plan.slices.len() as u64, "slice"),
    );
    println!("days of streams and scopes known at the end: {}", format_number(nights::days_known(&year)));
}

/// A year of nights of tier `core`; the first is 2026-01-02.
pub fn simulate(categories: usize) -> year::Year {
    year::year(categories, Tier::Core, support::instant("2026-01-02T11:30:00Z"), Duration::ZERO)
}
