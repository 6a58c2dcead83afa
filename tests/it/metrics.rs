//! Metrics of the built program, and their documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use profound_export::catalog::Catalog;
use profound_export::observe::{FAMILIES, MetricKind};
use profound_export::simulator::{Account, Fault, FaultKind, Simulator};
use tempfile::TempDir;

use crate::built::program;
use crate::support::{KEY, account};

const JOBS: &str = "[api]\nkey_expires = \"2099-12-30\"\n\n[metrics]\ntextfile = \"collected/profound_export.prom\"\n\n\
                    [[job]]\nname = \"nightly\"\ncron = \"0 3 * * *\"\nstreams = [\"visibility_v2_by_day\", \"prompts\"]\n\n\
                    [[alert]]\nname = \"mail\"\ntype = \"command\"\ncommand = [\"cat\"]\n";

struct Place {
    directory: TempDir,
    simulator: Simulator,
}

impl Place {
    async fn new() -> Self {
        let account = Account { now: None, ..account() };
        let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("jobs.toml"), JOBS).unwrap();
        std::fs::create_dir(directory.path().join("collected")).unwrap();
        Self { directory, simulator }
    }

    fn textfile(&self) -> PathBuf {
        self.directory.path().join("collected/profound_export.prom")
    }

    /// Runs the built program in it.
    async fn run(&self) -> Output {
        let mut program = program(self.directory.path(), &self.simulator);
        program.arg("run");
        tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap()
    }

    /// The samples of the text file, by series.
    fn samples(&self) -> BTreeMap<String, f64> {
        let text = std::fs::read_to_string(self.textfile()).unwrap();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(name, value)| (name.trim_end_matches("{}").into(), value.parse().unwrap()))
            .collect()
    }
}

/// The rows of docs/reference/metrics.md: name, kind and labels.
fn documented() -> BTreeSet<(String, String, String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/metrics.md");
    let text = std::fs::read_to_string(page).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `profound_export_"));
    let cells = rows.map(|line| line.split('|').map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>());
    cells.map(|cells| (cells[1].clone(), cells[2].clone(), cells[3].clone())).collect()
}

#[test]
fn reference_page_lists_every_metric_with_kind_and_labels() {
    let metrics: BTreeSet<_> = FAMILIES
        .iter()
        .map(|family| (family.name.to_owned(), family.kind.name().to_owned(), family.labels.join(", ")))
        .collect();
    assert_eq!(documented(), metrics);
}

#[test]
fn rules_and_dashboard_use_only_documented_metrics() {
    let known: BTreeSet<String> = documented().into_iter().map(|(name, ..)| name).collect();
    for file in
        ["deploy/prometheus/alerts.yaml", "deploy/prometheus/alerts.test.yaml", "deploy/grafana/profound-export.json"]
    {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let uses = text.match_indices("profound_export_").map(|(at, _)| &text[at..]);
        for used in uses.map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap()) {
            assert!(known.contains(used.trim_end_matches("_bucket")), "{file}: {used}");
        }
    }
}

#[tokio::test]
async fn run_without_a_key_is_in_its_text_file() {
    let place = Place::new().await;
    let mut program = program(place.directory.path(), &place.simulator);
    program.arg("run").env_remove("PROFOUND_API_KEY");
    let ended = tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap();
    assert_eq!(ended.status.code(), Some(78), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(place.samples()["profound_export_last_run_exit_code{job=\"nightly\"}"], 78.0);
    assert_eq!(place.simulator.requests().len(), 0);
}

#[tokio::test]
async fn text_file_holds_the_gauges_of_the_last_run() {
    let place = Place::new().await;
    let fault = Fault {
        kind: FaultKind::Status { code: 400, retry_after: None, reset: None },
        stream: Some("visibility_v2_by_day".to_owned()),
        path: None,
        category: None,
        longer_than: None,
        after: 0,
        times: None,
    };
    place.simulator.inject(fault);
    let ended = place.run().await;
    assert_eq!(ended.status.code(), Some(1), "{}", String::from_utf8_lossy(&ended.stderr));

    let samples = place.samples();
    let value = |name: &str| samples.get(&format!("profound_export_{name}")).copied();
    assert_eq!(value("last_run_exit_code{job=\"nightly\"}"), Some(1.0));
    assert_eq!(value("last_run_requests{job=\"nightly\"}"), Some(place.simulator.requests().len() as f64));
    assert!(value("last_run_rows{job=\"nightly\"}").unwrap() > 0.0);
    assert!(value("last_run_slices{job=\"nightly\",result=\"failed\"}").unwrap() > 0.0);
    assert!(value("last_run_files{job=\"nightly\",result=\"written\"}").unwrap() > 0.0);
    assert_eq!(value("job_running{job=\"nightly\"}"), Some(0.0));
    assert_eq!(value("key_expiry_timestamp_seconds"), Some(4_102_358_400.0), "midnight after the last day");
    assert_eq!(value("alerts_firing{event=\"job_failed\"}"), Some(1.0));
    assert_eq!(value("last_success_timestamp_seconds{job=\"nightly\"}"), None, "no run was complete");

    place.simulator.clear_faults();
    assert!(place.run().await.status.success());
    let text = std::fs::read_to_string(place.textfile()).unwrap();
    let written: BTreeSet<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let gauges = FAMILIES.iter().filter(|family| family.kind == MetricKind::Gauge).map(|family| family.name);
    // Memory is known on Linux only.
    let optional = "profound_export_memory_resident_bytes";
    assert_eq!(written.into_iter().chain([optional]).collect::<BTreeSet<_>>(), gauges.collect());
    assert!(!text.contains(KEY));
}

#[tokio::test]
async fn text_file_of_a_second_run_replaces_the_first() {
    let place = Place::new().await;
    assert!(place.run().await.status.success());
    let (first, requests) = (place.samples(), place.simulator.requests().len() as f64);
    assert!(place.run().await.status.success());
    let second = place.samples();
    let name = "profound_export_last_run_requests{job=\"nightly\"}";
    assert_eq!((first[name], second[name]), (requests, place.simulator.requests().len() as f64 - requests));
    let success = "profound_export_last_success_timestamp_seconds{job=\"nightly\"}";
    assert!(second[success] > first[success]);
}

#[tokio::test]
async fn unwritable_text_file_is_logged_once_and_fails_no_run() {
    let place = Place::new().await;
    std::fs::remove_dir(place.directory.path().join("collected")).unwrap();
    let ended = place.run().await;
    let log = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{log}");
    assert_eq!(log.matches("cannot write metrics to `collected/profound_export.prom`").count(), 1, "{log}");
}

#[tokio::test]
async fn rejected_key_is_in_the_text_file() {
    let place = Place::new().await;
    place.simulator.revoke_key();
    assert_eq!(place.run().await.status.code(), Some(77));
    let samples = place.samples();
    assert_eq!(samples["profound_export_key_rejected"], 1.0);
    assert_eq!(samples["profound_export_last_run_exit_code{job=\"nightly\"}"], 77.0);
}
