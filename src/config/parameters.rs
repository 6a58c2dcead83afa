//! `[[parameters.<stream>]]`: values that only a user can supply.

use std::collections::{BTreeMap, BTreeSet};

use super::problem::{Problems, listed, nearest};
use crate::catalog::Catalog;

/// Entries of parameters and their values, by stream. A stream is requested once for each entry.
pub type StreamParameters = BTreeMap<String, Vec<BTreeMap<String, String>>>;

/// Checks that every entry has exactly the parameters of its stream.
pub(super) fn check(
    parameters: &StreamParameters,
    catalog: &Catalog,
    left_out: &BTreeSet<String>,
    problems: &mut Problems,
) {
    for (name, entries) in parameters.iter().filter(|(name, _)| !left_out.contains(*name)) {
        let path = format!("parameters.{name}");
        let takes: Vec<&str> = match catalog.get(name) {
            Some(stream) if !stream.parameters.is_empty() => stream.parameters.iter().map(String::as_str).collect(),
            Some(_) => {
                problems.error(&path, format!("the stream `{name}` has no parameters"), "leave it out");
                continue;
            }
            None => {
                let takers = catalog.streams().filter(|stream| !stream.parameters.is_empty());
                let instead = match nearest(name, takers.map(|stream| stream.name.as_str())) {
                    Some(near) => format!("did you mean `[[parameters.{near}]]`?"),
                    None => "`profound-export streams` lists them".to_owned(),
                };
                problems.error(&path, format!("there is no stream `{name}`"), instead);
                continue;
            }
        };
        for (index, entry) in entries.iter().enumerate() {
            check_entry(&format!("{path}.{index}"), entry, &takes, problems);
            if let Some(first) = entries[..index].iter().position(|other| other == entry) {
                let what = format!("the same as entry {}", first + 1);
                problems.error(&format!("{path}.{index}"), what, "leave one of them out");
            }
        }
    }
}

fn check_entry(path: &str, entry: &BTreeMap<String, String>, takes: &[&str], problems: &mut Problems) {
    let lacks = |name: &&&str| !entry.contains_key(**name);
    for name in takes.iter().filter(lacks) {
        if problems.is_refused(&format!("{path}.{name}")) {
            continue;
        }
        problems.error(
            path,
            format!("`{name}` is missing"),
            format!("an entry says {}", listed(takes.iter().copied())),
        );
    }
    for (name, value) in entry {
        let path = format!("{path}.{name}");
        if !takes.contains(&name.as_str()) {
            let instead = match nearest(name, takes.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("an entry says {}", listed(takes.iter().copied())),
            };
            problems.error(&path, "the stream has no such parameter", instead);
        } else if value.is_empty() {
            problems.error(
                &path,
                "the text is empty",
                "write what the stream is to be asked for, or leave the entry out",
            );
        } else if [".", ".."].contains(&value.as_str()) {
            // A server takes them for steps of the path.
            problems.error(&path, format!("`{value}` names nothing"), "write what the stream is to be asked for");
        }
    }
}
