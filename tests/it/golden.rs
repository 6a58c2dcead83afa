//! The published examples of responses, read through the real client, and what they decode to.

mod example;
mod leaves;

use std::collections::BTreeSet;
use std::future::IntoFuture;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::Router;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use profound_export::api::{Client, ClientSettings, Request, RequestOptions, SliceRequest, Transport};
use profound_export::clock::Clock;
use profound_export::config::{ApiConfig, Sources, key};
use profound_export::decode::{Decoder, TableSchema};
use profound_export::model::block::Block;
use profound_export::model::event::EventSink;
use profound_export::model::slice::Slice;
use serde_json::{Value, json};

use self::example::{Example, directory, files, names_in};
use self::leaves::{leaves_of_answer, leaves_of_table};
use crate::support::lake::rows_of;
use crate::support::{KEY, days};

/// Members of a body that are equal in streams and examples; other members may request more.
const FIXED: [&str; 10] = [
    "asset",
    "asset_name",
    "category_id",
    "date_interval",
    "domain",
    "end_date",
    "entity",
    "interval",
    "start_date",
    "timezone",
];

/// A decoded example: rows of its table, the announced total, and undeclared members.
#[derive(Debug)]
struct Decoded {
    rows: Vec<Value>,
    total: Option<u64>,
    drift: Vec<String>,
    /// Columns that every stream with such a request expects, and no row has.
    missing: Vec<String>,
}

/// The request that the stream of `example` sends for the objects and days of the example.
fn request_of(example: &Example) -> Request {
    let stream = Arc::clone(&example.stream);
    let window = stream.is_dated().then(|| days("2026-08-10", "2026-08-11"));
    let slice = Slice { stream, scope: example.scope(), window };
    let transport = if example.is_events() { Transport::Events } else { Transport::Pages };
    let (options, variables) = (RequestOptions::default(), example.variables());
    SliceRequest { slice: &slice, transport, options: &options, variables: &variables }.page(None)
}

/// Calls `what` with a client of a server that gives one response to every request.
async fn with_server<T>(
    (status, headers, body): (StatusCode, HeaderMap, Vec<u8>),
    what: impl AsyncFnOnce(Client) -> T,
) -> T {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let router = Router::new().fallback(move || std::future::ready((status, headers, body)));
    let api = ApiConfig { base_url, ..ApiConfig::default() };
    let environment = [("PROFOUND_API_KEY".to_owned(), KEY.to_owned())].into();
    let key = key::read(&Sources { environment, ..Sources::default() }, &api).unwrap();
    // The `Date` of the server is the real time.
    let client =
        Client::new(ClientSettings { config: &api, clock: Clock::system(), events: EventSink::none() }, key).unwrap();
    tokio::select! {
        done = what(client) => done,
        _ = axum::serve(listener, router).into_future() => panic!("the server of the example ended"),
    }
}

/// Serves the body of `example` to the real client, and decodes it.
async fn decode(example: &Example) -> Result<Decoded, String> {
    let headers = [(CONTENT_TYPE, example.content_type.parse().unwrap())].into_iter().collect();
    let answer = (StatusCode::OK, headers, example.body.clone());
    with_server(answer, async |client| {
        let mut response = client.send(&request_of(example), &AtomicU64::new(0)).await.map_err(|e| e.to_string())?;
        let mut blocks = Vec::new();
        while let Some(ready) = response.next_blocks().await.map_err(|error| error.to_string())? {
            blocks.extend(ready);
        }
        let (rest, envelope, _) = response.finish().map_err(|error| error.to_string())?;
        blocks.extend(rest);
        let mut decoder = Decoder::new(Arc::new(TableSchema::new(&example.stream)));
        let mut rows = Vec::new();
        // Positions first: rows may precede the names of their values.
        for block in &blocks {
            if let Block::Positions(positions) = block {
                decoder.bind(positions);
            }
        }
        for block in blocks {
            if let Block::Rows { json, rows: count } = block {
                rows.extend(rows_of(&decoder.decode(&json, count).map_err(|error| error.to_string())?));
            }
        }
        let drift = decoder.drift().keys().cloned().collect();
        let missing = decoder.missing_columns();
        Ok(Decoded { rows, total: envelope.total(), drift, missing })
    })
    .await
}

