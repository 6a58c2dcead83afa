//! The program: parses the command line, runs the command, and maps its result to an exit code.

use std::process::ExitCode;

use clap::Parser;
use profound_export::cli::{Cli, execute, print_error_line};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(execute(cli)),
        Err(error) => {
            print_error_line(format!("error: cannot start threads: {error}"));
            ExitCode::FAILURE
        }
    }
}
