//! A column that loses all its values is never published without a doubt.

use profound_export::config::OnShrink;
use profound_export::run::Outcome;
use profound_export::simulator::{Fault, FaultKind};
use serde_json::Value;

use crate::support::{Export, Place, account, day, instant, on_memory_and_disk};

fn missing(stream: &str, column: &str) -> Fault {
    Fault::from(FaultKind::MissingField { column: column.into() }).of_stream(stream)
}

fn null(stream: &str, column: &str) -> Fault {
    let fault = FaultKind::BadValue { column: column.into(), value: "null".into(), day: None };
    Fault::from(fault).of_stream(stream)
}

async fn is_null(export: &Export, stream: &str, column: &str) -> bool {
    let rows = export.all_rows(stream).await;
    !rows.is_empty() && rows.iter().all(|row| row[column] == Value::Null)
}

on_memory_and_disk! {
    async fn published_values_are_kept_if_no_row_has_one(place) {
        for (fault, stream, column) in [
            (missing as fn(&str, &str) -> Fault, "visibility_v2_by_day", "visibility_score"),
            (null, "visibility_v2_by_day", "visibility_score"),
            (null, "visibility_v2_by_day", "rank"),
            (missing, "answers_v2", "response"),
            (null, "answers_v2", "response"),
            (null, "visibility_v1", "executions"),
            (missing, "category_topics", "name"),
        ] {
            for event_streams in [true, false] {
                let mut export = Export::start(place, account(), &[stream]).await;
                export.api.event_streams = event_streams;
                export.job.start = Some(day("2026-03-08"));
                assert_eq!(export.run().await.outcome, Outcome::Complete);
                let before = export.versions(stream).await;
                export.simulator.inject(fault(stream, column));
                let run = export.run().await;
                assert_eq!(run.outcome, Outcome::Failed, "{stream} {column}: {}", run.summary());
                assert!(run.failed[0].1.contains(&format!("`{column}`")), "{stream} {:?}", run.failed);
                assert_eq!(export.versions(stream).await, before, "{stream} {column}");
                assert!(export.coverage().await.iter().any(|row| row["status"] == "suspect"), "{stream} {column}");

                export.simulator.clear_faults();
                assert_eq!(export.run().await.outcome, Outcome::Complete, "{stream} {column}");
                export.assert_equals_simulator(stream).await;
                assert!(!is_null(&export, stream, column).await, "{stream} {column}");
            }
        }
    }
}

on_memory_and_disk! {
    async fn second_run_confirms_a_column_without_values(place) {
        let (stream, column) = ("visibility_v2_by_day", "visibility_score");
        for on_shrink in [OnShrink::Confirm, OnShrink::Accept, OnShrink::Keep] {
            let mut export = Export::start(place, account(), &[stream]).await;
            export.job.start = Some(day("2026-03-08"));
            export.job.on_shrink = on_shrink;
            assert_eq!(export.run().await.outcome, Outcome::Complete);
            export.simulator.inject(null(stream, column));
            let [first, second] = match on_shrink {
                OnShrink::Confirm => [Outcome::Failed, Outcome::Complete],
                OnShrink::Accept => [Outcome::Complete, Outcome::Complete],
                OnShrink::Keep => [Outcome::Failed, Outcome::Failed],
            };
            assert_eq!([export.run().await.outcome, export.run().await.outcome], [first, second], "{on_shrink:?}");
            assert_eq!(is_null(&export, stream, column).await, on_shrink != OnShrink::Keep);
        }
    }
}

on_memory_and_disk! {
    async fn requested_member_of_no_row_is_suspect_until_confirmed(place) {
        for (stream, column) in [("visibility_v2_by_day", "visibility_score"), ("answers_v2", "response")] {
            let export = Export::start(place, account(), &[stream]).await;
            export.simulator.inject(missing(stream, column));
            let run = export.run().await;
            assert_eq!(run.outcome, Outcome::Failed, "{stream}: {}", run.summary());
            assert!(export.files().await.is_empty(), "{stream}");
            assert_eq!(export.run().await.outcome, Outcome::Complete, "{stream}");
            assert!(is_null(&export, stream, column).await);
            assert!(!export.state().await.facts.events_incomplete(stream, export.simulator.now()), "pages lack it, too");

            // An account without the member is known by its published files, and new days are no doubt.
            export.simulator.set_now(instant("2026-03-11T16:00:00Z"));
            let run = export.run().await;
            assert_eq!(run.outcome, Outcome::Complete, "{stream}: {:?}", run.failed);
        }
    }
}

#[tokio::test]
async fn column_that_never_had_a_value_is_no_doubt() {
    let stream = "visibility_v2_by_day";
    let export = Export::start(Place::Memory, account(), &[stream]).await;
    export.simulator.inject(null(stream, "average_position"));
    for _ in 0..2 {
        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Complete, "{:?}", run.failed);
        export.simulator.restate(day("2026-03-09"));
    }
}
