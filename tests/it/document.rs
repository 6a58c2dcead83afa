//! The catalog against the vendor's own document, which is not part of this repository.
//!
//! `PROFOUND_OPENAPI` names the file; without it these tests print so and pass.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use profound_export::api::{Request, RequestOptions, SliceRequest, Transport, Variables};
use profound_export::catalog::{Catalog, NotExported, NotExportedKind};
use profound_export::model::scope::{Named, Scope, ScopePart};
use profound_export::model::slice::Slice;
use profound_export::model::stream::{Cursor, DaysKind, EndpointStatus, Fallback, Stream};
use profound_export::run::Outcome;
use serde_json::{Value, json};

use crate::support::{Export, Place, account, days};

/// The path of the document, if one is named.
fn path() -> Option<PathBuf> {
    let path = std::env::var_os("PROFOUND_OPENAPI").map(PathBuf::from);
    if path.is_none() {
        eprintln!("skipped: PROFOUND_OPENAPI is not set");
    }
    path
}

/// The file called `name` in the directory of the document.
pub fn file_next_to_document(name: &str) -> Option<String> {
    let path = path()?.with_file_name(name);
    std::fs::read_to_string(&path)
        .inspect_err(|error| eprintln!("skipped: {} cannot be read ({error})", path.display()))
        .ok()
}

/// The document, if one is named.
pub fn document() -> Option<Value> {
    let path = path()?;
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Some(serde_json::from_slice(&bytes).expect("the document is JSON"))
}

/// The schema of a JSON pointer's value, with everything it refers to. Formats are not asserted: version 1 declares
/// dates as times and accepts both.
fn validator(document: &Value, schema: &Value) -> jsonschema::Validator {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    jsonschema::draft202012::new(&whole).expect("the document's schema is one")
}

/// The schema that an outermost `$ref` refers to.
pub fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(to) => {
            resolved(document, document.pointer(to.trim_start_matches('#')).expect("a reference leads somewhere"))
        }
        None => schema,
    }
}

pub fn operation<'a>(document: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    document["paths"].get(path)?.get(method.to_lowercase())
}

/// Method and path of every request of a stream, as the document writes them.
pub fn operations(stream: &Stream) -> Vec<(String, String)> {
    let line = stream.request.to_string();
    let (method, path) = line.split_once(' ').unwrap();
    let events = stream.event_stream.iter().map(|path| ("POST".to_owned(), path.clone()));
    [(method.to_owned(), path.to_owned())].into_iter().chain(events).collect()
}

/// The streams that the document knows.
pub fn documented() -> Vec<Arc<Stream>> {
    let catalog = Catalog::embedded().unwrap();
    catalog.streams().filter(|stream| stream.status != EndpointStatus::Undocumented).cloned().collect()
}

#[test]
fn every_request_is_a_documented_operation() {
    let Some(document) = document() else { return };
    for stream in Catalog::embedded().unwrap().streams() {
        let documented = stream.status != EndpointStatus::Undocumented;
        for (method, path) in operations(stream) {
            let found = operation(&document, &method, &path).is_some();
            assert_eq!(found, documented, "`{}`: {method} {path}", stream.name);
        }
    }
}

#[test]
fn every_documented_operation_is_a_stream_or_has_a_reason() {
    let Some(document) = document() else { return };
    let requested: BTreeSet<String> = documented()
        .iter()
        .flat_map(|stream| operations(stream))
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    let listed: BTreeMap<String, NotExportedKind> =
        NotExported::all().unwrap().into_iter().map(|listed| (listed.request, listed.kind)).collect();
    let mut operations = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        operations
            .extend(methods.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())));
    }
    for operation in &operations {
        assert!(requested.contains(operation) != listed.contains_key(operation), "{operation}: neither or both");
    }
    for (request, kind) in &listed {
        assert_eq!(operations.contains(request), *kind == NotExportedKind::Writes, "{request}");
    }
}

/// A value for each variable of a stream: one that its column knows, if it knows some.
fn made_up_variables(stream: &Stream) -> Variables {
    let parent = stream.parent.iter();
    let taken = parent.clone().flat_map(|parent| parent.bind.keys());
    let set = parent.flat_map(|parent| &parent.variants).flat_map(|variant| variant.set.keys());
    let names = taken.chain(set).chain(&stream.parameters);
    let value = |name: &String| stream.column(name).and_then(|column| column.values.first()).cloned();
    names.map(|name| (name.clone(), value(name).unwrap_or_else(|| MADE_UP_ID.into()))).collect()
}

const MADE_UP_ID: &str = "0055737f-ccd7-5a93-ba6d-75d3217417cd";

