//! `cargo xtask torture`: the built program, killed with SIGKILL at random instants while a reader polls its lake, then run
//! to completion. Prints how many rows were lost or duplicated and how many files were incomplete.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use profound_export::model::format::format_number;

use crate::support::torture::{Tally, Torture};

#[derive(Debug, clap::Args)]
pub struct TortureArgs {
    /// How many seeds
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// A lake on S3, as `s3://BUCKET/PREFIX`, with the usual `AWS_*` variables; else a local directory
    #[arg(long)]
    s3: Option<String>,
    /// The program; else it is built
    #[arg(long)]
    program: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
pub async fn run(args: TortureArgs) {
    // Each run has a working directory of its own, so a relative path would not find the program.
    let program = args.program.map(|path| {
        std::fs::canonicalize(&path).unwrap_or_else(|error| {
            eprintln!("error: `--program {}`: {error}", path.display());
            std::process::exit(2)
        })
    });
    let torture = Torture { program: program.unwrap_or_else(build_program), bucket: args.s3 };
    let began = Instant::now();
    let reach = torture.reach().await;
    let mut sum = Tally::default();
    for seed in args.first..args.first + args.seeds {
        sum += torture.seed(seed, reach).await;
        eprint!("\r{} of {} seeds, {} kills, {} problems", sum.seeds, args.seeds, sum.kills, sum.problems.len());
    }
    eprintln!(", {} s", began.elapsed().as_secs());
    let place = if torture.bucket.is_some() { "S3" } else { "local disk" };
    print!("{}", table(place, &sum));
    sum.problems.iter().for_each(|problem| eprintln!("{problem}"));
}

/// Builds the program in the profile of this one.
pub fn build_program() -> PathBuf {
    let own = std::env::current_exe().expect("the path of this program");
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(["build", "--bin", "profound-export", "--profile", profile]).status();
    assert!(status.expect("cargo").success(), "the program does not build");
    own.with_file_name("profound-export")
}

fn table(place: &str, sum: &Tally) -> String {
    let figures = [
        sum.seeds,
        sum.kills,
        sum.runs,
        sum.files,
        sum.partial,
        sum.unexpected,
        sum.lost,
        sum.duplicated,
        sum.spools_left,
    ];
    let cells: Vec<String> = figures.into_iter().map(format_number).collect();
    format!(
        "\
| lake on | seeds | kills | runs | files read | partial files | unexpected files | rows lost | rows duplicated | spools left |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
| {place} | {} |
",
        cells.join(" | "),
    )
}
