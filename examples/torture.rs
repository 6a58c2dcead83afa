//! The built program, killed with SIGKILL at random instants while a reader polls its lake, then run to its end: what was
//! lost, doubled or half, as a table.
//!
//! `cargo run --release --example torture -- --seeds N [--first SEED] [--s3 s3://BUCKET/PREFIX] [--program PATH]`; a bucket is
//! reached by the usual `AWS_*` variables, and without a path the program is built first.

#[allow(dead_code, unused_imports, unused_macros, reason = "what tests share, of which this needs a part")]
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use profound_export::model::figures::grouped;

use support::torture::{Tally, Torture};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let given: Vec<String> = std::env::args().collect();
    let option = |name: &str| given.iter().position(|word| word == name).and_then(|at| given.get(at + 1)).cloned();
    let number = |name: &str| option(name).map(|text| text.parse::<u64>().expect("a number"));
    let (first, seeds) = (number("--first").unwrap_or(0), number("--seeds").unwrap_or(20));
    // Runs stand in directories of their own, from which a path that is not whole would lead elsewhere.
    let named = option("--program").map(|path| {
        std::fs::canonicalize(&path).unwrap_or_else(|error| {
            eprintln!("error: `--program {path}`: {error}");
            std::process::exit(2)
        })
    });
    let program = named.unwrap_or_else(built);
    let torture = Torture { program, bucket: option("--s3") };

    let began = Instant::now();
    let reach = torture.reach().await;
    let mut sum = Tally::default();
    for seed in first..first + seeds {
        sum += torture.seed(seed, reach).await;
        eprint!("\r{} of {seeds} seeds, {} kills, {} problems", sum.seeds, sum.kills, sum.problems.len());
    }
    eprintln!(", {} s", began.elapsed().as_secs());
    let place = if torture.bucket.is_some() { "S3" } else { "local disk" };
    print!("{}", table(place, &sum));
    sum.problems.iter().for_each(|problem| eprintln!("{problem}"));
}

/// The program of the same profile as this example, built when it is not up to date.
fn built() -> PathBuf {
    // <target>/<profile>/examples/torture
    let own = std::env::current_exe().expect("the path of this program");
    let directory = own.ancestors().nth(2).expect("the directory of the profile");
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Both together share their dependencies; the program alone would have them compiled once more.
    let what = ["build", "--bin", "profound-export", "--example", "torture", "--profile", profile];
    let built = Command::new(cargo).args(what).status();
    assert!(built.expect("cargo").success(), "the program does not build");
    directory.join("profound-export")
}

fn table(place: &str, sum: &Tally) -> String {
    let figures =
        [sum.seeds, sum.kills, sum.runs, sum.files, sum.half, sum.strange, sum.lost, sum.duplicated, sum.spools_left];
    let cells: Vec<String> = figures.into_iter().map(grouped).collect();
    format!(
        "\
| lake on | seeds | kills | runs | files read | half files | files never so | rows lost | rows doubled | spools left |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
| {place} | {} |
",
        cells.join(" | "),
    )
}
