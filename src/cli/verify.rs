//! `verify`: compares every file of the lake with the ledger.

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::findings::{ListedFindings, counted};
use crate::cli::setup::{configuration, existing_lake, lake_name, maintained_lake, selected_tables};
use crate::cli::{GlobalOptions, exit, logging};
use crate::clock::Clock;
use crate::maintain::{Depth, FindingKind, FindingRemedy, Verified, VerifyOptions, verify};
use crate::model::format::{format_bytes, format_number};

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
        show(options, &args, &lake_name(&config), &Verified::default(), &ListedFindings::default())?;
        // A wrong `destination.url` looks like this, too.
        return Ok(exit::FAILED);
    };
    let verify_options = VerifyOptions {
        tables: selected_tables(&config, ledger.state(), &args.streams)?,
        depth: if args.quick { Depth::Sizes } else { Depth::Rows },
        marks: !args.dry_run,
    };
    let lake = maintained_lake(&config, destinations, clock.now());
    let mut shown = ListedFindings::default();
    let verified = verify(&lake, &verify_options, &mut ledger, |finding| shown.add(finding)).await?;
    show(options, &args, &lake_name(&config), &verified, &shown)?;
    Ok(if verified.is_fine() { exit::COMPLETE } else { exit::FAILED })
}

fn show(
    options: &GlobalOptions,
    args: &VerifyArgs,
    lake: &str,
    verified: &Verified,
    shown: &ListedFindings,
) -> Result<u8, Failure> {
    let json = || {
        json!({
            "lake": lake,
            "fine": verified.is_fine(),
            "checked": if args.quick { "sizes" } else { "rows" },
            "verified": verified,
            "problems": shown,
        })
    };
    options.show(|| text(args, lake, verified, shown), json)
}

fn text(args: &VerifyArgs, lake: &str, verified: &Verified, shown: &ListedFindings) -> String {
    if verified.streams == 0 {
        return format!("Nothing is exported yet in {lake}: start with `profound-export run`.");
    }
    let what = if args.quick { "present, with the recorded size" } else { "present, whole and unchanged" };
    let all = format!(
        "{lake}: {} files of {} streams, {}",
        format_number(verified.files),
        verified.streams,
        format_bytes(verified.bytes)
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
