//! The lists of the account: metadata that is read whole.

use serde_json::{Map, Value, json};

use catalog::Catalog;
use catalog::model::column::{Column, ColumnType};
use catalog::model::stream::{Pagination, RowsAt, Stream};

use super::axis::{Axis, told};
use super::hash::{mix, salt, uuid};
use super::invent::{invented, is_id};
use super::product::Product;
use super::question::{Parameters, is_single};
use super::table::Conditions;
use super::words;
use super::world::{Category, Entry, Place, World, created_at, object, reference, text};
use super::write::encoded;

/// Where the vocabulary knows the objects of a list; other lists are invented from their columns.
const KNOWN: &str = "/v1/org";

/// The rows of a list that the query asks for.
pub(super) fn list(
    stream: &Stream,
    place: &Place,
    parameters: &Parameters,
    world: &World,
    conditions: &Conditions<'_>,
) -> Vec<Box<[u8]>> {
    let entries = known(stream, place, world).unwrap_or_else(|| invented_list(stream, place, world, conditions));
    let mut entries = chosen(entries, stream, parameters);
    touch(&mut entries, stream, conditions);
    entries.iter().enumerate().map(|(index, entry)| list_row(entry, stream, index)).collect()
}

/// The objects of a list that the vocabulary knows.
fn known(stream: &Stream, place: &Place, world: &World) -> Option<Vec<Entry>> {
    if !stream.request.path.starts_with(KNOWN) {
        return None;
    }
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
    Some(match (segment, world.category(place)) {
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
        _ => return None,
    })
}

/// A list that no vocabulary knows: a few objects, told apart by their key.
fn invented_list(stream: &Stream, place: &Place, world: &World, conditions: &Conditions<'_>) -> Vec<Entry> {
    let identity = place.identity(world, &stream.request.to_string());
    // What a row's parent tells of its last change is all that may change.
    let contents = salt(identity, place.changed.as_deref().unwrap_or_default());
    let wanted = conditions.account.rows_per_day.get(&stream.name);
    let rows = match (is_single(stream), stream.is_fan_out()) {
        (true, _) => 1,
        (false, _) if wanted.is_some() => wanted.map_or(0, |rows| *rows as usize),
        (false, true) => 2 + mix(identity) as usize % 3,
        (false, false) => 5,
    };
    let product = Product::of(stream, place, conditions.catalog, conditions.account, world);
    let entry = |index: usize| -> Entry {
        let of_column = |column: &Column| {
            let name = column.name.as_str();
            let value = match (place.variables.get(name), &stream.signal) {
                (Some(given), _) => in_type(given, &column.data_type),
                (None, Some(signal)) if signal == name => signalled(&column.data_type, product == Product::Present),
                _ if stream.key.iter().any(|key| key == name) => key_value(column, identity, index, world, place),
                _ => plain_value(column, contents, index, world, place),
            };
            (column.name.clone(), value)
        };
        stream.columns.iter().map(of_column).collect()
    };
    (0..rows).map(entry).collect()
}

/// What a gate says.
fn signalled(data_type: &ColumnType, present: bool) -> Value {
    match data_type {
        ColumnType::Bool => json!(present),
        _ => json!(u64::from(present)),
    }
}

/// `given` as a value of its column.
pub(super) fn in_type(given: &str, data_type: &ColumnType) -> Value {
    match (data_type, given.parse::<i64>()) {
        (ColumnType::Int64 | ColumnType::UnixSeconds, Ok(number)) => json!(number),
        (ColumnType::List(_), _) => json!([given]),
        _ => json!(given),
    }
}

/// A value that no other row of its list has.
fn key_value(column: &Column, identity: u64, index: usize, world: &World, place: &Place) -> Value {
    match &column.data_type {
        _ if !column.values.is_empty() => json!(column.values[index % column.values.len()]),
        ColumnType::Utf8 if is_id(&column.name) => json!(uuid(identity, &format!("{}/{index}", column.name))),
        ColumnType::Int64 | ColumnType::UnixSeconds => json!(index),
        _ => {
            let axis = Axis::of(&column.name).unwrap_or_else(|| Axis::Other(Box::new(column.clone())));
            let entry = axis.entry(world, place, index as u64);
            told(&entry, &column.name, &column.data_type, &[], mix(identity ^ index as u64))
        }
    }
}

fn plain_value(column: &Column, contents: u64, index: usize, world: &World, place: &Place) -> Value {
    let number = mix(contents ^ salt(index as u64, &column.name));
    let name = column.name.as_str();
    let at = |entries: &[Entry]| entries.get(index % entries.len().max(1)).map(|entry| entry["id"].clone());
    let category = place.category.and_then(|index| world.categories.get(index));
    let known = match name {
        "organization_id" => match place.organization {
            Some(position) => world.organizations.get(position).map(|owner| owner["id"].clone()),
            None => at(&world.organizations),
        },
        "category_id" => category.map(|category| category.entry["id"].clone()),
        _ => None,
    };
    match (&column.data_type, known) {
        (ColumnType::Utf8, Some(known)) => known,
        // Every value occurs, so that what depends on one of them is met.
        (ColumnType::Utf8, None) if !column.values.is_empty() => json!(column.values[index % column.values.len()]),
        (ColumnType::Timestamp, None) => json!(created_at((number % 4000) as usize)),
        _ => invented(name, &column.data_type, &column.values, number),
    }
}

/// Where rows say when they changed, they say so; every fifth does not, and those that were touched did just then.
fn touch(entries: &mut [Entry], stream: &Stream, conditions: &Conditions<'_>) {
    let touched = conditions.touched.get(&stream.name);
    for member in changing(&stream.name, conditions.catalog) {
        for (index, entry) in entries.iter_mut().enumerate() {
            let Some(value) = entry.get_mut(member) else { continue };
            match touched {
                Some((rows, at)) if index < *rows => *value = json!(at.to_string()),
                _ if index % 5 == 4 => *value = Value::Null,
                _ => {}
            }
        }
    }
}

/// The members by which rows of the stream `name` tell its children when they changed.
fn changing<'a>(name: &'a str, catalog: &'a Catalog) -> impl Iterator<Item = &'a str> {
    let parents = catalog.streams().filter_map(|stream| stream.parent.as_ref());
    parents.filter(move |parent| parent.stream == name).filter_map(|parent| parent.changed.as_deref())
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
    if matches!(stream.pagination, Pagination::QueryCursor { .. }) && stream.request.path.starts_with(KNOWN) {
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

fn list_row(entry: &Entry, stream: &Stream, index: usize) -> Box<[u8]> {
    let value = |column: &Column| told(entry, &column.name, &column.data_type, &column.values, mix(index as u64));
    let columns = stream.columns.iter().filter(|column| !column.from_request);
    let row = match &stream.rows {
        RowsAt::Texts { column } => stream.column(column).map(value).unwrap_or_default(),
        _ => Value::Object(columns.map(|column| (column.name.clone(), value(column))).collect::<Map<_, _>>()),
    };
    encoded(&row, index % 3 == 2)
}
