//! The objects that the rows of one answer are about: which kinds, and how many of each.

use std::collections::HashSet;

use serde_json::json;

use catalog::model::column::{Column, ColumnType};

use super::asked::Asked;
use super::axis::{Axis, told};
use super::hash::salt;
use super::world::{Entry, World};

/// One kind of object, of which every row has one.
#[derive(Debug)]
pub(super) struct BoundAxis {
    pub(super) axis: Axis,
    /// How many objects there are to choose from.
    pub(super) len: u64,
    /// Whether it is counted through, so that it tells rows apart; else chosen at random.
    pub(super) counted: bool,
    /// Its share in random choices.
    pub(super) salt: u64,
    /// Whether none of the objects was left out.
    pub(super) whole: bool,
    /// The objects that are ready.
    pub(super) entries: Vec<Entry>,
}

/// The axis of a column whose values name one object.
pub(super) fn row_axis(column: &Column, key: bool) -> Option<Axis> {
    let axis = match &column.data_type {
        // Identifiers of rows are as many as there are rows.
        ColumnType::Utf8 if key && column.name == "id" => Some(Axis::Run),
        // What takes some known values only, takes those.
        ColumnType::Utf8 if key && !column.values.is_empty() => None,
        ColumnType::Utf8 | ColumnType::Struct(_) | ColumnType::List(_) => Axis::of(&column.name),
        _ => None,
    };
    match (axis, key) {
        (None, true) => Some(Axis::Other(Box::new(column.clone()))),
        (axis, _) => axis,
    }
}

/// The kinds of object that tell rows apart, then those chosen at random.
pub(super) fn axes_of(asked: &Asked, world: &World) -> Vec<BoundAxis> {
    let mut kinds: Vec<(Axis, bool)> = Vec::new();
    for (column, key) in &asked.columns {
        let is_day = asked.day_column.as_deref() == Some(column.name.as_str());
        // A list names several objects, so it is no axis of its own.
        let is_list = matches!(column.data_type, ColumnType::List(_)) || column.long_text;
        if is_day || (is_list && !key) || asked.fixed(&column.name).is_some() {
            continue;
        }
        if let Some(axis) = row_axis(column, *key) {
            match kinds.iter_mut().find(|(known, _)| *known == axis) {
                Some((_, counted)) => *counted |= *key,
                None => kinds.push((axis, *key)),
            }
        }
    }
    let all = kinds.clone();
    // What another object implies cannot vary by itself, unless it alone tells rows apart.
    kinds.retain(|(axis, counted)| {
        let implied = |by: &Axis| all.iter().any(|(other, other_counted)| other == by && (*other_counted || !counted));
        !axis.implied_by().iter().any(implied)
    });
    kinds.sort_by_key(|(_, counted)| !counted);
    kinds.into_iter().map(|(axis, counted)| bound_axis(axis, counted, asked, world)).collect()
}

fn bound_axis(axis: Axis, counted: bool, asked: &Asked, world: &World) -> BoundAxis {
    let known = axis.len(world, &asked.place);
    let mut entries: Vec<_> = (0..axis.ready(known)).map(|index| axis.entry(world, &asked.place, index)).collect();
    if axis == Axis::Asset && asked.owned_only {
        entries.retain(|entry| entry.get("is_owned") == Some(&json!(true)));
    }
    if counted {
        // Two bots of one provider are one object where only the provider is asked for.
        let mut seen = HashSet::new();
        let columns =
            || asked.columns.iter().filter(|(column, key)| *key && row_axis(column, true).as_ref() == Some(&axis));
        entries.retain(|entry| {
            let told = columns().map(|(column, _)| told(entry, &column.name, &column.data_type, &[], 0).to_string());
            seen.insert(told.collect::<Vec<_>>())
        });
    }
    let whole = entries.len() as u64 == axis.ready(known);
    let len = match axis {
        Axis::Run => 1,
        _ if whole => known,
        _ => entries.len() as u64,
    };
    let salt = salt(1, &format!("{axis:?}"));
    BoundAxis { axis, len, counted, salt, whole, entries }
}
