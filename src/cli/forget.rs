//! `forget`: deletes streams, scopes or days permanently.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, IsTerminal};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::cli::failure::Failure;
use crate::cli::setup::{configuration, existing_lake, window};
use crate::cli::table::table;
use crate::cli::{GlobalOptions, exit, logging, print_error_line};
use crate::clock::Clock;
use crate::config::select;
use crate::ledger::State;
use crate::maintain::{Erased, files_to_delete, forget, sweep_spool};
use crate::model::day::Day;
use crate::model::forgotten::Erasure;
use crate::model::format::{format_bytes, format_number};
use crate::model::history::history_name;
use crate::model::scope::ScopePart;
use crate::model::stream::Stream;
use crate::model::window::Window;
use crate::run::{alive_runs, write_coverage};

/// What a person types to confirm.
const CONFIRMATION: &str = "forget";

#[derive(Debug, clap::Args)]
pub struct ForgetArgs {
    /// The streams: names, tiers, a trailing `*`, a leading `!`
    #[arg(value_name = "STREAM", required = true)]
    streams: Vec<String>,
    /// Only the category with this id; repeatable
    #[arg(long, value_name = "ID")]
    category: Vec<String>,
    /// Only the organization with this id
    #[arg(long, value_name = "ID")]
    organization: Vec<String>,
    /// Only the asset with this id
    #[arg(long, value_name = "ID")]
    asset: Vec<String>,
    /// Only this domain
    #[arg(long, value_name = "HOST")]
    domain: Vec<String>,
    /// First day; without days, everything, including future days
    #[arg(long, value_name = "DAY", requires = "to")]
    from: Option<Day>,
    /// Last day, included
    #[arg(long, value_name = "DAY", requires = "from")]
    to: Option<Day>,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
}

pub async fn execute(options: &GlobalOptions, args: ForgetArgs) -> Result<u8, Failure> {
    logging::start(options, "forget");
    let (_, config) = configuration(options)?;
    let clock = Clock::system();
    let Some((mut ledger, destinations)) = existing_lake(&config, &clock).await? else {
        return Err(Failure::new(exit::USAGE, "the lake does not exist yet, so there is nothing to forget"));
    };
    let window = args.from.zip(args.to).map(|(from, to)| window(from, to)).transpose()?;
    let erasures = erasures(config.catalog(), ledger.state(), &args, window)?;
    let lake = &destinations.lake;
    if !args.yes {
        let found = files_to_delete(lake, &erasures).await?;
        confirm(&summary(&found), lake.url())?;
    }
    let erased = forget(lake, &mut ledger, &erasures).await?;
    sweep_spool(&destinations.spool_dir);
    for (job, since) in alive_runs(ledger.state(), clock.now()) {
        tracing::warn!(job, %since, "run in progress, it may still upload forgotten files");
    }
    write_coverage(lake, destinations.layout, ledger.state(), config.catalog(), clock.now()).await?;
    let is_forgotten = |table: &str| erasures.iter().any(|(name, _)| name == table);
    if let Some(tables) = &destinations.tables {
        let cancel = CancellationToken::new();
        let source = destinations.tables_source(config.catalog(), ledger.state(), clock.now(), &cancel);
        let report = tables.forget(source, is_forgotten).await;
        if let Some(error) = report.failed.into_iter().next() {
            let detail =
                "the files of the lake are deleted; tables may still have the rows: run the same `forget` once more";
            return Err(Failure::from(error).detail(detail));
        }
    }
    let text = || {
        let summary = summary(&erased);
        format!(
            "{summary}\nDeleted permanently from {}; no run exports them again. Object versions in the bucket and backups are \
             not deleted.",
            lake.url()
        )
    };
    let to_json = |(stream, erasure): &(String, Erasure)| json!({"stream": stream, "of": erasure});
    let forgotten = || erasures.iter().map(to_json).collect::<Value>();
    options.show(text, || json!({"forgotten": forgotten(), "deleted": erased}))
}

