//! The responses of the simulator against the vendor's own document, which is not part of this repository.
//!
//! Two things are left open on purpose: any value may be null, since the exporter must accept it, and members that the
//! exporter adds from the scope anyway are left out.

use std::sync::Arc;

use profound_export::api::{Request, RequestOptions, SliceRequest, Transport, Variables};
use profound_export::catalog::Catalog;
use profound_export::model::scope::Scope;
use profound_export::model::slice::Slice;
use profound_export::model::stream::{DaysKind, Method, Stream};
use profound_export::model::window::Window;
use profound_export::simulator::{Account, Simulator};
use serde_json::{Value, json};

use crate::document::{document, operation, resolved};
use crate::support::{KEY, account, days};

/// Allows null wherever `schema` has a type or an enumeration, and leaves out the members of `scope`.
fn loosened(schema: &mut Value, of_scope: &[&str]) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(one)) = members.get("type").cloned() {
                members.insert("type".into(), json!([one, "null"]));
            }
            if let Some(Value::Array(values)) = members.get_mut("enum") {
                values.push(Value::Null);
            }
            if let Some(Value::Array(required)) = members.get_mut("required") {
                required.retain(|name| !name.as_str().is_some_and(|name| of_scope.contains(&name)));
            }
            members.values_mut().for_each(|member| loosened(member, of_scope));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| loosened(item, of_scope)),
        _ => {}
    }
}

fn validator(document: &Value, schema: &Value) -> jsonschema::Validator {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    jsonschema::draft202012::new(&whole).expect("the document's schema is one")
}

/// The first problems of `value`, each with its place.
fn problems(validator: &jsonschema::Validator, value: &Value) -> Vec<String> {
    let describe = |error: jsonschema::ValidationError<'_>| {
        let text: String = error.to_string().chars().take(200).collect();
        format!("{}: {text}", error.instance_path())
    };
    validator.iter_errors(value).take(3).map(describe).collect()
}

async fn answer(simulator: &Simulator, stream: &Stream, request: &Request) -> String {
    let url = format!("{}{}?{}", simulator.url(), request.path(), request.query());
    #[expect(clippy::disallowed_methods, reason = "the raw response is needed, not the one that the exporter reads")]
    let client = {
        profound_export::http::install_tls();
        reqwest::Client::new()
    };
    let requested = match (stream.request.method, request.body()) {
        (Method::Post, Some(body)) => client.post(url).json(body),
        _ => client.get(url),
    };
    let response = requested.header("x-api-key", KEY).send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, 200, "`{}` is rejected: {text}", stream.name);
    text
}

/// A request of `stream` that has rows.
fn asked_for(simulator: &Simulator, stream: &Arc<Stream>) -> (Slice, Variables) {
    let window = stream.days.as_ref().map(|counting| match counting.kind {
        DaysKind::Week => days("2026-02-16", "2026-02-22"),
        DaysKind::Month => days("2026-02-01", "2026-02-28"),
        DaysKind::Dated | DaysKind::Window => days("2026-03-08", "2026-03-09"),
    });
    let scope: Scope = simulator.scopes(stream.scope).remove(0);
    let slice = |window: Option<Window>| Slice { stream: Arc::clone(stream), scope: scope.clone(), window };
    if !stream.parameters.is_empty() {
        return (slice(window), stream.parameters.iter().map(|name| (name.clone(), format!("a {name}"))).collect());
    }
    let (day, variables) = simulator.requests_for(stream, &scope, window).remove(0);
    let counting = stream.days.as_ref();
    (slice(day.and_then(|day| Some(counting?.span(day))).or(window)), variables)
}

#[tokio::test]
async fn every_answer_of_the_simulator_validates_against_the_document() {
    let Some(document) = document() else { return };
    let catalog = Arc::new(Catalog::embedded().unwrap());
    let account = Account { categories: 1, ..account() };
    let simulator = Simulator::start(Arc::clone(&catalog), account).await.unwrap();
    let options = RequestOptions { many_organizations: true, ..RequestOptions::default() };
    let mut wrong = Vec::new();
    for stream in catalog.streams() {
        let method = stream.request.to_string().split_once(' ').unwrap().0.to_owned();
        // An undocumented operation has no schema.
        let Some(operation) = operation(&document, &method, &stream.request.path) else { continue };
        let of_scope: Vec<&str> = stream
            .scope
            .parts()
            .iter()
            .flat_map(|part| {
                let (id, name) = part.columns();
                id.into_iter().chain([name])
            })
            .collect();
        let mut document = document.clone();
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        let mut schema = schema.clone();
        loosened(&mut document["components"], &of_scope);
        loosened(&mut schema, &of_scope);
        let (slice, variables) = asked_for(&simulator, stream);
        let requested =
            |transport| SliceRequest { slice: &slice, transport, options: &options, variables: &variables }.page(None);
        let text = answer(&simulator, stream, &requested(Transport::Pages)).await;
        let body: Value = serde_json::from_str(&text).unwrap();
        for problem in problems(&validator(&document, &schema), &body) {
            wrong.push(format!("{}: {problem}", stream.name));
        }
        let Some(path) = &stream.event_stream else { continue };
        let of_events = document["paths"][path]["post"]["responses"]["200"]["content"]["text/event-stream"].clone();
        let mut parts = of_events["schema"]["oneOf"].as_array().unwrap().clone();
        parts.iter_mut().for_each(|part| loosened(part, &of_scope));
        let text = answer(&simulator, stream, &requested(Transport::Events)).await;
        let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let validators = [validator(&document, &parts[0]), validator(&document, &parts[1])];
        for (number, event) in events.take(6).enumerate() {
            let event: Value = serde_json::from_str(event).unwrap();
            for problem in problems(&validators[number.min(1)], &event) {
                wrong.push(format!("{} as events: {problem}", stream.name));
            }
        }
        assert!(resolved(&document, &parts[1]).is_object());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