/// A slice of `stream` for made-up objects.
pub fn made_up_slice(stream: &Arc<Stream>) -> Slice {
    let named = |part| {
        let has = stream.scope.parts().contains(&part);
        has.then(|| Named { id: MADE_UP_ID.into(), name: "www.example.com".into() })
    };
    let scope = Scope {
        organization: named(ScopePart::Organization),
        category: named(ScopePart::Category),
        asset: named(ScopePart::Asset),
        domain: named(ScopePart::Domain),
    };
    let window = stream.days.as_ref().map(|requested| match requested.kind {
        DaysKind::Dated => days("2026-03-08", "2026-03-09"),
        DaysKind::Window => days("2026-03-08", "2026-03-08"),
        DaysKind::Week => days("2026-03-02", "2026-03-08"),
        DaysKind::Month => days("2026-03-01", "2026-03-31"),
    });
    Slice { stream: Arc::clone(stream), scope, window }
}

/// The first request of `stream` over every transport, for made-up objects.
pub fn first_requests(stream: &Arc<Stream>) -> Vec<Request> {
    let slice = made_up_slice(stream);
    let (options, variables) =
        (RequestOptions { many_organizations: true, ..RequestOptions::default() }, made_up_variables(stream));
    let events = stream.event_stream.iter().map(|_| Transport::Events);
    let requested =
        |transport| SliceRequest { slice: &slice, transport, options: &options, variables: &variables }.page(None);
    events.chain([Transport::Pages]).map(requested).collect()
}

#[test]
fn every_query_parameter_is_documented() {
    let Some(document) = document() else { return };
    for stream in documented() {
        let (method, path) = operations(&stream).remove(0);
        let declared = operation(&document, &method, &path).unwrap()["parameters"].as_array().cloned();
        let declared = declared.unwrap_or_default();
        let mut requested: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for request in first_requests(&stream) {
            for (name, value) in url::form_urlencoded::parse(request.query().as_bytes()) {
                requested.entry(name.into_owned()).or_default().push(value.into_owned());
            }
        }
        for (name, values) in &requested {
            let found = declared
                .iter()
                .map(|parameter| resolved(&document, parameter))
                .find(|parameter| parameter["name"] == **name);
            let schema = &found.unwrap_or_else(|| panic!("`{}` has no `{name}`", stream.name))["schema"];
            let validator = validator(&document, schema);
            // `true` and `100` are no texts where the document wants a number or a switch.
            let read = serde_json::from_str::<Value>(&values[0]).ok();
            let mut forms = [json!(values[0]), json!(values)].into_iter().chain(read);
            assert!(forms.any(|form| validator.is_valid(&form)), "`{}`: {name}={values:?}", stream.name);
        }
        let required = declared
            .iter()
            .map(|parameter| resolved(&document, parameter))
            .filter(|parameter| parameter["in"] == "query" && parameter["required"] == true);
        for parameter in required {
            assert!(
                requested.contains_key(parameter["name"].as_str().unwrap()),
                "`{}`: {}",
                stream.name,
                parameter["name"]
            );
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

#[test]
fn every_first_body_validates_against_the_document() {
    let Some(document) = document() else { return };
    let mut bodies = Bodies { document: &document, made: BTreeMap::new() };
    for stream in documented() {
        let paths: Vec<String> = operations(&stream).into_iter().map(|(_, path)| path).rev().collect();
        for (request, path) in first_requests(&stream).iter().zip(&paths) {
            if let Some(body) = request.body() {
                bodies.assert_valid(path, body, &stream.name);
            }
        }
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
        let documented = |path: &str| operation(&document, "POST", path).is_some();
        for request in received.iter().filter(|request| request.method == "POST" && documented(&request.path)) {
            bodies.assert_valid(&request.path, &request.body, request.stream.as_deref().unwrap_or_default());
            seen.insert(request.path.clone());
        }
    }
    // Streams with parameters of a user are covered by their first request.
    for stream in documented().iter().filter(|stream| stream.parameters.is_empty()) {
        for (_, path) in operations(stream).into_iter().filter(|(method, _)| method == "POST") {
            assert!(seen.contains(&path), "{path} was never requested");
        }
    }
}

#[test]
fn every_narrower_body_validates_against_the_document() {
    let Some(document) = document() else { return };
    let mut bodies = Bodies { document: &document, made: BTreeMap::new() };
    for stream in documented() {
        let Some(Fallback::Without(member)) = &stream.on_422 else { continue };
        let slice = made_up_slice(&stream);
        let options = RequestOptions { without: [member.clone()].into(), ..RequestOptions::default() };
        let variables = made_up_variables(&stream);
        let events = stream.event_stream.iter().map(|_| Transport::Events);
        for transport in events.chain([Transport::Pages]) {
            let request = SliceRequest { slice: &slice, transport, options: &options, variables: &variables }
                .page(Some(&Cursor::Offset(50_000)));
            bodies.assert_valid(request.path(), request.body().unwrap(), &stream.name);
        }
    }
}
