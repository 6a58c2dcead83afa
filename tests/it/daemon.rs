//! `serve` of the built program: due runs at its start, signals, and notifications to systemd.
#![cfg(unix)]

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use profound_export::catalog::Catalog;
use profound_export::simulator::{Account, Fault, FaultKind, Simulator};
use tempfile::TempDir;

use crate::support::{KEY, account};

/// A schedule that never fires during a test.
const NEVER: &str = "0 0 29 2 *";

/// Log lines after which a missing text counts as absent.
const MOST_LINES: usize = 100;

/// A daemon of one job on an account and a lake of its own. Killed when dropped.
struct Daemon {
    child: Child,
    log: BufReader<ChildStderr>,
    output: String,
}

impl Daemon {
    /// Starts `serve` in `place`, with variables in addition to the necessary ones.
    fn start(place: &Path, simulator: &Simulator, variables: &[(&str, &str)]) -> Self {
        let mut child =
            command(place, simulator, "serve").envs(variables.iter().copied()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log, output: String::new() }
    }

    /// Reads the log up to a line that contains `words`.
    fn until(&mut self, words: &str) -> String {
        for _ in 0..MOST_LINES {
            let mut line = String::new();
            assert_ne!(
                self.log.read_line(&mut line).unwrap(),
                0,
                "it ended before it logged `{words}`: {}",
                self.output
            );
            self.output.push_str(&line);
            if line.contains(words) {
                return line;
            }
        }
        panic!("it never logged `{words}`: {}", self.output);
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Stops it with SIGTERM; returns its exit code.
    fn stop(mut self) -> Option<i32> {
        self.signal("TERM");
        self.child.wait().unwrap().code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn command(place: &Path, simulator: &Simulator, verb: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_profound-export"));
    command
        .args(["--set", &format!("api.base_url={}", simulator.url()), verb])
        .current_dir(place)
        .env("PROFOUND_API_KEY_FILE", place.join("key"))
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

async fn simulator() -> Simulator {
    let account = Account { now: None, ..account() };
    Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap()
}

/// A directory with a key and a job that starts at `cron`.
fn place(cron: &str) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("key"), KEY).unwrap();
    write_job(place.path(), cron, "visibility_v2_by_day");
    place
}

fn write_job(place: &Path, cron: &str, stream: &str) {
    // The status page of each daemon would want the same port.
    let job = format!("[[job]]\nname = \"nightly\"\ncron = \"{cron}\"\ntimezone = \"UTC\"\nstreams = [\"{stream}\"]\n");
    fs::write(place.join("jobs.toml"), job).unwrap();
}

fn stall(stream: &str) -> Fault {
    let kind = FaultKind::Stall { bytes: 0 };
    Fault { kind, stream: Some(stream.into()), path: None, category: None, longer_than: None, after: 0, times: Some(1) }
}

/// How many requests for `stream` the simulator received.
fn requests_for(simulator: &Simulator, stream: &str) -> usize {
    simulator.requests().iter().filter(|request| request.stream.as_deref() == Some(stream)).count()
}

#[tokio::test]
async fn systemd_is_notified_of_ready_watchdog_reload_and_stop() {
    let (simulator, place) = (simulator().await, place(NEVER));
    let path = place.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let pending = RefCell::new(Vec::<String>::new());
    // Messages have no defined order.
    let receive = |wanted: &str| {
        for _ in 0..MOST_LINES {
            let mut pending = pending.borrow_mut();
            let matches = |message: &String| message.lines().any(|line| line.starts_with(wanted));
            if let Some(index) = pending.iter().position(matches) {
                return pending.remove(index);
            }
            let mut bytes = [0; 1024];
            let length = socket.recv(&mut bytes).unwrap_or_else(|error| panic!("no `{wanted}`, {error}: {pending:?}"));
            pending.push(String::from_utf8(bytes[..length].to_vec()).unwrap());
        }
        panic!("no `{wanted}`: {:?}", pending.borrow());
    };
    let variables = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "200000")];
    let daemon = Daemon::start(place.path(), &simulator, &variables);