/// What to forget, by table.
fn erasures(
    catalog: &Catalog,
    state: &State,
    args: &ForgetArgs,
    window: Option<Window>,
) -> Result<Vec<(String, Erasure)>, Failure> {
    let scopes = scopes(args);
    let parts: BTreeSet<ScopePart> = scopes.iter().flat_map(|scope| scope.keys().copied()).collect();
    let mut tables: Vec<(String, Option<Window>)> = Vec::new();
    // Tables that are no streams of their own: snapshots, and what another version wrote.
    let is_table = |name: &str| state.coverage.contains_key(name) || !state.forgotten.erasures(name).is_empty();
    let (others, patterns): (Vec<String>, Vec<String>) =
        args.streams.iter().cloned().partition(|name| catalog.get(name).is_none() && is_table(name));
    tables.extend(others.into_iter().map(|name| (name, window)));
    if !patterns.is_empty() {
        let streams = select(catalog, &patterns).map_err(|problems| Failure::from_problems(exit::USAGE, &problems))?;
        let has_scope = |stream: &Stream| parts.iter().all(|part| stream.scope.parts().contains(part));
        for stream in streams.iter().filter(|stream| has_scope(stream)) {
            tables.extend(tables_of(stream, window));
        }
    }
    let mut erasures = Vec::new();
    for (name, window) in tables {
        erasures.extend(scopes.iter().map(|scope| (name.clone(), Erasure { scope: scope.clone(), window })));
    }
    let is_known = |(name, erasure): &(String, Erasure)| {
        let mut scopes = state.coverage.get(name).into_iter().flat_map(BTreeMap::values);
        scopes.any(|coverage| erasure.has_scope(&coverage.scope)) || state.forgotten.erasures(name).contains(erasure)
    };
    // A mistyped id must not look as if something had been erased.
    if erasures.iter().any(is_known) {
        Ok(erasures)
    } else {
        Err(Failure::new(exit::USAGE, "the ledger has no such streams and scopes, so nothing is forgotten")
            .hint("`profound-export status --output json` and the paths of files show the ids"))
    }
}

/// The tables of `stream`, and the days of each that `window` means: whole weeks or months where each row is about one, and of a list
/// only snapshots.
fn tables_of(stream: &Stream, window: Option<Window>) -> Vec<(String, Option<Window>)> {
    match (&stream.days, window) {
        (None, None) => vec![(stream.name.clone(), None), (history_name(&stream.name), None)],
        (None, Some(window)) => vec![(history_name(&stream.name), Some(window))],
        (Some(days), Some(window)) => {
            let span = |day: Day| days.span(days.kind.first_of(day));
            vec![(stream.name.clone(), Window::new(span(window.start).start, span(window.last()).end))]
        }
        (Some(_), None) => vec![(stream.name.clone(), None)],
    }
}

/// The scopes that the flags mean: one of each kind, in every combination; one without ids means all.
fn scopes(args: &ForgetArgs) -> Vec<BTreeMap<ScopePart, String>> {
    let given = [
        (ScopePart::Organization, &args.organization),
        (ScopePart::Category, &args.category),
        (ScopePart::Asset, &args.asset),
        (ScopePart::Domain, &args.domain),
    ];
    let mut scopes = vec![BTreeMap::new()];
    for (part, ids) in given.into_iter().filter(|(_, ids)| !ids.is_empty()) {
        let with = |scope: &BTreeMap<ScopePart, String>| -> Vec<_> {
            let one =
                |id: &String| scope.iter().map(|(part, id)| (*part, id.clone())).chain([(part, id.clone())]).collect();
            ids.iter().map(one).collect()
        };
        scopes = scopes.iter().flat_map(with).collect();
    }
    scopes
}

fn summary(erased: &BTreeMap<String, Erased>) -> String {
    let rows =
        erased.iter().map(|(name, erased)| vec![name.clone(), format_number(erased.files), format_bytes(erased.bytes)]);
    table(&["table", ">files", ">size"], rows)
}

/// Asks for confirmation on the terminal.
fn confirm(summary: &str, url: &str) -> Result<(), Failure> {
    let details = format!("from {url}, and no run exports it again:\n\n{summary}");
    if !std::io::stdin().is_terminal() {
        let message = format!("no terminal to confirm on, so nothing is deleted; this would be deleted {details}");
        return Err(Failure::new(exit::USAGE, message.trim_end()).hint("--yes deletes without confirmation"));
    }
    print_error_line(format!(
        "This will be deleted {details}\nThis cannot be undone. Type `{CONFIRMATION}` to confirm:"
    ));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if line.trim() == CONFIRMATION {
        Ok(())
    } else {
        Err(Failure::new(exit::USAGE, "not confirmed, nothing is deleted"))
    }
}
