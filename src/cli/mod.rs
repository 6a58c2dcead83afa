//! The command line: one file per verb. Data goes to standard output, everything else to standard error.

mod alert;
mod backfill;
mod check;
mod config;
mod demo;
pub mod exit;
mod failure;
mod forget;
mod healthcheck;
mod iam;
mod init;
mod ledger;
mod left;
mod logging;
mod names;
mod page;
mod plan;
mod room;
mod run;
mod sample;
mod serve;
mod setup;
mod simulate;
mod status;
mod streams;
mod streams_diff;
mod table;
mod verify;
mod watch;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::config::Flag;

pub use failure::Failure;

/// Exports everything a Profound API key can read to partitioned Parquet.
#[derive(Debug, Parser)]
#[command(name = "profound-export", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// The configuration file [default: jobs.toml, where there is one]
    #[arg(long, global = true, env = "PROFOUND_EXPORT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The form of what is printed
    #[arg(long, global = true, value_enum, default_value_t)]
    output: Output,
    /// The form of log lines
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: LogFormat,
    /// Which log lines: error, warn, info, debug, or a filter such as `warn,profound_export::run=debug`
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<EnvFilter>,
    /// One setting in place of what the file and the environment say, such as `destination.url=./lake`
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<Flag>,
    #[command(subcommand)]
    command: Command,
}

/// The form of what is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For machines.
    Json,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Export a simulated account to ./demo-lake and show the result: no key, no network, no file needed
    Demo(demo::Arguments),
    /// Write a commented jobs.toml
    Init(init::Arguments),
    /// Check the configuration, the key, the API and the destination, and print the next runs
    Check(check::Arguments),
    /// Print what the next run would ask for and what it costs
    Plan(plan::Arguments),
    /// Run jobs once and exit
    Run(run::Arguments),
    /// Export given days of a job
    Backfill(backfill::Arguments),
    /// Run every job at its time, until stopped
    Serve(serve::Arguments),
    /// Ask a running `serve` whether it lives: for a container's health check
    Healthcheck(healthcheck::Arguments),
    /// Show coverage and the last runs
    Status(status::Arguments),
    /// Compare every file of the lake with the ledger; what is broken is written again by the next run
    Verify(verify::Arguments),
    /// Remove streams, scopes or days for good: their files are deleted, and no run asks for them again
    Forget(forget::Arguments),
    /// Send a test to the targets of alerts
    #[command(subcommand)]
    Alert(alert::Command),
    /// Make a ledger that was deleted or cannot be read again from the files of the lake
    Ledger(ledger::Arguments),
    /// List the streams, show everything about one, or compare them with a newer document of the vendor
    Streams(streams::Arguments),
    /// Run the simulator of the API alone
    Simulate(simulate::Arguments),
    /// Print the effective settings, or their JSON Schema
    Config(config::Arguments),
    /// Print a completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What every verb knows of its surroundings.
#[derive(Debug, Clone)]
pub struct Surroundings {
    config: Option<PathBuf>,
    output: Output,
    log_format: LogFormat,
    log: Option<EnvFilter>,
    set: Vec<Flag>,
}

fn setting(text: &str) -> Result<Flag, String> {
    match text.split_once('=') {
        Some((key, value)) => Ok(Flag::new("--set", key, value)),
        None => Err(format!("`{text}` is not KEY=VALUE, such as `destination.url=./lake`")),
    }
}

/// Runs the command; the result becomes the exit code.
pub async fn execute(cli: Cli) -> ExitCode {
    let around =
        Surroundings { config: cli.config, output: cli.output, log_format: cli.log_format, log: cli.log, set: cli.set };
    let result = match cli.command {
        Command::Demo(arguments) => demo::execute(&around, arguments).await,
        Command::Init(arguments) => init::execute(&arguments),
        Command::Check(arguments) => check::execute(&around, arguments).await,
        Command::Plan(arguments) => plan::execute(&around, arguments).await,
        Command::Run(arguments) => run::execute(&around, arguments).await,
        Command::Backfill(arguments) => backfill::execute(&around, arguments).await,
        Command::Serve(arguments) => serve::execute(&around, arguments).await,
        Command::Healthcheck(arguments) => healthcheck::execute(&around, arguments).await,
        Command::Status(arguments) => status::execute(&around, arguments).await,
        Command::Verify(arguments) => verify::execute(&around, arguments).await,
        Command::Forget(arguments) => forget::execute(&around, arguments).await,
        Command::Alert(command) => alert::execute(&around, command).await,
        Command::Ledger(arguments) => ledger::execute(&around, arguments).await,
        Command::Streams(arguments) => streams::execute(&around, arguments),
        Command::Simulate(arguments) => simulate::execute(&around, arguments).await,
        Command::Config(arguments) => config::execute(&around, arguments),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "profound-export", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.tell(around.log_format);
            ExitCode::from(failure.code)
        }
    }
}

/// Prints to standard output. A reader that went away, such as `head`, is no failure.
fn print(text: &str) -> Result<u8, Failure> {
    let mut out = std::io::stdout().lock();
    let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
    printed(write!(out, "{text}{end}").and_then(|()| out.flush()))
}

/// Whoever reads no further has read enough.
fn printed(result: std::io::Result<()>) -> Result<u8, Failure> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(exit::COMPLETE),
    }
}

/// Prints a value as JSON, indented, as it is made.
fn print_json(value: &impl serde::Serialize) -> Result<u8, Failure> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let written = serde_json::to_writer_pretty(&mut out, value).map_err(std::io::Error::from);
    printed(written.and_then(|()| writeln!(out)).and_then(|()| out.flush()))
}
