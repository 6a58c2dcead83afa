//! `[[parameters.<stream>]]`: values that only a user can supply.

use std::collections::{BTreeMap, BTreeSet};

use super::problem::{Problems, did_you_mean, listed, nearest, question};
use crate::catalog::Catalog;
use crate::model::stream::Stream;

/// Entries of parameters and their values, by stream. A stream is requested once for each entry.
pub type StreamParameters = BTreeMap<String, Vec<BTreeMap<String, String>>>;

/// Whether `stream` can be requested: it needs no parameters, or has at least one entry.
pub(super) fn are_set(parameters: &StreamParameters, stream: &Stream) -> bool {
    stream.parameters.is_empty() || parameters.get(&stream.name).is_some_and(|entries| !entries.is_empty())
}

/// Checks that every entry has exactly the parameters of its stream.
pub(super) fn check(all: &StreamParameters, catalog: &Catalog, invalid: &BTreeSet<String>, problems: &mut Problems) {
    for (name, entries) in all.iter().filter(|(name, _)| !invalid.contains(*name)) {
        let path = format!("parameters.{name}");
        let Some(stream) = catalog.get(name) else {
            let streams = catalog.streams().filter(|stream| !stream.parameters.is_empty());
            let near = nearest(name, streams.map(|stream| stream.name.as_str()));
            let instead = question(near.iter().map(|near| format!("[[parameters.{near}]]")))
                .unwrap_or_else(|| "`profound-export streams` lists them".to_owned());
            problems.error(&path, format!("there is no stream `{name}`"), instead);
            continue;
        };
        if stream.parameters.is_empty() {
            problems.error(&path, format!("the stream `{name}` has no parameters"), "remove the entry");
            continue;
        }
        for (index, entry) in entries.iter().enumerate() {
            let path = format!("{path}.{index}");
            check_entry(&path, entry, &stream.parameters, problems);
            if let Some(first) = entries[..index].iter().position(|other| other == entry) {
                problems.error(&path, format!("this is the same as entry {}", first + 1), "remove one of them");
            }
        }
    }
}

fn check_entry(path: &str, entry: &BTreeMap<String, String>, names: &[String], problems: &mut Problems) {
    let expected = format!("an entry has {}", listed(names.iter().map(String::as_str)));
    for name in names.iter().filter(|name| !entry.contains_key(*name)) {
        if !problems.is_rejected(&format!("{path}.{name}")) {
            problems.error(path, format!("`{name}` is missing"), expected.clone());
        }
    }
    for (name, value) in entry {
        let path = format!("{path}.{name}");
        if !names.contains(name) {
            let instead = did_you_mean(name, names.iter().map(String::as_str), expected.clone());
            problems.error(&path, "the stream has no such parameter", instead);
        } else if value.is_empty() {
            problems.error(&path, "the text is empty", "write the value to request, or remove the entry");
        } else if [".", ".."].contains(&value.as_str()) {
            // A server would resolve them as steps of the path.
            problems.error(&path, format!("`{value}` is not a value"), "write the value to request");
        }
    }
}
