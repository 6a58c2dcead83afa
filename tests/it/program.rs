//! The built program, as a user or a service manager starts it.

use std::io::{BufRead, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use profound_export::catalog::Catalog;
use profound_export::simulator::{Account, Fault, FaultKind, Simulator};

use crate::built::program;
use crate::support::{KEY, account};

const JOB: &str = "[[job]]\nname = \"nightly\"\nstreams = [\"visibility_v2_by_day\", \"answers_v2\"]\n";

/// Fails where the log ends without a wait for the rate limit.
fn read_until_it_waits(log: &mut impl BufRead) {
    let mut line = String::new();
    while !line.contains("rate limit reached, waiting") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended before it waited");
    }
}

#[tokio::test]
async fn rate_limit_wait_is_logged_and_a_signal_ends_it_at_once() {
    let account = Account { requests_per_period: 8, now: None, ..account() };
    let catalog = Arc::new(Catalog::embedded().unwrap());
    for signal in ["INT", "TERM"] {
        let simulator = Simulator::start(Arc::clone(&catalog), account.clone()).await.unwrap();
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("jobs.toml"), JOB).unwrap();
        let mut program = program(place.path(), &simulator)
            .args(["--set", "api.reserve_requests=0", "run"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(program.stderr.take().unwrap());
        read_until_it_waits(&mut log);
        let signalled = Instant::now();
        let killed = Command::new("kill").args([format!("-{signal}"), program.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let (mut rest, mut output) = (String::new(), String::new());
        log.read_to_string(&mut rest).unwrap();
        program.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        let code = program.wait().unwrap().code();
        let elapsed = signalled.elapsed();
        assert_eq!(code, Some(75), "{rest}{output}");
        assert!(elapsed < Duration::from_secs(1), "{signal}: {elapsed:?}");
        assert!(rest.contains("stopping"), "{rest}");
        assert!(output.contains("incomplete"), "{output}");
        assert!(simulator.requests().len() <= 8);
    }
}

#[tokio::test]
async fn spool_of_a_killed_run_is_removed_and_of_a_live_one_kept() {
    let account = Account { now: None, ..account() };
    let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
    let kind = FaultKind::Stall { bytes: 0 };
    let stream = Some("visibility_v2_by_day".to_owned());
    let stall = Fault { kind, stream, path: None, category: None, longer_than: None, after: 0, times: Some(1) };
    simulator.inject(stall);
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("jobs.toml"), JOB).unwrap();
    let start = || {
        program(place.path(), &simulator)
            .args(["--set", "spool.dir=spool", "run"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let spools = || {
        let entries = std::fs::read_dir(place.path().join("spool")).unwrap().flatten();
        let directories = entries.filter(|entry| entry.path().is_dir());
        directories.map(|entry| entry.file_name()).collect::<Vec<_>>()
    };

    // It waits for a response without an end.
    let mut live = start();
    let requested =
        || simulator.requests().iter().any(|request| request.stream.as_deref() == Some("visibility_v2_by_day"));
    while !requested() {
        assert!(live.try_wait().unwrap().is_none(), "it ended before its first request");
        std::thread::yield_now();
    }
    let of_the_live_run = spools();
    assert_eq!(of_the_live_run.len(), 1);
    assert!(start().wait().unwrap().success());
    assert_eq!(spools(), of_the_live_run, "the own spool is removed, that of the live run is kept");

    live.kill().unwrap();
    live.wait().unwrap();
    assert_eq!(spools(), of_the_live_run);
    assert!(start().wait().unwrap().success());
    assert!(spools().is_empty(), "{:?}", spools());
}

#[tokio::test]
async fn daemon_runs_without_its_page_if_the_address_is_in_use() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("jobs.toml"), format!("{JOB}cron = \"0 0 29 2 *\"\n")).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_profound-export"))
        .args(["--set", &format!("server.listen={}", taken.local_addr().unwrap()), "serve"])
        .current_dir(place.path())
        .env("PROFOUND_API_KEY", KEY)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(program.stderr.take().unwrap());
    let (mut output, mut line) = (String::new(), String::new());
    while !(output.contains("status page is off") && output.contains("next run")) {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended: {output}");
        output.push_str(&line);
    }
    assert!(output.contains("address=127.0.0.1:"), "{output}");
    let sent = Command::new("kill").args(["-TERM", &program.id().to_string()]).status().unwrap();
    assert!(sent.success() && program.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_have_not_ended_are_rejected_with_the_reason() {
    let account = Account { now: None, ..account() };
    let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let run = |start: &str, verb: &[&str]| {
        std::fs::write(place.path().join("jobs.toml"), format!("{JOB}{start}")).unwrap();
        let ended = program(place.path(), &simulator).args(verb).output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    let (code, log) = run("", &["backfill", "nightly", "--from", "2026-03-01", "--to", "9999-01-01"]);
    assert!(code == Some(2) && log.contains("--to 9999-01-01 has not ended"), "{code:?} {log}");
    for verb in ["run", "plan", "check"] {
        let (code, log) = run("start = \"9999-01-01\"\n", &[verb]);
        assert!(code == Some(78) && log.contains("starts on 9999-01-01, and today is"), "{verb} {code:?} {log}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn full_standard_error_costs_only_the_log() {
    let account = Account { now: None, ..account() };
    let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("jobs.toml"), JOB).unwrap();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let ended = |verb: &[&str]| program(place.path(), &simulator).args(verb).stderr(full()).output().unwrap();
    assert_eq!(ended(&["run"]).status.code(), Some(0));
    assert_eq!(ended(&["--log-format", "json", "verify"]).status.code(), Some(0));
    assert_eq!(ended(&["run", "no-such-job"]).status.code(), Some(78));
}

#[tokio::test(flavor = "multi_thread")]
async fn variable_that_cannot_be_used_is_named_and_an_empty_one_is_unset() {
    let account = Account { now: None, ..account() };
    let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("jobs.toml"), JOB).unwrap();
    std::fs::write(place.path().join("key"), KEY).unwrap();
    let run = |variables: &[(&str, &str)]| {
        let mut program = program(place.path(), &simulator);
        let ended = program.args(["run"]).envs(variables.iter().copied()).output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    let bucket = ("PROFOUND_EXPORT_DESTINATION__URL", "s3://bucket/lake");
    for address in ["minio:9000", "localhost", "https://"] {
        let (code, log) = run(&[bucket, ("AWS_ENDPOINT_URL", address)]);
        assert!(code == Some(78) && log.contains(address) && log.contains("AWS_ENDPOINT_URL"), "{code:?} {log}");
    }
    let (code, log) = run(&[("HTTPS_PROXY", "http://user:secret@word@proxy :1")]);
    assert!(code == Some(78) && log.contains("HTTPS_PROXY") && !log.contains("secret"), "{code:?} {log}");
    let empty = [
        ("PROFOUND_API_KEY", ""),
        ("PROFOUND_API_KEY_FILE", "key"),
        ("PROFOUND_EXPORT_API__CONCURRENCY", ""),
        ("PROFOUND_EXPORT_CONFIG", ""),
        ("HTTPS_PROXY", ""),
        ("AWS_ENDPOINT_URL", ""),
    ];
    let (code, log) = run(&empty);
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn long_version_has_features_commit_and_build() {
    let printed = |flag| {
        let ended = Command::new(env!("CARGO_BIN_EXE_profound-export")).arg(flag).output().unwrap();
        String::from_utf8(ended.stdout).unwrap()
    };
    let [short, long] = ["-V", "--version"].map(printed);
    assert_eq!(short, concat!("profound-export ", env!("CARGO_PKG_VERSION"), "\n"));
    let lines: Vec<&str> = long.lines().collect();
    assert!(
        matches!(lines[..], [first, features, commit, build] if first == short.trim_end()
        && features.starts_with("features: ") && commit.starts_with("commit: ") && build.starts_with("build: ")),
        "{long}"
    );
}

#[cfg(not(feature = "otlp"))]
#[tokio::test(flavor = "multi_thread")]
async fn run_warns_of_otlp_variables_that_it_cannot_follow() {
    let account = Account { now: None, ..account() };
    let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("jobs.toml"), JOB).unwrap();
    let warns = |variables: &[(&str, &str)]| {
        let mut program = program(place.path(), &simulator);
        let ended = program.args(["run"]).envs(variables.iter().copied()).output().unwrap();
        assert_eq!(ended.status.code(), Some(0));
        String::from_utf8(ended.stderr).unwrap().contains("built without the feature `otlp`")
    };
    let endpoint = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1");
    assert!(warns(&[endpoint]));
    assert!(!warns(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]));
    assert!(!warns(&[endpoint, ("OTEL_SDK_DISABLED", "true")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_rejects_data_files_without_a_ledger() {
    let account = Account { now: None, ..account() };
    let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("jobs.toml"), JOB).unwrap();
    let run = |verb: &[&str]| program(place.path(), &simulator).args(verb).output().unwrap();
    assert!(run(&["run"]).status.success());
    let own = place.path().join("lake/_profound_export");
    std::fs::remove_dir_all(own.join("ledger")).unwrap();
    std::fs::remove_dir_all(own.join("checkpoints")).ok();

    let backfill = ["backfill", "nightly", "--from", "2026-03-01", "--to", "2026-03-01"];
    let forget = ["forget", "answers_v2", "--yes"];
    let verbs: [&[&str]; 8] = [
        &["run"],
        &["plan"],
        &["status"],
        &["status", "--output", "json"],
        &["verify"],
        &["check"],
        &backfill,
        &forget,
    ];
    for verb in verbs {
        let ended = run(verb);
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(78), "{verb:?}: {stderr}");
        assert!(stderr.contains("has data files such as `"), "{verb:?}: {stderr}");
        assert!(stderr.contains("`profound-export ledger rebuild`"), "{verb:?}: {stderr}");
    }
    assert!(run(&["ledger", "rebuild"]).status.success());
    assert!(run(&["verify"]).status.success());
}

#[tokio::test]
async fn forget_warns_of_a_run_that_may_still_upload_files() {
    let account = Account { now: None, ..account() };
    let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("jobs.toml"), JOB).unwrap();
    let start = |verb: &[&str]| {
        program(place.path(), &simulator).args(verb).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let forget = |stream: &str| {
        let ended = start(&["forget", stream, "--yes"]).wait_with_output().unwrap();
        assert!(ended.status.success());
        String::from_utf8(ended.stderr).unwrap()
    };
    assert!(start(&["run"]).wait().unwrap().success());
    assert_eq!(forget("answers_v2"), "");

    let before = simulator.requests().len();
    simulator.inject(Fault::from(FaultKind::Stall { bytes: 0 }).of_stream("visibility_v2_by_day"));
    let mut live = start(&["run"]);
    let is_asked = |stream: &str| {
        let requests = simulator.requests();
        requests[before..].iter().any(|request| request.stream.as_deref() == Some(stream))
    };
    while !is_asked("visibility_v2_by_day") {
        assert!(live.try_wait().unwrap().is_none(), "it ended before its first request");
        std::thread::yield_now();
    }
    let stderr = forget("visibility_v2_by_day");
    live.kill().unwrap();
    live.wait().unwrap();
    assert!(stderr.contains("run in progress, it may still upload forgotten files"), "{stderr}");
}

#[tokio::test]
async fn offline_plan_is_the_plan_without_a_request() {
    let account = Account { now: None, ..account() };
    let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("jobs.toml"), JOB).unwrap();
    let run = |verb: &[&str]| program(place.path(), &simulator).args(verb).output().unwrap();
    let ended = run(&["plan", "--offline"]);
    assert_eq!(ended.status.code(), Some(2), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(run(&["run"]).status.success());

    let slices = |verb: &[&str]| {
        let plan: serde_json::Value = serde_json::from_slice(&run(verb).stdout).unwrap();
        plan[0]["slices"].as_array().unwrap().iter().map(|slice| slice["scope"].to_string()).collect::<Vec<_>>()
    };
    let online = slices(&["plan", "--output", "json"]);
    let before = simulator.requests().len();
    assert_eq!(slices(&["plan", "--offline", "--output", "json"]), online);
    assert_eq!(simulator.requests().len(), before);
}

#[tokio::test]
async fn directory_that_is_no_lake_is_named_by_every_reading_command() {
    let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account()).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("jobs.toml"), JOB).unwrap();
    std::fs::create_dir(place.path().join("lake")).unwrap();
    let lake = place.path().join("lake").display().to_string();
    let run = |verb: &str| program(place.path(), &simulator).arg(verb).output().unwrap();
    let ended = run("status");
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8(ended.stdout).unwrap().contains(&lake));

    std::fs::write(place.path().join("lake/photo.jpg"), "not data").unwrap();
    for verb in ["status", "verify"] {
        let ended = run(verb);
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(78), "{stderr}");
        assert!(stderr.contains(&format!("`{lake}` is not a lake")), "{stderr}");
    }
}

#[tokio::test]
async fn failed_check_prints_json_with_the_error() {
    let simulator =
        Simulator::start(Arc::new(Catalog::embedded().unwrap()), Account { now: None, ..account() }).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("jobs.toml"), JOB).unwrap();
    let key = ["check", "--output", "json"];
    let ended = program(place.path(), &simulator).args(key).env("PROFOUND_API_KEY", "another-key").output().unwrap();
    assert_eq!(ended.status.code(), Some(77));
    let found: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    let last = found.as_array().unwrap().last().unwrap();
    assert_eq!(last["topic"], "error");
    assert!(last["fact"].as_str().unwrap().contains("rejected the key") && last["hint"].is_string(), "{last}");
}

#[tokio::test]
async fn wait_for_the_rate_limit_is_logged_by_commands_that_only_ask() {
    let account = Account { requests_per_period: 2, now: None, ..account() };
    let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("jobs.toml"), JOB).unwrap();
    for verb in ["plan", "check"] {
        let mut program = program(place.path(), &simulator)
            .args(["--set", "api.reserve_requests=0", verb])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        read_until_it_waits(&mut BufReader::new(program.stderr.take().unwrap()));
        program.kill().unwrap();
        program.wait().unwrap();
    }
}
