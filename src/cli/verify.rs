//! `verify`: every file of the lake, compared with the ledger.

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

/// Findings that are shown one by one; all of them are format_count, and marked.
const SHOWN: usize = 10_000;

#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// Only these streams: names, tiers, a trailing `*`, a leading `!` [default: everything that is there]
    #[arg(value_name = "NAME")]
    streams: Vec<String>,
    /// Only look whether files are there and as long as they were, without reading them
    #[arg(long)]
    quick: bool,
    /// Only tell: leave the ledger as it is, so that the next run mends nothing
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
        if shown.len() < SHOWN {
            shown.push(finding);
        }
    };
    let verified = verify(&settings, &mut ledger, keep).await?;
    show(options, &args, &verified, &shown)?;
    Ok(if verified.is_fine() { exit::COMPLETE } else { exit::FAILED })
}

/// The tables that `patterns` mean, snapshots of lists with them; none for all.
fn tables(config: &Config, state: &State, patterns: &[String]) -> Result<Option<BTreeSet<String>>, Failure> {
    if patterns.is_empty() {
        return Ok(None);
    }
    // A table that no stream of this version writes is still there by its name.
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
        return "Nothing is exported yet: `profound-export run` begins.".to_owned();
    }
    let what = if args.quick { "present and as long as they were" } else { "present, whole and unchanged" };
    let all =
        format!("{} files of {} streams, {}", format_number(verified.files), verified.streams, size(verified.bytes));
    if verified.findings.is_empty() {
        return format!("{all}: all of them {what}, and no other file among them.");
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
    if 0 < verified.marked {
        text.push_str(
            "What is broken is marked stale: the next run whose job wants those days reads and writes them again.\n",
        );
    } else if shown.iter().any(is_due) {
        text.push_str(match args.dry_run {
            true => "Nothing was marked, so the next run mends nothing: verify again without --dry-run.\n",
            false => "What is broken is marked stale already: the next run whose job wants those days mends it.\n",
        });
    }
    if shown.iter().any(|finding| finding.remedy == FindingRemedy::Restore) {
        text.push_str(
            "Snapshots of days that are over, and streams that this version does not know, come only from a backup.\n",
        );
    }
    if 0 < count(&FindingKind::Foreign) + count(&FindingKind::Duplicate) {
        text.push_str("Readers of directories read files that no record names too. They are never deleted: look at them, and move them away.\n");
    }
    if 0 < count(&FindingKind::Forgotten) {
        text.push_str("What was forgotten and still lies there is deleted by the same `forget` once more.\n");
    }
    if 0 < count(&FindingKind::Unsettled) {
        text.push_str("A run may be writing what is unsettled; where it was killed, the next run reads it again.\n");
    }
    text
}
