//! `cargo xtask requests`: the request costs of exports, as docs/explanation/requests.md.

mod export;
mod forecasts;
mod least;

use profound_export::model::format::{format_count, format_number};

use crate::year::{YearArgs, recorded_days, runs_table, simulate};

#[tokio::main]
pub async fn run(args: &YearArgs) {
    let categories = args.categories;
    let year = std::thread::spawn(move || simulate(categories));
    let (exports, forecasts) = (export::table().await, forecasts::table().await);
    eprintln!("a year of {categories} categories");
    let year = year.join().expect("a year");
    let figures = [
        ("exports", exports),
        ("forecasts", forecasts),
        ("streams", year.wanted.streams.len().to_string()),
        ("categories", categories.to_string()),
        ("runs", runs_table(&year)),
        ("run_count", format_count(year.runs.len() as u64, "run")),
        ("days", format_count(recorded_days(&year), "day")),
        ("most", format_number(year.max_requests_per_hour as u64)),
    ];
    let mut page = include_str!("page.md").to_owned();
    for (name, figure) in figures {
        page = page.replace(&format!("{{{name}}}"), figure.trim_end());
    }
    print!("{page}");
}
