//! The built program, as a user starts it; a module of its own, since examples share `support` and know no built program.

use std::path::Path;
use std::process::{Command, Stdio};

use profound_export::simulator::Simulator;

use crate::support::KEY;

/// The program in `directory`, with the key of the simulated account and the address of its API. Standard input is
/// closed.
pub fn program(directory: &Path, simulator: &Simulator) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_profound-export"));
    program
        .args(["--set", &format!("api.base_url={}", simulator.url())])
        .current_dir(directory)
        .env("PROFOUND_API_KEY", KEY)
        .stdin(Stdio::null());
    program
}