async fn decoded(example: &Example) -> Decoded {
    decode(example).await.unwrap_or_else(|error| panic!("{}: {error}", example.file))
}

#[test]
fn streams_send_the_requests_of_the_examples() {
    for example in Example::all() {
        let Example { file, stream, operation, request, .. } = &example;
        let line = match &stream.event_stream {
            Some(path) if example.is_events() => format!("POST {path}"),
            _ => stream.request.to_string(),
        };
        assert_eq!(line, *operation, "{file}");
        assert_eq!(request_of(&example).path(), request["path"], "{file}");
        let [requested, declared] = example.groups();
        assert_eq!(requested, declared, "{file}");
        // The days of these two are undocumented.
        let backed = !["logs_raw_bots", "prompt_volume_on_the_fly"].contains(&stream.name.as_str());
        for (member, value) in request["body"].as_object().into_iter().flatten().filter(|_| backed) {
            let requested = request_of(&example).body().unwrap()[member].clone();
            assert!(
                !FIXED.contains(&member.as_str()) || requested == *value,
                "{file} has {member} {value}, the stream sends {requested}"
            );
        }
    }
}

#[tokio::test]
async fn published_examples_decode_to_the_reviewed_rows() {
    for example in Example::all() {
        let Decoded { rows, total, drift, missing } = decoded(&example).await;
        let Example { file, stream, .. } = &example;
        // Positional examples request fewer values than the stream, and rows of undocumented content have none.
        let is_short = stream.positional_names().is_some() || !drift.is_empty();
        assert!(missing.is_empty() || is_short, "{file} has no {missing:?}");
        assert!(!rows.is_empty(), "{file} has no row");
        // Some examples are the first of several pages.
        assert!(total.is_none_or(|total| rows.len() as u64 <= total), "{file}");
        assert_eq!(leaves_of_answer(stream, &example.rows()), leaves_of_table(stream, &rows), "{file}");
        // Some rows are shown with a made-up member, because their content is undocumented.
        assert!(drift.is_empty() || drift == ["example_key"], "{file} has {drift:?}");
        let shown = json!({"stream": stream.name, "total": total, "drift": drift, "rows": rows});
        insta::with_settings!({ snapshot_path => "../golden", prepend_module_to_snapshot => false, description => file }, {
            insta::assert_json_snapshot!(file.replace('.', "_"), shown);
        });
    }
}

