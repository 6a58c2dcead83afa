//! The objects that the rows of one answer are about: which dimensions, and how many objects of each.

use std::collections::BTreeSet;

use catalog::model::column::{Column, ColumnType};

use super::dimension::{Dimension, describe};
use super::objects::{AccountObjects, Object};
use super::row_spec::{RowSpec, SpecColumn};
use super::seeded::salt;

/// One dimension of a table: every row has one of its objects.
#[derive(Debug)]
pub(crate) struct BoundDimension {
    pub(crate) dimension: Dimension,
    /// How many objects there are to choose from.
    pub(crate) len: u64,
    /// Whether it distinguishes rows, so that its objects are counted through; otherwise they are chosen at random.
    pub(crate) is_counted: bool,
    /// Its share in random choices.
    pub(crate) salt: u64,
    /// Whether no object was left out.
    pub(crate) is_whole: bool,
    pub(crate) ready: Vec<Object>,
}

/// The dimension of a column whose values name one object.
pub(crate) fn dimension_of(column: &Column, is_key: bool) -> Option<Dimension> {
    let known = match &column.data_type {
        // Identifiers of rows are as many as there are rows.
        ColumnType::Utf8 if is_key && column.name == "id" => Some(Dimension::Run),
        // A column of listed values takes those.
        ColumnType::Utf8 if is_key && !column.values.is_empty() => None,
        ColumnType::Utf8 | ColumnType::Struct(_) | ColumnType::List(_) => Dimension::from_column_name(&column.name),
        _ => None,
    };
    known.or_else(|| is_key.then(|| Dimension::Declared(Box::new(column.clone()))))
}

/// The dimensions of a table: those that distinguish rows first.
pub(crate) fn bind_dimensions(spec: &RowSpec, objects: &AccountObjects) -> Vec<BoundDimension> {
    let mut found: Vec<(Dimension, bool)> = Vec::new();
    for SpecColumn { column, is_key } in &spec.columns {
        // A list names several objects, so it is no dimension of its own.
        let is_list = matches!(column.data_type, ColumnType::List(_)) || column.long_text;
        if spec.is_day(column) || (is_list && !is_key) || spec.fixed(&column.name).is_some() {
            continue;
        }
        let Some(dimension) = dimension_of(column, *is_key) else { continue };
        match found.iter_mut().find(|(known, _)| *known == dimension) {
            Some((_, is_counted)) => *is_counted |= *is_key,
            None => found.push((dimension, *is_key)),
        }
    }
    // An object that another one implies cannot vary by itself, unless it alone distinguishes rows.
    let is_implied = |dimension: &Dimension, is_counted: bool| {
        // A prompt may have several tags, so they distinguish its rows.
        let is_own = *dimension == Dimension::Tag && is_counted;
        let implies = |by: &Dimension| found.iter().any(|(other, counted)| other == by && (*counted || !is_counted));
        !is_own && dimension.implied_by().iter().any(implies)
    };
    let mut bound: Vec<_> = found.iter().filter(|(dimension, counted)| !is_implied(dimension, *counted)).collect();
    bound.sort_by_key(|(_, is_counted)| !is_counted);
    bound.into_iter().map(|(dimension, counted)| bind(dimension.clone(), *counted, spec, objects)).collect()
}

fn bind(dimension: Dimension, is_counted: bool, spec: &RowSpec, objects: &AccountObjects) -> BoundDimension {
    let known = dimension.len(objects, &spec.subject);
    let count = dimension.ready(known);
    let mut ready: Vec<_> = (0..count).map(|index| dimension.object(objects, &spec.subject, index)).collect();
    if dimension == Dimension::Asset && spec.owned_only {
        ready.retain(|object| object.get("is_owned").is_some_and(|owned| owned == true));
    }
    if is_counted {
        // Two bots of one provider are one object where only the provider is asked for.
        let is_own = |one: &&SpecColumn| one.is_key && dimension_of(&one.column, true).as_ref() == Some(&dimension);
        let columns: Vec<_> = spec.columns.iter().filter(is_own).map(|one| &one.column).collect();
        let mut seen = BTreeSet::new();
        ready.retain(|object| {
            let describe = |column: &&Column| describe(object, &column.name, &column.data_type, &[], 0).to_string();
            seen.insert(columns.iter().map(describe).collect::<Vec<_>>())
        });
    }
    let is_whole = ready.len() as u64 == count;
    let len = if is_whole { known } else { ready.len() as u64 };
    let salt = salt(1, &format!("{dimension:?}"));
    BoundDimension { dimension, len, is_counted, salt, is_whole, ready }
}
