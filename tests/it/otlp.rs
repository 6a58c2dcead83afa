//! Traces and metrics as a collector receives them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use profound_export::catalog::Catalog;
use profound_export::observe::{FAMILIES, MetricKind};
use profound_export::simulator::{Account, Fault, FaultKind, Simulator};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::built::program;
use crate::support::{KEY, account};

/// A received request: path, content type, body.
type Received = Arc<Mutex<Vec<(String, String, Vec<u8>)>>>;

/// A collector on this machine, for as long as what serves it is kept.
async fn collector() -> (String, Received, JoinSet<std::io::Result<()>>) {
    async fn take(State(received): State<Received>, uri: Uri, headers: HeaderMap, body: Bytes) {
        let content_type = headers["content-type"].to_str().unwrap().to_owned();
        received.lock().unwrap().push((uri.path().to_owned(), content_type, body.to_vec()));
    }
    let received = Received::default();
    let router = Router::new().fallback(take).with_state(Arc::clone(&received));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, router).await });
    (url, received, serving)
}

/// A run of the built program, in which a slice fails, with `variables`.
async fn run(simulator: &Simulator, variables: &[(&str, &str)]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let jobs = "[[job]]\nname = \"nightly\"\nstreams = [\"visibility_v2_by_day\", \"prompts\"]\n";
    std::fs::write(directory.path().join("jobs.toml"), jobs).unwrap();
    let mut program = program(directory.path(), simulator);
    program.arg("run").envs(variables.iter().copied());
    tokio::task::spawn_blocking(move || (directory, program.output().unwrap())).await.unwrap().1
}

async fn simulator() -> Simulator {
    let account = Account { now: None, ..account() };
    let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
    simulator.inject(Fault {
        kind: FaultKind::Status { code: 400, retry_after: None, reset: None },
        stream: Some("visibility_v2_by_day".to_owned()),
        path: None,
        category: None,
        longer_than: None,
        after: 0,
        times: None,
    });
    simulator
}

fn attributes(of: &Value) -> BTreeMap<&str, &Value> {
    let attributes = of["attributes"].as_array().unwrap();
    attributes.iter().map(|one| (one["key"].as_str().unwrap(), &one["value"])).collect()
}

#[tokio::test]
async fn run_is_a_trace_of_slices_and_requests_and_its_metrics_have_their_names() {
    let ((url, received, _serving), simulator) = (collector().await, simulator().await);
    let ended =
        run(&simulator, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &url), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")]).await;
    assert_eq!(ended.status.code(), Some(1), "{}", String::from_utf8_lossy(&ended.stderr));
    let received = received.lock().unwrap().clone();
    let of = |path: &str| -> Vec<Value> {
        let bodies = received.iter().filter(|(to, content_type, _)| to == path && content_type == "application/json");
        bodies.map(|(_, _, body)| serde_json::from_slice(body).unwrap()).collect()
    };

    let traces = of("/v1/traces");
    let resources: Vec<&Value> = traces.iter().flat_map(|body| body["resourceSpans"].as_array().unwrap()).collect();
    assert_eq!(attributes(&resources[0]["resource"])["service.name"]["stringValue"], "profound-export");
    let scopes = resources.iter().flat_map(|resource| resource["scopeSpans"].as_array().unwrap());
    let spans: Vec<&Value> = scopes.flat_map(|scope| scope["spans"].as_array().unwrap()).collect();
    let named = |name: &str| spans.iter().filter(|span| span["name"] == name).copied().collect::<Vec<_>>();
    let (runs, slices, requests) = (named("run"), named("slice"), named("request"));
    assert_eq!((runs.len(), requests.len()), (1, simulator.requests().len()));
    // Two categories that fail as event streams and as pages, and spans that exist once for all.
    let failed: Vec<_> = slices.iter().filter(|span| span["status"]["code"] == 2).collect();
    assert_eq!(failed.len(), 4);
    assert!(failed.iter().all(|span| attributes(span)["stream"]["stringValue"] == "visibility_v2_by_day"));
    assert!(slices.len() > 2 && slices.iter().all(|span| span["parentSpanId"] == runs[0]["spanId"]));
    let parents: BTreeSet<&str> = slices.iter().chain(&runs).map(|span| span["spanId"].as_str().unwrap()).collect();
    for span in requests.iter().chain(&slices) {
        assert_eq!(span["traceId"], runs[0]["traceId"]);
        assert!(parents.contains(span["parentSpanId"].as_str().unwrap()), "{span}");
    }
    let refused = requests.iter().filter(|span| attributes(span)["http.response.status_code"]["intValue"] == "400");
    assert!(refused.clone().all(|span| failed.iter().any(|slice| slice["spanId"] == span["parentSpanId"])));
    assert!(refused.count() > 0);
    let run = attributes(runs[0]);
    assert_eq!((&run["job"]["stringValue"], &run["outcome"]["stringValue"]), (&"nightly".into(), &"failed".into()));

    let bodies = of("/v1/metrics");
    let last = bodies.last().expect("what was counted is sent at the end");
    let metrics = last["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap();
    let names: BTreeSet<&str> = metrics.iter().map(|metric| metric["name"].as_str().unwrap()).collect();
    let known: BTreeSet<&str> = FAMILIES.iter().map(|family| family.name).collect();
    assert!(names.is_subset(&known));
    for name in ["requests_total", "request_duration_seconds", "runs_total", "budget_limit_requests", "build_info"] {
        assert!(names.contains(format!("profound_export_{name}").as_str()), "{name}: {names:?}");
    }
    for metric in metrics {
        let family = FAMILIES.iter().find(|family| metric["name"] == family.name).unwrap();
        let form = match family.kind {
            MetricKind::Counter => "sum",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        assert!(!metric[form]["dataPoints"].as_array().unwrap().is_empty(), "{metric}");
    }
    let all = received.iter().map(|(_, _, body)| String::from_utf8_lossy(body)).collect::<String>();
    assert!(!all.contains(KEY));
}

#[tokio::test]
async fn protobuf_is_the_default_and_nothing_is_sent_if_no_endpoint() {
    let ((url, received, _serving), simulator) = (collector().await, simulator().await);
    run(&simulator, &[]).await;
    run(&simulator, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &url), ("OTEL_SDK_DISABLED", "true")]).await;
    assert!(received.lock().unwrap().is_empty());
    run(&simulator, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &url), ("OTEL_METRICS_EXPORTER", "none")]).await;
    let received = received.lock().unwrap();
    assert!(!received.is_empty());
    assert!(received.iter().all(|(path, kind, _)| path == "/v1/traces" && kind == "application/x-protobuf"));
}

#[tokio::test]
async fn failing_collector_is_logged_and_fails_no_run() {
    let simulator = simulator().await;
    simulator.clear_faults();
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    for (variables, message) in [
        (vec![endpoint], "telemetry data will be lost"),
        (vec![endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "`grpc` is not spoken here"),
    ] {
        let ended = run(&simulator, &variables).await;
        let log = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(0), "{log}");
        assert!(log.contains(message), "{log}");
    }
}
