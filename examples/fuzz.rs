//! Everything that reads what others wrote, fed with mutations of a kept corpus: inputs, panics and memory, as a table.
//!
//! `cargo run --release --example fuzz -- --inputs N [--target NAME] [--seed S]`

#[path = "../tests/fuzz/harness/mod.rs"]
mod harness;

use harness::driver::{Figures, fuzz};
use harness::targets;
use profound_export::model::figures::grouped;

fn main() {
    let given: Vec<String> = std::env::args().collect();
    let option = |name: &str| given.iter().position(|word| word == name).and_then(|at| given.get(at + 1)).cloned();
    let number = |name: &str| option(name).map(|text| text.parse::<u64>().expect("a number"));
    let (inputs, seed) = (number("--inputs").unwrap_or(100_000), number("--seed").unwrap_or(1));
    println!("| read | corpus | inputs | panics | beyond its bound | most memory | slowest | inputs a second |");
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    let mut problems = Vec::new();
    for target in targets::ALL.iter().filter(|target| option("--target").is_none_or(|name| name == target.name)) {
        let figures = fuzz(target, inputs, seed);
        println!("| {} |", row(target.name, &figures));
        problems.extend(figures.problems.into_values());
    }
    problems.iter().for_each(|problem| eprintln!("{problem}"));
    std::process::exit(i32::from(!problems.is_empty()));
}

fn row(name: &str, figures: &Figures) -> String {
    let a_second = figures.inputs as f64 / figures.took.as_secs_f64().max(0.001);
    [
        name.to_owned(),
        grouped(figures.kept),
        grouped(figures.inputs),
        grouped(figures.panics),
        grouped(figures.beyond),
        format!("{:.1} MiB", figures.most_bytes as f64 / f64::from(1 << 20)),
        format!("{} ms", figures.slowest.as_millis()),
        grouped(a_second as u64),
    ]
    .join(" | ")
}
