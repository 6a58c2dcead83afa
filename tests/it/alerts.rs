//! Alerts of the built program, sent to receivers that check each message against its vendor's documentation.
#![cfg(unix)]

use std::fs;
use std::future::IntoFuture;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use hmac::{Hmac, KeyInit, Mac};
use profound_export::catalog::Catalog;
use profound_export::simulator::{Account, Fault, FaultKind, Simulator};
use serde_json::Value;
use sha2::Sha256;
use tempfile::TempDir;
use tokio::io::AsyncBufReadExt as _;
use tokio::process::Command;

use crate::support::{KEY, account};

/// A message that a receiver got.
#[derive(Debug, Clone)]
struct Message {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Message {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Accepts every request after it answered the first few with an error.
#[derive(Clone)]
struct Receiver {
    got: Arc<Mutex<Vec<Message>>>,
    arrived: Arc<tokio::sync::Notify>,
    errors: Arc<AtomicUsize>,
    status: StatusCode,
    /// The `Retry-After` of an error.
    retry_after: Option<&'static str>,
    address: String,
}

impl Receiver {
    async fn start(status: StatusCode, errors: usize) -> Self {
        Self::asking(status, errors, None).await
    }

    async fn asking(status: StatusCode, errors: usize, retry_after: Option<&'static str>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let errors = Arc::new(AtomicUsize::new(errors));
        let receiver = Self { got: Arc::default(), arrived: Arc::default(), errors, status, retry_after, address };
        let router = Router::new().fallback(receive).with_state(receiver.clone());
        #[expect(clippy::disallowed_methods, reason = "a receiver of its own, which ends with the test")]
        tokio::spawn(axum::serve(listener, router).into_future());
        receiver
    }

    /// Key and state of every message to `path`.
    fn keys_and_states(&self, path: &str) -> Vec<String> {
        let keys_and_states = |got: &Message| format!("{} {}", got.json()["key"], got.json()["state"]).replace('"', "");
        self.at(path).iter().map(keys_and_states).collect()
    }

    /// Waits until `path` got `count` messages.
    async fn until(&self, path: &str, count: usize) {
        let arrived = async {
            while self.at(path).len() < count {
                self.arrived.notified().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), arrived).await.unwrap();
    }

