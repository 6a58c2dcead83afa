//! A response that says that rows are missing, or lacks the member that shows the end, is never taken as whole.

use profound_export::run::Outcome;
use profound_export::simulator::{AnnouncedAt, Fault, FaultKind, NoInfoForm};

use crate::support::{Export, Place, account, day, on_memory_and_disk};

/// A stream for each kind of response, and whether its body is an object.
const STREAMS: [(&str, bool); 7] = [
    ("visibility_v2_by_day", true),
    ("visibility_v1", true),
    ("answers_v2", true),
    ("prompts", true),
    ("category_topics", false),
    ("category_personas", true),
    ("agents", true),
];

fn announce(at: AnnouncedAt, member: &str, value: &str) -> Fault {
    FaultKind::Announce { at, member: member.into(), value: value.into() }.into()
}

/// Runs with `fault` after the service has revised a day: published files are kept, and the next run recovers.
async fn assert_doubt(place: Place, stream: &str, event_streams: bool, fault: Fault) {
    let what = format!("{stream} {fault:?}");
    let mut export = Export::start(place, account(), &[stream]).await;
    export.api.event_streams = event_streams;
    export.job.start = Some(day("2026-03-09"));
    assert_eq!(export.run().await.outcome, Outcome::Complete, "{what}");
    let before = export.versions(stream).await;
    export.simulator.restate(day("2026-03-09"));
    export.simulator.inject(fault.of_stream(stream));
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Failed, "{what}: {}", run.summary());
    assert_eq!(export.versions(stream).await, before, "{what}");
    export.simulator.clear_faults();
    assert_eq!(export.run().await.outcome, Outcome::Complete, "{what}");
    export.assert_equals_simulator(stream).await;
}

#[tokio::test]
async fn announced_rows_that_are_missing_are_a_doubt() {
    let announced = [
        (AnnouncedAt::Body, "has_more", "true"),
        (AnnouncedAt::Header, "link", "<https://api.example/?page=2>; rel=\"next\""),
        (AnnouncedAt::Body, "nextCursor", "c2"),
        (AnnouncedAt::Body, "total", "100000"),
        (AnnouncedAt::Body, "total_results", "100000"),
        (AnnouncedAt::Body, "next", "https://api.example/?page=2"),
        (AnnouncedAt::Body, "meta", "{\"total\": 100000}"),
        (AnnouncedAt::Body, "partial", "true"),
        (AnnouncedAt::Body, "success", "false"),
        (AnnouncedAt::Body, "status", "error"),
        (AnnouncedAt::Header, "x-total-count", "100000"),
    ];
    for (stream, is_object) in STREAMS {
        // The table of names is the same for every kind of response.
        let names = if stream == "category_personas" { announced.len() } else { 2 };
        for (at, member, value) in &announced[..names] {
            if is_object || *at == AnnouncedAt::Header {
                assert_doubt(Place::Memory, stream, false, announce(*at, member, value)).await;
            }
        }
    }
}

on_memory_and_disk! {
    async fn pages_decide_if_a_summary_announces_missing_rows(place) {
        for (member, value) in [("has_more", "true"), ("partial", "true"), ("total", "100000")] {
            let fault = announce(AnnouncedAt::Info, member, value);
            let export = Export::start(place, account(), &["visibility_v2_by_day", "visibility_v1"]).await;
            export.simulator.inject(fault.clone().on_path("/stream"));
            let run = export.run().await;
            assert_eq!(run.outcome, Outcome::Complete, "{member}: {} {:?}", run.summary(), run.failed);
            export.assert_equals_simulator("visibility_v2_by_day").await;
            export.assert_equals_simulator("visibility_v1").await;
            assert_doubt(place, "visibility_v2_by_day", true, fault).await;
        }
    }
}

on_memory_and_disk! {
    async fn result_without_info_is_no_empty_day(place) {
        for stream in ["visibility_v2_by_day", "visibility_v1", "answers_v2"] {
            for form in [NoInfoForm::Absent, NoInfoForm::Null, NoInfoForm::Bare] {
                let mut export = Export::start(place, account(), &[stream]).await;
                export.api.event_streams = false;
                export.simulator.inject(Fault::from(FaultKind::NoInfo { form }).of_stream(stream));
                export.simulator.inject(Fault::from(FaultKind::FewerRows { rows: 0 }).of_stream(stream));
                let run = export.run().await;
                assert_eq!(run.outcome, Outcome::Failed, "{stream} {form:?}: {}", run.summary());
                let coverage = export.coverage().await;
                let states = coverage.iter().filter(|row| row["stream"] == stream).map(|row| row["status"].clone());
                assert!(states.into_iter().all(|status| status == "suspect"), "{stream} {form:?}");
                export.simulator.clear_faults();
                assert_eq!(export.run().await.outcome, Outcome::Complete);
                export.assert_equals_simulator(stream).await;
            }
        }
    }
}

#[tokio::test]
async fn cursor_page_without_info_is_not_the_last() {
    let mut export = Export::start(Place::Memory, account(), &["visibility_v2"]).await;
    export.api.event_streams = false;
    export.simulator.inject(Fault::from(FaultKind::NoInfo { form: NoInfoForm::Absent }).of_stream("visibility_v2"));
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Failed, "{}", run.summary());
    assert!(export.files().await.is_empty());
}
