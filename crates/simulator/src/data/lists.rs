//! The lists of the account: metadata that has no days.

use catalog::model::column::{Column, ColumnType};
use catalog::model::stream::Stream;
use serde_json::{Value, json};

use super::dataset::Dataset;
use super::dimension::{Dimension, describe};
use super::invented::{in_type, invented, is_id};
use super::objects::{CategoryObjects, Object, Subject, created_at, object, reference};
use super::products::ProductState;
use super::seeded::{mix, pick, salt, uuid};
use super::stream_shape::is_single;
use super::vocabulary::WORDS;

/// Where the account knows the objects of a list; other lists are invented from their columns.
pub(crate) const METADATA_PATH: &str = "/v1/org";

/// The objects of a list.
pub(crate) fn list_objects(stream: &Stream, subject: &Subject, dataset: &Dataset) -> Vec<Object> {
    known_objects(stream, subject, dataset).unwrap_or_else(|| invented_objects(stream, subject, dataset))
}

/// The objects of a list that the account knows.
fn known_objects(stream: &Stream, subject: &Subject, dataset: &Dataset) -> Option<Vec<Object>> {
    if !stream.request.path.starts_with(METADATA_PATH) {
        return None;
    }
    let account = &*dataset.objects;
    // Objects of a category are listed once for every organization that owns it.
    let of_all = |objects: fn(&CategoryObjects) -> &[Object]| -> Vec<Object> {
        let mut rows = Vec::new();
        for category in &account.categories {
            for owner in &category.owners {
                for mut object in objects(category).iter().cloned() {
                    object.insert("category".into(), Value::Object(category.object.clone()));
                    object.insert("organization".into(), reference(&account.organizations[*owner]));
                    rows.push(object);
                }
            }
        }
        rows
    };
    let segment = stream.request.path.rsplit('/').next().unwrap_or_default();
    Some(match (segment, account.category(&subject.scope)) {
        ("org", _) => account.organizations.clone(),
        ("regions", _) => account.regions.clone(),
        ("models", _) => account.models.clone(),
        ("domains", _) => account.domains.clone(),
        ("categories", _) => of_all(|category| std::slice::from_ref(&category.object)),
        ("assets", None) => of_all(|category| &category.assets),
        ("personas", None) => of_all(|category| &category.personas),
        ("assets", Some(category)) => category.assets.clone(),
        ("personas", Some(category)) => category.personas.clone(),
        ("topics", Some(category)) => category.topics.clone(),
        ("tags", Some(category)) => category.tags.clone(),
        ("prompts", Some(category)) => category.prompts.clone(),
        ("citation-categories", _) => {
            WORDS.citation_categories.iter().map(|name| object(json!({ "id": name, "name": name }))).collect()
        }
        _ => return None,
    })
}

/// The objects of a list that the account does not know: a few, distinguished by their key.
fn invented_objects(stream: &Stream, subject: &Subject, dataset: &Dataset) -> Vec<Object> {
    let identity = subject.identity(dataset.objects.seed, &stream.request.to_string());
    let wanted = dataset.account.rows_per_day.get(&stream.name).map(|rows| *rows as usize);
    let usual = if stream.is_fan_out() { 2 + mix(identity) as usize % 3 } else { 5 };
    let rows = if is_single(stream) { 1 } else { wanted.unwrap_or(usual) };
    let is_present = dataset.product(stream, subject) == ProductState::Present;
    let value = |column: &Column, index: usize| {
        let name = &column.name;
        match subject.variables.get(name) {
            Some(given) => in_type(given, &column.data_type),
            None if stream.signal.as_ref() == Some(name) => match column.data_type {
                ColumnType::Bool => json!(is_present),
                _ => json!(u64::from(is_present)),
            },
            None if stream.key.contains(name) => key_value(column, identity, index, subject, dataset),
            None => plain_value(column, identity, index, subject),
        }
    };
    let object =
        |index| stream.columns.iter().map(|column| (column.name.clone(), value(column, index))).collect::<Object>();
    (0..rows).map(object).collect()
}

/// A value that no other row of its list has.
fn key_value(column: &Column, identity: u64, index: usize, subject: &Subject, dataset: &Dataset) -> Value {
    let Column { name, data_type, .. } = column;
    match data_type {
        _ if !column.values.is_empty() => json!(pick(&column.values, index as u64)),
        ColumnType::Utf8 if is_id(name) => json!(uuid(identity, &format!("{name}/{index}"))),
        ColumnType::Int64 | ColumnType::UnixSeconds => json!(index),
        _ => {
            let known = Dimension::from_column_name(name);
            let dimension = known.unwrap_or_else(|| Dimension::Declared(Box::new(column.clone())));
            let object = dimension.object(&dataset.objects, subject, index as u64);
            describe(&object, name, data_type, &[], mix(identity ^ index as u64))
        }
    }
}

fn plain_value(column: &Column, identity: u64, index: usize, subject: &Subject) -> Value {
    // The rows of a parent change when the parent says so, and at no other time.
    let contents = salt(identity, subject.changed.as_deref().unwrap_or_default());
    let number = mix(contents ^ salt(index as u64, &column.name));
    match column.data_type {
        // Every value occurs, so that streams which depend on one of them have rows.
        ColumnType::Utf8 if !column.values.is_empty() => json!(pick(&column.values, index as u64)),
        ColumnType::Timestamp => json!(created_at((number % 4000) as usize)),
        _ => invented(&column.name, &column.data_type, &column.values, number),
    }
}

/// The rows of a list. Where rows say when they changed, every fifth does not, and those that were touched changed at that
/// moment.
pub(crate) fn list_rows(mut objects: Vec<Object>, stream: &Stream, dataset: &Dataset) -> Vec<Object> {
    let touched = dataset.touched.get(&stream.name);
    let parents = dataset.catalog.streams().filter_map(|child| child.parent.as_ref());
    let own_children = parents.filter(|parent| parent.stream == stream.name);
    for member in own_children.filter_map(|parent| parent.changed.as_deref()) {
        for (index, object) in objects.iter_mut().enumerate() {
            let Some(value) = object.get_mut(member) else { continue };
            match touched {
                Some((rows, at)) if index < *rows => *value = json!(at),
                _ if index % 5 == 4 => *value = Value::Null,
                _ => {}
            }
        }
    }
    let columns = || stream.columns.iter().filter(|column| !column.from_request);
    let row = |(index, object): (usize, &Object)| {
        let value = |Column { name, data_type, values, .. }: &Column| {
            (name.clone(), describe(object, name, data_type, values, mix(index as u64)))
        };
        columns().map(value).collect()
    };
    objects.iter().enumerate().map(row).collect()
}
