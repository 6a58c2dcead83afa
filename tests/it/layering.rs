//! `use crate::` points one way, as ARCHITECTURE.md draws it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Each layer, and what it may use. A layer stands behind everything it uses.
const LAYERS: [(&str, &[&str]); 24] = [
    ("model", &[]),
    ("clock", &[]),
    ("catalog", &["model"]),
    ("config", &["model", "catalog"]),
    ("destination", &["model", "config"]),
    ("schedule", &["model", "config"]),
    ("plan", &["model", "catalog"]),
    // The middle five never use each other; only `run` knows them all.
    ("api", &["model", "clock", "catalog", "config"]),
    ("decode", &["model", "catalog"]),
    ("write", &["model", "config"]),
    ("publish", &["model", "config"]),
    ("ledger", &["model", "clock", "catalog", "destination"]),
    (
        "run",
        &["model", "clock", "catalog", "config", "destination", "plan", "api", "decode", "write", "publish", "ledger"],
    ),
    ("upkeep", &["model", "catalog", "destination", "write", "publish", "ledger"]),
    ("status", &["model", "clock", "catalog", "config", "destination", "schedule", "publish", "ledger"]),
    // Of `api` only what is trusted, and how `Retry-After` is read.
    ("alert", &["model", "clock", "catalog", "config", "destination", "schedule", "ledger", "api", "status"]),
    // They hear events and see what stands, or answer from the catalog; neither knows how a run works.
    ("report", &["model", "clock", "config", "status"]),
    ("otlp", &["model", "clock", "report"]),
    ("server", &["model", "clock", "config", "ledger", "status", "report"]),
    ("simulator", &["model", "clock", "catalog"]),
    ("document", &["model", "catalog"]),
    ("reference", &["model", "catalog", "config", "api", "decode", "write", "publish"]),
    ("daemon", &["clock", "schedule"]),
    (
        "cli",
        &[
            "model",
            "clock",
            "catalog",
            "config",
            "destination",
            "schedule",
            "plan",
            "api",
            "publish",
            "ledger",
            "run",
            "upkeep",
            "status",
            "alert",
            "report",
            "otlp",
            "server",
            "simulator",
            "document",
            "reference",
            "daemon",
        ],
    ),
];

const MIDDLE: [&str; 5] = ["api", "decode", "write", "publish", "ledger"];

fn sources() -> Vec<PathBuf> {
    fn below(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => below(&path, found),
                false if path.extension().is_some_and(|ending| ending == "rs") => found.push(path),
                false => {}
            }
        }
    }
    let mut found = Vec::new();
    below(&root(), &mut found);
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The layer a file belongs to.
fn layer_of(path: &Path) -> String {
    let first = path.strip_prefix(root()).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The code of a file, without comments, as lines with their numbers.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines.map(|(index, line)| (index + 1, line.to_owned())).collect()
}

/// The layers that `line` names as `crate::<layer>`.
fn named(line: &str) -> Vec<String> {
    let after = line.match_indices("crate::").map(|(at, part)| &line[at + part.len()..]);
    let name = |rest: &str| rest.chars().take_while(|char| char.is_ascii_lowercase() || *char == '_').collect();
    after.map(name).collect()
}

#[test]
fn layers_use_only_what_stands_before_them() {
    let may: BTreeMap<&str, BTreeSet<&str>> =
        LAYERS.iter().map(|(layer, uses)| (*layer, uses.iter().copied().collect())).collect();
    let mut wrong = Vec::new();
    for path in sources() {
        let layer = layer_of(&path);
        if layer == "lib" || layer == "main" {
            continue;
        }
        let allowed = may.get(layer.as_str()).unwrap_or_else(|| panic!("the layer of {} has no place", path.display()));
        for (number, line) in code(&path) {
            for used in named(&line) {
                if used != layer && !allowed.contains(used.as_str()) {
                    wrong.push(format!("{}:{number} uses `{used}`: {}", path.display(), line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn table_of_layers_has_no_circle_and_keeps_the_middle_apart() {
    let place = |name: &str| LAYERS.iter().position(|(layer, _)| *layer == name).unwrap();
    for (layer, uses) in LAYERS {
        assert!(uses.iter().all(|used| place(used) < place(layer)), "`{layer}` uses what stands behind it");
        if MIDDLE.contains(&layer) {
            assert!(uses.iter().all(|used| !MIDDLE.contains(used)), "`{layer}` uses another of the middle five");
        }
    }
}

#[test]
fn only_client_alerts_and_simulator_speak_http() {
    for path in sources() {
        let layer = layer_of(&path);
        for (number, line) in code(&path) {
            let speaks = |name: &str| line.contains(&format!("{name}::"));
            assert!(
                // Alerts and OTLP go to other hosts, outside the budget and without the key.
                !speaks("reqwest") || ["api", "alert", "otlp", "simulator"].contains(&layer.as_str()),
                "{}:{number}",
                path.display()
            );
            assert!(
                !speaks("axum") || ["server", "simulator"].contains(&layer.as_str()),
                "{}:{number}",
                path.display()
            );
        }
    }
}

#[test]
fn only_publish_names_the_files_of_a_lake() {
    for path in sources().into_iter().filter(|path| !["publish", "cli"].contains(&layer_of(path).as_str())) {
        // What a slice is called in the spool is the spool's own business.
        for (number, line) in code(&path) {
            assert!(!line.contains("day={") && !line.contains("month={"), "{}:{number}: {line}", path.display());
        }
    }
}
