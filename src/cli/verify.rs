//! `verify`: compares every file of the lake with the ledger.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::sync::Arc;

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::setup::{configuration, existing_lake};
use crate::cli::table::{fitted, size};
use crate::cli::{GlobalOptions, OutputFormat, exit, logging, print, print_json};
use crate::clock::Clock;
use crate::config::{Config, select};
use crate::ledger::State;
use crate::maintain::{Depth, Finding, FindingKind, FindingRemedy, Verified, Verify, verify};
use crate::model::format::format_number;
use crate::model::history::history_name;

/// Further findings are counted but not listed.
const MAX_LISTED: usize = 10_000;

#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// Only these streams: names, tiers, a trailing `*`, a leading `!` [default: all]
    #[arg(value_name = "NAME")]
    streams: Vec<String>,
    /// Check only existence and size, without reading the files
    #[arg(long)]
    quick: bool,
    /// Report only: leave the ledger unchanged, so the next run repairs nothing
    #[arg(long)]
    dry_run: bool,
}

pub async fn execute(options: &GlobalOptions, args: VerifyArgs) -> Result<u8, Failure> {
    logging::start(options, "verify");
    let (_, config) = configuration(options)?;
    let clock = Clock::system();
    let Some((mut ledger, destinations)) = existing_lake(&config, &clock).await? else {
        show(options, &args, &Verified::default(), &[])?;
        return Ok(exit::COMPLETE);
    };
    let settings = Verify {
        tables: tables(&config, ledger.state(), &args.streams)?,
        lake: destinations.lake,
        layout: destinations.layout,
        catalog: Arc::clone(config.catalog()),
        depth: if args.quick { Depth::Sizes } else { Depth::Rows },
        marks: !args.dry_run,
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
    let verified = verify(&settings, &mut ledger, keep).await?;
    show(options, &args, &verified, &shown)?;
    Ok(if verified.is_fine() { exit::COMPLETE } else { exit::FAILED })
}

/// The tables that `patterns` select, with list snapshots; `None` for all.
fn tables(config: &Config, state: &State, patterns: &[String]) -> Result<Option<BTreeSet<String>>, Failure> {
    if patterns.is_empty() {
        return Ok(None);
    }
    // A table that this version's catalog does not have can still be selected by its name.
    let (known, patterns): (Vec<String>, Vec<String>) = patterns
        .iter()
        .cloned()
        .partition(|pattern| state.coverage.contains_key(pattern) && config.catalog().get(pattern).is_none());
    let mut tables: BTreeSet<String> = known.into_iter().collect();
    if !patterns.is_empty() {
        let streams = select(config.catalog(), &patterns).map_err(|problems| {
            let words: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Failure::new(exit::USAGE, words.join("\n"))
        })?;
        tables.extend(streams.iter().flat_map(|stream| [stream.name.clone(), history_name(&stream.name)]));
    }
    Ok(Some(tables))
}

fn show(options: &GlobalOptions, args: &VerifyArgs, verified: &Verified, shown: &[Finding]) -> Result<u8, Failure> {
    match options.output {
        OutputFormat::Json => print_json(&json!({
            "fine": verified.is_fine(),
            "checked": if args.quick { "sizes" } else { "rows" },
            "verified": verified,
            "problems": shown,
        })),
        OutputFormat::Table => print(&text(args, verified, shown)),
    }
}

fn text(args: &VerifyArgs, verified: &Verified, shown: &[Finding]) -> String {
    if verified.streams == 0 {
        return "Nothing is exported yet: start with `profound-export run`.".to_owned();
    }
    let what = if args.quick { "present, with the recorded size" } else { "present, whole and unchanged" };
    let all =
        format!("{} files of {} streams, {}", format_number(verified.files), verified.streams, size(verified.bytes));
    if verified.findings.is_empty() {
        return format!("{all}: all {what}, no unmanaged files.");
    }
    let rows =
        shown.iter().map(|finding| vec![finding.kind.name().to_owned(), finding.path.clone(), finding.problem.clone()]);
    let terminal = std::io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    let width = terminal.map(|(width, _)| usize::from(width.0));
    let mut text = fitted(&["what", "file", "problem"], rows.collect(), width);
    let count = |kind: &FindingKind| verified.findings.get(kind).copied().unwrap_or_default();
    let counts = verified.findings.iter().map(|(kind, count)| format!("{} {}", format_number(*count), kind.name()));
    text.push_str(&format!("\n{all}: {}.\n", counts.collect::<Vec<_>>().join(", ")));
    let is_due = |finding: &Finding| finding.remedy == FindingRemedy::Rewrite;
    if verified.marked > 0 {
        text.push_str(
            "Damaged and missing days are marked stale: the next run whose job wants them exports them again.\n",
        );
    } else if shown.iter().any(is_due) {
        text.push_str(if args.dry_run {
            "Nothing was marked stale, so the next run repairs nothing: run `verify` without --dry-run.\n"
        } else {
            "Damaged and missing days are already marked stale: the next run whose job wants them exports them again.\n"
        });
    }
    if shown.iter().any(|finding| finding.remedy == FindingRemedy::Restore) {
        text.push_str(
            "Past list snapshots, and streams that this version does not know, can only be restored from a backup.\n",
        );
    }
    if count(&FindingKind::Foreign) + count(&FindingKind::Duplicate) > 0 {
        text.push_str("Unmanaged files are never deleted, but tools that read directories see them: check them and move them away.\n");
    }
    if count(&FindingKind::Forgotten) > 0 {
        text.push_str("Run the same `forget` once more to delete forgotten files that still exist.\n");
    }
    if count(&FindingKind::Unsettled) > 0 {
        text.push_str("A run may be writing unsettled files; if it was killed, the next run exports them again.\n");
    }
    text
}
