//! `report` writes a page whose figures are those of the account.

use std::sync::Arc;

use profound_export::catalog::Catalog;
use profound_export::model::scope::ScopeKind;
use profound_export::model::window::Window;
use profound_export::simulator::{Account, Simulator};
use serde_json::Value;

use crate::built::program;
use crate::support::{KEY, account};

const JOB: &str = r#"
[[job]]
name = "nightly"
streams = ["visibility_v2_by_day", "assets", "categories"]
"#;

/// The part of `text` between two others.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = text.split_once(start).unwrap_or_else(|| panic!("no {start}: {text}")).1;
    rest.split_once(end).unwrap_or_else(|| panic!("no {end}: {rest}")).0
}

/// The texts of the elements called `tag`, without elements in them.
fn texts(html: &str, tag: &str) -> Vec<String> {
    let start = format!("<{tag}");
    let elements = html.split(&start).skip(1);
    let inner = elements.map(|rest| between(rest, ">", &format!("</{tag}>")));
    let plain = |inner: &str| inner.split('<').map(|part| part.rsplit('>').next().unwrap()).collect::<String>();
    inner.map(|inner| plain(inner).replace("&quot;", "\"").replace("&amp;", "&")).collect()
}

#[tokio::test]
async fn figures_of_the_report_are_those_of_the_account() {
    let account = Account { now: None, ..account() };
    let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("jobs.toml"), JOB).unwrap();
    let run = |arguments: &[&str]| program(place.path(), &simulator).args(arguments).output().unwrap();

    let empty = run(&["report"]);
    assert_eq!(empty.status.code(), Some(1));
    let stderr = String::from_utf8(empty.stderr).unwrap();
    assert!(stderr.contains("nothing is exported to") && stderr.contains("docs/errors.md#commands"), "{stderr}");
    assert!(!place.path().join("report.html").exists());

    assert!(run(&["run"]).status.success());
    let asked = simulator.requests().len();
    std::fs::write(place.path().join("page.html"), "the page of last week").unwrap();
    let made = run(&["report", "--out", "page.html", "--output", "json"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert_eq!(simulator.requests().len(), asked, "no request");
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let html = std::fs::read_to_string(place.path().join("page.html")).unwrap();
    assert_eq!(made["bytes"].as_u64(), Some(html.len() as u64));
    assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>"), "{html}");
    assert!(!html.contains(KEY), "the key is on the page");
    let entries = std::fs::read_dir(place.path()).unwrap().flatten().map(|entry| entry.file_name());
    assert!(entries.into_iter().all(|name| !name.to_string_lossy().ends_with(".part")), "the page is moved");

    // Every share of every asset and day, category by category.
    let catalog = Catalog::embedded().unwrap();
    let stream = catalog.get("visibility_v2_by_day").unwrap();
    let last = stream.days.as_ref().unwrap().zone.yesterday(simulator.now());
    let window = Window::inclusive(last.plus(-29), last);
    let (mut compared, scopes) = (0, simulator.scopes(stream.scope));
    for scope in &scopes {
        let rows = simulator.rows(stream, scope, window);
        let id = &scope.category.as_ref().unwrap().id;
        let alone = run(&["report", "--category", id]);
        assert!(alone.status.success(), "{}", String::from_utf8_lossy(&alone.stderr));
        let html = std::fs::read_to_string(place.path().join("report.html")).unwrap();
        let table = between(&html, "<table data-lines=\"share-of-voice\">", "</table>");
        let assets = texts(between(table, "<thead>", "</thead>"), "bdi");
        assert!(!assets.is_empty());
        for row in &rows {
            let (date, asset) = (row["date"].as_str().unwrap(), row["asset"]["name"].as_str().unwrap());
            let column =
                assets.iter().position(|known| known == asset).unwrap_or_else(|| panic!("{asset}: {assets:?}"));
            let shown = between(table, &format!("datetime=\"{date}\""), "</tr>");
            let share = row["share_of_voice"].as_f64().unwrap();
            assert_eq!(texts(shown, "td")[column], format!("{:.1}\u{202f}%", share * 100.0), "{asset} on {date}");
            compared += 1;
        }
        if scopes.len() > 1 {
            let made_for = format!("This page was made for 1 of {} categories.", scopes.len());
            assert!(html.contains(&made_for), "{html}");
        }
    }
    assert!(compared > 100, "{compared}");
}

#[tokio::test]
async fn report_that_cannot_be_made_says_what_to_do() {
    let account = Account { now: None, ..account() };
    let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("jobs.toml"), JOB).unwrap();
    let run = |arguments: &[&str]| program(place.path(), &simulator).args(arguments).output().unwrap();
    assert!(run(&["run"]).status.success());
    let scopes = simulator.scopes(ScopeKind::Category);
    let known = &scopes[0].category.as_ref().unwrap().id;
    for (arguments, code, parts) in [
        (&["--category", known, "--category", "Typo"][..], 2, &["no category is called `Typo`"][..]),
        (&["--category", "No such"], 2, &["no category is called `No such`", "the lake has `"]),
        (&["--out", "missing/page.html"], 1, &["cannot write the report to `missing/page.html`", "--out"]),
        // The file is a directory.
        (&["--out", "lake"], 1, &["cannot write the report to `lake`"]),
    ] {
        let output = run(&[&["report"], arguments].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(parts.iter().all(|part| stderr.contains(part)), "{stderr}");
    }

    // A file that the ledger names is gone: the page says so, and so does the exit code.
    let stream = place.path().join("lake/visibility_v2_by_day");
    let category = std::fs::read_dir(&stream).unwrap().flatten().next().unwrap().path();
    let day = std::fs::read_dir(&category).unwrap().flatten().next().unwrap().path();
    std::fs::remove_file(day.join("data.parquet")).unwrap();
    let output = run(&["report"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("not in the report: visibility_v2_by_day/") && stderr.contains("is missing"), "{stderr}");
    let html = std::fs::read_to_string(place.path().join("report.html")).unwrap();
    assert!(html.contains("Files that could not be read"), "{html}");
}