    receive("READY=1");
    assert!(receive("STATUS=").contains("next run: nightly, "), "the status names the next run");
    receive("WATCHDOG=1");
    receive("WATCHDOG=1");
    daemon.signal("HUP");
    assert!(receive("RELOADING=1").contains("MONOTONIC_USEC="), "as Type=notify-reload requires");
    receive("READY=1");
    assert_eq!(daemon.stop(), Some(0));
    receive("STOPPING=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn daemon_resumes_a_killed_run_but_not_a_complete_one() {
    let (simulator, place) = (simulator().await, place(NEVER));
    simulator.inject(stall("visibility_v2_by_day"));
    let mut killed = command(place.path(), &simulator, "run").spawn().unwrap();
    while requests_for(&simulator, "visibility_v2_by_day") == 0 {
        tokio::task::yield_now().await;
    }
    killed.kill().unwrap();
    killed.wait().unwrap();

    let mut daemon = Daemon::start(place.path(), &simulator, &[]);
    daemon.until("previous run was interrupted");
    daemon.until("nightly: complete");
    assert_eq!(daemon.stop(), Some(0));
    let so_far = simulator.requests().len();

    let mut daemon = Daemon::start(place.path(), &simulator, &[]);
    daemon.until("next run");
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(simulator.requests().len(), so_far, "nothing is due");
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_run_is_caught_up_when_the_daemon_starts() {
    let (simulator, place) = (simulator().await, place(NEVER));
    assert!(command(place.path(), &simulator, "run").status().unwrap().success());
    // The run of the next second is missed.
    let ended = simulator.now();
    while simulator.now().duration_since(ended) < SignedDuration::from_secs(1) {
        tokio::task::yield_now().await;
    }
    write_job(place.path(), "* * * * * *", "visibility_v2_by_day");
    let mut daemon = Daemon::start(place.path(), &simulator, &[]);
    daemon.until("missed scheduled run (daemon not running)");
    daemon.until("nightly: complete");
    assert_eq!(daemon.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_reloads_during_a_run_and_an_invalid_one_fails() {
    let (simulator, place) = (simulator().await, place("* * * * * *"));
    simulator.inject(stall("visibility_v2_by_day"));
    let mut daemon = Daemon::start(place.path(), &simulator, &[]);
    while requests_for(&simulator, "visibility_v2_by_day") == 0 {
        tokio::task::yield_now().await;
    }
    fs::write(place.path().join("jobs.toml"), "[api]\nconcurency = 3\n").unwrap();
    daemon.signal("HUP");
    daemon.until("the old one is kept");
    daemon.until("concurency");
    write_job(place.path(), NEVER, "answers_v2");
    daemon.signal("HUP");
    daemon.until("configuration reloaded");
    assert_eq!(requests_for(&simulator, "answers_v2"), 0, "the run keeps the configuration of its start");
    assert_eq!(daemon.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_key_is_used_by_the_next_run() {
    let (simulator, place) = (simulator().await, place("* * * * * *"));
    let mut daemon = Daemon::start(place.path(), &simulator, &[]);
    daemon.until("nightly: complete");
    fs::write(place.path().join("key"), "another-key-for-the-account").unwrap();
    daemon.until("API key changed, using the new one");
    // The simulator knows only one.
    daemon.until("the API rejected the key");
    assert_eq!(daemon.child.wait().unwrap().code(), Some(77));
}

#[tokio::test(flavor = "multi_thread")]
async fn second_process_reports_that_the_job_is_running() {
    let (simulator, place) = (simulator().await, place(NEVER));
    simulator.inject(stall("visibility_v2_by_day"));
    let mut first = command(place.path(), &simulator, "run").spawn().unwrap();
    while requests_for(&simulator, "visibility_v2_by_day") == 0 {
        tokio::task::yield_now().await;
    }
    let mut second = Daemon::start(place.path(), &simulator, &[]);
    let line = second.until("another process is running this job");
    assert!(line.contains("nightly"), "{line}");
    assert_eq!(second.stop(), Some(0));
    first.kill().unwrap();
    first.wait().unwrap();
}
