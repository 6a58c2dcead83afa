//! The status page, requested like browsers, probes and other sites do.

use std::net::SocketAddr;
use std::sync::Arc;

use profound_export::clock::Clock;
use profound_export::config::{Flag, Sources, load};
use profound_export::observe::ActivityMonitor;
use profound_export::server::StatusServer;
use profound_export::simulator::{Fault, FaultKind};
use profound_export::status::StatusCache;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::support::{Export, KEY, Place, account};

const STREAM: &str = "visibility_v2_by_day";

/// An exporter with a status page.
struct ExportWithPage {
    export: Export,
    cache: Arc<StatusCache>,
    live: ActivityMonitor,
    clock: Clock,
}

impl ExportWithPage {
    async fn start() -> Self {
        let export = Export::start(Place::Disk, account(), &["categories", STREAM]).await;
        let file = export.lake.directory().unwrap().with_file_name("jobs.toml");
        let streams = format!("[[job]]\nname = \"nightly\"\nstreams = [\"categories\", \"{STREAM}\"]\n");
        std::fs::write(&file, format!("[server]\nhosts = [\"exporter.example.com\"]\n{streams}")).unwrap();
        let lake = Flag::new("--set", "destination.url", export.lake.url());
        let sources = Sources { file: Some(file), ..Sources::default() }.with_flag(lake);
        let clock = Clock::starting_at(export.simulator.now());
        let live = ActivityMonitor::new(clock.clone());
        let events = live.events();
        export.listen(move |event| events.emit(event));
        let cache = Arc::new(StatusCache::new(Arc::new(load(&sources).unwrap()), clock.clone(), 90));
        Self { export, cache, live, clock }
    }

    fn server(&self) -> StatusServer {
        StatusServer::new(Arc::clone(&self.cache), self.live.clone(), self.clock.clone())
    }

    /// Serves while `check` runs.
    async fn serve(&self, server: StatusServer, check: impl AsyncFnOnce(SocketAddr)) {
        let listening = server.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listening.address();
        tokio::select! {
            () = listening.serve() => unreachable!("it serves for as long as it is polled"),
            () = check(address) => {}
        }
    }
}

/// The response to a request, head and body.
async fn response(address: SocketAddr, head: &str) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut response = Vec::new();
    connection.read_to_end(&mut response).await.unwrap();
    String::from_utf8(response).unwrap()
}

async fn get(address: SocketAddr, path: &str) -> String {
    response(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}")).await
}

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap()
}

#[tokio::test]
async fn health_is_answered_behind_any_number_of_idle_connections() {
    let shown = ExportWithPage::start().await;
    shown
        .serve(shown.server(), async |address| {
            let mut idle = Vec::new();
            for _ in 0..400 {
                idle.push(TcpStream::connect(address).await.unwrap());
            }
            // Far less than the time that a connection has for its request.
            let health = tokio::time::timeout(std::time::Duration::from_secs(5), get(address, "/livez")).await;
            assert_eq!(status(&health.unwrap()), "200");
        })
        .await;
}

#[tokio::test]
async fn page_and_json_show_a_run_and_no_key() {
    let shown = ExportWithPage::start().await;
    shown
        .serve(shown.server(), async |address| {
            assert_eq!(status(&get(address, "/readyz").await), "503", "not read yet");
            shown.cache.refresh().await.unwrap();
            assert_eq!(status(&get(address, "/readyz").await), "200");
            assert!(get(address, "/").await.contains("Nothing is exported yet."));

            assert!(shown.export.run().await.error.is_none());
            shown.cache.refresh().await.unwrap();
            let page = get(address, "/").await;
            assert!(page.contains("Everything due is exported.") && page.contains(STREAM), "{page}");
            let json = get(address, "/status.json").await;
            let json: serde_json::Value = serde_json::from_str(json.split("\r\n\r\n").nth(1).unwrap()).unwrap();
            assert_eq!((&json["verdict"]["tone"], &json["runs"][0]["outcome"]), (&"fresh".into(), &"complete".into()));

            assert_eq!(json["jobs"][0]["trend"][0]["outcome"], "complete");
            assert_eq!(
                (&json["problems"], &json["destination"]),
                (&serde_json::json!([]), &shown.export.lake.url().into())
            );

            let run = json["runs"][0]["run"].as_str().unwrap();
            let of_run = get(address, &format!("/run/{run}")).await;
            let slices = of_run.matches("published, ").count();
            assert!(of_run.contains(STREAM) && slices >= 2, "its slices: {of_run}");
            assert_eq!(status(&get(address, "/run/00000000-0000-0000-0000-000000000000").await), "404");
            let malformed = get(address, "/run/%3Cscript%3E").await;
            assert_eq!(status(&malformed), "404");
            assert!(malformed.contains("Run not found") && !malformed.contains("<script>"));
            let other = get(address, "/?category=nope").await;
            assert!(other.contains("The lake has no category <code>nope</code>: all are shown."), "{other}");
            let filtered = get(address, "/?stream=CATEG&show=").await;
            assert!(
                filtered.contains("1 of 2 streams") && !filtered.contains(&format!("stream/{STREAM}")),
                "{filtered}"
            );

            let category = shown.export.categories().remove(0);
            let of_stream = get(address, &format!("/stream/{STREAM}")).await;
            let of_category = get(address, &format!("/?category={category}")).await;
            let days = get(address, &format!("/days/{STREAM}?category={category}")).await;
            assert!(days.contains("\"scopes\":{\"provisional\":1}"), "one category alone: {days}");
            assert!(of_category.contains(STREAM) && !of_category.contains("2 categories"), "{of_category}");
            for shown in [page, json.to_string(), of_stream, of_category, of_run, days] {
                assert!(!shown.contains(KEY));
            }
            assert_eq!(status(&get(address, "/livez").await), "200");
        })
        .await;
}

