//! The single values of rows, before and after they are decoded, so that none can be lost unseen.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use profound_export::model::column::{Column, ColumnType};
use profound_export::model::stream::{RowsAt, Stream};
use serde_json::Value;

/// The values of `rows` as received, sorted by their text. Nulls and names of members are left out.
pub fn leaves_of_answer(stream: &Stream, rows: &[Value]) -> Vec<String> {
    let mut leaves = Vec::new();
    for (name, value) in rows.iter().filter_map(Value::as_object).flatten() {
        match value {
            // The event stream of a positional report has ids where its pages have names.
            Value::Object(reference) if stream.positional_names().is_some() => {
                let stored = |part: &str| part != "id" || stream.column(&format!("{name}_id")).is_some();
                let parts = reference.iter().filter(|(part, _)| stored(part));
                parts.for_each(|(_, value)| collect(value, &mut leaves));
            }
            value => collect(value, &mut leaves),
        }
    }
    rows.iter().filter(|row| !row.is_object()).for_each(|text| collect(text, &mut leaves));
    leaves.sort();
    leaves
}

/// The values of decoded `rows`, without those that come from the request or from the place of the row.
pub fn leaves_of_table(stream: &Stream, rows: &[Value]) -> Vec<String> {
    let place = match &stream.rows {
        RowsAt::Members { column, .. } => Some(column),
        RowsAt::Data | RowsAt::Body | RowsAt::Texts { .. } => None,
    };
    let mut leaves = Vec::new();
    for row in rows {
        let of_rows = |column: &&Column| !column.from_request && place != Some(&column.name);
        for column in stream.columns.iter().filter(of_rows) {
            collect(&as_sent(&row[&column.name], &column.data_type), &mut leaves);
        }
        if let Some(extra) = row["_extra"].as_str() {
            collect(&serde_json::from_str(extra).unwrap(), &mut leaves);
        }
    }
    leaves.sort();
    leaves
}

fn collect(value: &Value, leaves: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::Array(items) if items.is_empty() => leaves.push("[]".to_owned()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, leaves)),
        Value::Object(members) => members.values().for_each(|member| collect(member, leaves)),
        Value::String(text) => leaves.push(instant_of(text).unwrap_or_else(|| text.clone())),
        Value::Number(number) => leaves.push(number.as_f64().unwrap().to_string()),
        Value::Bool(is_true) => leaves.push(is_true.to_string()),
    }
}

/// One text for all texts of an instant; a day is its midnight.
fn instant_of(text: &str) -> Option<String> {
    let local = || text.parse::<DateTime>().ok().filter(|_| text.contains('-'));
    let in_utc = || local()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    text.parse::<Timestamp>().ok().or_else(in_utc).map(|instant| instant.to_string())
}

/// `value` of a column as the API may have sent it.
fn as_sent(value: &Value, column_type: &ColumnType) -> Value {
    match (column_type, value) {
        (ColumnType::Json, Value::String(text)) => serde_json::from_str(text).unwrap(),
        (ColumnType::UnixSeconds, Value::String(text)) => text.parse::<Timestamp>().unwrap().as_second().into(),
        (ColumnType::List(item), Value::Array(items)) => items.iter().map(|value| as_sent(value, item)).collect(),
        (ColumnType::Struct(fields), Value::Object(members)) => {
            let sent = |(name, field): &(String, ColumnType)| (name.clone(), as_sent(&members[name], field));
            Value::Object(fields.iter().map(sent).collect())
        }
        (_, value) => value.clone(),
    }
}
