//! `cargo xtask fuzz`: a table of each target.

use std::process::ExitCode;

use profound_export::model::format::format_number;

use super::driver::{Figures, fuzz};
use super::targets;

#[derive(Debug, clap::Args)]
pub struct FuzzArgs {
    /// Inputs for each target
    #[arg(long, default_value_t = 100_000)]
    inputs: u64,
    /// Only this target
    #[arg(long)]
    target: Option<String>,
    /// Another seed makes other mutations
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub fn run(args: &FuzzArgs) -> ExitCode {
    println!("| target | corpus | inputs | panics | over bound | max memory | slowest | inputs/s |");
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    let mut problems = Vec::new();
    for target in targets::ALL.iter().filter(|target| args.target.as_deref().is_none_or(|name| name == target.name)) {
        let figures = fuzz(target, args.inputs, args.seed);
        println!("| {} |", row(target.name, &figures));
        problems.extend(figures.problems.into_values());
    }
    problems.iter().for_each(|problem| eprintln!("{problem}"));
    ExitCode::from(u8::from(!problems.is_empty()))
}

fn row(name: &str, figures: &Figures) -> String {
    let per_second = figures.inputs as f64 / figures.elapsed.as_secs_f64().max(0.001);
    [
        name.to_owned(),
        format_number(figures.kept),
        format_number(figures.inputs),
        format_number(figures.panics),
        format_number(figures.over_bound),
        format!("{:.1} MiB", figures.max_bytes as f64 / f64::from(1 << 20)),
        format!("{} ms", figures.slowest.as_millis()),
        format_number(per_second as u64),
    ]
    .join(" | ")
}