#[tokio::test]
async fn page_says_that_the_key_was_rejected_and_what_to_do() {
    let shown = ExportWithPage::start().await;
    shown.export.run().await;
    let kind = FaultKind::RevokeKey;
    let fault = Fault { kind, stream: None, path: None, category: None, longer_than: None, after: 0, times: Some(1) };
    shown.export.simulator.inject(fault);
    shown.export.run().await;
    shown.cache.refresh().await.unwrap();
    shown
        .serve(shown.server(), async |address| {
            let page = get(address, "/").await;
            assert!(page.contains("The API rejected the key") && page.contains("Settings → API Keys"), "{page}");
        })
        .await;
    // Another process, which has only the ledger, shows the same.
    let other = ExportWithPage { live: ActivityMonitor::new(shown.clock.clone()), ..shown };
    other
        .serve(other.server(), async |address| {
            let page = get(address, "/").await;
            assert!(page.contains("The API rejected the key") && page.contains("Make a new key"), "{page}");
        })
        .await;
}

#[tokio::test]
async fn open_page_gets_an_event_when_a_run_ends() {
    let shown = ExportWithPage::start().await;
    shown
        .serve(shown.server(), async |address| {
            let mut connection = BufReader::new(TcpStream::connect(address).await.unwrap());
            let head = format!("GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n");
            connection.write_all(head.as_bytes()).await.unwrap();
            let mut until = async |wanted: &str| {
                let mut line = String::new();
                while !line.contains(wanted) {
                    line.clear();
                    assert_ne!(connection.read_line(&mut line).await.unwrap(), 0, "it ended before `{wanted}`");
                }
            };
            until("event: hello").await;
            shown.export.run().await;
            shown.cache.refresh().await.unwrap();
            until("event: changed").await;
        })
        .await;
}

#[tokio::test]
async fn only_reads_for_our_host_names_are_answered() {
    let shown = ExportWithPage::start().await;
    shown.cache.refresh().await.unwrap();
    shown
        .serve(shown.server(), async |address| {
            for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
                let rejected = response(address, &format!("{method} / HTTP/1.1\r\nHost: {address}")).await;
                assert_eq!(status(&rejected), "405", "{method}");
                assert!(rejected.to_lowercase().contains("allow: get, head"), "{rejected}");
            }
            for path in ["/", "/status.json", "/events", "/livez", "/stream/x"] {
                for host in ["evil.example", "127.0.0.1.evil.example", &format!("evil.example:{}", address.port())] {
                    let rejected = response(address, &format!("GET {path} HTTP/1.1\r\nHost: {host}")).await;
                    assert_eq!(status(&rejected), "421", "{path} of {host}");
                    assert!(!rejected.contains("evil"), "{rejected}");
                }
            }
            assert_eq!(status(&response(address, "GET / HTTP/1.0\r\nX: y").await), "421", "no host at all");
            assert_eq!(status(&response(address, "GET /livez HTTP/1.0\r\nX: y").await), "200", "a health check");
            assert_eq!(status(&response(address, "GET /livez HTTP/1.0\r\nHost: evil.example").await), "421");
            for host in ["exporter.example.com", "localhost:1", "10.0.0.7:9464", "[::1]:9464"] {
                assert_eq!(
                    status(&response(address, &format!("GET / HTTP/1.1\r\nHost: {host}")).await),
                    "200",
                    "{host}"
                );
            }
            let head = response(address, &format!("HEAD / HTTP/1.1\r\nHost: {address}")).await;
            assert!(status(&head) == "200" && head.ends_with("\r\n\r\n"), "no body: {head}");
            let long = format!("GET /{} HTTP/1.1\r\nHost: {address}", "x".repeat(100_000));
            assert_ne!(status(&response(address, &long).await), "200");
        })
        .await;
}

#[tokio::test]
async fn responses_forbid_foreign_scripts_frames_and_sniffing() {
    let shown = ExportWithPage::start().await;
    shown
        .serve(shown.server().with_metrics(|| "up 1\n".to_owned()), async |address| {
            for path in ["/", "/status.json", "/nothing", "/stream/%3Cb%3Ex", "/page.js", "/page.css", "/metrics"] {
                let response = get(address, path).await.to_lowercase();
                for header in [
                    "content-security-policy: default-src 'none'",
                    "frame-ancestors 'none'",
                    "x-content-type-options: nosniff",
                    "referrer-policy: no-referrer",
                    "cache-control: no-store",
                ] {
                    assert!(response.contains(header), "{path}: {header}");
                }
                assert!(!response.contains("access-control-allow-origin") && !response.contains("<b>x"), "{path}");
            }
            assert!(get(address, "/metrics").await.ends_with("up 1\n"));
            assert!(get(address, "/").await.contains("href=\"metrics\""));
        })
        .await;
    shown.serve(shown.server(), async |address| assert_eq!(status(&get(address, "/metrics").await), "404")).await;
}
