//! The command line: one file per command. Data goes to standard output, everything else to standard error.

mod alert;
mod backfill;
mod build;
mod check;
mod config;
mod ddl;
mod deferred;
mod demo;
pub mod exit;
mod failure;
mod findings;
mod forget;
mod healthcheck;
mod help;
mod iam;
mod init;
mod ledger;
mod logging;
mod plan;
mod process_monitor;
mod report;
mod run;
mod sample;
mod schedule_fit;
mod serve;
mod setup;
mod simulate;
mod status;
mod status_page;
mod stream_names;
mod streams;
mod streams_diff;
mod table;
mod tables;
mod verify;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use futures::future::LocalBoxFuture;
use tracing_subscriber::filter::Targets;

use crate::config::Flag;
use crate::error_text::escape_controls;

pub use failure::Failure;
pub use help::parse;

/// Exports everything a Profound API key can read to partitioned Parquet.
#[derive(Debug, Parser)]
#[command(name = "profound-export", version, long_version = build::long_version(), propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    options: GlobalOptions,
    #[command(subcommand)]
    command: Command,
}

/// Output format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
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
    /// Export a simulated account to ./demo-lake and show the result: needs no key, network or file
    Demo(demo::DemoArgs),
    /// Write a jobs.toml that works: asks for the key, the destination and the categories, and tries them
    Init(init::InitArgs),
    /// Check the configuration, the key, the API and the destination, and print the next runs
    Check(check::CheckArgs),
    /// Print what the next run would request and what it costs
    Plan(plan::PlanArgs),
    /// Run jobs once and exit
    Run(run::RunArgs),
    /// Export chosen days of a job
    Backfill(backfill::BackfillArgs),
    /// Run all jobs on their schedules until stopped
    Serve,
    /// Check that a running `serve` is alive, for a container's health check
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Show coverage and the last runs
    Status(status::StatusArgs),
    /// Write an HTML page with the figures of the lake
    Report(report::ReportArgs),
    /// Compare every file of the lake with the ledger; the next run rewrites damaged and missing files, and `tables rebuild` those of tables
    Verify(verify::VerifyArgs),
    /// Delete streams, scopes or days permanently; no run exports them again
    Forget(forget::ForgetArgs),
    /// Send a test notification to alert targets
    #[command(subcommand)]
    Alert(alert::AlertCommand),
    /// Rebuild a deleted or unreadable ledger from the files of the lake
    Ledger(ledger::LedgerArgs),
    /// Rebuild the tables of query engines
    Tables(tables::TablesArgs),
    /// List the streams, show everything about one, or compare them with a newer document of the vendor
    Streams(streams::StreamsArgs),
    /// Print the SQL that makes each stream a table of an engine or warehouse
    Ddl(ddl::DdlArgs),
    /// Run only the API simulator
    Simulate(simulate::SimulateArgs),
    /// Print the effective settings, or their JSON Schema
    Config(config::ConfigArgs),
    /// Print a completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Options that every command has.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = help::GLOBAL_OPTIONS)]
pub struct GlobalOptions {
    // The variable is read with the others: clap would take an empty one for a path.
    /// Configuration file [env: PROFOUND_EXPORT_CONFIG] [default: jobs.toml, if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Output format
    #[arg(long, global = true, value_enum, default_value_t)]
    output: OutputFormat,
    /// The form of log lines
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: LogFormat,
    /// Log level (error, warn, info, debug) or a filter such as `warn,profound_export::run=debug`
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<Targets>,
    /// Override one setting of file and environment, such as `destination.url=./lake`
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<Flag>,
}

impl GlobalOptions {
    /// Prints a result in the chosen format.
    fn show<T: serde::Serialize>(
        &self,
        text: impl FnOnce() -> String,
        json: impl FnOnce() -> T,
    ) -> Result<u8, Failure> {
        match self.output {
            OutputFormat::Table => print(&text()),
            OutputFormat::Json => print_json(&json()),
        }
    }
}

fn setting(text: &str) -> Result<Flag, String> {
    match text.split_once('=') {
        Some((key, value)) => Ok(Flag::new("--set", key, value)),
        None => Err(format!("`{text}` is not KEY=VALUE, such as `destination.url=./lake`")),
    }
}

/// Runs the command; the result becomes the exit code. Boxed: where the type of a future is known, its code is compiled, so `main`
/// would compile a third of the library once more.
pub fn execute(cli: Cli) -> LocalBoxFuture<'static, ExitCode> {
    Box::pin(run_command(cli))
}

async fn run_command(cli: Cli) -> ExitCode {
    let Cli { options, command } = cli;
    let result = match command {
        Command::Demo(args) => demo::execute(&options, args).await,
        Command::Init(args) => init::execute(&options, &args).await,
        Command::Check(args) => check::execute(&options, args).await,
        Command::Plan(args) => plan::execute(&options, args).await,
        Command::Run(args) => run::execute(&options, args).await,
        Command::Backfill(args) => backfill::execute(&options, args).await,
        Command::Serve => serve::execute(&options).await,
        Command::Healthcheck(args) => healthcheck::execute(&options, args).await,
        Command::Status(args) => status::execute(&options, args).await,
        Command::Report(args) => report::execute(&options, args).await,
        Command::Verify(args) => verify::execute(&options, args).await,
        Command::Forget(args) => forget::execute(&options, args).await,
        Command::Alert(command) => alert::execute(&options, command).await,
        Command::Ledger(args) => ledger::execute(&options, args).await,
        Command::Tables(args) => tables::execute(&options, args).await,
        Command::Streams(args) => streams::execute(&options, args),
        Command::Ddl(args) => ddl::execute(&options, args).await,
        Command::Simulate(args) => simulate::execute(&options, args).await,
        Command::Config(args) => config::execute(&options, args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "profound-export", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.print(options.log_format);
            ExitCode::from(failure.code)
        }
    }
}

/// Prints to standard output. A closed pipe, such as of `head`, is not an error.
fn print(text: &str) -> Result<u8, Failure> {
    let (text, mut out) = (escape_controls(text), std::io::stdout().lock());
    let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
    printed(write!(out, "{text}{end}").and_then(|()| out.flush()))
}

/// Writes a line to standard error. Unlike `eprintln!` it does not panic if that is full or closed.
pub fn print_error_line(line: impl std::fmt::Display) {
    writeln!(std::io::stderr(), "{}", escape_controls(&line.to_string())).ok();
}

fn printed(result: std::io::Result<()>) -> Result<u8, Failure> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(exit::COMPLETE),
    }
}

/// Prints indented JSON while serializing, without holding it in memory.
fn print_json(value: &impl serde::Serialize) -> Result<u8, Failure> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let written = serde_json::to_writer_pretty(&mut out, value).map_err(std::io::Error::from);
    printed(written.and_then(|()| writeln!(out)).and_then(|()| out.flush()))
}
