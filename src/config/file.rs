//! `jobs.toml` as a tree, with the line of every setting.

use std::io;
use std::ops::Range;
use std::path::Path;

use serde_json::Value;
use toml_edit::{ImDocument, Item, Key};

use super::problem::{InvalidValue, Place, Problems};
use super::rules::is_job_name;
use super::streams::is_stream_name;
use super::tree::Tree;

/// The file that is read when none is named.
pub(super) const DEFAULT_FILE: &str = "jobs.toml";

/// Reads the file and the place of every setting; `None` when it is not a readable TOML file.
pub(super) fn read(path: &Path, problems: &mut Problems) -> Option<Tree> {
    let place = |line| Place::File { path: path.to_owned(), line };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.invalid(&path.display().to_string(), unreadable(path, &error));
            return None;
        }
    };
    let line_of = |offset: usize| 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    let document = match ImDocument::parse(text.as_str()) {
        Ok(document) => document,
        Err(error) => {
            problems.places.set("", place(error.span().map_or(1, |span| line_of(span.start))));
            // The first line says what is wrong, the second what the parser expected.
            let what = error.message().trim_end().replace('\n', "; ");
            let instead = if what.contains("duplicate key") {
                "write each section and each setting once: all settings of a section follow its one header; only jobs, streams and alerts repeat, as `[[job]]`"
            } else {
                "text needs quotes, lists need `[ ]`; a section begins with `[name]`, a job with `[[job]]`"
            };
            problems.error("", format!("this is not TOML: {what}"), instead);
            return None;
        }
    };
    let tree = value(document.as_item(), "", &mut |path, offset| {
        if let Some(offset) = offset {
            problems.places.set(path, place(line_of(offset)));
        }
    });
    let Value::Object(tree) = tree else { return None };
    for (section, is_name) in [("stream", is_stream_name as fn(&str) -> bool), ("job", is_job_name)] {
        let name = |entry: &Value| entry["name"].as_str().filter(|name| is_name(name)).map(str::to_owned);
        let entries = tree.get(section).and_then(Value::as_array);
        problems.places.set_names(section, entries.into_iter().flatten().map(name).collect());
    }
    Some(tree)
}

fn unreadable(path: &Path, error: &io::Error) -> InvalidValue {
    match error.kind() {
        io::ErrorKind::NotFound => {
            InvalidValue::new("there is no such file", "`profound-export init` writes one to start with")
        }
        io::ErrorKind::InvalidData => InvalidValue::new("the file is not UTF-8 text", "save it as UTF-8"),
        io::ErrorKind::IsADirectory => {
            let file = path.join(DEFAULT_FILE);
            InvalidValue::new("this is a directory", format!("name the file in it: `{}`", file.display()))
        }
        _ => InvalidValue::new(format!("cannot read the file: {error}"), "let the user that runs the program read it"),
    }
}

/// TOML as JSON; `observe` receives the path and the offset of everything in it. A date is text, as it is in quotes.
pub(super) fn value(item: &Item, path: &str, observe: &mut dyn FnMut(&str, Option<usize>)) -> Value {
    let mut inner = |step: &str, span: Option<Range<usize>>, item: &Item| {
        let path = if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
        observe(&path, span.map(|span| span.start));
        value(item, &path, observe)
    };
    if let Some(table) = item.as_table_like() {
        let span = |name: &str, item: &Item| table.key(name).and_then(Key::span).or_else(|| item.span());
        return table.iter().map(|(name, item)| (name.to_owned(), inner(name, span(name, item), item))).collect();
    }
    let entries: Vec<Item> = match item {
        Item::ArrayOfTables(tables) => tables.iter().cloned().map(Item::Table).collect(),
        Item::Value(toml_edit::Value::Array(list)) => list.iter().cloned().map(Item::Value).collect(),
        Item::Value(toml_edit::Value::String(text)) => return Value::from(text.value().as_str()),
        Item::Value(toml_edit::Value::Integer(number)) => return Value::from(*number.value()),
        Item::Value(toml_edit::Value::Float(number)) => return Value::from(*number.value()),
        Item::Value(toml_edit::Value::Boolean(value)) => return Value::from(*value.value()),
        Item::Value(toml_edit::Value::Datetime(date)) => return Value::from(date.value().to_string()),
        _ => return Value::Null,
    };
    entries.iter().enumerate().map(|(index, entry)| inner(&index.to_string(), entry.span(), entry)).collect()
}
