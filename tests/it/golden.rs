//! The published examples of responses, read through the real client, and what they decode to.

use std::future::IntoFuture;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use profound_export::api::{Asked, Client, ClientSettings, RequestFacts, Transport, Variables};
use profound_export::catalog::Catalog;
use profound_export::clock::Clock;
use profound_export::config::{ApiConfig, Sources, key};
use profound_export::decode::{Decoder, TableSchema};
use profound_export::model::block::Block;
use profound_export::model::scope::{Named, Scope};
use profound_export::model::slice::Slice;
use serde_json::{Value, json};

use crate::support::lake::rows_of;
use crate::support::{KEY, days};

/// Each example, and the stream whose rows it holds.
const EXAMPLES: [(&str, &str); 27] = [
    ("organizations.json", "organizations"),
    ("regions.json", "regions"),
    ("models.json", "models"),
    ("domains.json", "domains"),
    ("assets.json", "assets"),
    ("personas.json", "personas"),
    ("categories.json", "categories"),
    ("category_topics.json", "category_topics"),
    ("category_tags.json", "category_tags"),
    ("prompts.json", "prompts"),
    ("answers_v1.json", "answers_v1"),
    ("answers_v2.json", "answers_v2"),
    ("answers_v2.stream.sse", "answers_v2"),
    ("visibility_v1.json", "visibility_v1"),
    ("visibility_v1.stream.sse", "visibility_v1"),
    ("citations_v1.json", "citations_v1"),
    ("citations_v1.stream.sse", "citations_v1"),
    ("visibility_v2.json", "visibility_v2"),
    ("visibility_v2.stream.sse", "visibility_v2"),
    ("citations_v2.json", "citations_v2_domain_by_model"),
    ("citations_v2.stream.sse", "citations_v2_domain_by_model"),
    ("sentiment_v2.json", "sentiment_v2_by_theme"),
    ("sentiment_v2.stream.sse", "sentiment_v2_by_theme"),
    ("query_fanouts_v2.json", "query_fanouts_v2_by_query"),
    ("query_fanouts_v2.stream.sse", "query_fanouts_v2_by_query"),
    ("bots_v2.json", "bots_v2"),
    ("referrals_v2.json", "referrals_v2"),
];

fn example(file: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)).unwrap()
}

/// What a server answers that sends `file`, and its content type.
fn body_of(file: &str) -> (Vec<u8>, &'static str) {
    let bytes = example(file);
    if file.ends_with(".sse") {
        return (bytes, "text/event-stream; charset=utf-8");
    }
    let whole: Value = serde_json::from_slice(&bytes).unwrap();
    (serde_json::to_vec(&whole["response"]["body"]).unwrap(), "application/json")
}

/// What came of an example: rows of its table, the announced total, and members the catalog does not know.
#[derive(Debug)]
struct Decoded {
    rows: Vec<Value>,
    total: Option<u64>,
    drift: Vec<String>,
}

/// Serves `body` whatever is asked, asks for `stream` with the real client, and decodes what comes.
async fn read(stream: &str, body: Vec<u8>, kind: &'static str) -> Result<Decoded, String> {
    let catalog = Catalog::embedded().unwrap();
    let stream = Arc::clone(catalog.get(stream).unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let router = Router::new().fallback(move || std::future::ready(([(CONTENT_TYPE, kind)], body)));
    let reading = async {
        let api = ApiConfig { base_url, ..ApiConfig::default() };
        let environment = [("PROFOUND_API_KEY".to_owned(), KEY.to_owned())].into();
        let key = key::read(&Sources { environment, ..Sources::default() }, &api).unwrap();
        // The server tells the real time.
        let settings = ClientSettings { config: &api, clock: Clock::system() };
        let client = Client::new(settings, key).unwrap();
        let named = |id: &str| Some(Named { id: id.into(), name: id.into() });
        let scope = Scope { category: named("c"), ..Scope::default() };
        let window = stream.is_dated().then(|| days("2026-08-10", "2026-08-11"));
        let slice = Slice { stream: Arc::clone(&stream), scope, window };
        let events = kind.starts_with("text/event-stream");
        let transport = if events { Transport::Events } else { Transport::Pages };
        let facts = RequestFacts::default();
        let request = Asked { slice: &slice, transport, facts: &facts, variables: &Variables::new() }.page(None);
        let mut response = client.send(&request, &AtomicU64::new(0)).await.map_err(|error| error.to_string())?;
        let mut blocks = Vec::new();
        while let Some(ready) = response.next_blocks().await.map_err(|error| error.to_string())? {
            blocks.extend(ready);
        }
        let (rest, envelope, _) = response.finish().map_err(|error| error.to_string())?;
        blocks.extend(rest);
        let mut decoder = Decoder::new(Arc::new(TableSchema::of(&stream)));
        let mut rows = Vec::new();
        // Positions first: rows may stand before what binds them.
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
        Ok(Decoded { rows, total: envelope.total(), drift })
    };
    tokio::select! {
        done = reading => done,
        _ = axum::serve(listener, router).into_future() => panic!("the server of the example ended"),
    }
}

#[tokio::test]
async fn published_examples_decode_to_the_batches_that_were_reviewed() {
    for (file, stream) in EXAMPLES {
        let (body, kind) = body_of(file);
        let decoded = read(stream, body, kind).await.unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(!decoded.rows.is_empty(), "{file} holds no row");
        // Some examples are the first of several pages.
        assert!(decoded.total.is_none_or(|total| decoded.rows.len() as u64 <= total), "{file}");
        let shown = json!({"stream": stream, "total": decoded.total, "drift": decoded.drift, "rows": decoded.rows});
        insta::with_settings!({ snapshot_path => "../golden", prepend_module_to_snapshot => false, description => file }, {
            insta::assert_json_snapshot!(file.replace('.', "_"), shown);
        });
    }
}

#[tokio::test]
async fn event_stream_and_pages_hold_the_same_rows() {
    for stream in ["answers_v2", "visibility_v2", "citations_v2", "sentiment_v2", "query_fanouts_v2"] {
        let rows = async |ending: &str| {
            let file = format!("{stream}.{ending}");
            let (_, name) = EXAMPLES.iter().find(|(example, _)| *example == file).unwrap();
            let (body, kind) = body_of(&file);
            read(name, body, kind).await.unwrap().rows
        };
        assert_eq!(rows("json").await, rows("stream.sse").await, "{stream}");
    }
}

#[tokio::test]
async fn rows_are_the_same_when_data_comes_before_info() {
    for (file, stream) in EXAMPLES.iter().filter(|(file, _)| file.ends_with(".json")) {
        let (body, kind) = body_of(file);
        let whole: Value = serde_json::from_slice(&body).unwrap();
        let Value::Object(mut members) = whole else { continue };
        let Some(info) = members.shift_remove("info") else { continue };
        members.insert("info".into(), info);
        let turned = serde_json::to_vec(&members).unwrap();
        assert_ne!(turned, body);
        assert_eq!(
            read(stream, turned, kind).await.unwrap().rows,
            read(stream, body, kind).await.unwrap().rows,
            "{file}"
        );
    }
}

#[tokio::test]
async fn error_at_the_end_of_a_stream_fails_it_after_everything_a_parser_may_meet() {
    let (body, kind) = body_of("robustness.stream.sse");
    let failed = read("visibility_v2", body, kind).await.unwrap_err();
    assert!(failed.contains("the event stream reported"), "{failed}");
}
