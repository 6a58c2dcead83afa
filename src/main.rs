//! The program: parses the command line, and turns what comes of it into an exit code.

use std::process::ExitCode;

use clap::Parser;
use profound_export::cli::{Cli, execute};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(execute(cli)),
        Err(error) => {
            eprintln!("error: no threads can be started: {error}");
            ExitCode::FAILURE
        }
    }
}
