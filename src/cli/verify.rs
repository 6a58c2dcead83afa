//! `verify`: compares every file of the lake and of its tables with the ledger.

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cli::failure::Failure;
use crate::cli::findings::{ListedFindings, counted};
use crate::cli::setup::{configuration, existing_lake, lake_name, maintained_lake, selected_tables};
use crate::cli::{GlobalOptions, exit, logging};
use crate::clock::Clock;
use crate::maintain::{Depth, Finding, FindingKind, FindingRemedy, Verified, VerifyOptions, verify};
use crate::model::format::{format_bytes, format_number};
use crate::tables::{TableProblem, TableProblemKind, VerifiedTables};

/// How often tables are compared while runs publish.
const ATTEMPTS: u32 = 3;

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
        show(options, &args, &lake_name(&config), &Verified::default(), None, &ListedFindings::default())?;
        // A wrong `destination.url` looks like this, too.
        return Ok(exit::FAILED);
    };
    let verify_options = VerifyOptions {
        tables: selected_tables(&config, ledger.state(), &args.streams)?,
        depth: if args.quick { Depth::Sizes } else { Depth::Rows },
        marks: !args.dry_run,
    };
    let lake = maintained_lake(&config, destinations.clone(), clock.now());
    let mut shown = ListedFindings::default();
    let mut verified = verify(&lake, &verify_options, &mut ledger, |finding| shown.add(finding)).await?;
    let mut of_tables = None;
    if let Some(tables) = &destinations.tables {
        let cancel = CancellationToken::new();
        let is_chosen = |name: &str| verify_options.tables.as_ref().is_none_or(|chosen| chosen.contains(name));
        let mut problems = Vec::new();
        for _ in 0..ATTEMPTS {
            problems.clear();
            ledger.refresh().await?;
            let number = ledger.state().number;
            let source = destinations.tables_source(config.catalog(), ledger.state(), clock.now(), &cancel);
            let verify = tables.verify(source, !args.quick, is_chosen, |problem| problems.push(problem));
            of_tables = Some(verify.await?);
            ledger.refresh().await?;
            // A run that published meanwhile replaced files and rows.
            if problems.is_empty() || ledger.state().number == number {
                break;
            }
        }
        let root = config.tables.url.as_deref().unwrap_or_default().trim_end_matches('/');
        for finding in problems.into_iter().map(|problem| finding_of(problem, root)) {
            *verified.findings.entry(finding.kind).or_default() += 1;
            shown.add(finding);
        }
    }
    show(options, &args, &lake_name(&config), &verified, of_tables, &shown)?;
    Ok(if verified.is_fine() { exit::COMPLETE } else { exit::FAILED })
}

/// The problem of a table below `root`.
fn finding_of(problem: TableProblem, root: &str) -> Finding {
    let TableProblem { table, kind, path, problem } = problem;
    let (kind, remedy) = match kind {
        TableProblemKind::Missing => (FindingKind::Missing, FindingRemedy::Rebuild),
        TableProblemKind::WrongSize => (FindingKind::WrongSize, FindingRemedy::Rebuild),
        TableProblemKind::Damaged => (FindingKind::Damaged, FindingRemedy::Rebuild),
        TableProblemKind::Outdated => (FindingKind::Outdated, FindingRemedy::Rebuild),
        TableProblemKind::Unmanaged => (FindingKind::Unmanaged, FindingRemedy::Look),
        TableProblemKind::Unsettled => (FindingKind::Unsettled, FindingRemedy::Wait),
    };
    Finding { kind, stream: table, scope: None, day: None, path: format!("{root}/{path}"), problem, remedy }
}

fn show(
    options: &GlobalOptions,
    args: &VerifyArgs,
    lake: &str,
    verified: &Verified,
    tables: Option<VerifiedTables>,
    shown: &ListedFindings,
) -> Result<u8, Failure> {
    let json = || {
        json!({
            "lake": lake,
            "fine": verified.is_fine(),
            "checked": if args.quick { "sizes" } else { "rows" },
            "verified": verified,
            "tables": tables,
            "problems": shown,
        })
    };
    options.show(|| text(args, lake, verified, tables, shown), json)
}

fn text(
    args: &VerifyArgs,
    lake: &str,
    verified: &Verified,
    tables: Option<VerifiedTables>,
    shown: &ListedFindings,
) -> String {
    if verified.streams == 0 {
        return format!("Nothing is exported yet in {lake}: start with `profound-export run`.");
    }
    let what = if args.quick { "present, with the recorded size" } else { "present, whole and unchanged" };
    let tables = tables.map(|VerifiedTables { tables, files, bytes }| {
        format!(", and {} files of {tables} tables, {}", format_number(files), format_bytes(bytes))
    });
    let all = format!(
        "{lake}: {} files of {} streams, {}{}",
        format_number(verified.files),
        verified.streams,
        format_bytes(verified.bytes),
        tables.unwrap_or_default()
    );
    if verified.findings.is_empty() {
        return format!("{all}: all {what}, no unmanaged files.");
    }
    let mut text = format!("{}\n{all}: {}.\n", shown.table(), counted(&verified.findings));
    let has = |kind: FindingKind| verified.findings.contains_key(&kind);
    if verified.marked > 0 {
        text.push_str(
            "Damaged and missing days are marked stale: the next run whose job wants them exports them again.\n",
        );
    } else if shown.need(FindingRemedy::Rewrite) {
        text.push_str(if args.dry_run {
            "Nothing was marked stale, so the next run repairs nothing: run `verify` without --dry-run.\n"
        } else {
            "Damaged and missing days are already marked stale: the next run whose job wants them exports them again.\n"
        });
    }
    if shown.need(FindingRemedy::Restore) {
        text.push_str(
            "Past list snapshots, streams that this version does not know, and the ledger can only be restored from a backup.\n",
        );
    }
    if shown.need(FindingRemedy::Rebuild) {
        text.push_str("`tables rebuild` writes tables once more from the files of the lake, without requests.\n");
    }
    if has(FindingKind::Unmanaged) || has(FindingKind::Duplicate) {
        text.push_str("Unmanaged files are never deleted, but tools that read directories see them: check them and move them away.\n");
    }
    if has(FindingKind::Forgotten) {
        text.push_str("Run the same `forget` once more to delete forgotten files that still exist.\n");
    }
    if has(FindingKind::Unsettled) {
        text.push_str("A run may be writing unsettled files; if it was killed, the next run exports them again.\n");
    }
    text
}
