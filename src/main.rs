//! The program: parses the command line, runs the command, and maps its result to an exit code.

use std::num::NonZero;
use std::process::ExitCode;

use profound_export::cli::{execute, parse, print_error_line};
use tokio::runtime::Builder;

/// For requests. The rate limit decides how fast a run is, and each thread that allocates keeps memory of its own.
const MAX_REQUEST_THREADS: usize = 2;
/// For files and name look-ups, which mostly wait.
const FILE_THREADS: usize = 8;

fn main() -> ExitCode {
    let cli = parse();
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut runtime = Builder::new_multi_thread();
    runtime.worker_threads(cores.min(MAX_REQUEST_THREADS)).max_blocking_threads(FILE_THREADS);
    match runtime.enable_all().build() {
        Ok(runtime) => runtime.block_on(execute(cli)),
        Err(error) => {
            print_error_line(format!("error: cannot start threads: {error}"));
            ExitCode::FAILURE
        }
    }
}
