//! The columns of a table: as Arrow for its files, and as JSON with comments for its log.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use serde_json::{Map, Value, json};

use crate::decode::TableSchema;
use crate::model::scope::ScopePart;
use crate::model::stream::Stream;
use crate::reference::column_lines;
use crate::write::table_schema;

/// The column with the day of a row as the lake counts it, or the first of the month; lists have none.
pub const DAY_COLUMN: &str = "day";
/// The partition column of the month, `2026-03`.
pub const MONTH_COLUMN: &str = "month";

/// The column that identifies `part`: a partition column.
pub fn partition_column(part: ScopePart) -> &'static str {
    let (id, name) = part.columns();
    id.unwrap_or(name)
}

/// The columns of one table.
#[derive(Debug, Clone)]
pub struct TableColumns {
    /// Those of its files.
    pub files: SchemaRef,
    pub partitions: Vec<String>,
    /// The schema in the log, without columns that others have added.
    pub log: Value,
}

impl TableColumns {
    /// `is_dated`: whether rows belong to days, as those of list snapshots do, too.
    ///
    /// # Errors
    /// The name of a column that the stream declares and the table needs.
    pub fn new(stream: &Stream, is_dated: bool) -> Result<Self, String> {
        let all = table_schema(&TableSchema::new(stream).arrow, stream.scope);
        let added: &[&str] = if is_dated { &[DAY_COLUMN, MONTH_COLUMN] } else { &[] };
        let is_added = |name: &str| added.iter().any(|added| added.eq_ignore_ascii_case(name));
        if let Some(field) = all.fields().iter().find(|field| is_added(field.name())) {
            return Err(field.name().clone());
        }
        let scope: Vec<&str> = stream.scope.parts().iter().map(|part| partition_column(*part)).collect();
        let of_scope = stream.scope.parts().iter().map(|part| 1 + usize::from(part.columns().0.is_some())).sum();
        let mut fields: Vec<FieldRef> = all.fields().to_vec();
        if is_dated {
            fields.insert(of_scope, Arc::new(Field::new(DAY_COLUMN, DataType::Date32, true)));
            fields.push(Arc::new(Field::new(MONTH_COLUMN, DataType::Utf8, true)));
        }
        let mut partitions: Vec<String> = scope.iter().map(|name| (*name).to_owned()).collect();
        partitions.extend(is_dated.then(|| MONTH_COLUMN.to_owned()));
        let comments = comments(stream);
        let log: Vec<Value> =
            fields.iter().map(|field| field_json(field, comments.get(field.name().as_str()))).collect();
        let in_files = fields.into_iter().filter(|field| !partitions.contains(field.name()));
        let files = Arc::new(Schema::new(in_files.collect::<Vec<_>>()));
        Ok(Self { files, partitions, log: json!({"type": "struct", "fields": log}) })
    }
}

/// What a row is, its key and its source, for people who look at the table alone.
pub fn description(table: &str, stream: &Stream) -> String {
    let key: Vec<&str> = stream
        .scope
        .parts()
        .iter()
        .map(|part| partition_column(*part))
        .chain(stream.key.iter().map(String::as_str))
        .collect();
    format!("{} Key: {}. Source: {} of profound-export, {}.", stream.about, key.join(", "), table, stream.request)
}

/// The comment of each column: its meaning, unit and range.
fn comments(stream: &Stream) -> BTreeMap<String, String> {
    let own = [
        (DAY_COLUMN, "day of the row as the lake counts it, or the first day of the month"),
        (MONTH_COLUMN, "calendar month of the day"),
    ];
    let own = own.into_iter().map(|(name, about)| (name.to_owned(), about.to_owned()));
    let lines = column_lines(stream, false).into_iter().map(|line| {
        let range = if line.range.is_empty() { String::new() } else { format!(", {}", line.range) };
        let unit = if line.unit.is_empty() { String::new() } else { format!(" ({}{range})", line.unit) };
        (line.name, format!("{}{unit}", line.about))
    });
    lines.chain(own).collect()
}

fn field_json(field: &Field, comment: Option<&String>) -> Value {
    let metadata: Map<String, Value> =
        comment.map(|comment| ("comment".to_owned(), comment.as_str().into())).into_iter().collect();
    json!({"name": field.name(), "type": type_json(field.data_type()), "nullable": true, "metadata": metadata})
}

