//! `ddl`: SQL that makes the files of the lake tables of an engine.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::cli::failure::Failure;
use crate::cli::setup::{configuration, existing_lake, lake_name, selected_tables};
use crate::cli::{GlobalOptions, exit, logging, print_error_line};
use crate::clock::Clock;
use crate::layout::Layout;
use crate::ledger::State;
use crate::model::history::{history_of, list_of};
use crate::model::stream::Stream;
use crate::reference::{TableFiles, Target, statements};

#[derive(Debug, clap::Args)]
pub struct DdlArgs {
    /// The engine or warehouse
    #[arg(long, value_enum)]
    target: Target,
    /// Where it finds the lake, such as `s3a://bucket/prefix` or, for Snowflake, `@stage` [default: destination.url]
    #[arg(long, value_name = "URL")]
    location: Option<String>,
    /// Only these streams: names, tiers, a trailing `*`, a leading `!` [default: all with files]
    #[arg(value_name = "STREAM")]
    streams: Vec<String>,
}

pub async fn execute(options: &GlobalOptions, args: DdlArgs) -> Result<u8, Failure> {
    logging::start(options, "ddl");
    let (_, config) = configuration(options)?;
    let location = args.location.clone().unwrap_or_else(|| lake_name(&config));
    if let Some(readable) = args.target.reject_location(&location) {
        let problem = format!("{} does not read `{location}`", args.target.name());
        return Err(Failure::new(exit::USAGE, problem)
            .hint(format!("pass with --location where it finds the lake: a location that begins with {readable}")));
    }
    let nothing = || {
        Failure::new(exit::FAILED, format!("nothing is exported to {} yet", lake_name(&config)))
            .hint("`profound-export run` exports; a table needs at least one file")
    };
    let (ledger, destinations) = existing_lake(&config, &Clock::system()).await?.ok_or_else(nothing)?;
    let state = ledger.state();
    let selected = selected_tables(&config, state, &args.streams)?;
    let is_selected = |name: &String| selected.as_ref().is_none_or(|selected| selected.contains(name));
    let mut tables = Vec::new();
    for name in state.coverage.keys().filter(|name| is_selected(name)) {
        let Some(stream) = stream_of(config.catalog(), name) else {
            print_error_line(format!("warning: `{name}` is left out: this version has no such stream"));
            continue;
        };
        let location = format!("{}/{name}", location.trim_end_matches('/'));
        let directories = directories(state, destinations.layout, &stream);
        tables.extend(directories.map(|directories| {
            let files = TableFiles { stream: &stream, location, directories };
            (name.clone(), statements(args.target, &files))
        }));
    }
    if tables.is_empty() {
        return Err(nothing());
    }
    let text = || {
        let all = tables.iter().map(|(_, statements)| statements.join(";\n") + ";\n");
        all.collect::<Vec<_>>().join("\n")
    };
    let to_json = || {
        let all = tables.iter().map(|(name, statements)| json!({"stream": name, "statements": statements}));
        all.collect::<Value>()
    };
    options.show(text, to_json)
}

fn stream_of(catalog: &Catalog, table: &str) -> Option<Stream> {
    match catalog.get(table) {
        Some(stream) => Some(Stream::clone(stream)),
        None => list_of(table).and_then(|list| catalog.get(list)).map(|list| history_of(list)),
    }
}

/// The keys and values of the directories with files of `stream`, in the order of paths; `None` without a file.
fn directories(state: &State, layout: Layout, stream: &Stream) -> Option<Vec<(String, BTreeSet<String>)>> {
    let scopes = state.coverage.get(&stream.name)?.values();
    // Of the values of days only the oldest is needed.
    let files = scopes.filter_map(|coverage| {
        let (day, _) = coverage.states().find(|(_, state)| state.file)?;
        Some(layout.path_in(Some(stream), &stream.name, &coverage.scope, day))
    });
    let mut found: Option<Vec<(String, BTreeSet<String>)>> = None;
    for path in files {
        let found = found.get_or_insert_default();
        for (key, value) in Layout::directories(&path) {
            match found.iter_mut().find(|(known, _)| *known == key) {
                Some((_, values)) => _ = values.insert(value),
                None => found.push((key, BTreeSet::from([value]))),
            }
        }
    }
    found
}
