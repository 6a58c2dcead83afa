//! Log lines as programs read them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use profound_export::catalog::Catalog;
use profound_export::simulator::{Account, Fault, FaultKind, Simulator};
use serde_json::Value;

use crate::built::program;
use crate::support::account;

const JOBS: &str = "[[job]]\nname = \"nightly\"\nstreams = [\"visibility_v2_by_day\", \"prompts\", \"answers_v2\"]\n";

/// The lines of one run in which one slice fails and another is retried.
async fn lines(filter: &str) -> Vec<Value> {
    let account = Account { now: None, categories: 1, ..account() };
    let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
    let fault = |kind, stream: &str, times| Fault {
        kind,
        stream: Some(stream.to_owned()),
        path: None,
        category: None,
        longer_than: None,
        after: 0,
        times,
    };
    simulator.inject(fault(
        FaultKind::Status { code: 400, retry_after: None, reset: None },
        "visibility_v2_by_day",
        None,
    ));
    simulator.inject(fault(FaultKind::Truncate { bytes: 600 }, "answers_v2", Some(1)));
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("jobs.toml"), JOBS).unwrap();
    let mut program = program(directory.path(), &simulator);
    program.args(["--set", "api.concurrency=1", "--log-format", "json", "--log", filter, "run"]);
    let ended = tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let log = String::from_utf8(ended.stderr).unwrap();
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect()
}

#[tokio::test]
async fn lines_name_the_event_and_the_last_one_has_the_counts() {
    let mut runs = BTreeMap::new();
    let mut shown = String::new();
    for mut line in lines("info").await {
        let count = runs.len();
        if let Some(run) = line["run"].as_str() {
            let name = runs.entry(run.to_owned()).or_insert_with(|| format!("run {}", count + 1));
            line["run"] = name.clone().into();
        }
        let members = line.as_object_mut().unwrap();
        members.shift_remove("timestamp").unwrap();
        // These depend on the day of the test, on the machine, or on messages that other tests hold.
        for differs in ["window", "seconds", "bytes", "rows", "summary", "problem", "remedy"] {
            if members.contains_key(differs) {
                members[differs] = "...".into();
            }
        }
        shown.push_str(&format!("{line}\n"));
    }
    insta::assert_snapshot!(shown);
}

#[tokio::test]
async fn every_line_of_a_run_names_the_run_and_the_job() {
    let lines = lines("profound_export::observe=debug").await;
    assert!(lines.len() > 10);
    for line in &lines {
        assert_eq!(line["job"], "nightly", "{line}");
        assert_eq!(line["run"], lines[0]["run"], "{line}");
    }
    let summary = lines.last().unwrap();
    for figure in ["requests", "rows", "files", "bytes", "slices", "failed"] {
        assert!(summary[figure].as_u64().is_some_and(|figure| figure > 0), "{figure}: {summary}");
    }
    assert!(summary["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
    assert_eq!((summary["outcome"].as_str(), summary["level"].as_str()), (Some("failed"), Some("ERROR")));
}

/// The arguments of every `warn!` and `error!` in `text`, and of the macro that chooses between two levels.
fn log_calls(text: &str) -> Vec<&str> {
    let starts = ["warn!(", "error!(", "$level!("].into_iter().flat_map(|name| text.match_indices(name));
    let arguments = |(at, name): (usize, &str)| {
        let rest = &text[at + name.len()..];
        let (mut depth, mut in_string, mut escaped) = (1, false, false);
        for (index, letter) in rest.char_indices() {
            match letter {
                _ if escaped => escaped = false,
                '\\' if in_string => escaped = true,
                '"' => in_string = !in_string,
                '(' if !in_string => depth += 1,
                ')' if !in_string => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return &rest[..index];
            }
        }
        panic!("unbalanced: {rest}")
    };
    starts.map(arguments).collect()
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

#[test]
fn reference_page_lists_every_warning_and_error() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/reference/log-messages.md")).unwrap();
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| `") && (line.contains("| ERROR |") || line.contains("| WARN |")));
    let documented: BTreeSet<String> =
        rows.map(|row| row.split(" | ").next().unwrap().trim_matches(['|', ' ', '`']).to_owned()).collect();
    let mut logged = BTreeSet::new();
    for path in sources(&root.join("src")).iter().filter(|path| path.extension().is_some_and(|end| end == "rs")) {
        for arguments in log_calls(&std::fs::read_to_string(path).unwrap()) {
            let message =
                arguments.trim().trim_end_matches(',').rsplit_once('"').unwrap().0.rsplit_once('"').unwrap().1;
            assert!(!message.contains('{'), "{}: a message is constant, facts are fields: {message}", path.display());
            logged.insert(message.trim_matches('`').to_owned());
        }
    }
    assert_eq!(logged, documented);
}
