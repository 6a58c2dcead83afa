//! `ddl` describes what the lake holds: its directories, values and streams, and nothing without files.

use std::sync::Arc;

use profound_export::catalog::Catalog;
use profound_export::simulator::{Account, Simulator};
use serde_json::Value;

use crate::built::program;
use crate::support::account;

const JOB: &str = r#"
[[job]]
name = "nightly"
streams = ["visibility_v2_by_day", "regions", "bots_v2"]
list_snapshots = true
"#;

#[tokio::test]
async fn tables_have_the_directories_of_the_layout() {
    let account = Account { now: None, ..account() };
    let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
    for (partition, of_days) in [("day", "day"), ("month", "month"), ("none", "")] {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("jobs.toml"), JOB).unwrap();
        let run = |arguments: &[&str]| {
            let partition = format!("destination.partition={partition}");
            program(place.path(), &simulator).args(["--set", &partition]).args(arguments).output().unwrap()
        };
        let ddl = ["ddl", "--target", "athena", "--location", "s3://b/p", "--output", "json"];
        let early = run(&ddl);
        assert_eq!(early.status.code(), Some(1), "nothing is exported yet");
        assert!(run(&["run"]).status.success());

        let tables: Value = serde_json::from_slice(&run(&ddl).stdout).unwrap();
        let location = |table: &str| -> String {
            let tables = tables.as_array().unwrap();
            let table = tables.iter().find(|known| known["stream"] == table).unwrap();
            let create = table["statements"][1].as_str().unwrap();
            let template = create.split("'storage.location.template' = '").nth(1);
            template.map(|rest| rest.split('\'').next().unwrap().to_owned()).unwrap_or_default()
        };
        let last = if of_days.is_empty() { String::new() } else { format!("{of_days}=${{{of_days}}}/") };
        assert_eq!(
            location("visibility_v2_by_day"),
            format!("s3://b/p/visibility_v2_by_day/category=${{category}}/{last}")
        );
        let domain = "organization=${organization}/domain=${domain}";
        assert_eq!(location("bots_v2"), format!("s3://b/p/bots_v2/{domain}/{last}"));
        assert_eq!(location("regions"), "");
        // Snapshots of a list are files of days in a table of their own.
        let snapshots = if last.is_empty() { String::new() } else { format!("s3://b/p/regions_history/{last}") };
        assert_eq!(location("regions_history"), snapshots);
    }
}

#[tokio::test]
async fn tables_are_of_streams_with_files_and_readable_places() {
    let account = Account { now: None, ..account() };
    let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("jobs.toml"), JOB).unwrap();
    let run = |arguments: &[&str]| program(place.path(), &simulator).args(arguments).output().unwrap();
    assert!(run(&["run"]).status.success());

    let shown = |arguments: &[&str]| String::from_utf8(run(arguments).stdout).unwrap();
    let all = shown(&["ddl", "--target", "duckdb"]);
    let entries = std::fs::read_dir(place.path().join("lake")).unwrap().flatten();
    let names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    let tables = names.iter().filter(|name| *name != "_profound_export");
    assert!(tables.clone().all(|table| all.contains(&format!("create or replace view \"{table}\""))), "{all}");
    assert_eq!(all.matches("create or replace view").count(), tables.count(), "{all}");
    let some = shown(&["ddl", "--target", "duckdb", "bots*", "models"]);
    assert_eq!(some.matches("create or replace view").count(), 1, "`models` has no file: {some}");
    assert_eq!(run(&["ddl", "--target", "duckdb", "models"]).status.code(), Some(1));
    let local = run(&["ddl", "--target", "athena"]);
    assert_eq!(local.status.code(), Some(2));
    let stderr = String::from_utf8(local.stderr).unwrap();
    assert!(stderr.contains("athena does not read") && stderr.contains("--location"), "{stderr}");
}
