//! What a declaration must hold that its types do not say.

use crate::model::column::ColumnType;
use crate::model::scope::ScopePart;
use crate::model::stream::{Method, Pagination, Stream};

/// Checks one declaration by itself.
///
/// # Errors
/// What is wrong, in words that go after the name of the stream.
pub fn check_stream(stream: &Stream) -> Result<(), String> {
    check_name(&stream.name)?;
    check_columns(stream)?;
    check_key(stream)?;
    check_request(stream)
}

fn check_name(name: &str) -> Result<(), String> {
    let plain = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
    match name.starts_with(|first: char| first.is_ascii_lowercase()) && name.chars().all(plain) {
        true => Ok(()),
        false => Err("the name must be lower case letters, digits and underscores, a letter first".into()),
    }
}

fn check_columns(stream: &Stream) -> Result<(), String> {
    if stream.columns.is_empty() {
        return Err("it has no columns".into());
    }
    for (index, column) in stream.columns.iter().enumerate() {
        let name = &column.name;
        if stream.columns[..index].iter().any(|other| other.name == *name) {
            return Err(format!("column `{name}` stands twice"));
        }
        if name.starts_with('_') {
            return Err(format!("column `{name}` begins with an underscore, as only the exporter's own columns do"));
        }
        let added = stream.scope.parts().iter().any(|part: &ScopePart| {
            let (id, label) = part.columns();
            id == Some(name.as_str()) || label == name
        });
        if added {
            return Err(format!("column `{name}` is one that the exporter adds for its scope"));
        }
        if column.about.is_empty() {
            return Err(format!("column `{name}` does not say what it means"));
        }
        if matches!(column.data_type, ColumnType::Float64) && column.unit.is_none() {
            return Err(format!("column `{name}` is a number without a unit"));
        }
    }
    let Some(days) = &stream.days else {
        return Ok(());
    };
    match stream.column(&days.column).map(|column| &column.data_type) {
        Some(ColumnType::Date | ColumnType::Timestamp) => Ok(()),
        _ => Err(format!("its rows must carry a day: `{}` must be a column of type date or timestamp", days.column)),
    }
}

fn check_key(stream: &Stream) -> Result<(), String> {
    if stream.key.is_empty() {
        return Err("it has no key".into());
    }
    for path in &stream.key {
        let (name, field) = path.split_once('.').map_or((path.as_str(), None), |(name, field)| (name, Some(field)));
        let Some(column) = stream.column(name) else {
            return Err(format!("key `{path}` names no column"));
        };
        let found = match (&column.data_type, field) {
            (ColumnType::Struct(fields), Some(field)) => fields.iter().any(|(name, _)| name == field),
            (ColumnType::Struct(_), None) | (_, Some(_)) => false,
            (_, None) => true,
        };
        if !found {
            return Err(format!("key `{path}` must name a column, or a field of a struct"));
        }
    }
    Ok(())
}

fn check_request(stream: &Stream) -> Result<(), String> {
    if stream.request.method == Method::Get && !stream.body.is_empty() {
        return Err("a GET has no body".into());
    }
    if stream.event_stream.as_ref().is_some_and(|path| !path.starts_with('/')) {
        return Err("`event_stream` must be a path from its first slash".into());
    }
    let in_body = matches!(stream.pagination, Pagination::Offset { .. } | Pagination::Cursor { .. });
    if in_body && stream.request.method == Method::Get {
        return Err("offset and cursor pagination stand in a body, which a GET has not".into());
    }
    if let Some((dimensions, metrics)) = stream.positional_names() {
        let sorted = |names: &[String]| names.is_sorted();
        if !sorted(&dimensions) || !sorted(&metrics) {
            return Err("`dimensions` and `metrics` must be sorted, so that both readings of the order agree".into());
        }
        if let Some(missing) = dimensions.iter().chain(&metrics).find(|name| stream.column(name).is_none()) {
            return Err(format!("it asks for `{missing}`, which is not a column"));
        }
    }
    Ok(())
}