/// `value` with objects in place of their JSON text, whose spacing may differ.
fn with_objects(value: &Value) -> Value {
    match value {
        Value::String(text) if text.starts_with('{') => serde_json::from_str(text).unwrap(),
        Value::Array(items) => items.iter().map(with_objects).collect(),
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), with_objects(member))).collect(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn event_stream_and_pages_hold_the_same_rows() {
    // The examples of positional reports do not show the same rows.
    let is_named = |example: &Example| example.is_events() && example.stream.positional_names().is_none();
    for example in Example::all().into_iter().filter(is_named) {
        let pages = Example::of(&example.file.replace(".stream.sse", ".json"));
        let [pages, events] =
            [decoded(&pages).await.rows, decoded(&example).await.rows].map(|rows| with_objects(&json!(rows)));
        assert_eq!(pages, events, "{}", example.file);
    }
}

#[tokio::test]
async fn rows_are_the_same_when_data_comes_before_info() {
    for example in Example::all().into_iter().filter(|example| !example.is_events()) {
        let whole: Value = serde_json::from_slice(&example.body).unwrap();
        let Value::Object(mut members) = whole else { continue };
        let Some(info) = members.shift_remove("info") else { continue };
        members.insert("info".into(), info);
        let turned = Example { body: serde_json::to_vec(&members).unwrap(), ..example.clone() };
        assert_ne!(turned.body, example.body);
        assert_eq!(decoded(&turned).await.rows, decoded(&example).await.rows, "{}", example.file);
    }
}

#[tokio::test]
async fn error_event_at_the_end_fails_the_event_stream() {
    let visibility = Example::of("visibility_v2.stream.sse");
    let body = example::read("robustness.stream.sse");
    let failed = decode(&Example { body, ..visibility }).await.unwrap_err();
    assert!(failed.ends_with("the response reports an error: query failed"), "{failed}");
}

#[tokio::test]
async fn errors_contain_the_message_of_the_api() {
    let request = request_of(&Example::of("visibility_v2.json"));
    let cases: Vec<Value> = serde_json::from_slice(&example::read("errors.json")).unwrap();
    let mut messages = Vec::new();
    // A 429 is retried, so it has tests of its own.
    for case in cases.iter().filter(|case| case["status"] != 429) {
        let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
        let body = case["body"].as_str().map_or_else(|| case["body"].to_string(), str::to_owned);
        let kind = case["headers"]["content-type"].as_str().unwrap();
        // No pause: only the message matters here.
        let headers = [(CONTENT_TYPE, kind.parse().unwrap()), (RETRY_AFTER, "0".parse().unwrap())];
        let answer = (StatusCode::from_u16(status).unwrap(), headers.into_iter().collect(), body.into_bytes());
        let refused = with_server(answer, async |client| client.send(&request, &AtomicU64::new(0)).await).await;
        messages.push(refused.unwrap_err().to_string());
    }
    let what = "stream `visibility_v2_by_model` of \"0055737f-ccd7-5a93-ba6d-75d3217417cd\"";
    let expected = [
        "the API rejected the key (HTTP 401: API Key missing in query parameters or headers)".to_owned(),
        "the API rejected the key (HTTP 401: Invalid API key)".to_owned(),
        format!("the account is not entitled to {what} (HTTP 403: Forbidden)"),
        format!(
            "the API rejected the request for {what} (HTTP 422: body.metrics.0: Input should be 'positive', 'negative' or 'occurrences')"
        ),
        format!(
            "the API rejected the request for {what} (HTTP 422: Unsupported group_by combination; use one dimension (or topic + model), optionally with date.)"
        ),
    ];
    let server_error = messages.pop().unwrap();
    assert!(
        server_error.starts_with(&format!("the API could not answer {what} (HTTP 502, 5 attempts in ")),
        "{server_error}"
    );
    assert!(server_error.ends_with(" s: 502 Bad Gateway)"), "{server_error}");
    assert_eq!(messages, expected);
}

#[test]
fn every_golden_file_belongs_to_an_example() {
    let read: BTreeSet<String> = Example::all().into_iter().map(|example| example.file).collect();
    let described =
        |file: &String| file.strip_suffix(".json").is_some_and(|stem| read.contains(&format!("{stem}.sse")));
    let unread = files().into_iter().filter(|file| !read.contains(file) && !described(file)).collect::<Vec<_>>();
    assert_eq!(unread, example::NO_ROWS);
    let snapshots = names_in(&directory()).into_iter().filter(|file| file.ends_with(".snap"));
    let reviewed = read.iter().map(|file| format!("{}.snap", file.replace('.', "_")));
    assert_eq!(snapshots.collect::<BTreeSet<_>>(), reviewed.collect());
}

#[test]
fn no_published_example_is_missing() {
    let document = std::env::var_os("PROFOUND_OPENAPI");
    let Some(published) = document.map(|path| Path::new(&path).with_file_name("examples")).filter(|path| path.is_dir())
    else {
        eprintln!("skipped: PROFOUND_OPENAPI is not set, or has no `examples` next to it");
        return;
    };
    for file in names_in(&published).into_iter().filter(|file| !file.ends_with(".md")) {
        let [ours, theirs] = [directory(), published.clone()].map(|place| std::fs::read(place.join(&file)).ok());
        assert!(ours == theirs, "{file} is not the published one");
    }
}