fn type_json(data_type: &DataType) -> Value {
    match data_type {
        DataType::Int64 => "long".into(),
        DataType::Float64 => "double".into(),
        DataType::Boolean => "boolean".into(),
        DataType::Date32 => "date".into(),
        DataType::Timestamp(..) => "timestamp".into(),
        DataType::List(item) => {
            json!({"type": "array", "elementType": type_json(item.data_type()), "containsNull": true})
        }
        DataType::Struct(fields) => {
            json!({"type": "struct", "fields": fields.iter().map(|field| field_json(field, None)).collect::<Vec<_>>()})
        }
        // Text, of which JSON is a kind.
        _ => "string".into(),
    }
}

/// `own` and, behind it, the columns and members of `existing` that it lacks: another version or engine may have added them. Rows of this
/// program have null there.
///
/// # Errors
/// The column that has another type.
pub fn merged(existing: &Value, own: &Value, path: &str) -> Result<Value, String> {
    let of = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match (existing.get("type").and_then(Value::as_str), own.get("type").and_then(Value::as_str)) {
        (Some("struct"), Some("struct")) => {
            let fields = |value: &Value| value["fields"].as_array().cloned().unwrap_or_default();
            let mut existing = fields(existing);
            let mut all = Vec::new();
            for mut field in fields(own) {
                let name = of(&field, "name");
                if let Some(at) = existing.iter().position(|existing| of(existing, "name") == name) {
                    let path = if path.is_empty() { name } else { format!("{path}.{name}") };
                    field["type"] = merged(&existing.remove(at)["type"], &field["type"], &path)?;
                }
                all.push(field);
            }
            // A column that no value may lack would reject every row.
            for field in &mut existing {
                field["nullable"] = true.into();
            }
            all.extend(existing);
            Ok(json!({"type": "struct", "fields": all}))
        }
        (Some("array"), Some("array")) => {
            let mut own = own.clone();
            own["elementType"] = merged(&existing["elementType"], &own["elementType"], path)?;
            Ok(own)
        }
        _ if existing == own => Ok(own.clone()),
        _ => Err(format!("column `{path}` has type {existing} instead of {own}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::model::history::history_of;

    #[test]
    fn every_stream_can_be_a_table_with_a_comment_on_each_column() {
        let catalog = Catalog::embedded().unwrap();
        for stream in catalog.streams() {
            let columns = TableColumns::new(stream, stream.days.is_some()).unwrap();
            for field in columns.log["fields"].as_array().unwrap() {
                assert!(field["metadata"]["comment"].is_string(), "{}.{}", stream.name, field["name"]);
                let name = field["name"].as_str().unwrap();
                assert!(!name.contains([' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '=']), "{name}");
            }
            assert_eq!(merged(&columns.log, &columns.log, ""), Ok(columns.log.clone()));
            if stream.days.is_none() {
                let history = TableColumns::new(&history_of(stream), true).unwrap();
                assert_eq!(history.partitions.last().map(String::as_str), Some("month"));
            }
        }
    }

    #[test]
    fn columns_of_others_are_kept_and_other_types_rejected() {
        let schema = |fields: Value| json!({"type": "struct", "fields": fields});
        let field =
            |name: &str, data_type: Value| json!({"name": name, "type": data_type, "nullable": true, "metadata": {}});
        let own = schema(json!([field("a", json!("long")), field("s", schema(json!([field("x", json!("string"))])))]));
        let theirs = schema(json!([
            field("theirs", json!("double")),
            field("s", schema(json!([field("y", json!("date")), field("x", json!("string"))])))
        ]));
        let all = merged(&theirs, &own, "").unwrap();
        let names = |value: &Value| -> Vec<String> {
            value["fields"].as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(&all), ["a", "s", "theirs"]);
        assert_eq!(names(&all["fields"][1]["type"]), ["x", "y"]);
        let other = schema(json!([field("a", json!("string"))]));
        assert_eq!(merged(&other, &own, "").unwrap_err(), "column `a` has type \"string\" instead of \"long\"");
    }
}
