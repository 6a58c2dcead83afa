//! `streams`: the catalog, or one stream of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::cli::failure::Failure;
use crate::cli::setup::{built_in, configuration};
use crate::cli::table::{cut, fitted, paragraph, terminal_width, wrapped};
use crate::cli::{GlobalOptions, exit, print_error_line, streams_diff};
use crate::model::stream::{Stream, Tier};
use crate::reference::{column_lines, facts, requests};

/// A terminal this wide shows every column in full.
const WIDE: usize = 200;
/// Characters for the requests on a narrower one.
const SHORT: usize = 30;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct StreamsArgs {
    #[command(subcommand)]
    command: Option<StreamsCommand>,
    /// A stream, to see everything about it; or tiers and patterns such as `citations*`, to list those
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// List only the streams of a tier, including those of smaller tiers
    #[arg(long, value_parser = tier)]
    tier: Option<Tier>,
}

#[derive(Debug, clap::Subcommand)]
enum StreamsCommand {
    /// Compare the streams with a newer OpenAPI document of the vendor; exit code 1 where they differ
    Diff(streams_diff::StreamsDiffArgs),
}

fn tier(text: &str) -> Result<Tier, String> {
    let found = Tier::ALL.into_iter().find(|tier| tier.name() == text);
    found.ok_or_else(|| format!("tiers are {}", Tier::ALL.map(Tier::name).join(", ")))
}

pub fn execute(options: &GlobalOptions, args: StreamsArgs) -> Result<u8, Failure> {
    if let Some(StreamsCommand::Diff(args)) = &args.command {
        return streams_diff::execute(options, &*built_in()?, args);
    }
    let (catalog, own) = known(options)?;
    if let ([name], None) = (args.names.as_slice(), args.tier)
        && let Some(stream) = catalog.get(name)
    {
        return options.show(|| show(stream, &own, terminal_width()), || to_json(stream, &own));
    }
    let streams = chosen(&catalog, &args)?;
    let to_json = || streams.iter().map(|stream| to_json(stream, &own)).collect::<Value>();
    options.show(|| list(&streams, &own, terminal_width()), to_json)
}

/// All streams, and the names of those that the configuration declares. Without a valid configuration, its problems are
/// printed and the built-in streams are listed.
fn known(options: &GlobalOptions) -> Result<(Arc<Catalog>, BTreeSet<String>), Failure> {
    match configuration(options) {
        Ok((_, config)) => {
            let own = config.streams.iter().map(|stream| stream.name().to_owned()).collect();
            Ok((Arc::clone(config.catalog()), own))
        }
        Err(failure) => {
            print_error_line(format!("{failure}\n\nOnly the built-in streams are listed."));
            Ok((built_in()?, BTreeSet::new()))
        }
    }
}

/// The streams that names, patterns and tier select; all without any.
fn chosen(catalog: &Catalog, args: &StreamsArgs) -> Result<Vec<Arc<Stream>>, Failure> {
    let every = ["*".to_owned()];
    let patterns = if args.names.is_empty() { &every[..] } else { &args.names };
    let mut streams = crate::config::select(catalog, patterns).map_err(|problems| {
        let lines: Vec<String> =
            problems.iter().map(|problem| format!("{}: {}", problem.what, problem.instead)).collect();
        Failure::new(exit::USAGE, lines.join("\n"))
    })?;
    if let Some(tier) = args.tier {
        streams.retain(|stream| stream.tier.is_some_and(|own| own <= tier));
    }
    Ok(streams)
}

/// A stream as JSON: every member of its declaration, set or not, where it is declared, the requests it costs, and the
/// columns that jobs drop or hash.
fn to_json(stream: &Stream, own: &BTreeSet<String>) -> Value {
    let mut json = json!(stream);
    json["requests"] = json!(requests(stream));
    json["origin"] = json!(if own.contains(&stream.name) { "configuration" } else { "built in" });
    json["protect"] = json!(stream.protect);
    json
}

fn list(streams: &[Arc<Stream>], own: &BTreeSet<String>, width: Option<usize>) -> String {
    let mut streams: Vec<&Arc<Stream>> = streams.iter().collect();
    streams.sort_by_key(|stream| (stream.tier.is_none(), stream.tier, stream.name.clone()));
    // On a narrow terminal, the requests of fan-outs would leave no room for the rest.
    let requests = |stream: &Stream| match width {
        Some(width) if width < WIDE => cut(&requests(stream), SHORT),
        _ => requests(stream),
    };
    let rows = streams.iter().map(|stream| {
        vec![
            stream.name.clone(),
            // Users look for their own streams in the column of tiers.
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
    fitted(&["stream", "tier", "requested per", "requests", "status", "a row is"], rows.collect(), width)
}

fn show(stream: &Arc<Stream>, own: &BTreeSet<String>, width: Option<usize>) -> String {
    let facts = facts(stream).into_iter().map(|(name, fact)| vec![name.to_owned(), fact.replace('`', "")]);
    let declared = own.contains(&stream.name).then(|| vec!["declared".to_owned(), "in the configuration".to_owned()]);
    let protected = stream.protect.iter().map(|(column, protect)| {
        vec!["protected".to_owned(), format!("{column} is {} before anything reaches the disk", protect.past_tense())]
    });
    let notes = stream.notes.iter().map(|note| vec!["note".to_owned(), note.clone()]);
    let columns = column_lines(stream, true)
        .into_iter()
        .map(|line| vec![line.name, line.data_type, line.unit, line.range, line.about]);
    format!(
        "{}\n{}\n{}\n{}",
        stream.name,
        paragraph(&stream.about, width),
        wrapped(&[], facts.chain(declared).chain(protected).chain(notes).collect(), width),
        wrapped(&["column", "type", "unit", "range", "meaning"], columns.collect(), width)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_readable_at_60_columns() {
        let catalog = built_in().unwrap();
        let streams: Vec<Arc<Stream>> = catalog.streams().cloned().collect();
        let listed = list(&streams, &BTreeSet::new(), Some(60));
        assert!(listed.lines().all(|line| line.chars().count() <= 60), "{listed}");
        for stream in &streams {
            let shown = show(stream, &BTreeSet::new(), Some(60));
            // A name alone may be longer.
            let long = shown.lines().find(|line| line.chars().count() > 60 && line.contains("  "));
            assert_eq!(long, None, "{}", stream.name);
        }
        let regions = catalog.get("regions").unwrap();
        let listed: Vec<&str> = listed.lines().take(8).collect();
        insta::assert_snapshot!(format!("{}\n\n{}", listed.join("\n"), show(regions, &BTreeSet::new(), Some(60))));
    }

    #[test]
    fn every_stream_has_the_same_members_to_json() {
        let members = |stream: &Arc<Stream>| -> BTreeSet<String> {
            let json = to_json(stream, &BTreeSet::new());
            json.as_object().expect("a stream is an object").keys().cloned().collect()
        };

        let catalog = built_in().unwrap();

        let all: BTreeSet<String> = catalog.streams().flat_map(members).collect();
        for stream in catalog.streams() {
            let missing: Vec<String> = all.difference(&members(stream)).cloned().collect();
            assert!(missing.is_empty(), "`{}` lacks {missing:?}", stream.name);
        }
    }
}
