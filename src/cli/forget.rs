//! `forget`: streams, scopes or days, removed for good.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, IsTerminal};

use serde_json::json;

use crate::catalog::Catalog;
use crate::cli::failure::Failure;
use crate::cli::setup::{configuration, existing_lake};
use crate::cli::table::{size, table};
use crate::cli::{GlobalOptions, OutputFormat, exit, logging, print, print_json};
use crate::clock::Clock;
use crate::config::select;
use crate::ledger::State;
use crate::maintain::{Erased, files_to_delete, forget};
use crate::model::day::Day;
use crate::model::days::DaysKind;
use crate::model::forgotten::Erasure;
use crate::model::format::format_number;
use crate::model::history::history_name;
use crate::model::scope::ScopePart;
use crate::model::stream::Stream;
use crate::model::window::Window;
use crate::run::{alive_runs, write_coverage};

/// What a person types to go on.
const CONSENT: &str = "forget";

#[derive(Debug, clap::Args)]
pub struct ForgetArgs {
    /// The streams: names, tiers, a trailing `*`, a leading `!`
    #[arg(value_name = "STREAM", required = true)]
    streams: Vec<String>,
    /// Only of the category with this id; several times for several
    #[arg(long, value_name = "ID")]
    category: Vec<String>,
    /// Only of the organization with this id
    #[arg(long, value_name = "ID")]
    organization: Vec<String>,
    /// Only of the asset with this id
    #[arg(long, value_name = "ID")]
    asset: Vec<String>,
    /// Only of this domain
    #[arg(long, value_name = "HOST")]
    domain: Vec<String>,
    /// Only from this day on; without days, everything, and whatever would come later
    #[arg(long, value_name = "DAY", requires = "to")]
    from: Option<Day>,
    /// Only up to this day, which is included
    #[arg(long, value_name = "DAY", requires = "from")]
    to: Option<Day>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub async fn execute(options: &GlobalOptions, args: ForgetArgs) -> Result<u8, Failure> {
    logging::start(options, "forget");
    let (_, config) = configuration(options)?;
    let clock = Clock::system();
    let Some((mut ledger, destinations)) = existing_lake(&config, &clock).await? else {
        return Err(Failure::new(exit::USAGE, "there is no lake yet, so there is nothing to forget"));
    };
    let window = match (args.from, args.to) {
        (Some(from), Some(to)) => Some(
            Window::inclusive(from, to)
                .ok_or_else(|| Failure::new(exit::USAGE, format!("--from {from} lies after --to {to}")))?,
        ),
        _ => None,
    };
    let erasures = erasures(config.catalog(), ledger.state(), &args, window)?;
    let lake = &destinations.lake;
    if !args.yes {
        let found = files_to_delete(lake, &erasures).await?;
        consent(&summary(&found), lake.url())?;
    }
    let erased = forget(lake, &mut ledger, &erasures).await?;
    for (job, since) in alive_runs(ledger.state(), clock.now()) {
        tracing::warn!(
            job,
            "a run has been under way since {since:.0}, and may just have put a file that was forgotten: when it is over, `verify` finds \
             such a file, and the same `forget` deletes it"
        );
    }
    write_coverage(lake, destinations.layout, ledger.state(), config.catalog(), clock.now()).await?;
    match options.output {
        OutputFormat::Json => print_json(&json!({
            "forgotten": erasures.iter().map(|(stream, erasure)| json!({"stream": stream, "of": erasure})).collect::<Vec<_>>(),
            "deleted": erased,
        })),
        OutputFormat::Table => print(&format!(
            "{}\nForgotten for good: these files are deleted, and no run asks for them again. Versions that a bucket keeps, and backups, \
             are yours to delete.",
            summary(&erased)
        )),
    }
}

/// What is meant, by table.
fn erasures(
    catalog: &Catalog,
    state: &State,
    args: &ForgetArgs,
    window: Option<Window>,
) -> Result<Vec<(String, Erasure)>, Failure> {
    let usage = |message: String| Failure::new(exit::USAGE, message);
    let scopes = scopes(args);
    let asked: BTreeSet<ScopePart> = scopes.iter().flat_map(|scope| scope.keys().copied()).collect();
    let mut tables: Vec<(String, Option<Window>)> = Vec::new();
    // Tables that are no streams of their own: snapshots, and what another version wrote.
    let (others, patterns): (Vec<String>, Vec<String>) =
        args.streams.iter().cloned().partition(|name| catalog.get(name).is_none() && is_table(state, name));
    tables.extend(others.into_iter().map(|name| (name, window)));
    if !patterns.is_empty() {
        let streams = select(catalog, &patterns)
            .map_err(|problems| usage(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))?;
        let has_scope = |stream: &Stream| asked.iter().all(|part| stream.scope.parts().contains(part));
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
        scopes.any(|coverage| erasure.is_of(&coverage.scope)) || state.forgotten.erasures(name).contains(erasure)
    };
    // An id with a slip in it must not look as if something had been erased.
    match erasures.iter().any(is_known) {
        true => Ok(erasures),
        false => Err(usage("the ledger knows nothing of these streams and scopes, so nothing is forgotten".to_owned())
            .hint("ids stand in the paths of files and in `profound-export status --output json`")),
    }
}

fn is_table(state: &State, name: &str) -> bool {
    state.coverage.contains_key(name) || !state.forgotten.erasures(name).is_empty()
}

/// The tables of `stream`, and the days of each that `window` means: whole months where rows tell of months, and of a list
/// only snapshots.
fn tables_of(stream: &Stream, window: Option<Window>) -> Vec<(String, Option<Window>)> {
    match (&stream.days, window) {
        (None, None) => vec![(stream.name.clone(), None), (history_name(&stream.name), None)],
        (None, Some(window)) => vec![(history_name(&stream.name), Some(window))],
        (Some(days), Some(window)) if days.kind == DaysKind::Month => {
            let month = |day: Day| {
                format!("{}-01", day.month()).parse().map_or(Window::from_day(day), |first| days.span(first))
            };
            vec![(stream.name.clone(), Window::new(month(window.start).start, month(window.last()).end))]
        }
        (Some(_), window) => vec![(stream.name.clone(), window)],
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
    let rows = erased.iter().map(|(name, erased)| vec![name.clone(), format_number(erased.files), size(erased.bytes)]);
    table(&["table", ">files", ">size"], rows)
}

/// Asks the person at the terminal.
fn consent(summary: &str, url: &str) -> Result<(), Failure> {
    let told = format!("from {url}, and never asked for again:\n\n{summary}");
    if !std::io::stdin().is_terminal() {
        let told = format!("nobody is there to be asked, so nothing is deleted; this would be, {told}");
        return Err(Failure::new(exit::USAGE, told.trim_end()).hint("--yes deletes it without asking"));
    }
    eprintln!("This will be deleted {told}\nThere is no way back in this lake. Type `{CONSENT}` to go on:");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    match line.trim() == CONSENT {
        true => Ok(()),
        false => Err(Failure::new(exit::USAGE, "nothing is deleted")),
    }
}
