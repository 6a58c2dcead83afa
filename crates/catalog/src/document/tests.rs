//! A document compared with itself, and with copies that differ in one thing.

use serde_json::{Value, json};

use super::sent::sent;
use super::{Difference, OperationName, Surface, compare};
use crate::catalog::Catalog;
use crate::model::stream::{EndpointStatus, Stream};

/// A report that streams use, its event stream, and a list.
fn document() -> Value {
    let body = json!({ "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Query" } } } });
    let row = json!({ "$ref": "#/components/schemas/Row" });
    json!({
        "openapi": "3.1.0",
        "paths": {
            "/v2/reports/visibility": { "post": {
                "requestBody": body,
                "responses": { "200": { "content": { "application/json": { "schema": {
                    "properties": {
                        "info": { "properties": { "count": { "type": "integer" }, "next_cursor": { "type": "string" } } },
                        "data": { "type": "array", "items": row },
                    }
                } } } } }
            } },
            "/v2/reports/visibility/stream": { "post": {
                "requestBody": body,
                "responses": { "200": { "content": { "text/event-stream": { "schema": { "oneOf": [
                    { "properties": { "count": { "type": "integer" } } },
                    row,
                ] } } } } }
            } },
            "/v1/org/categories/{category_id}/prompts": {
                "get": {
                    "parameters": [
                        { "name": "category_id", "in": "path", "schema": { "type": "string" } },
                        { "name": "limit", "in": "query", "schema": { "type": "integer" } },
                        { "name": "note", "in": "query", "schema": { "type": "string" } },
                    ],
                    "responses": {}
                },
                "post": { "requestBody": body, "responses": {} }
            },
            "/v1/unread": { "get": { "responses": {} } },
        },
        "components": { "schemas": {
            "Query": {
                "type": "object",
                "required": ["category_id"],
                "properties": {
                    "category_id": { "type": "string" },
                    "start_date": { "type": "string" },
                    "interval": { "enum": ["day", "week"] },
                    "note": { "type": "string" },
                    "group_by": { "type": "array", "items": { "enum": ["date", "model", "topic"] } },
                }
            },
            "Row": {
                "type": "object",
                "properties": {
                    "date": { "type": "string" },
                    "rank": { "type": "integer" },
                    "asset": { "properties": { "name": { "type": "string" } } },
                    "unstored": { "type": "string" },
                }
            },
        } }
    })
}

/// The streams that use the operations of the document.
fn catalog() -> Catalog {
    let all = Catalog::embedded().unwrap();
    let named = |name: &str| Stream { on_422: None, ..Stream::clone(all.get(name).unwrap()) };
    let mut streams = vec![named("prompts"), named("visibility_v2_by_day"), named("visibility_v2_by_model")];
    streams.extend(["organizations", "categories"].map(named));
    Catalog::new(streams).unwrap()
}

/// The differences after `change`.
fn lines_after(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let before = Surface::from_document(&document()).unwrap();
    let mut document = document();
    change(&mut document);
    let differences = compare(&before, &Surface::from_document(&document).unwrap(), &catalog());
    differences.iter().map(Difference::to_line).collect()
}

fn schema<'a>(document: &'a mut Value, name: &str) -> &'a mut Value {
    &mut document["components"]["schemas"][name]
}

#[test]
fn document_does_not_differ_from_itself() {
    assert_eq!(lines_after(|_| {}), Vec::<String>::new());
}

