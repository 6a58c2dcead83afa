//! `jobs.toml` as a tree, with the line of every setting.

use std::io;
use std::path::Path;

use serde_json::Value;
use toml_edit::{ImDocument, Item, TableLike};

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
            let instead = "text needs quotes, lists need `[ ]`; a section begins with `[name]`, a job with `[[job]]`";
            problems.error("", format!("this is not TOML: {what}"), instead);
            return None;
        }
    };
    let tree = table(document.as_table(), "", &mut |path, offset| {
        if let Some(offset) = offset {
            problems.places.set(path, place(line_of(offset)));
        }
    });
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

/// A table of TOML as a tree; `observe` receives the path and the offset of everything in it.
fn table(table: &dyn TableLike, path: &str, observe: &mut dyn FnMut(&str, Option<usize>)) -> Tree {
    let mut tree = Tree::new();
    for (name, item) in table.iter() {
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let span = table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span());
        observe(&path, span.map(|span| span.start));
        tree.insert(name.to_owned(), value(item, &path, observe));
    }
    tree
}

/// One item of TOML as JSON. A date is text, as it is in quotes.
pub(super) fn value(item: &Item, path: &str, observe: &mut dyn FnMut(&str, Option<usize>)) -> Value {
    if let Some(members) = item.as_table_like() {
        return Value::Object(table(members, path, observe));
    }
    if let Some(tables) = item.as_array_of_tables() {
        let entry = |(index, members): (usize, &toml_edit::Table)| {
            let path = format!("{path}.{index}");
            observe(&path, members.span().map(|span| span.start));
            Value::Object(table(members, &path, observe))
        };
        return tables.iter().enumerate().map(entry).collect();
    }
    match item.as_value() {
        Some(toml_edit::Value::String(text)) => Value::from(text.value().as_str()),
        Some(toml_edit::Value::Integer(number)) => Value::from(*number.value()),
        Some(toml_edit::Value::Float(number)) => Value::from(*number.value()),
        Some(toml_edit::Value::Boolean(value)) => Value::from(*value.value()),
        Some(toml_edit::Value::Datetime(date)) => Value::from(date.value().to_string()),
        Some(toml_edit::Value::Array(list)) => {
            let entry = |(index, entry): (usize, &toml_edit::Value)| {
                let path = format!("{path}.{index}");
                observe(&path, entry.span().map(|span| span.start));
                value(&Item::Value(entry.clone()), &path, observe)
            };
            list.iter().enumerate().map(entry).collect()
        }
        _ => Value::Null,
    }
}
