//! `ledger rebuild`: rebuilds a deleted or unreadable ledger from the files of the lake.

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::findings::{ListedFindings, counted};
use crate::cli::setup::{configuration, destinations, lake_name, maintained_lake};
use crate::cli::{GlobalOptions, exit, logging};
use crate::clock::Clock;
use crate::config::Location;
use crate::layout::Layout;
use crate::ledger::Ledger;
use crate::maintain::{FindingKind, FindingRemedy, RebuildOptions, Rebuilt, rebuild};
use crate::model::format::{format_bytes, format_number};
use crate::run::write_coverage;

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
    // Not the check of other commands: a lake whose whole ledger is deleted can be rebuilt.
    if matches!(config.destination.location(), Ok(Location::Local(path)) if !path.exists()) {
        return Err(Failure::new(exit::USAGE, "the lake does not exist yet, so there is no ledger to rebuild"));
    }
    let clock = Clock::system();
    let destinations = destinations(&config)?;
    let lake = maintained_lake(&config, destinations, clock.now());
    let organizations = args.organization.into_iter().collect();
    let rebuild_options = RebuildOptions { organizations, force: args.force, dry_run: args.dry_run };
    let mut shown = ListedFindings::default();
    let rebuilt = rebuild(&lake, &rebuild_options, |finding| shown.add(finding)).await?;
    if rebuilt.record.is_some() {
        // Opens it as every run does.
        let ledger = Ledger::open(lake.destination.clone(), clock.clone()).await?;
        let layout = Layout::from_name(&rebuilt.partition).unwrap_or(lake.layout);
        write_coverage(&lake.destination, layout, ledger.state(), config.catalog(), clock.now()).await?;
    }
    let json = || json!({"lake": lake_name(&config), "fine": rebuilt.is_fine(), "rebuilt": rebuilt, "problems": shown});
    options.show(|| text(&rebuilt, &shown, &lake_name(&config)), json)?;
    Ok(if rebuilt.is_fine() { exit::COMPLETE } else { exit::FAILED })
}

fn text(rebuilt: &Rebuilt, shown: &ListedFindings, lake: &str) -> String {
    let mut text = String::new();
    if !rebuilt.findings.is_empty() {
        text.push_str(&shown.table());
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
    let bytes = format_bytes(rebuilt.bytes);
    let all = format!("{} files of {} streams, {bytes}", format_number(rebuilt.files), rebuilt.streams);
    text.push_str(&match rebuilt.record {
        Some(record) => format!("The rebuilt ledger of {lake} starts with record {record} and has {all}.\n"),
        None => format!("The rebuilt ledger of {lake} would have {all}. Nothing is written.\n"),
    });
    if rebuilt.as_recorded > 0 {
        let recorded = format_number(rebuilt.as_recorded);
        text.push_str(&format!("{recorded} of them match the records that are still readable.\n"));
    }
    if !rebuilt.findings.is_empty() {
        text.push_str(&format!("Findings: {}.\n", counted(&rebuilt.findings)));
    }
    if shown.need(FindingRemedy::Rewrite) {
        text.push_str("Damaged, misplaced and missing days are exported again by the next run whose job wants them.\n");
    }
    let unmanaged = [FindingKind::Unmanaged, FindingKind::Duplicate, FindingKind::OtherAccount];
    if unmanaged.iter().any(|kind| rebuilt.findings.contains_key(kind)) {
        text.push_str("Files that are not part of this lake are kept, but tools that read directories see them: check them and move them away.\n");
    }
    if rebuilt.record.is_some() {
        text.push_str("The old ledger's files are kept. No other process may have written meanwhile.\n");
    }
    text
}
