//! Two surfaces -> their differences, each reported once.

use std::collections::{BTreeMap, BTreeSet};

use super::difference::{Change, Difference, DifferenceKind};
use super::impact::Impact;
use super::surface::{Operation, OperationName, Surface, SurfaceMember};
use crate::catalog::Catalog;

/// How `newer` differs from `known`, in the order of paths, and what it means for the streams of `catalog`.
pub fn compare(known: &Surface, newer: &Surface, catalog: &Catalog) -> Vec<Difference> {
    let impact = Impact { catalog, known, newer };
    let merged = merge_event_streams(changes(known, newer));
    let difference = |(change, event_stream_too): (Change<'_>, bool)| {
        let (streams, impact) = impact.of(&change);
        let details = change.old.zip(change.new).map(|(old, new)| details(old, new));
        Difference {
            operation: change.operation.clone(),
            event_stream_too,
            kind: change.kind,
            name: (!change.name.is_empty()).then(|| change.name.to_owned()),
            details: details.unwrap_or_else(|| change.new.map(SurfaceMember::to_string).into_iter().collect()),
            streams,
            impact,
        }
    };
    merged.into_iter().map(difference).collect()
}

fn changes<'a>(known: &'a Surface, newer: &'a Surface) -> Vec<Change<'a>> {
    let of_operation = |operation, kind| Change { operation, kind, name: "", old: None, new: None };
    let mut changes = Vec::new();
    for (name, old) in &known.operations {
        let Some((_, new)) = newer.find(name) else {
            changes.push(of_operation(name, DifferenceKind::RemovedOperation));
            continue;
        };
        if new.deprecated && !old.deprecated {
            changes.push(of_operation(name, DifferenceKind::DeprecatedOperation));
        }
        changes.extend(of_members(name, old, new));
    }
    let added = newer.operations.keys().filter(|name| known.find(name).is_none());
    changes.extend(added.map(|name| of_operation(name, DifferenceKind::NewOperation)));
    changes
}

fn of_members<'a>(operation: &'a OperationName, old: &'a Operation, new: &'a Operation) -> Vec<Change<'a>> {
    use DifferenceKind as Kind;
    let parameters = [Kind::NewParameter, Kind::RemovedParameter, Kind::ChangedParameter];
    let fields = [Kind::NewField, Kind::RemovedField, Kind::ChangedField];
    // Only the document cares how a variable of a path is called.
    let parameters = (&old.parameters, &new.parameters, parameters);
    let compared = [parameters, (&old.response, &new.response, fields)].into_iter().flat_map(|(old, new, kinds)| {
        pairs(old, new).into_iter().filter_map(move |(name, old, new)| {
            let kind = match (old, new) {
                (None, Some(_)) => kinds[0],
                (Some(_), None) => kinds[1],
                (Some(old), Some(new)) if !details(old, new).is_empty() => kinds[2],
                _ => return None,
            };
            Some(Change { operation, kind, name, old, new })
        })
    });
    compared
        .filter(|change| !(change.name.starts_with("path ") && change.old.is_none() != change.new.is_none()))
        .collect()
}

/// The members of both. What is below a member that is new, removed or of another type is left out: the member says it.
fn pairs<'a>(
    old: &'a BTreeMap<String, SurfaceMember>,
    new: &'a BTreeMap<String, SurfaceMember>,
) -> Vec<(&'a str, Option<&'a SurfaceMember>, Option<&'a SurfaceMember>)> {
    let names: BTreeSet<&str> = old.keys().chain(new.keys()).map(String::as_str).collect();
    let differs = |name: &&str| old.get(*name).map(|old| &old.types) != new.get(*name).map(|new| &new.types);
    let reported: Vec<&str> = names.iter().copied().filter(differs).collect();
    let is_below = |name: &str| {
        reported.iter().any(|above| name.strip_prefix(above).is_some_and(|rest| rest.starts_with(['.', '['])))
    };
    names.into_iter().filter(|name| !is_below(name)).map(|name| (name, old.get(name), new.get(name))).collect()
}

fn details(old: &SurfaceMember, new: &SurfaceMember) -> Vec<String> {
    let mut details = Vec::new();
    if new.required && !old.required {
        details.push("now required".to_owned());
    }
    if old.types != new.types {
        details.push(format!("now {}, was {}", new.types_text(), old.types_text()));
    }
    match (old.values.is_empty(), new.values.is_empty()) {
        (true, true) => {}
        (true, false) => details.push("now takes listed values only".to_owned()),
        (false, true) => details.push("now takes any value".to_owned()),
        (false, false) => {
            let quoted = |one: &BTreeSet<String>, other| {
                one.difference(other).map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
            };
            let (added, removed) = (quoted(&new.values, &old.values), quoted(&old.values, &new.values));
            details.extend((!added.is_empty()).then(|| format!("new values {added}")));
            details.extend((!removed.is_empty()).then(|| format!("removed values {removed}")));
        }
    }
    details
}

/// An operation and its event stream mostly change together: one difference reports both.
fn merge_event_streams(changes: Vec<Change<'_>>) -> Vec<(Change<'_>, bool)> {
    let (streams, paged): (Vec<_>, Vec<_>) =
        changes.into_iter().partition(|change| change.operation.path.ends_with("/stream"));
    let mut merged: Vec<(Change<'_>, bool)> = paged.into_iter().map(|change| (change, false)).collect();
    for change in streams {
        let path = change.operation.path.trim_end_matches("/stream");
        let same = merged.iter_mut().find(|(other, _)| {
            let twin = Change { operation: other.operation, name: other.name, ..change.clone() };
            other.operation.path == path && other.name == paged_name(change.name) && *other == twin
        });
        match same {
            Some((_, event_stream_too)) => *event_stream_too = true,
            None => merged.push((change, false)),
        }
    }
    // Stable, so the changes of one operation keep their order.
    merged.sort_by(|(one, _), (other, _)| one.operation.cmp(other.operation));
    merged
}

/// The name that a field of an event stream has in pages.
fn paged_name(name: &str) -> String {
    let events = [("event.", "data[]."), ("summary.", "info.")];
    let paged = events.into_iter().find_map(|(event, paged)| Some(format!("{paged}{}", name.strip_prefix(event)?)));
    paged.unwrap_or_else(|| name.to_owned())
}
