//! What the program tells of itself in figures, and that it says so where it says that it does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use profound_export::catalog::Catalog;
use profound_export::observe::{FAMILIES, Kind};
use profound_export::simulator::{Account, Fault, FaultKind, Simulator};
use tempfile::TempDir;

use crate::built::program;
use crate::support::{KEY, account};

const JOBS: &str = "[api]\nkey_expires = \"2099-12-30\"\n\n[metrics]\ntextfile = \"collected/profound_export.prom\"\n\n\
                    [[job]]\nname = \"nightly\"\ncron = \"0 3 * * *\"\nstreams = [\"visibility_v2_by_day\", \"prompts\"]\n\n\
                    [[alert]]\nname = \"mail\"\ntype = \"command\"\ncommand = [\"cat\"]\n";

/// A directory with a configuration, and an account.
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
            .map(|(name, value)| (name.into(), value.parse().unwrap()))
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
fn page_about_metrics_names_all_of_them_with_kind_and_labels_and_no_other() {
    let of = |kind: Kind| kind.name().to_owned();
    let known: BTreeSet<_> =
        FAMILIES.iter().map(|family| (family.name.to_owned(), of(family.kind), family.labels.join(", "))).collect();
    assert_eq!(documented(), known);
}

#[tokio::test]
async fn run_that_cannot_begin_for_want_of_a_key_is_in_its_text_file() {
    let place = Place::new().await;
    let mut program = program(place.directory.path(), &place.simulator);
    program.arg("run").env_remove("PROFOUND_API_KEY");
    let ended = tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap();
    assert_eq!(ended.status.code(), Some(78), "{}", String::from_utf8_lossy(&ended.stderr));
    let samples = place.samples();
    let of = |name: &str| samples.get(&format!("profound_export_{name}")).copied();
    assert_eq!(of("runs_total{job=\"nightly\",result=\"config_mismatch\"}"), Some(1.0));
    assert_eq!(of("last_run_exit_code{job=\"nightly\"}"), Some(78.0));
    assert_eq!(place.simulator.requests().len(), 0);
}

#[tokio::test]
async fn run_leaves_every_metric_in_its_text_file() {
    let place = Place::new().await;
    // Something that alerts tell of: a slice that fails.
    let refuse = |stream: &str| Fault {
        kind: FaultKind::Status { code: 400, retry_after: None, reset: None },
        stream: Some(stream.to_owned()),
        path: None,
        category: None,
        longer_than: None,
        after: 0,
        times: None,
    };
    place.simulator.inject(refuse("visibility_v2_by_day"));
    let ended = place.run().await;
    assert_eq!(ended.status.code(), Some(1), "{}", String::from_utf8_lossy(&ended.stderr));

    let samples = place.samples();
    let of = |name: &str| samples.get(&format!("profound_export_{name}")).copied();
    assert_eq!(of("runs_total{job=\"nightly\",result=\"failed\"}"), Some(1.0));
    assert_eq!(of("last_run_exit_code{job=\"nightly\"}"), Some(1.0));
    assert_eq!(of("job_running{job=\"nightly\"}"), Some(0.0));
    assert_eq!(of("key_expiry_timestamp_seconds"), Some(4_102_358_400.0), "midnight after the last day");
    assert_eq!(of("foreign_requests_total"), Some(0.0), "four at once are all ours");
    assert_eq!(of("alerts_active{event=\"job_failed\"}"), Some(1.0));
    assert_eq!(of("alerts_sent_total{target=\"mail\",result=\"sent\"}"), Some(1.0));
    assert!(0.0 < of("rows_total{stream=\"prompts\"}").unwrap());
    assert!(0.0 < of("requests_total{endpoint=\"/v2/reports/visibility/stream\",code=\"400\"}").unwrap());
    assert_eq!(of("last_success_timestamp_seconds{job=\"nightly\"}"), None, "there was none yet");
    let sent: f64 = samples
        .iter()
        .filter(|(name, _)| name.starts_with("profound_export_requests_total"))
        .map(|(_, sent)| sent)
        .sum();
    assert_eq!(sent as usize, place.simulator.requests().len());

    place.simulator.clear_faults();
    assert!(place.run().await.status.success());
    let text = std::fs::read_to_string(place.textfile()).unwrap();
    let told: BTreeSet<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let known: BTreeSet<_> = FAMILIES.iter().map(|family| family.name).collect();
    // The only one whose place is not on every system.
    let told: BTreeSet<_> = told.into_iter().chain(["profound_export_memory_resident_bytes"]).collect();
    assert_eq!(told, known.iter().copied().collect());
    assert!(!text.contains(KEY));
}

#[tokio::test]
async fn counters_go_on_over_runs_and_what_stands_follows_the_last_one() {
    let place = Place::new().await;
    assert!(place.run().await.status.success());
    let first = place.samples();
    assert!(place.run().await.status.success());
    let second = place.samples();
    let name = "profound_export_runs_total{job=\"nightly\",result=\"complete\"}";
    assert_eq!((first[name], second[name]), (1.0, 2.0));
    let of = |samples: &BTreeMap<String, f64>, part: &str| -> f64 {
        samples.iter().filter(|(name, _)| name.starts_with(part)).map(|(_, value)| value).sum()
    };
    for counted in ["profound_export_requests_total", "profound_export_request_duration_seconds_count"] {
        assert_eq!(of(&second, counted) as usize, place.simulator.requests().len(), "{counted}");
    }
    let success = "profound_export_last_success_timestamp_seconds{job=\"nightly\"}";
    assert!(first[success] < second[success]);
}

#[tokio::test]
async fn text_file_that_cannot_be_written_is_told_once_and_fails_nothing() {
    let place = Place::new().await;
    std::fs::remove_dir(place.directory.path().join("collected")).unwrap();
    let ended = place.run().await;
    let log = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{log}");
    assert_eq!(log.matches("the metrics cannot be written to `collected/profound_export.prom`").count(), 1, "{log}");
}

#[tokio::test]
async fn rejected_key_is_in_the_text_file_until_another_is_taken() {
    let place = Place::new().await;
    place.simulator.revoke_key();
    assert_eq!(place.run().await.status.code(), Some(77));
    let samples = place.samples();
    assert_eq!(samples["profound_export_key_rejected"], 1.0);
    assert_eq!(samples["profound_export_last_run_exit_code{job=\"nightly\"}"], 77.0);
    assert_eq!(samples["profound_export_runs_total{job=\"nightly\",result=\"key_rejected\"}"], 1.0);
}
