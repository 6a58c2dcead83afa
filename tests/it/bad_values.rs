//! A value that its column cannot hold keeps its own day from being published, and no other.

use std::collections::BTreeSet;

use profound_export::run::Outcome;
use profound_export::simulator::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::support::{Export, Place, account, of_stream, on_memory_and_disk};

fn bad(column: &str, value: &str, day: Option<&str>) -> Fault {
    FaultKind::BadValue { column: column.into(), value: value.into(), day: day.map(str::to_owned) }.into()
}

on_memory_and_disk! {
    async fn one_bad_value_keeps_its_own_day_and_no_other(place) {
        for (stream, column, value) in place.cases([
            ("visibility_v2_by_day", "visibility_score", "\"high\""),
            ("visibility_v2_by_day", "visibility_score", "NaN"),
            ("visibility_v2_by_day", "rank", "1.5"),
            ("visibility_v2_by_day", "asset", "7"),
            ("visibility_v1", "executions", "-Infinity"),
            ("answers_v2", "model", "[1]"),
        ]) {
            let export = Export::start(place, account(), &[stream]).await;
            export.simulator.inject(bad(column, value, Some("2026-03-08")));
            let (run, received) = export.run_and_watch().await;
            let what = format!("{stream} {column} {value}: {}", run.summary());
            assert_eq!((run.outcome, run.failed.len()), (Outcome::Failed, 2), "{what}");
            let problem = &run.failed[0].1;
            let found = value.trim_matches('"').trim_start_matches("[1]");
            assert!(problem.starts_with("2026-03-08 is not published") && problem.contains(", row "), "{what} {problem}");
            assert!(problem.contains(&format!("column `{column}`")) && problem.contains(found), "{what} {problem}");
            let windows = of_stream(&received, stream).into_iter().map(|request| request.body["start_date"].to_string());
            assert_eq!(windows.collect::<BTreeSet<_>>().len(), 1, "{what}: nothing is halved");
            let category = &export.categories()[0];
            let states = export.states(stream, category).await;
            assert_eq!(states.iter().filter(|(_, state)| *state == "suspect").count(), 1, "{what} {states:?}");
            assert_eq!((states.len(), states["2026-03-08"].as_str()), (4, "suspect"), "{what}");
            let coverage = export.coverage().await;
            assert!(coverage.iter().any(|row| row["problem"].as_str().is_some_and(|text| text.contains(column))), "{what}");
            export.assert_ledger_knows_every_file().await;
            let rows = export.all_rows(stream).await;
            assert!(!rows.is_empty());

            export.simulator.clear_faults();
            let run = export.run().await;
            assert_eq!(run.outcome, Outcome::Complete, "{what} {:?}", run.failed);
            export.assert_equals_simulator(stream).await;
        }
    }
}

on_memory_and_disk! {
    async fn published_day_is_kept_if_a_later_value_does_not_fit(place) {
        let export = Export::start(place, account(), &["visibility_v2_by_day"]).await;
        export.run().await;
        let before = export.versions("visibility_v2_by_day").await;
        export.simulator.inject(bad("visibility_score", "{}", Some("2026-03-09")));
        assert_eq!(export.run().await.outcome, Outcome::Failed);
        assert_eq!(export.versions("visibility_v2_by_day").await, before);
    }
}

#[tokio::test]
async fn list_with_a_bad_value_is_suspect_with_its_column() {
    let export = Export::start(Place::Memory, account(), &["category_topics"]).await;
    export.simulator.inject(bad("name", "NaN", None).of_stream("category_topics"));
    let (run, received) = export.run_and_watch().await;
    assert_eq!((run.outcome, run.failed.len()), (Outcome::Failed, 2), "{}", run.summary());
    assert!(run.failed[0].1.contains("column `name` is text, but the API sent NaN"), "{:?}", run.failed);
    assert_eq!(of_stream(&received, "category_topics").len(), 2);
    assert!(export.coverage().await.iter().any(|row| row["status"] == "suspect"));
}

#[tokio::test]
async fn bad_name_in_the_list_of_categories_hides_no_category() {
    let export = Export::start(Place::Memory, account(), &["visibility_v2_by_day"]).await;
    export.simulator.inject(bad("name", "NaN", None).on_path("/v1/org/categories"));
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
    assert!(of_stream(&received, "visibility_v2_by_day").len() >= export.categories().len());
}

#[tokio::test]
async fn bad_date_keeps_only_the_day_it_was_requested_for() {
    let export = Export::start(Place::Memory, account(), &["visibility_v2_by_day"]).await;
    export.simulator.inject(bad("date", "\"yesterday\"", Some("2026-03-08")));
    let run = export.run().await;
    assert_eq!((run.outcome, run.failed.len()), (Outcome::Failed, 2), "{} {:?}", run.summary(), run.failed);
    assert!(run.failed[0].1.contains("column `date` is a day, but the API sent \"yesterday\""), "{:?}", run.failed);
    let states = export.states("visibility_v2_by_day", &export.categories()[0]).await;
    assert_eq!(states.values().filter(|state| *state == "suspect").count(), 1, "{states:?}");
}

#[tokio::test]
async fn integer_beyond_64_bits_is_exact_in_extra() {
    for (integer, is_kept) in [
        ("18446744073709551617", true),
        ("-9223372036854775809", true),
        ("123456789012345678901234567890", true),
        ("18446744073709551616", false),
        ("1e20", false),
    ] {
        let export = Export::start(Place::Memory, account(), &["visibility_v2_by_day"]).await;
        export.simulator.inject(bad("visibility_score", integer, None));
        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
        for row in export.all_rows("visibility_v2_by_day").await {
            assert_eq!(row["visibility_score"], json!(integer.parse::<f64>().unwrap()));
            let kept = format!("{{\"visibility_score\":{integer}}}");
            assert_eq!(row["_extra"].as_str(), is_kept.then_some(kept.as_str()), "{integer}");
        }
        export.simulator.clear_faults();
        export.simulator.inject(bad("rank", integer, None));
        let run = export.run().await;
        let is_named = |(_, problem): &(_, String)| problem.contains(if is_kept { integer } else { "column `rank`" });
        assert!(run.failed.len() == 2 && run.failed.iter().all(is_named), "{:?}", run.failed);
    }
}

#[tokio::test]
async fn integer_that_a_number_cannot_hold_is_exact_in_extra() {
    let export = Export::start(Place::Memory, account(), &["visibility_v2_by_day"]).await;
    export.simulator.inject(bad("visibility_score", "9007199254740993", None));
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
    for row in export.all_rows("visibility_v2_by_day").await {
        assert_eq!(row["visibility_score"], json!(9_007_199_254_740_992.0));
        let extra: Value = serde_json::from_str(row["_extra"].as_str().unwrap()).unwrap();
        assert_eq!(extra["visibility_score"], json!(9_007_199_254_740_993_u64));
    }
}
