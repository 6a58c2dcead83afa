//! `[[given.<stream>]]`: what only a user can say, for streams that are asked for it.

use std::collections::{BTreeMap, BTreeSet};

use super::problem::{Problems, listed, nearest};
use crate::catalog::Catalog;

/// What the user gives, by stream: entries of variables and their values. A stream is asked once for each entry.
pub type Given = BTreeMap<String, Vec<BTreeMap<String, String>>>;

/// Checks that every entry gives exactly what its stream takes.
pub(super) fn check(given: &Given, catalog: &Catalog, left_out: &BTreeSet<String>, problems: &mut Problems) {
    for (name, entries) in given.iter().filter(|(name, _)| !left_out.contains(*name)) {
        let path = format!("given.{name}");
        let takes: Vec<&str> = match catalog.get(name) {
            Some(stream) if !stream.given.is_empty() => stream.given.iter().map(String::as_str).collect(),
            Some(_) => {
                problems.error(&path, format!("nothing can be given to the stream `{name}`"), "leave it out");
                continue;
            }
            None => {
                let takers = catalog.streams().filter(|stream| !stream.given.is_empty());
                let instead = match nearest(name, takers.map(|stream| stream.name.as_str())) {
                    Some(near) => format!("did you mean `[[given.{near}]]`?"),
                    None => "`profound-export streams` lists them".to_owned(),
                };
                problems.error(&path, format!("there is no stream `{name}`"), instead);
                continue;
            }
        };
        for (index, entry) in entries.iter().enumerate() {
            check_entry(&format!("{path}.{index}"), entry, &takes, problems);
            if let Some(first) = entries[..index].iter().position(|other| other == entry) {
                let what = format!("the same is given already, by entry {}", first + 1);
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
            problems.error(&path, "the stream does not take this", instead);
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
