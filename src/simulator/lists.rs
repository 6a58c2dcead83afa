//! The lists of the account: metadata that is read whole.

use serde_json::{Map, Value, json};

use crate::model::column::Column;
use crate::model::stream::{Pagination, Stream};

use super::axis::{Axis, invented, told};
use super::hash::mix;
use super::question::Parameters;
use super::words;
use super::world::{Category, Entry, Place, World, object, reference, text};
use super::write::encoded;

/// The rows of a list that the query asks for.
pub(super) fn list(stream: &Stream, place: &Place, parameters: &Parameters, world: &World) -> Vec<Box<[u8]>> {
    let entries = chosen(listed(stream, place, world), stream, parameters);
    entries.iter().enumerate().map(|(index, entry)| list_row(entry, &stream.columns, index)).collect()
}

/// The objects of a list.
fn listed(stream: &Stream, place: &Place, world: &World) -> Vec<Entry> {
    let with = |entry: &Entry, category: &Entry, owner: usize| {
        let mut entry = entry.clone();
        entry.insert("category".into(), Value::Object(category.clone()));
        entry.insert("organization".into(), reference(&world.organizations[owner]));
        entry
    };
    // Objects of a category repeat for every organization that owns it.
    let of_all = |objects: fn(&Category) -> &Vec<Entry>| -> Vec<Entry> {
        let mut rows = Vec::new();
        for category in &world.categories {
            for owner in &category.owners {
                rows.extend(objects(category).iter().map(|entry| with(entry, &category.entry, *owner)));
            }
        }
        rows
    };
    let segment = stream.request.path.rsplit('/').next().unwrap_or_default();
    match (segment, world.category(place)) {
        ("org", _) => world.organizations.clone(),
        ("regions", _) => world.regions.clone(),
        ("models", _) => world.models.clone(),
        ("domains", _) => world.domains.clone(),
        ("assets", None) => of_all(|category| &category.assets),
        ("personas", None) => of_all(|category| &category.personas),
        ("categories", _) => {
            let rows = world.categories.iter().flat_map(|category| {
                category.owners.iter().map(|owner| with(&category.entry, &category.entry, *owner))
            });
            rows.collect()
        }
        ("assets", Some(category)) => category.assets.clone(),
        ("personas", Some(category)) => category.personas.clone(),
        ("topics", Some(category)) => category.topics.clone(),
        ("tags", Some(category)) => category.tags.clone(),
        ("prompts", Some(category)) => category.prompts.clone(),
        ("citation-categories", _) => {
            words::CITATION_CATEGORIES.iter().map(|name| object(json!({ "id": name, "name": name }))).collect()
        }
        // A list that no vocabulary knows: a few objects, told apart by their key.
        _ => (0..5)
            .map(|index| {
                let mut entry = Entry::new();
                for column in &stream.columns {
                    let of_key = stream.key.contains(&column.name);
                    let value = match of_key {
                        true => {
                            let axis = Axis::Other(Box::new(column.clone()));
                            told(&axis.entry(world, place, index), &column.name, &column.data_type, &[], index)
                        }
                        false => invented(&column.name, &column.data_type, &column.values, mix(index)),
                    };
                    entry.insert(column.name.clone(), value);
                }
                entry
            })
            .collect(),
    }
}

/// The entries that the query asks for, in its order.
fn chosen(mut entries: Vec<Entry>, stream: &Stream, parameters: &Parameters) -> Vec<Entry> {
    let given = |name: &str| -> Vec<&str> {
        let values = parameters.query.iter().filter(|(given, _)| given == name);
        values.flat_map(|(_, value)| value.split(',')).collect()
    };
    let organizations = given("organization_ids");
    if !organizations.is_empty() {
        entries.retain(|entry| {
            let owner = entry.get("organization").and_then(|owner| owner["id"].as_str());
            owner.is_none_or(|id| organizations.contains(&id))
        });
    }
    if matches!(stream.pagination, Pagination::QueryCursor { .. }) {
        let status = match given("status") {
            given if given.is_empty() => vec!["active"],
            given => given,
        };
        entries.retain(|entry| !entry.contains_key("status") || status.contains(&text(entry, "status").as_str()));
        if given("order_dir") != ["asc"] {
            entries.reverse();
        }
    }
    entries
}

fn list_row(entry: &Entry, columns: &[Column], index: usize) -> Box<[u8]> {
    let value = |column: &Column| told(entry, &column.name, &column.data_type, &column.values, mix(index as u64));
    let row: Map<String, Value> = columns.iter().map(|column| (column.name.clone(), value(column))).collect();
    encoded(&Value::Object(row), index % 3 == 2)
}