    fn at(&self, path: &str) -> Vec<Message> {
        self.got.lock().unwrap().iter().filter(|got| got.path == path).cloned().collect()
    }
}

async fn receive(
    State(receiver): State<Receiver>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap) {
    let got = Message { method, path: uri.path().to_owned(), headers, body: body.to_vec() };
    receiver.got.lock().unwrap().push(got);
    receiver.arrived.notify_one();
    let left = receiver.errors.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    let requested = receiver.retry_after.map(|wait| (RETRY_AFTER, HeaderValue::from_static(wait)));
    if left.is_ok() { (receiver.status, requested.into_iter().collect()) } else { (StatusCode::OK, HeaderMap::new()) }
}

/// An account, and a directory with a job and alerts.
struct Place {
    simulator: Simulator,
    directory: TempDir,
}

impl Place {
    async fn new(alerts: &str) -> Self {
        let account = Account { now: None, ..account() };
        let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let job = "[[job]]\nname = \"nightly\"\nstreams = [\"visibility_v2_by_day\"]\n";
        fs::write(directory.path().join("jobs.toml"), format!("{job}{alerts}")).unwrap();
        fs::write(directory.path().join("key"), KEY).unwrap();
        Self { simulator, directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn command(&self, verb: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_profound-export"));
        command
            .args(["--set", &format!("api.base_url={}", self.simulator.url())])
            .args(verb)
            .current_dir(self.path())
            .env("PROFOUND_API_KEY_FILE", "key")
            .kill_on_drop(true);
        command
    }

    /// Runs a command; returns its exit code and its whole output.
    async fn run(&self, verb: &[&str]) -> (i32, String) {
        let output = self.command(verb).output().await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    /// The API answers 400 for the event stream and the pages of both categories, which is not retried.
    fn fail_once(&self) {
        let kind = FaultKind::Status { code: 400, retry_after: None, reset: None };
        let stream = Some("visibility_v2_by_day".to_owned());
        self.simulator.inject(Fault {
            kind,
            stream,
            path: None,
            category: None,
            longer_than: None,
            after: 0,
            times: Some(4),
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_target_type_gets_one_firing_and_one_resolved_message() {
    let receiver = Receiver::start(StatusCode::OK, 0).await;
    let at = &receiver.address;
    let place = Place::new(&format!(
        r#"
[[alert]]
name = "hook"
type = "webhook"
url = "{at}/hook"
secret_file = "secret"
[[alert]]
name = "team"
type = "slack"
url_file = "slack-url"
[[alert]]
name = "on-call"
type = "pagerduty"
url = "{at}/v2/enqueue"
secret_file = "routing-key"
[[alert]]
name = "mail"
type = "command"
command = ["./mail", "an argument"]
[[alert]]
name = "dead-man"
type = "heartbeat"
url = "{at}/beat"
"#
    ))
    .await;
    fs::write(place.path().join("secret"), "signed with this\n").unwrap();
    fs::write(place.path().join("slack-url"), format!("{at}/services/T0/B0/token\n")).unwrap();
    fs::write(place.path().join("routing-key"), "0123456789abcdef0123456789abcdef").unwrap();
    let mail = place.path().join("mail");
    fs::write(
        &mail,
        "#!/bin/sh\nread -r body\necho \"$1|$PROFOUND_EXPORT_ALERT_STATE|$PROFOUND_API_KEY|$body\" >> mails\n",
    )
    .unwrap();
    fs::set_permissions(&mail, fs::Permissions::from_mode(0o755)).unwrap();

    let mut text = String::new();
    for wanted in [1, 1, 0, 0] {
        if wanted == 1 {
            place.fail_once();
        }
        let (code, log) = place.run(&["run"]).await;
        assert_eq!(code, wanted, "{log}");
        text.push_str(&log);
    }

    let states =
        |got: &[Message]| got.iter().map(|got| got.json()["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let hooks = receiver.at("/hook");
    let events: Vec<_> = hooks.iter().map(|got| got.json()["event"].clone()).collect();
    assert_eq!(states(&hooks).iter().filter(|state| *state == "firing").count(), hooks.len() / 2, "{events:?}");
    let of_job: Vec<Message> = hooks.iter().filter(|got| got.json()["key"] == "job_failed/nightly").cloned().collect();
    assert_eq!(states(&of_job), ["firing", "resolved"]);
    assert_eq!(of_job[0].json()["version"], 1);
    assert!(of_job[1].json()["resolved_at"].is_string());
    for got in &hooks {
        let header = |name: &str| got.headers[name].to_str().unwrap();
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"signed with this").unwrap();
        mac.update(format!("{}.", header("x-profound-export-timestamp")).as_bytes());
        mac.update(&got.body);
        let wanted = const_hex::encode(mac.finalize().into_bytes());
        assert_eq!(header("x-profound-export-signature"), format!("sha256={wanted}"));
    }

    let slacks = receiver.at("/services/T0/B0/token");
    assert_eq!(slacks.len(), hooks.len());
    slacks.iter().for_each(is_of_slack);

    let pages = receiver.at("/v2/enqueue");
    assert_eq!(pages.len(), hooks.len());
    pages.iter().for_each(is_of_pagerduty);
    let key = |action: &str| {
        let of_job =
            |got: &&Message| got.json()["payload"]["class"] == "job_failed" && got.json()["event_action"] == action;
        pages.iter().find(of_job).map(|got| got.json()["dedup_key"].clone())
    };
    assert!(key("trigger").is_some() && key("trigger") == key("resolve"));

    let mails = fs::read_to_string(place.path().join("mails")).unwrap();
    assert_eq!(mails.lines().count(), hooks.len(), "{mails}");
    assert!(
        mails
            .lines()
            .all(|mail| mail.starts_with("an argument|firing||{") || mail.starts_with("an argument|resolved||{"))
    );

    let beats = receiver.at("/beat");
    assert_eq!(beats.len(), 2, "one for each complete run");
    assert!(beats.iter().all(|beat| beat.method == Method::GET && beat.body.is_empty()));

    let config = place.run(&["config"]).await.1;
    for secret in [KEY, "signed with this", "T0/B0/token", "0123456789abcdef0123456789abcdef", "/hook"] {
        assert!(!text.contains(secret) && !config.contains(secret), "`{secret}` is shown");
        let book = fs::read_to_string(place.path().join("lake/_profound_export/alerts.json")).unwrap();
        assert!(!book.contains(secret), "`{secret}` is kept");
    }
    assert!(receiver.got.lock().unwrap().iter().all(|got| !format!("{got:?}").contains(KEY)));
}

/// Slack's "Sending messages using incoming webhooks": JSON with `text`, and blocks whose texts have at most 3000 characters.
fn is_of_slack(got: &Message) {
    assert_eq!((&got.method, got.headers["content-type"].to_str().unwrap()), (&Method::POST, "application/json"));
    let body = got.json();
    assert!(body["text"].as_str().is_some_and(|text| !text.is_empty() && !text.contains('<')));
    for block in body["blocks"].as_array().unwrap() {
        let texts: Vec<&Value> = match block["type"].as_str().unwrap() {
            "section" => vec![&block["text"]],
            "context" => block["elements"].as_array().unwrap().iter().collect(),
            other => panic!("a block of type {other}"),
        };
        for text in texts {
            assert_eq!(text["type"], "mrkdwn");
            assert!((1..=3000).contains(&text["text"].as_str().unwrap().chars().count()));
        }
    }
}

/// PagerDuty's "Send an alert event": the required fields and the allowed values.
fn is_of_pagerduty(got: &Message) {
    let body = got.json();
    assert_eq!(body["routing_key"].as_str().unwrap().len(), 32);
    assert!(["trigger", "resolve"].contains(&body["event_action"].as_str().unwrap()));
    assert!((1..=255).contains(&body["dedup_key"].as_str().unwrap().len()));
    let payload = &body["payload"];
    assert!((1..=1024).contains(&payload["summary"].as_str().unwrap().chars().count()));
    assert!(!payload["source"].as_str().unwrap().is_empty());
    assert!(["critical", "error", "warning", "info"].contains(&payload["severity"].as_str().unwrap()));
    assert!(payload["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    assert!(payload["custom_details"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_key_is_one_alert_and_a_new_key_resolves_it() {
    let receiver = Receiver::start(StatusCode::OK, 0).await;
    let alert = format!("[[alert]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{}/hook\"\n", receiver.address);
    let place = Place::new(&alert).await;
    assert_eq!(place.run(&["run"]).await.0, 0);
    fs::write(place.path().join("key"), "pk-a-key-that-is-no-more").unwrap();
    for _ in 0..2 {
        assert_eq!(place.run(&["run"]).await.0, 77);
    }
    fs::write(place.path().join("key"), KEY).unwrap();
    assert_eq!(place.run(&["run"]).await.0, 0);
    let keys_and_states: Vec<_> =
        receiver.at("/hook").iter().map(|got| format!("{} {}", got.json()["event"], got.json()["state"])).collect();
    assert_eq!(keys_and_states, [r#""key_rejected" "firing""#, r#""key_rejected" "resolved""#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_notification_is_retried_and_sent_by_the_next_run() {
    // Three attempts of the first run fail, and the first of the second.
    let receiver = Receiver::start(StatusCode::SERVICE_UNAVAILABLE, 4).await;
    let alert = format!(
        "[[alert]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{}/hook\"\nevents = [\"job_failed\"]\n",
        receiver.address
    );
    let place = Place::new(&alert).await;
    for _ in 0..2 {
        place.fail_once();
        let (code, log) = place.run(&["run"]).await;
        assert_eq!(code, 1, "{log}");
    }
    let got = receiver.at("/hook");
    assert_eq!(got.len(), 5);
    assert!(got.iter().all(|got| got.json()["state"] == "firing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_notification_is_an_error_and_each_run_retries_it() {
    let receiver = Receiver::start(StatusCode::FORBIDDEN, 100).await;
    let alert = format!(
        "[[alert]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{}/hook\"\nevents = [\"job_failed\"]\n",
        receiver.address
    );
    let place = Place::new(&alert).await;
    place.fail_once();
    let (code, log) = place.run(&["run"]).await;
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("rejected: HTTP 403"), "{log}");
    place.fail_once();
    assert_eq!(place.run(&["run"]).await.0, 1);
    assert_eq!(receiver.at("/hook").len(), 2);
}

fn hook(receiver: &Receiver) -> String {
    format!("[[alert]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{}/hook\"\n", receiver.address)
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_key_fires_once_and_the_next_run_resolves_it() {
    let receiver = Receiver::start(StatusCode::OK, 0).await;
    let place = Place::new(&hook(&receiver)).await;
    assert_eq!(place.run(&["run"]).await.0, 0);
    fs::remove_file(place.path().join("key")).unwrap();
    for _ in 0..2 {
        let (code, log) = place.run(&["run"]).await;
        assert_eq!(code, 78, "{log}");
    }
    assert_eq!(receiver.keys_and_states("/hook"), ["job_failed/nightly firing"]);
    let message = receiver.at("/hook")[0].json();
    assert!(message["summary"].as_str().unwrap().starts_with("nightly: could not start: "), "{message}");
    assert!(!message["action"].as_str().unwrap().is_empty());
    fs::write(place.path().join("key"), KEY).unwrap();
    assert_eq!(place.run(&["run"]).await.0, 0);
    assert_eq!(receiver.keys_and_states("/hook"), ["job_failed/nightly firing", "job_failed/nightly resolved"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unwritable_destination_fires_an_alert_in_run_and_serve() {
    let receiver = Receiver::start(StatusCode::OK, 0).await;
    let place = Place::new(&hook(&receiver)).await;
    fs::write(place.path().join("file"), "").unwrap();
    let (code, log) = place.run(&["--set", "destination.url=file/lake", "run"]).await;
    assert_eq!(code, 69, "{log}");
    let keys_and_states = receiver.keys_and_states("/hook");
    assert!(
        matches!(keys_and_states.as_slice(), [one] if one.starts_with("destination_trouble/") && one.ends_with(" firing")),
        "{keys_and_states:?}"
    );
    let jobs = fs::read_to_string(place.path().join("jobs.toml")).unwrap();
    fs::write(place.path().join("jobs.toml"), jobs.replace("[[alert]]", "cron = \"0 4 * * *\"\n[[alert]]")).unwrap();
    let (code, log) = place.run(&["--set", "destination.url=file/lake", "serve"]).await;
    assert_eq!(code, 69, "{log}");
    assert_eq!(
        receiver.keys_and_states("/hook"),
        [keys_and_states[0].clone(), keys_and_states[0].clone()],
        "the alert state cannot be stored"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn alert_state_follows_the_destination_after_a_reload() {
    let receiver = Receiver::start(StatusCode::OK, 0).await;
    let place = Place::new(&hook(&receiver)).await;
    let expires = |lake: &str| {
        let alerts = hook(&receiver);
        let api = "[api]\nkey_expires = \"2000-01-01\"\n";
        let job = "[[job]]\nname = \"nightly\"\nstreams = [\"visibility_v2_by_day\"]\ncron = \"0 0 29 2 *\"\n";
        let text = format!("{api}[destination]\nurl = \"{lake}\"\n{job}{alerts}");
        fs::create_dir_all(place.path().join(lake)).unwrap();
        fs::write(place.path().join("jobs.toml"), text).unwrap();
    };
    expires("one");
    let mut daemon = place.command(&["serve"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    receiver.until("/hook", 1).await;
    expires("two");
    let signal = |name: &str| {
        let id = daemon.id().unwrap().to_string();
        std::process::Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap();
    };
    signal("HUP");
    receiver.until("/hook", 2).await;
    signal("TERM");
    assert_eq!(daemon.wait().await.unwrap().code(), Some(0));
    assert!(receiver.keys_and_states("/hook").iter().all(|notified| notified == "key_expiring firing"));
    let destination =
        |got: &Message| got.json()["destination"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let mut destinations: Vec<_> = receiver.at("/hook").iter().map(destination).collect();
    // A reload may interrupt a delivery before its response, which then is repeated.
    destinations.dedup();
    assert_eq!(destinations, ["one", "two"]);
    for lake in ["one", "two"] {
        let book = fs::read_to_string(place.path().join(lake).join("_profound_export/alerts.json")).unwrap();
        assert!(book.contains("\"hook\""), "{book}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn short_retry_after_of_a_receiver_is_respected() {
    for (requested, wanted) in [("1", 2), ("120", 1)] {
        let receiver = Receiver::asking(StatusCode::TOO_MANY_REQUESTS, 1, Some(requested)).await;
        let place = Place::new(&hook(&receiver)).await;
        let began = std::time::Instant::now();
        let (code, text) = place.run(&["alert", "test"]).await;
        assert_eq!((code == 0, receiver.at("/hook").len()), (wanted == 2, wanted), "{text}");
        if wanted == 2 {
            assert!(std::time::Duration::from_secs(1) <= began.elapsed());
        } else {
            assert!(text.contains("HTTP 429, retry after 120 s"), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_heartbeat_is_retried_at_once() {
    let receiver = Receiver::start(StatusCode::BAD_GATEWAY, 2).await;
    let alert = format!("[[alert]]\nname = \"beat\"\ntype = \"heartbeat\"\nurl = \"{}/beat\"\n", receiver.address);
    let place = Place::new(&alert).await;
    assert_eq!(place.run(&["run"]).await.0, 0);
    assert_eq!(receiver.at("/beat").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn signal_stops_notifying_and_the_next_run_sends_the_rest() {
    // It accepts connections and never responds.
    let hole = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let receiver = Receiver::start(StatusCode::OK, 0).await;
    let silent =
        format!("[[alert]]\nname = \"silent\"\ntype = \"webhook\"\nurl = \"http://{}/\"\n", hole.local_addr().unwrap());
    let place = Place::new(&format!("{}{silent}", hook(&receiver))).await;
    place.fail_once();
    let began = std::time::Instant::now();
    let mut run = place.command(&["run"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut log = tokio::io::BufReader::new(run.stderr.take().unwrap()).lines();
    while !log.next_line().await.unwrap().unwrap().contains("notification sent") {}
    // The notification is in flight, so the program waits.
    let waiting = hole.accept().await.unwrap();
    std::process::Command::new("kill").args(["-TERM", &run.id().unwrap().to_string()]).status().unwrap();
    assert_eq!(run.wait().await.unwrap().code(), Some(1));
    assert!(began.elapsed() < std::time::Duration::from_secs(9), "its timeout is 10 s");
    drop((waiting, hole));
    place.fail_once();
    assert_eq!(place.run(&["run"]).await.0, 1);
    assert_eq!(receiver.keys_and_states("/hook"), ["job_failed/nightly firing"], "the first notification is recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn alert_state_is_not_written_if_nothing_changed() {
    let receiver = Receiver::start(StatusCode::OK, 0).await;
    let place = Place::new(&hook(&receiver)).await;
    fs::write(place.path().join("jobs.toml"), {
        let text = fs::read_to_string(place.path().join("jobs.toml")).unwrap();
        format!("[api]\nkey_expires = \"2000-01-01\"\n{text}")
    })
    .unwrap();
    assert_eq!(place.run(&["run"]).await.0, 0);
    let book = place.path().join("lake/_profound_export/alerts.json");
    let before = fs::metadata(&book).unwrap().modified().unwrap();
    assert_eq!(place.run(&["run"]).await.0, 0);
    assert_eq!(fs::metadata(&book).unwrap().modified().unwrap(), before);
    assert_eq!(receiver.keys_and_states("/hook"), ["key_expiring firing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_read_from_variables_and_never_shown() {
    let receiver = Receiver::start(StatusCode::OK, 0).await;
    let place = Place::new(
        "[[alert]]\nname = \"hook\"\ntype = \"webhook\"\nurl_variable = \"HOOK_URL\"\nsecret_variable = \"HOOK_SECRET\"\n\
         [[alert]]\nname = \"none\"\ntype = \"command\"\ncommand = [\"./none\", \"--token\", \"t0ken\"]\n",
    )
    .await;
    let (_, text) = place.run(&["alert", "test", "hook"]).await;
    assert!(text.contains("the variable `HOOK_SECRET` for the secret of alert `hook` is not set"), "{text}");
    let output = place
        .command(&["alert", "test"])
        .env("HOOK_URL", format!("{}/hook/s3cret", receiver.address))
        .env("HOOK_SECRET", "signed with this")
        .output()
        .await
        .unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(receiver.at("/hook/s3cret")[0].headers.contains_key("x-profound-export-signature"), "{text}");
    let text = text + &place.run(&["config"]).await.1;
    for secret in ["s3cret", "signed with this", "t0ken"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alert_test_leaves_no_open_incident_at_pagerduty() {
    let receiver = Receiver::start(StatusCode::OK, 0).await;
    let place = Place::new(&format!(
        "[[alert]]\nname = \"on-call\"\ntype = \"pagerduty\"\nurl = \"{}/v2/enqueue\"\nsecret_file = \"routing\"\n",
        receiver.address
    ))
    .await;
    fs::write(place.path().join("routing"), "0123456789abcdef0123456789abcdef").unwrap();
    let (code, text) = place.run(&["alert", "test"]).await;
    assert_eq!(code, 0, "{text}");
    let got = receiver.at("/v2/enqueue");
    got.iter().for_each(is_of_pagerduty);
    let of = |name: &str| got.iter().map(|got| got.json()[name].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(of("event_action"), ["trigger", "resolve"]);
    assert_eq!(of("dedup_key")[0], of("dedup_key")[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn alert_test_reaches_every_target_and_reports_failures() {
    let receiver = Receiver::start(StatusCode::OK, 0).await;
    let at = &receiver.address;
    let place = Place::new(&format!(
        "[[alert]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{at}/hook\"\n\
         [[alert]]\nname = \"beat\"\ntype = \"heartbeat\"\nurl = \"{at}/beat\"\n\
         [[alert]]\nname = \"lost\"\ntype = \"slack\"\nurl_file = \"missing\"\n"
    ))
    .await;
    let (code, text) = place.run(&["alert", "test", "hook", "beat"]).await;
    assert_eq!(code, 0, "{text}");
    assert_eq!(receiver.at("/hook")[0].json()["state"], "test");
    assert_eq!(receiver.at("/beat").len(), 1);
    let (code, text) = place.run(&["alert", "test"]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("cannot read the secret of alert `lost` from `missing`"), "{text}");
    let (code, text) = place.run(&["alert", "test", "hok"]).await;
    assert_eq!(code, 78, "{text}");
}
