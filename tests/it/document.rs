//! The catalog against the vendor's own document, which is not part of this repository.
//!
//! Read from `PROFOUND_OPENAPI`, or from `../shared/api/openapi.json`; without either these tests say so and pass.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use profound_export::api::{Asked, RequestFacts, Transport, Variables};
use profound_export::catalog::Catalog;
use profound_export::model::slice::Slice;
use profound_export::model::stream::{Cursor, Fallback, Stream};
use profound_export::run::Outcome;
use serde_json::{Value, json};

use crate::support::{Export, Place, account, days};

/// Members of rows that are left to `_extra` on purpose: the schema of the row, the members, and the reason.
const LEFT_TO_EXTRA: [(&str, &[&str], &str); 3] = [
    ("CitationRow", &["persona", "region", "topic"], "grains that no stream asks for yet"),
    (
        "SentimentRow",
        &["claim", "competitor", "model", "persona", "prompt", "region", "run", "tag", "topic"],
        "grains that no stream asks for yet",
    ),
    ("SentimentRow", &["prev_date", "previous"], "told only where a comparison is asked for, which never is"),
];

/// The document, if it is at hand.
fn document() -> Option<Value> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/api/openapi.json");
    let path = std::env::var_os("PROFOUND_OPENAPI").map_or(beside, Into::into);
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).expect("the document is JSON")),
        Err(error) => {
            eprintln!("skipped: {} cannot be read ({error})", path.display());
            None
        }
    }
}

/// The schema of a JSON pointer's value, with everything it refers to. Formats are not asserted: version 1 declares
/// dates as times and takes both.
fn validator(document: &Value, schema: &Value) -> jsonschema::Validator {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    jsonschema::draft202012::new(&whole).expect("the document's schema is one")
}

/// What `$ref` stands for, at the outside.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(to) => {
            resolved(document, document.pointer(to.trim_start_matches('#')).expect("a reference leads somewhere"))
        }
        None => schema,
    }
}

fn operation<'a>(document: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    document["paths"].get(path)?.get(method.to_lowercase())
}

/// Method and path of every request of a stream, as the document writes them.
fn operations(stream: &Stream) -> Vec<(String, String)> {
    let line = stream.request.to_string();
    let (method, path) = line.split_once(' ').unwrap();
    let events = stream.event_stream.iter().map(|path| ("POST".to_owned(), path.clone()));
    [(method.to_owned(), path.to_owned())].into_iter().chain(events).collect()
}

#[test]
fn every_request_of_the_catalog_is_an_operation_of_the_document() {
    let Some(document) = document() else { return };
    for stream in Catalog::embedded().unwrap().streams() {
        for (method, path) in operations(stream) {
            assert!(operation(&document, &method, &path).is_some(), "`{}`: {method} {path}", stream.name);
        }
    }
}

#[test]
fn every_query_parameter_of_the_catalog_is_one_of_the_document() {
    let Some(document) = document() else { return };
    for stream in Catalog::embedded().unwrap().streams().filter(|stream| !stream.query.is_empty()) {
        let (method, path) = operations(stream).remove(0);
        let declared = operation(&document, &method, &path).unwrap()["parameters"].as_array().unwrap();
        for (name, value) in url::form_urlencoded::parse(stream.query.as_bytes()) {
            let found = declared
                .iter()
                .map(|parameter| resolved(&document, parameter))
                .find(|parameter| parameter["name"] == *name);
            let schema = &found.unwrap_or_else(|| panic!("`{}` has no `{name}`", stream.name))["schema"];
            let validator = validator(&document, schema);
            let number = value.parse::<i64>().map(|number| json!(number));
            let forms = [json!(value), number.unwrap_or(Value::Null), json!([value])];
            assert!(forms.iter().any(|form| validator.is_valid(form)), "`{}`: {name}={value}", stream.name);
        }
    }
}

/// A validator for the bodies of each operation, made once.
struct Bodies<'a> {
    document: &'a Value,
    made: BTreeMap<String, jsonschema::Validator>,
}

