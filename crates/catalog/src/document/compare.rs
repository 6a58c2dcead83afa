//! Two surfaces -> what differs, each thing once.

use std::collections::{BTreeMap, BTreeSet};

use super::difference::{Change, Difference};
use super::meaning::Meanings;
use super::surface::{Member, Operation, OperationName, Surface};
use crate::catalog::Catalog;

/// What `newer` says otherwise than `known`, in the order of paths, with what it means for the streams of `catalog`.
pub fn compare(known: &Surface, newer: &Surface, catalog: &Catalog) -> Vec<Difference> {
    let meanings = Meanings { catalog, known, newer };
    let mut found = Vec::new();
    for (operation, change, event_stream_too) in without_twins(changes(known, newer)) {
        let (streams, means) = meanings.of(&operation, &change);
        found.push(Difference { operation, event_stream_too, change, streams, means });
    }
    found
}

fn changes(known: &Surface, newer: &Surface) -> Vec<(OperationName, Change)> {
    let by_identity = |surface: &Surface| -> BTreeMap<_, _> {
        surface.operations.keys().map(|name| (name.identity(), name.clone())).collect()
    };
    let (before, now) = (by_identity(known), by_identity(newer));
    let identities: BTreeSet<_> = before.keys().chain(now.keys()).collect();
    let mut changes = Vec::new();
    for identity in identities {
        match (before.get(identity), now.get(identity)) {
            (None, Some(name)) => changes.push((name.clone(), Change::NewOperation)),
            (Some(name), None) => changes.push((name.clone(), Change::VanishedOperation)),
            (Some(old), Some(new)) => {
                let found = of_operation(&known.operations[old], &newer.operations[new]);
                changes.extend(found.into_iter().map(|change| (old.clone(), change)));
            }
            (None, None) => {}
        }
    }
    changes
}

fn of_operation(old: &Operation, new: &Operation) -> Vec<Change> {
    let mut changes = Vec::new();
    if new.deprecated && !old.deprecated {
        changes.push(Change::DeprecatedOperation);
    }
    for (name, old, new) in pairs(&old.parameters, &new.parameters) {
        // What a variable of a path is called is nobody's business but the document's.
        if name.starts_with("path ") && (old.is_none() || new.is_none()) {
            continue;
        }
        changes.extend(of_parameter(name, old, new));
    }
    for (name, old, new) in pairs(&old.answers, &new.answers) {
        changes.extend(of_field(name, old, new));
    }
    changes
}

/// The places of both with what stands there. What is below a place that one of them lacks, or that changed its type,
/// is left out: the place above says it.
fn pairs<'a>(
    old: &'a BTreeMap<String, Member>,
    new: &'a BTreeMap<String, Member>,
) -> Vec<(&'a str, Option<&'a Member>, Option<&'a Member>)> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differs = |name: &str| match (old.get(name), new.get(name)) {
        (Some(old), Some(new)) => old.types != new.types,
        _ => true,
    };
    let told: Vec<&str> = names.iter().map(|name| name.as_str()).filter(|name| differs(name)).collect();
    let below =
        |name: &str| told.iter().any(|above| name.strip_prefix(above).is_some_and(|rest| rest.starts_with(['.', '['])));
    names.into_iter().filter(|name| !below(name)).map(|name| (name.as_str(), old.get(name), new.get(name))).collect()
}

fn of_parameter(name: &str, old: Option<&Member>, new: Option<&Member>) -> Vec<Change> {
    let name = name.to_owned();
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) => (old, new),
        (None, Some(new)) => return vec![Change::NewParameter { name, required: new.required }],
        _ => return vec![Change::VanishedParameter { name }],
    };
    let mut changes = Vec::new();
    if new.required && !old.required {
        changes.push(Change::RequiredParameter { name: name.clone() });
    }
    if old.types != new.types {
        let (was, is) = (old.types_in_words(), new.types_in_words());
        changes.push(Change::ChangedParameter { name: name.clone(), was, is });
    }
    let (more, fewer) = values(old, new);
    changes.extend(more.map(|values| Change::NewValues { name: name.clone(), values }));
    changes.extend(fewer.map(|values| Change::VanishedValues { name, values }));
    changes
}

fn of_field(name: &str, old: Option<&Member>, new: Option<&Member>) -> Vec<Change> {
    let name = name.to_owned();
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) => (old, new),
        (None, Some(new)) => return vec![Change::NewField { name, is: new.types_in_words() }],
        _ => return vec![Change::VanishedField { name }],
    };
    let mut changes = Vec::new();
    if old.types != new.types {
        let (was, is) = (old.types_in_words(), new.types_in_words());
        changes.push(Change::ChangedField { name: name.clone(), was, is });
    }
    let (more, fewer) = values(old, new);
    changes.extend(more.map(|values| Change::NewFieldValues { name: name.clone(), values }));
    changes.extend(fewer.map(|values| Change::VanishedFieldValues { name, values }));
    changes
}

/// The values that came and those that went. An empty list says that no values are listed any more, or were before.
fn values(old: &Member, new: &Member) -> (Option<Vec<String>>, Option<Vec<String>>) {
    let beyond =
        |these: &Member, those: &Member| -> Vec<String> { these.values.difference(&those.values).cloned().collect() };
    match (old.values.is_empty(), new.values.is_empty()) {
        (true, true) => (None, None),
        (true, false) => (None, Some(Vec::new())),
        (false, true) => (Some(Vec::new()), None),
        (false, false) => {
            let some = |values: Vec<String>| (!values.is_empty()).then_some(values);
            (some(beyond(new, old)), some(beyond(old, new)))
        }
    }
}

/// An operation and its twin for events mostly change together: then it is said of the operation alone, with a mark.
fn without_twins(changes: Vec<(OperationName, Change)>) -> Vec<(OperationName, Change, bool)> {
    let mut kept: Vec<(OperationName, Change, bool)> = Vec::new();
    let (twins, others): (Vec<_>, Vec<_>) =
        changes.into_iter().partition(|(operation, _)| operation.path.ends_with("/stream"));
    kept.extend(others.into_iter().map(|(operation, change)| (operation, change, false)));
    for (operation, change) in twins {
        let of = operation.path.trim_end_matches("/stream");
        let same = kept.iter_mut().find(|(other, told, _)| {
            other.path == of && other.method == operation.method && *told == as_paged(&change)
        });
        match same {
            Some((_, _, event_stream_too)) => *event_stream_too = true,
            None => kept.push((operation, change, false)),
        }
    }
    // Stable, so the changes of one operation stay in their order.
    kept.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    kept
}

/// The same change as the pages of the operation would show it.
fn as_paged(change: &Change) -> Change {
    let mut change = change.clone();
    if let Change::NewField { name, .. }
    | Change::VanishedField { name }
    | Change::ChangedField { name, .. }
    | Change::NewFieldValues { name, .. }
    | Change::VanishedFieldValues { name, .. } = &mut change
    {
        for (event, paged) in [("event.", "data[]."), ("summary.", "info.")] {
            if let Some(rest) = name.strip_prefix(event) {
                *name = format!("{paged}{rest}");
                break;
            }
        }
    }
    change
}
