//! Responses that no honest server sends are rejected within bounds, with a message that shows nothing of them.

use std::io::Read as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use profound_export::config::{Auth, Period};
use profound_export::run::Outcome;
use profound_export::simulator::{Fault, FaultKind, FloodForm};

use crate::support::{Export, KEY, Place, account, day, on_memory_and_disk};

/// A stream of events, one of offset pages, one of cursor pages, and a list in one body.
const STREAMS: [&str; 4] = ["visibility_v2_by_day", "visibility_v1", "answers_v2", "category_topics"];

/// Faults, alone or compressed, with parts of their messages.
fn hostile_answers() -> Vec<(Vec<FaultKind>, &'static [&'static str])> {
    let gzip = |ends_at, damaged_at| FaultKind::Gzip { ends_at, damaged_at };
    let flood = |of| FaultKind::Flood { of, megabytes: None };
    vec![
        (vec![FaultKind::Html { code: 200 }], &["text/html that is not the API's"]),
        (vec![FaultKind::InvalidUtf8], &["damaged", "not JSON", "column"]),
        (vec![gzip(Some(100), None)], &["unexpected end of file", "broke"]),
        (vec![gzip(None, Some(60))], &["broke", "damaged", "not proven complete"]),
        (vec![FaultKind::DeepNesting { levels: 1_000_000 }], &["nest deeper than 64 levels", "damaged"]),
        (vec![flood(FloodForm::Text)], &["is longer than 33554432 bytes"]),
        (vec![flood(FloodForm::Blanks)], &["is longer than 4194304 bytes"]),
        (vec![flood(FloodForm::Blanks), gzip(None, None)], &["is longer than 4194304 bytes"]),
    ]
}

/// One category and one day, so that no window can be halved.
async fn small(place: Place, streams: &[&str]) -> Export {
    let mut export = Export::start(place, account(), streams).await;
    export.job.start = Some(day("2026-03-09"));
    export.job.categories = vec![export.categories()[0].clone()];
    export.api.idle_timeout = Period(Duration::from_secs(5));
    export
}

async fn assert_whole(export: &Export, streams: &[&str]) {
    for name in streams {
        let stream = export.stream(name);
        let scope = export.first_scope(name);
        export.assert_rows_are_simulated(stream, &scope, export.wanted(stream)).await;
    }
    export.assert_ledger_knows_every_file().await;
}

on_memory_and_disk! {
    async fn published_files_are_kept_when_a_response_is_hostile(place) {
        for (faults, messages) in place.cases(hostile_answers()) {
            // Floods are slow, and they treat all pages alike.
            let flooded = faults.iter().any(|fault| matches!(fault, FaultKind::Flood { .. }));
            let streams = if flooded { &["visibility_v2_by_day", "category_topics"][..] } else { &STREAMS };
            let export = small(place, streams).await;
            assert_eq!(export.run().await.outcome, Outcome::Complete);
            let before = export.files().await;
            for stream in streams {
                for fault in &faults {
                    export.simulator.inject(Fault::from(fault.clone()).of_stream(stream));
                }
            }
            export.simulator.restate(day("2026-03-09"));
            let began = Instant::now();
            let run = export.run().await;

            let is_named = |problem: &str| messages.iter().any(|message| problem.contains(message));
            if let Some(outage) = &run.error {
                // What is not the API's at any endpoint looks like an outage.
                assert_eq!(run.outcome, Outcome::Unavailable, "{faults:?}: {}", run.summary());
                assert!(is_named(&outage.to_string()) && run.deferred.len() == streams.len(), "{faults:?}: {outage}");
            } else {
                assert_eq!(run.outcome, Outcome::Failed, "{faults:?}: {}", run.summary());
                assert_eq!(run.failed.len(), streams.len(), "{faults:?}: {:?}", run.failed);
                for (slice, problem) in &run.failed {
                    assert!(is_named(problem), "{faults:?}, {slice}: {problem}");
                }
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{faults:?}: {:?}", began.elapsed());
            assert_eq!(export.files().await, before, "{faults:?} changed what is shown");

            export.simulator.clear_faults();
            assert_eq!(export.run().await.outcome, Outcome::Complete);
            assert_whole(&export, streams).await;
        }
    }
}

#[tokio::test]
async fn reading_ends_after_more_rows_than_announced() {
    let streams = ["visibility_v1", "citations_v1"];
    let export = small(Place::Memory, &streams).await;
    for stream in streams {
        let flood = FaultKind::Flood { of: FloodForm::Rows, megabytes: None };
        export.simulator.inject(Fault::from(flood).of_stream(stream));
    }
    let run = export.run().await;
    assert_eq!((run.outcome, run.failed.len()), (Outcome::Failed, 2), "{}", run.summary());
    assert!(run.failed.iter().all(|(_, problem)| problem.contains("is not proven complete")), "{:?}", run.failed);
    assert!(export.files().await.is_empty());
}

#[tokio::test]
async fn compressed_response_is_read_like_any_other() {
    let export = small(Place::Memory, &STREAMS).await;
    export.simulator.inject(FaultKind::Gzip { ends_at: None, damaged_at: None }.into());
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    assert_whole(&export, &STREAMS).await;
}

#[tokio::test]
async fn key_does_not_follow_a_redirect_to_another_host() {
    for auth in [Auth::Header, Auth::Bearer, Auth::Query] {
        let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
        elsewhere.set_nonblocking(true).unwrap();
        let to = format!("http://{}/caught", elsewhere.local_addr().unwrap());
        let mut export = small(Place::Memory, &["visibility_v2_by_day", "category_topics"]).await;
        export.api.auth = auth;
        export.simulator.inject(Fault::from(FaultKind::Redirect { to: to.clone() }).of_stream("visibility"));
        let run = export.run().await;

        assert_eq!((run.outcome, run.failed.len()), (Outcome::Failed, 1), "{}", run.summary());
        assert!(run.failed[0].1.contains("HTTP 307") && !run.failed[0].1.contains(KEY), "{:?}", run.failed);
        assert!(run.streams.contains_key("category_topics"));
        if let Ok((mut caller, _)) = elsewhere.accept() {
            let mut sent = String::new();
            caller.read_to_string(&mut sent).ok();
            panic!("somebody called the other host: {sent}");
        }
    }
}