impl Bodies<'_> {
    fn assert_valid(&mut self, path: &str, body: &Value, who: &str) {
        let document = self.document;
        let validator = self.made.entry(path.to_owned()).or_insert_with(|| {
            let operation = operation(document, "POST", path).unwrap();
            validator(document, &operation["requestBody"]["content"]["application/json"]["schema"])
        });
        let wrong: Vec<String> =
            validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{who} sends {body} to {path}: {}", wrong.join("; "));
    }
}

#[tokio::test]
async fn every_body_that_a_run_sends_validates_against_the_document() {
    let Some(document) = document() else { return };
    let mut bodies = Bodies { document: &document, made: BTreeMap::new() };
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for event_streams in [true, false] {
        let mut export = Export::start(Place::Memory, account(), &["*"]).await;
        export.api.event_streams = event_streams;
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
        for request in received.iter().filter(|request| request.method == "POST") {
            bodies.assert_valid(&request.path, &request.body, request.stream.as_deref().unwrap_or_default());
            seen.insert(request.path.clone());
        }
    }
    for stream in Catalog::embedded().unwrap().streams() {
        for (_, path) in operations(stream).into_iter().filter(|(method, _)| method == "POST") {
            assert!(seen.contains(&path), "{path} was never asked");
        }
    }
}

#[tokio::test]
async fn every_narrower_body_validates_against_the_document() {
    let Some(document) = document() else { return };
    let mut bodies = Bodies { document: &document, made: BTreeMap::new() };
    let export = Export::start(Place::Memory, account(), &["*"]).await;
    for stream in export.catalog.streams() {
        let Some(Fallback::Without(member)) = &stream.on_422 else { continue };
        let slice = Slice {
            stream: Arc::clone(stream),
            scope: export.first_scope(&stream.name),
            window: Some(days("2026-03-08", "2026-03-09")),
        };
        let facts = RequestFacts { without: [member.clone()].into(), ..RequestFacts::default() };
        let events = stream.event_stream.iter().map(|_| Transport::Events);
        for transport in events.chain([Transport::Pages]) {
            let request = Asked { slice: &slice, transport, facts: &facts, variables: &Variables::new() }
                .page(Some(&Cursor::Offset(50_000)));
            bodies.assert_valid(request.path(), request.body().unwrap(), &stream.name);
        }
    }
}

/// The schema of one row of an operation, where its responses have named rows.
fn row_schema<'a>(document: &'a Value, method: &str, path: &str) -> &'a Value {
    let response =
        &operation(document, method, path).unwrap()["responses"]["200"]["content"]["application/json"]["schema"];
    let response = resolved(document, response);
    let list = if response.get("items").is_some() { response } else { &response["properties"]["data"] };
    resolved(document, &resolved(document, list)["items"])
}

#[test]
fn every_member_of_a_row_is_a_column_or_left_to_extra_knowingly() {
    let Some(document) = document() else { return };
    let mut unknown = BTreeSet::new();
    let mut columns: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for stream in Catalog::embedded().unwrap().streams() {
        // Several streams of one endpoint share the schema of its rows; each asks for its own part.
        let own = columns.entry(stream.request.to_string()).or_default();
        own.extend(stream.columns.iter().map(|column| column.name.clone()));
    }
    for (request, columns) in columns {
        let (method, path) = request.split_once(' ').unwrap();
        let row = row_schema(&document, method, path);
        let title = row["title"].as_str().unwrap_or_default();
        for member in row["properties"].as_object().unwrap_or_else(|| panic!("{request} has no rows")).keys() {
            let positional = ["dimensions", "metrics"].contains(&member.as_str());
            let mut knowingly = LEFT_TO_EXTRA.iter().filter(|(schema, ..)| *schema == title);
            let left = knowingly.any(|(_, members, _)| members.contains(&member.as_str()));
            if !positional && !left && !columns.contains(member) {
                unknown.insert(format!("{request} ({title}): {member}"));
            }
        }
    }
    for (schema, members, reason) in LEFT_TO_EXTRA {
        let declared = &document["components"]["schemas"][schema]["properties"];
        assert!(members.iter().all(|member| declared.get(member).is_some()), "{schema}: {reason}");
    }
    assert!(
        unknown.is_empty(),
        "neither columns nor left to `_extra`:\n{}",
        unknown.into_iter().collect::<Vec<_>>().join("\n")
    );
}
