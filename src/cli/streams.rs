//! `streams`: the catalog, or one stream of it.

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::setup::catalog;
use crate::cli::table::table;
use crate::cli::{Output, Surroundings, exit, print, print_json};
use crate::model::column::Column;
use crate::model::stream::{Fallback, Stream, Tier};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The stream whose columns are shown
    name: Option<String>,
}

pub fn execute(around: &Surroundings, arguments: Arguments) -> Result<u8, Failure> {
    let catalog = catalog()?;
    let Some(name) = arguments.name else {
        return match around.output {
            Output::Json => print_json(&json!(catalog.streams().map(|stream| stream.as_ref()).collect::<Vec<_>>())),
            Output::Table => print(&list(catalog.streams().map(AsRef::as_ref))),
        };
    };
    let Some(stream) = catalog.get(&name) else {
        let patterns = [name.clone()];
        let nearest = crate::config::select(&catalog, &patterns).err().and_then(|problems| problems.into_iter().next());
        return Err(nearest.map_or_else(
            || Failure::new(exit::USAGE, format!("there is no stream `{name}`")),
            |problem| Failure { code: exit::USAGE, ..Failure::from(problem) },
        ));
    };
    match around.output {
        Output::Json => print_json(&json!(stream.as_ref())),
        Output::Table => print(&show(stream)),
    }
}

fn list<'a>(streams: impl Iterator<Item = &'a Stream>) -> String {
    let mut streams: Vec<&Stream> = streams.collect();
    streams.sort_by_key(|stream| (stream.tier.is_none(), stream.tier, stream.name.clone()));
    let rows = streams.iter().map(|stream| {
        let lookback = stream.days.as_ref().map_or_else(|| "list".to_owned(), |days| format!("{} days", days.lookback));
        vec![
            stream.name.clone(),
            stream.tier.map_or("-", Tier::name).to_owned(),
            stream.scope.describe().to_owned(),
            lookback,
            stream.status.name().to_owned(),
            stream.about.clone(),
        ]
    });
    table(&["stream", "tier", "asked per", "lookback", "status", "rows"], rows)
}

fn show(stream: &Stream) -> String {
    let mut text = format!("{}\n{}\n\n", stream.name, stream.about);
    let mut fact = |name: &str, value: String| text.push_str(&format!("{name:<12}{value}\n"));
    fact("request", stream.request.to_string());
    if let Some(path) = &stream.event_stream {
        fact("events", format!("POST {path}, one request whatever the window"));
    }
    if !stream.query.is_empty() {
        fact("query", stream.query.clone());
    }
    if !stream.body.is_empty() {
        fact("body", serde_json::Value::Object(stream.body.clone()).to_string());
    }
    fact("tier", stream.tier.map_or("none; chosen by name", Tier::name).to_owned());
    fact("asked per", stream.scope.describe().to_owned());
    fact("key", stream.key.join(", "));
    if let Some(days) = &stream.days {
        fact("day", format!("`{}`, in {}; revised for {} days", days.column, days.zone.name(), days.lookback));
    }
    match &stream.on_422 {
        Some(Fallback::Stream(name)) => fact("if refused", format!("`{name}` stands in, with a table of its own")),
        Some(Fallback::Without(member)) => fact("if refused", format!("asked without `{member}`; its column is null")),
        None => {}
    }
    for note in &stream.notes {
        fact("note", note.clone());
    }
    text.push('\n');
    text.push_str(&table(&["column", "type", "unit", "range", "meaning"], stream.columns.iter().map(column)));
    text
}

fn column(column: &Column) -> Vec<String> {
    let range = column.range.map_or_else(String::new, |[least, most]| format!("{least}..{most}"));
    let mut about = column.about.clone();
    if !column.values.is_empty() {
        about = format!("{about} ({})", column.values.join(", "));
    }
    vec![column.name.clone(), column.data_type.to_string(), column.unit.clone().unwrap_or_default(), range, about]
}
