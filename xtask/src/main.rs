//! `cargo xtask COMMAND`: the maintainers' tools. None of them is in the shipped program.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use xtask::{fuzz, model, reference, requests, sequences, torture, year};

#[derive(Parser)]
enum XtaskCommand {
    /// Write the generated pages of docs/reference
    Reference,
    /// Print the names in an OpenAPI document, in the form of crates/catalog/src/document/surface.json
    Surface { openapi: PathBuf },
    /// Feed mutated inputs to every parser of external data
    Fuzz(fuzz::FuzzArgs),
    /// Check a model of the commit protocol in every order of its steps; takes minutes
    Model(model::ModelArgs),
    /// Compare lakes with the account after random sequences of faults, kills, pauses and restatements
    Sequences(sequences::SequencesArgs),
    /// Kill the built program at random instants and count lost rows
    Torture(torture::TortureArgs),
    /// Print docs/explanation/requests.md; takes two minutes
    Requests(year::YearArgs),
    /// Simulate daily runs until a year is backfilled
    Year(year::YearArgs),
}

fn main() -> ExitCode {
    match XtaskCommand::parse() {
        XtaskCommand::Reference => {
            if let Err(error) = reference::write_pages() {
                eprintln!("error: cannot write docs/reference: {error}");
                return ExitCode::FAILURE;
            }
        }
        XtaskCommand::Surface { openapi } => print!("{}", reference::surface(&openapi)),
        XtaskCommand::Fuzz(args) => return fuzz::run(&args),
        XtaskCommand::Model(args) => return model::run(&args),
        XtaskCommand::Sequences(args) => return sequences::run(args),
        XtaskCommand::Torture(args) => torture::run(args),
        XtaskCommand::Requests(args) => requests::run(&args),
        XtaskCommand::Year(args) => year::run(&args),
    }
    ExitCode::SUCCESS
}
