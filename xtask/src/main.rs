//! `cargo xtask COMMAND`: what maintainers run. Nothing of it is in the shipped program.

use std::process::ExitCode;

use clap::Parser;
use xtask::{fuzz, reference, requests, torture, year};

#[derive(Parser)]
enum Command {
    /// Print docs/reference/streams.md
    Reference,
    /// Feed mutated inputs to everything that parses foreign data
    Fuzz(fuzz::FuzzArgs),
    /// Kill the built program at random instants and count what the lake lost
    Torture(torture::TortureArgs),
    /// Print docs/explanation/requests.md; takes two minutes
    Requests(year::YearArgs),
    /// Simulate a year of nightly runs
    Year(year::YearArgs),
}

fn main() -> ExitCode {
    match Command::parse() {
        Command::Reference => print!("{}", reference::committed_page()),
        Command::Fuzz(args) => return fuzz::run(&args),
        Command::Torture(args) => torture::run(args),
        Command::Requests(args) => requests::run(&args),
        Command::Year(args) => year::run(&args),
    }
    ExitCode::SUCCESS
}
