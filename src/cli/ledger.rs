//! `ledger rebuild`: a ledger that was deleted or cannot be read, made again from the files of the lake.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::sync::Arc;

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::setup::{configuration, destinations};
use crate::cli::table::{fitted, size};
use crate::cli::{GlobalOptions, OutputFormat, exit, logging, print, print_json};
use crate::clock::Clock;
use crate::config::Location;
use crate::layout::Layout;
use crate::ledger::Ledger;
use crate::maintain::{Finding, FindingKind, FindingRemedy, Rebuild, Rebuilt, rebuild};
use crate::model::format::format_number;
use crate::run::write_coverage;

/// Findings that are shown one by one; all of them are format_count.
const SHOWN: usize = 10_000;

#[derive(Debug, clap::Args)]
pub struct LedgerArgs {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Debug, clap::Subcommand)]
enum LedgerCommand {
    /// Make a ledger that was deleted or cannot be read again from what the files of the lake say; nothing is deleted
    Rebuild(RebuildArguments),
}

#[derive(Debug, clap::Args)]
struct RebuildArguments {
    /// Only tell what would come of it
    #[arg(long)]
    dry_run: bool,
    /// Also where the ledger can be read, and knows more than the files say
    #[arg(long)]
    force: bool,
    /// Whose lake it is, where files of several accounts lie in it: an organization's id; several times for several
    #[arg(long, value_name = "ID")]
    organization: Vec<String>,
}

pub async fn execute(options: &GlobalOptions, args: LedgerArgs) -> Result<u8, Failure> {
    logging::start(options, "ledger");
    let LedgerCommand::Rebuild(args) = args.command;
    let (_, config) = configuration(options)?;
    if let Ok(Location::Local(path)) = config.destination.location()
        && !path.exists()
    {
        return Err(Failure::new(exit::USAGE, "there is no lake yet, so there is no ledger to make"));
    }
    let clock = Clock::system();
    let destinations = destinations(&config)?;
    let settings = Rebuild {
        lake: destinations.lake.clone(),
        layout: destinations.layout,
        catalog: Arc::clone(config.catalog()),
        organizations: args.organization.iter().cloned().collect::<BTreeSet<String>>(),
        force: args.force,
        dry_run: args.dry_run,
        now: clock.now(),
        spool_dir: destinations.spool_dir,
        spool_bytes: destinations.spool_bytes,
    };
    let mut shown = Vec::new();
    let keep = |finding| {
        if shown.len() < SHOWN {
            shown.push(finding);
        }
    };
    let rebuilt = rebuild(&settings, keep).await?;
    if rebuilt.record.is_some() {
        // Reads it as every run will.
        let ledger = Ledger::open(destinations.lake.clone(), clock.clone()).await?;
        let layout = Layout::from_name(&rebuilt.partition).unwrap_or(destinations.layout);
        write_coverage(&destinations.lake, layout, ledger.state(), config.catalog(), clock.now()).await?;
    }
    match options.output {
        OutputFormat::Json => {
            print_json(&json!({"fine": rebuilt.is_fine(), "rebuilt": rebuilt, "problems": shown}))?;
        }
        OutputFormat::Table => {
            print(&text(&rebuilt, &shown))?;
        }
    }
    Ok(if rebuilt.is_fine() { exit::COMPLETE } else { exit::FAILED })
}

fn text(rebuilt: &Rebuilt, shown: &[Finding]) -> String {
    let mut text = String::new();
    if !rebuilt.findings.is_empty() {
        let row =
            |finding: &Finding| vec![finding.kind.name().to_owned(), finding.path.clone(), finding.problem.clone()];
        let terminal = std::io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
        let width = terminal.map(|(width, _)| usize::from(width.0));
        text.push_str(&fitted(&["what", "file", "problem"], shown.iter().map(row).collect(), width));
        text.push('\n');
    }
    for lost in &rebuilt.lost {
        let which = match lost.first == lost.last {
            true => format!("record {}", lost.first),
            false => format!("records {} to {}", lost.first, lost.last),
        };
        text.push_str(&format!("lost: {which}: {}\n", lost.problem));
    }
    for unknown in &rebuilt.unknown {
        text.push_str(&format!("not known any more: {unknown}\n"));
    }
    let all = format!("{} files of {} streams, {}", format_number(rebuilt.files), rebuilt.streams, size(rebuilt.bytes));
    text.push_str(&match rebuilt.record {
        Some(record) => format!("The ledger begins anew with record {record} and knows {all}.\n"),
        None => format!("The ledger would know {all}. Nothing is written.\n"),
    });
    if 0 < rebuilt.as_recorded {
        let recorded = format_number(rebuilt.as_recorded);
        text.push_str(&format!("{recorded} of them are as the records say that can still be read.\n"));
    }
    let counts = rebuilt.findings.iter().map(|(kind, count)| format!("{} {}", format_number(*count), kind.name()));
    let counts = counts.collect::<Vec<_>>().join(", ");
    if !counts.is_empty() {
        text.push_str(&format!("Not as it should be: {counts}.\n"));
    }
    if shown.iter().any(|finding| finding.remedy == FindingRemedy::Rewrite) {
        text.push_str("What is damaged, misplaced or missing is read and written again by the next run whose job wants those days.\n");
    }
    let is_left = |finding: &Finding| {
        matches!(finding.kind, FindingKind::Foreign | FindingKind::Duplicate | FindingKind::OtherAccount)
    };
    if shown.iter().any(is_left) {
        text.push_str("Files that are not this lake's are left alone. Readers of directories read them too: look at them, and move them away.\n");
    }
    if rebuilt.record.is_some() {
        text.push_str(
            "Whatever is of the old ledger stays where it is. Nothing else may have been writing meanwhile.\n",
        );
    }
    text
}
