//! Undeclared members are kept and reported; a value that does not fit its column fails the stream.

use profound_export::model::event::Event;
use profound_export::run::Outcome;
use profound_export::simulator::{Fault, FaultKind};
use serde_json::Value;

use crate::support::{Export, account, day, on_memory_and_disk};

const STREAMS: [&str; 4] = ["visibility_v2_by_day", "visibility_v1", "answers_v2", "bots_v2"];

on_memory_and_disk! {
    async fn unknown_member_is_kept_and_reported_once_a_run_and_stream(place) {
        let export = Export::start(place, account(), &STREAMS).await;
        export.simulator.inject(FaultKind::ExtraField.into());
        for _ in 0..2 {
            let run = export.run().await;
            assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
            for stream in STREAMS {
                let rows = export.all_rows(stream).await;
                let kept = |row: &Value| row["_extra"].as_str().is_some_and(|text| serde_json::from_str::<Value>(text).unwrap().is_object());
                assert!(!rows.is_empty() && rows.iter().all(kept), "{stream}: {:?}", rows.first());
                export.assert_equals_simulator(stream).await;
            }
            let mut drifted: Vec<String> = export.take_events().iter().filter_map(|event| match event {
                Event::SchemaDrift { stream, field, example } if !example.is_empty() => Some(format!("{stream} {field}")),
                _ => None,
            }).collect();
            drifted.sort();
            let mut once = drifted.clone();
            once.dedup();
            assert_eq!(drifted, once);
            assert_eq!(drifted.len(), STREAMS.len(), "{drifted:?}");
        }
    }
}

on_memory_and_disk! {
    async fn value_that_does_not_fit_fails_only_its_stream(place) {
        let export = Export::start(place, account(), &STREAMS).await;
        export.run().await;
        let before = export.versions("visibility_v2_by_day").await;
        export.simulator.restate(day("2026-03-09"));
        let fault = FaultKind::WrongType { column: "visibility_score".into() };
        export.simulator.inject(Fault::from(fault).of_stream("visibility_v2_by_day"));

        let (run, _) = export.run_and_watch().await;

        assert_eq!((run.outcome, run.failed.len()), (Outcome::Failed, export.categories().len()), "{}", run.summary());
        let words = &run.failed[0].1;
        for part in ["stream `visibility_v2_by_day`", "row 1", "column `visibility_score`", "is a number", "the API sent"] {
            assert!(words.contains(part), "{words} does not contain {part}");
        }
        assert_eq!(export.versions("visibility_v2_by_day").await, before);
        for other in ["visibility_v1", "answers_v2", "bots_v2"] {
            export.assert_equals_simulator(other).await;
        }

        export.simulator.clear_faults();
        assert_eq!(export.run().await.outcome, Outcome::Complete);
        export.assert_equals_simulator("visibility_v2_by_day").await;
    }
}

#[test]
fn mismatch_has_a_hint_for_operators() {
    let error = profound_export::run::RunError::Decode(profound_export::decode::DecodeError::Mismatch {
        stream: "visibility_v2".into(),
        row: 1,
        column: "rank".into(),
        expected: "int64".into(),
        found: "1.5".into(),
    });
    assert!(error.hint().unwrap().contains("published files are kept"));
}