#[test]
fn new_and_removed_operations_name_the_streams_that_fail() {
    let found = lines_after(|document| {
        let paths = document["paths"].as_object_mut().unwrap();
        paths.insert("/v2/reports/moods".into(), json!({ "post": { "responses": {} }, "put": { "responses": {} } }));
        for path in ["/v2/reports/visibility", "/v2/reports/visibility/stream", "/v1/unread"] {
            paths.remove(path);
        }
    });
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn operation_matches_if_only_its_variable_names_differ() {
    let found = lines_after(|document| {
        let paths = document["paths"].as_object_mut().unwrap();
        let mut item = paths.remove("/v1/org/categories/{category_id}/prompts").unwrap();
        item["get"]["parameters"][0]["name"] = json!("id");
        paths.insert("/v1/org/categories/{id}/prompts".into(), item);
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn deprecated_operation_is_reported() {
    let found = lines_after(|document| {
        document["paths"]["/v1/org/categories/{category_id}/prompts"]["get"]["deprecated"] = json!(true);
    });
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn changed_parameters_name_the_streams_that_send_them() {
    let found = lines_after(|document| {
        let query = schema(document, "Query");
        query["properties"]["fresh"] = json!({ "type": "boolean" });
        query["properties"]["note"] = json!({ "type": "integer" });
        query["properties"]["start_date"] = json!({ "type": "integer" });
        query["properties"]["needed"] = json!({ "type": "string" });
        query["required"] = json!(["category_id", "start_date", "note", "needed"]);
        let parameters = &mut document["paths"]["/v1/org/categories/{category_id}/prompts"]["get"]["parameters"];
        parameters.as_array_mut().unwrap().truncate(1);
    });
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn removed_values_name_the_streams_that_send_them() {
    let found = lines_after(|document| {
        let properties = &mut schema(document, "Query")["properties"];
        properties["group_by"]["items"]["enum"] = json!(["date", "topic", "city", "country"]);
        properties["interval"] = json!({ "type": "string" });
        properties["note"] = json!({ "type": "string", "enum": ["short", "long"] });
    });
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn changed_row_fields_say_what_is_stored() {
    let found = lines_after(|document| {
        let row = &mut schema(document, "Row")["properties"];
        row["mood"] = json!({ "properties": { "id": { "type": "string" }, "name": { "type": "string" } } });
        row["asset"]["properties"]["owned"] = json!({ "type": "boolean" });
        row["asset"]["properties"]["age"] = json!({ "type": "integer" });
        row["rank"] = json!({ "anyOf": [{ "type": "string" }, { "type": "integer" }] });
        row.as_object_mut().unwrap().remove("date");
        row.as_object_mut().unwrap().remove("unstored");
        let answer = &mut document["paths"]["/v2/reports/visibility"]["post"]["responses"]["200"]["content"];
        answer["application/json"]["schema"]["properties"]["info"]["properties"]["age"] = json!({ "type": "integer" });
    });
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn removed_rows_and_cursors_name_the_streams_that_need_them() {
    let found = lines_after(|document| {
        let answer = &mut document["paths"]["/v2/reports/visibility"]["post"]["responses"]["200"]["content"];
        let properties = &mut answer["application/json"]["schema"]["properties"];
        properties["rows"] = properties.as_object_mut().unwrap().remove("data").unwrap();
        properties["info"]["properties"].as_object_mut().unwrap().remove("next_cursor");
    });
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn change_of_the_event_stream_alone_is_reported() {
    let found = lines_after(|document| {
        let events = &mut document["paths"]["/v2/reports/visibility/stream"]["post"]["responses"]["200"]["content"];
        events["text/event-stream"]["schema"]["oneOf"][1] = json!({ "allOf": [{ "$ref": "#/components/schemas/Row" }, { "properties": { "late": { "type": "boolean" } } }] });
    });
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn requests_of_the_catalog_are_in_the_surface() {
    let surface = Surface::embedded().unwrap();
    let catalog = Catalog::embedded().unwrap();
    for stream in catalog.streams() {
        let line = stream.request.to_string();
        let (method, path) = line.split_once(' ').unwrap();
        let name = OperationName { path: path.to_owned(), method: method.to_owned() };
        let operation = surface.operations.iter().find(|(other, _)| other.identity() == name.identity());
        let undocumented = stream.status == EndpointStatus::Undocumented;
        assert_eq!(operation.is_none(), undocumented, "`{}`: {line}", stream.name);
        let known = operation.map(|(_, operation)| &operation.parameters);
        for (parameter, values) in sent(stream) {
            let Some(known) = known.and_then(|known| known.get(&parameter)) else {
                continue;
            };
            let refused: Vec<_> = values.iter().filter(|value| !known.values.contains(*value)).collect();
            assert!(known.values.is_empty() || refused.is_empty(), "`{}` {parameter}: {refused:?}", stream.name);
        }
    }
}

#[test]
fn sent_parameters_have_the_names_of_the_document() {
    let surface = Surface::embedded().unwrap();
    let catalog = Catalog::embedded().unwrap();
    let mut unknown = Vec::new();
    for stream in catalog.streams() {
        let line = stream.request.to_string();
        let known = surface.operations.iter().find(|(name, _)| name.to_string() == line);
        for name in sent(stream).keys() {
            // Each name is tried in several ways: as a list, and as one of open members.
            let other_way = name.ends_with("[]") || name.contains('*') || name.contains("order_by.");
            if known.is_some_and(|(_, known)| !known.parameters.contains_key(name)) && !other_way {
                unknown.push(format!("`{}`: {name}", stream.name));
            }
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}
