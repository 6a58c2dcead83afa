//! `ledger rebuild`: rebuilds a deleted or unreadable ledger from the files of the lake.

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

/// Further findings are counted but not listed.
const MAX_LISTED: usize = 10_000;

#[derive(Debug, clap::Args)]
pub struct LedgerArgs {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Debug, clap::Subcommand)]
enum LedgerCommand {
    /// Rebuild a deleted or unreadable ledger from the files of the lake; deletes nothing
    Rebuild(RebuildArguments),
}

#[derive(Debug, clap::Args)]
struct RebuildArguments {
    /// Report the result without writing it
    #[arg(long)]
    dry_run: bool,
    /// Rebuild even if the ledger is readable and knows more than the files
    #[arg(long)]
    force: bool,
    /// Id of the organization that owns the lake, if it has files of several accounts; repeatable
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
        return Err(Failure::new(exit::USAGE, "the lake does not exist yet, so there is no ledger to rebuild"));
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
        if shown.len() < MAX_LISTED {
            shown.push(finding);
        }
    };
    let rebuilt = rebuild(&settings, keep).await?;
    if rebuilt.record.is_some() {
        // Opens it as every run does.
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
        let which = if lost.first == lost.last {
            format!("record {}", lost.first)
        } else {
            format!("records {} to {}", lost.first, lost.last)
        };
        text.push_str(&format!("lost: {which}: {}\n", lost.problem));
    }
    for unknown in &rebuilt.unknown {
        text.push_str(&format!("lost: {unknown}\n"));
    }
    let all = format!("{} files of {} streams, {}", format_number(rebuilt.files), rebuilt.streams, size(rebuilt.bytes));
    text.push_str(&match rebuilt.record {
        Some(record) => format!("The rebuilt ledger starts with record {record} and has {all}.\n"),
        None => format!("The rebuilt ledger would have {all}. Nothing is written.\n"),
    });
    if rebuilt.as_recorded > 0 {
        let recorded = format_number(rebuilt.as_recorded);
        text.push_str(&format!("{recorded} of them match the records that are still readable.\n"));
    }
    let counts = rebuilt.findings.iter().map(|(kind, count)| format!("{} {}", format_number(*count), kind.name()));
    let counts = counts.collect::<Vec<_>>().join(", ");
    if !counts.is_empty() {
        text.push_str(&format!("Findings: {counts}.\n"));
    }
    if shown.iter().any(|finding| finding.remedy == FindingRemedy::Rewrite) {
        text.push_str("Damaged, misplaced and missing days are exported again by the next run whose job wants them.\n");
    }
    let is_left = |finding: &Finding| {
        matches!(finding.kind, FindingKind::Foreign | FindingKind::Duplicate | FindingKind::OtherAccount)
    };
    if shown.iter().any(is_left) {
        text.push_str("Files that are not part of this lake are kept, but tools that read directories see them: check them and move them away.\n");
    }
    if rebuilt.record.is_some() {
        text.push_str("The old ledger's files are kept. No other process may have written meanwhile.\n");
    }
    text
}
