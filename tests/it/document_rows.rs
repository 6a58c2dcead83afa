//! The columns of the catalog against the rows that the vendor's own document describes, which is not part of this
//! repository.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use profound_export::model::column::ColumnType;
use profound_export::model::stream::{RowsAt, Stream};
use serde_json::Value;

use crate::document::{document, documented, operation, resolved};

/// Members of rows that go to `_extra` on purpose: the schema of the row, the members, and the reason.
const LEFT_TO_EXTRA: [(&str, &[&str], &str); 1] =
    [("SentimentRow", &["prev_date", "previous"], "present only in comparisons, which are never requested")];

/// Whether the rows of every stream of `request` have `member` for certain without a column of that name: values of
/// positional reports, and what the exporter adds for the scope.
fn is_said_otherwise(streams: &[Arc<Stream>], member: &str) -> bool {
    let of_scope = |stream: &Arc<Stream>| {
        stream.scope.parts().iter().any(|part| {
            let (id, name) = part.columns();
            id == Some(member) || name == member
        })
    };
    ["dimensions", "metrics"].contains(&member) || streams.iter().all(of_scope)
}

/// The schemas of the rows of `stream`, as its `rows` says; none where rows are texts.
fn row_schemas<'a>(document: &'a Value, stream: &Stream) -> Vec<&'a Value> {
    let line = stream.request.to_string();
    let (method, path) = line.split_once(' ').unwrap();
    let answers = &operation(document, method, path).unwrap()["responses"]["200"]["content"];
    let body = resolved(document, &answers["application/json"]["schema"]);
    let items = |list: &'a Value| resolved(document, &list["items"]);
    match &stream.rows {
        RowsAt::Body => vec![body],
        RowsAt::Members { names, .. } => {
            names.iter().map(|name| items(resolved(document, &body["properties"][name]))).collect()
        }
        RowsAt::Texts { .. } => {
            assert_eq!(items(body)["type"], "string", "{line}");
            Vec::new()
        }
        RowsAt::Data if body["type"] == "array" => vec![items(body)],
        RowsAt::Data => {
            let data = resolved(document, &body["properties"]["data"]);
            vec![if data["type"] == "array" { items(data) } else { data }]
        }
    }
}

/// The streams of each request.
fn by_request() -> BTreeMap<String, Vec<Arc<Stream>>> {
    let mut streams: BTreeMap<String, Vec<Arc<Stream>>> = BTreeMap::new();
    for stream in documented() {
        streams.entry(stream.request.to_string()).or_default().push(stream);
    }
    streams
}

#[test]
fn every_documented_member_is_a_column_or_listed_for_extra() {
    let Some(document) = document() else { return };
    let mut unknown = BTreeSet::new();
    for (request, streams) in by_request() {
        for row in row_schemas(&document, &streams[0]) {
            let title = row["title"].as_str().unwrap_or_default();
            // Shopping of version 1 has rows without a schema.
            for member in row["properties"].as_object().into_iter().flat_map(|members| members.keys()) {
                let mut knowingly = LEFT_TO_EXTRA.iter().filter(|(schema, ..)| *schema == title);
                let left = knowingly.any(|(_, members, _)| members.contains(&member.as_str()));
                // Several streams of one endpoint share the schema of its rows; each requests its own part.
                let is_column = streams.iter().any(|stream| stream.column(member).is_some());
                assert!(!(left && is_column), "{request}: `{member}` is a column, and listed for `_extra`");
                if !left && !is_column && !is_said_otherwise(&streams, member) {
                    unknown.insert(format!("{request} ({title}): {member}"));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "neither columns nor listed for `_extra`:\n{}", lines(unknown));
    for (schema, members, reason) in LEFT_TO_EXTRA {
        let declared = &document["components"]["schemas"][schema]["properties"];
        assert!(members.iter().all(|member| declared.get(member).is_some()), "{schema}: {reason}");
    }
}

fn lines(problems: impl IntoIterator<Item = String>) -> String {
    problems.into_iter().collect::<Vec<_>>().join("\n")
}

#[test]
fn every_column_type_holds_the_documented_values() {
    let Some(document) = document() else { return };
    let mut problems = BTreeSet::new();
    for stream in by_request().into_values().flatten() {
        for row in row_schemas(&document, &stream) {
            for (member, schema) in row["properties"].as_object().into_iter().flatten() {
                if let Some(column) = stream.column(member) {
                    let mut found = Vec::new();
                    compare(&document, schema, &column.data_type, member, &mut found);
                    problems.extend(found.into_iter().map(|problem| format!("`{}`: {problem}", stream.name)));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", lines(problems));
}

/// Adds to `problems` where `column` cannot hold what `schema` describes, down to where it is open JSON.
fn compare(document: &Value, schema: &Value, column: &ColumnType, path: &str, problems: &mut Vec<String>) {
    let schema = resolved(document, schema);
    if *column == ColumnType::Json {
        return;
    }
    if let Some(choices) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
        let some = choices.iter().filter(|choice| choice["type"] != "null").map(|choice| {
            let mut found = Vec::new();
            compare(document, choice, column, path, &mut found);
            found
        });
        // A column of one form is right where other forms belong to requests that are never sent.
        problems.extend(some.min_by_key(Vec::len).unwrap_or_default());
        return;
    }
    let named = schema["type"].as_str().or_else(|| schema.get("const").and_then(Value::as_str).map(|_| "string"));
    let Some(named) = named else { return };
    match (named, column) {
        ("integer", ColumnType::Int64 | ColumnType::Float64 | ColumnType::UnixSeconds)
        | ("number", ColumnType::Float64)
        | ("string", ColumnType::Utf8 | ColumnType::Date | ColumnType::Timestamp)
        | ("boolean", ColumnType::Bool) => {}
        ("array", ColumnType::List(items)) => {
            compare(document, &schema["items"], items, &format!("{path}[]"), problems);
        }
        ("object", ColumnType::Struct(fields)) => {
            for (member, schema) in schema["properties"].as_object().into_iter().flatten() {
                let path = format!("{path}.{member}");
                match fields.iter().find(|(name, _)| name == member) {
                    Some((_, field)) => compare(document, schema, field, &path, problems),
                    None => problems.push(format!("{path} has no field")),
                }
            }
        }
        _ => problems.push(format!("{path} is of type {named}, and its column of type {column}")),
    }
}
