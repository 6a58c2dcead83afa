//! `cargo xtask sequences`: `.ci/checks/test_sequences.py` with as many random sequences of faults, kills, pauses and restatements as you
//! like, and the table of the reliability page.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::torture::build_program;

#[derive(Debug, clap::Args)]
pub struct SequencesArgs {
    /// How many sequences
    #[arg(long, default_value_t = 100)]
    count: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The program; else it is built
    #[arg(long)]
    program: Option<PathBuf>,
    /// The Python of the checks, which `.ci/run environment` makes
    #[arg(long, default_value = "target/ci/venv/bin/python")]
    python: PathBuf,
}

pub fn run(args: SequencesArgs) -> ExitCode {
    let program = args.program.unwrap_or_else(build_program);
    let status = Command::new(args.python)
        .args(["-B", "-m", "pytest", "--quiet", "--capture=no", ".ci/checks/test_sequences.py"])
        .env("PROFOUND_EXPORT_SEQUENCES", args.count.to_string())
        .env("PROFOUND_EXPORT_SEQUENCE_SEED", args.seed.to_string())
        .env("PROFOUND_EXPORT_BINARY", program)
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: cannot start Python: {error}; `.ci/run environment` makes it");
            ExitCode::FAILURE
        }
    }
}
