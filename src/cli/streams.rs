//! `streams`: the catalog, or one stream of it.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::cli::failure::Failure;
use crate::cli::setup::{built_in, configuration};
use crate::cli::table::{cut, fitted, wrapped};
use crate::cli::{GlobalOptions, OutputFormat, exit, print, print_json, streams_diff};
use crate::model::stream::{Stream, Tier};
use crate::reference::{column_lines, facts, requests};

/// A terminal of so many columns shows everything.
const WIDE: usize = 200;
/// Characters for the costs on a narrower one.
const SHORT: usize = 30;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct StreamsArgs {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// A stream, to see everything about it; or tiers and patterns such as `citations*`, to list those
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// List only what a tier chooses, the smaller tiers included
    #[arg(long, value_parser = tier)]
    tier: Option<Tier>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Compare the streams with a newer OpenAPI document of the vendor; exit code 1 where they differ
    Diff(streams_diff::StreamsDiffArgs),
}

fn tier(text: &str) -> Result<Tier, String> {
    let found = Tier::ALL.into_iter().find(|tier| tier.name() == text);
    found.ok_or_else(|| format!("tiers are {}", Tier::ALL.map(Tier::name).join(", ")))
}

pub fn execute(options: &GlobalOptions, args: StreamsArgs) -> Result<u8, Failure> {
    if let Some(Verb::Diff(args)) = &args.verb {
        return streams_diff::execute(options, &*built_in()?, args);
    }
    let (catalog, own) = known(options)?;
    if let ([name], None) = (args.names.as_slice(), args.tier)
        && let Some(stream) = catalog.get(name)
    {
        return match options.output {
            OutputFormat::Json => print_json(&in_json(stream, &own)),
            OutputFormat::Table => print(&show(stream, &own, width())),
        };
    }
    let streams = chosen(&catalog, &args)?;
    match options.output {
        OutputFormat::Json => {
            print_json(&json!(streams.iter().map(|stream| in_json(stream, &own)).collect::<Vec<_>>()))
        }
        OutputFormat::Table => print(&list(&streams, &own, width())),
    }
}

/// The streams there are, and the names of those that the configuration declares. Looking needs no configuration: one
/// that is wrong is told, and what the program knows by itself is shown all the same.
fn known(options: &GlobalOptions) -> Result<(Arc<Catalog>, BTreeSet<String>), Failure> {
    match configuration(options) {
        Ok((_, config)) => {
            let own = config.streams.iter().map(|stream| stream.name().to_owned()).collect();
            Ok((Arc::clone(config.catalog()), own))
        }
        Err(failure) => {
            eprintln!("{failure}\n\nOnly the streams of the program itself are shown.");
            Ok((built_in()?, BTreeSet::new()))
        }
    }
}

/// The streams that names, patterns and tier choose; all without any.
fn chosen(catalog: &Catalog, args: &StreamsArgs) -> Result<Vec<Arc<Stream>>, Failure> {
    let every = ["*".to_owned()];
    let patterns = if args.names.is_empty() { &every[..] } else { &args.names };
    let mut streams = crate::config::select(catalog, patterns).map_err(|problems| {
        let told: Vec<String> =
            problems.iter().map(|problem| format!("{}: {}", problem.what, problem.instead)).collect();
        Failure::new(exit::USAGE, told.join("\n"))
    })?;
    if let Some(tier) = args.tier {
        streams.retain(|stream| stream.tier.is_some_and(|own| own <= tier));
    }
    Ok(streams)
}

/// The columns of the terminal; `None` where output goes elsewhere, so that nothing is cut.
fn width() -> Option<usize> {
    let terminal = std::io::stdout().is_terminal().then(terminal_size::terminal_size)?;
    terminal.map(|(width, _)| usize::from(width.0))
}

/// A stream as JSON: every member of its declaration, whether it is set or not, where it is declared, what it costs, and
/// what jobs keep from the disk.
fn in_json(stream: &Stream, own: &BTreeSet<String>) -> Value {
    let mut told = json!(stream);
    if let Some(members) = told.as_object_mut() {
        for unset in ["opt_in", "parent", "gate", "signal", "expects"] {
            members.entry(unset).or_insert(Value::Null);
        }
        members.entry("parameters").or_insert_with(|| json!([]));
        members.entry("changes_rarely").or_insert(json!(false));
        members.insert("requests".into(), json!(requests(stream)));
        let origin = if own.contains(&stream.name) { "configuration" } else { "built in" };
        members.insert("origin".into(), json!(origin));
        members.insert("protect".into(), json!(stream.protect));
    }
    told
}

fn list(streams: &[Arc<Stream>], own: &BTreeSet<String>, width: Option<usize>) -> String {
    let mut streams: Vec<&Arc<Stream>> = streams.iter().collect();
    streams.sort_by_key(|stream| (stream.tier.is_none(), stream.tier, stream.name.clone()));
    // Where there is room for little, the costs of children would take it all.
    let requests = |stream: &Stream| match width {
        Some(width) if width < WIDE => cut(&requests(stream), SHORT),
        _ => requests(stream),
    };
    let rows = streams.iter().map(|stream| {
        vec![
            stream.name.clone(),
            // Whoever declared it looks for it among the tiers.
            match (stream.tier, own.contains(&stream.name)) {
                (Some(tier), false) => tier.name().to_owned(),
                (Some(tier), true) => format!("{}, own", tier.name()),
                (None, true) => "own".to_owned(),
                (None, false) => "-".to_owned(),
            },
            stream.scope.describe().to_owned(),
            requests(stream),
            stream.status.name().to_owned(),
            stream.about.clone(),
        ]
    });
    fitted(&["stream", "tier", "asked per", "requests", "status", "a row is"], rows.collect(), width)
}

fn show(stream: &Arc<Stream>, own: &BTreeSet<String>, width: Option<usize>) -> String {
    let facts = facts(stream).into_iter().map(|(name, fact)| vec![name.to_owned(), fact.replace('`', "")]);
    let declared = own.contains(&stream.name).then(|| vec!["declared".to_owned(), "in the configuration".to_owned()]);
    let protected = stream.protect.iter().map(|(column, protect)| {
        vec!["protected".to_owned(), format!("{column} is {} before anything touches the disk", protect.past_tense())]
    });
    let notes = stream.notes.iter().map(|note| vec!["note".to_owned(), note.clone()]);
    let columns = column_lines(stream, true)
        .into_iter()
        .map(|line| vec![line.name, line.data_type, line.unit, line.range, line.about]);
    format!(
        "{}\n{}\n\n{}\n{}",
        stream.name,
        stream.about,
        wrapped(&[], facts.chain(declared).chain(protected).chain(notes).collect(), width),
        wrapped(&["column", "type", "unit", "range", "meaning"], columns.collect(), width)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_has_the_same_members_in_json() {
        let members = |stream: &Arc<Stream>| -> BTreeSet<String> {
            let told = in_json(stream, &BTreeSet::new());
            told.as_object().expect("a stream is an object").keys().cloned().collect()
        };

        let catalog = built_in().unwrap();

        let all: BTreeSet<String> = catalog.streams().flat_map(members).collect();
        for stream in catalog.streams() {
            let missing: Vec<String> = all.difference(&members(stream)).cloned().collect();
            assert!(missing.is_empty(), "`{}` lacks {missing:?}", stream.name);
        }
    }
}
