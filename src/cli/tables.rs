//! `tables rebuild`: writes tables once more from the files of the lake.

use std::collections::BTreeSet;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cli::failure::Failure;
use crate::cli::setup::{cancel_on_signal, configuration, existing_lake};
use crate::cli::table::table;
use crate::cli::{GlobalOptions, exit, logging, print_error_line};
use crate::clock::Clock;
use crate::config::select;
use crate::error_text::error_chain;
use crate::model::format::{format_bytes, format_number};
use crate::model::history::list_of;
use crate::tables::TablesReport;

#[derive(Debug, clap::Args)]
pub struct TablesArgs {
    #[command(subcommand)]
    command: TablesCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TablesCommand {
    /// Write tables once more from the files of the lake, without requests; needed if a log was lost or another engine changed the table
    Rebuild(RebuildArguments),
}

#[derive(Debug, clap::Args)]
struct RebuildArguments {
    /// Only the tables of these streams: names, tiers, a trailing `*`, a leading `!` [default: all]
    #[arg(value_name = "STREAM")]
    streams: Vec<String>,
}

pub async fn execute(options: &GlobalOptions, args: TablesArgs) -> Result<u8, Failure> {
    logging::start(options, "tables");
    let TablesCommand::Rebuild(args) = args.command;
    let (_, config) = configuration(options)?;
    let clock = Clock::system();
    let Some((ledger, destinations)) = existing_lake(&config, &clock).await? else {
        return Err(Failure::new(exit::USAGE, "the lake does not exist yet, so there is no table to rebuild"));
    };
    let Some(tables) = &destinations.tables else {
        return Err(Failure::new(exit::USAGE, "no tables are configured").hint("set `url` under `[tables]`"));
    };
    let chosen: Option<BTreeSet<String>> = match args.streams.as_slice() {
        [] => None,
        patterns => {
            let streams = select(config.catalog(), patterns)
                .map_err(|problems| Failure::from_problems(exit::USAGE, &problems))?;
            Some(streams.iter().map(|stream| stream.name.clone()).collect())
        }
    };
    let is_chosen = |table: &str| chosen.as_ref().is_none_or(|chosen| chosen.contains(list_of(table).unwrap_or(table)));
    let cancel = CancellationToken::new();
    let source = destinations.tables_source(config.catalog(), ledger.state(), clock.now(), &cancel);
    let rebuild = tables.rebuild(source, is_chosen);
    let stopped = async {
        cancel_on_signal(cancel.clone()).await;
        std::future::pending().await
    };
    let TablesReport { published, failed } = tokio::select! {
        report = rebuild => report,
        () = stopped => return Ok(exit::FAILED),
    };
    let rows = published.iter().map(|(name, table)| {
        vec![name.clone(), format_number(table.version), format_number(table.added_files), format_bytes(table.bytes)]
    });
    let text = || table(&["table", ">version", ">files", ">size"], rows);
    let problems: Vec<String> = failed.iter().map(|error| error_chain(error)).collect();
    options.show(text, || json!({"tables": published, "failed": problems}))?;
    for error in &failed {
        print_error_line(format!("error: {}\n  help: {}", error_chain(error), error.hint()));
    }
    Ok(if failed.is_empty() { exit::COMPLETE } else { exit::FAILED })
}
