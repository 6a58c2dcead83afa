//! A rejected key stops the run at once, a new one resumes it, and no key is ever shown.

use std::sync::{Arc, Mutex};

use profound_export::config::Auth;
use profound_export::model::event::Event;
use profound_export::run::{Outcome, RunResult};
use profound_export::simulator::{Fault, FaultKind, KeyLocation, ReceivedRequest};

use crate::support::{Export, KEY, Place, account, error_chain, on_memory_and_disk};

const STREAMS: [&str; 5] = ["visibility_v2_by_day", "visibility_v1", "answers_v2", "models", "category_topics"];

/// Requests that were received after the first rejected one.
fn after_rejection(received: &[ReceivedRequest]) -> usize {
    let rejected = received.iter().position(|request| request.status == 401).expect("no request was rejected");
    received.len() - 1 - rejected
}

on_memory_and_disk! {
    async fn no_request_is_sent_after_the_key_is_revoked(place) {
        for (concurrency, after) in place.cases([(4, 9), (1, 9)]) {
            let mut export = Export::start(place, account(), &STREAMS).await;
            export.api.concurrency = concurrency;
            export.simulator.inject(Fault::from(FaultKind::RevokeKey).after(after).times(1));
            let (run, received) = export.run_and_watch().await;

            assert_eq!(run.outcome, Outcome::KeyRejected, "{}", run.summary());
            // Requests in flight at that moment cannot be stopped.
            assert!(after_rejection(&received) < concurrency, "{:?}", received);
            assert!(!run.deferred.is_empty() && run.failed.is_empty(), "{}", run.summary());
            assert!(error_chain(run.error.as_ref().unwrap()).contains("Invalid API key"));
            // Published files are complete and recorded.
            assert!(run.totals().slices > 0);
            export.assert_ledger_knows_every_file().await;
            assert_eq!(export.state().await.runs.back().unwrap().end.outcome, Outcome::KeyRejected);

            // A new key resumes from there.
            export.simulator.rotate_key("pk-another");
            let next = export.run().await;
            assert_eq!(next.outcome, Outcome::Complete, "{}", next.summary());
            for stream in STREAMS {
                export.assert_equals_simulator(stream).await;
            }
        }
    }
}

#[tokio::test]
async fn wrong_key_costs_one_request() {
    let export = Export::start(Place::Memory, account(), &STREAMS).await;
    export.simulator.revoke_key();
    let (run, received) = export.run_and_watch().await;
    assert_eq!((run.outcome, received.len()), (Outcome::KeyRejected, 1));
    // Only that the run failed is recorded.
    assert!(export.files().await.is_empty());
    assert_key_is_in_no_file(&export).await;
}

#[tokio::test]
async fn run_continues_with_a_changed_key_file() {
    let mut export = Export::start(Place::Memory, account(), &STREAMS).await;
    let path = export.key_in_a_file();
    let simulator = Arc::clone(&export.simulator);
    // Several requests are in flight with the old key when it is replaced.
    export.listen(move |event| {
        if let Event::RunPlanned { .. } = event {
            simulator.rotate_key("pk-rotated");
            std::fs::write(&path, "pk-rotated\n").unwrap();
        }
    });
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.error);
    assert!(received.iter().any(|request| request.status == 401));
    for stream in STREAMS {
        export.assert_equals_simulator(stream).await;
    }
}

#[tokio::test]
async fn run_stops_if_the_changed_key_is_rejected_too() {
    let mut export = Export::start(Place::Memory, account(), &STREAMS).await;
    export.api.concurrency = 1;
    let path = export.key_in_a_file();
    let simulator = Arc::clone(&export.simulator);
    export.listen(move |event| {
        if let Event::RunPlanned { .. } = event {
            simulator.revoke_key();
            std::fs::write(&path, "pk-also-wrong").unwrap();
        }
    });
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::KeyRejected);
    assert_eq!(received.iter().filter(|request| request.status == 401).count(), 2, "one for each key");
}

/// Searches every object of the lake, compressed columns and footers included.
async fn assert_key_is_in_no_file(export: &Export) {
    for path in export.objects().await.into_keys() {
        let bytes = export.bytes(&path).await;
        assert!(memchr::memmem::find(&bytes, KEY.as_bytes()).is_none(), "the key is in {path}");
        // Checkpoints contain the same text as the records.
        if path.ends_with(".parquet") && !path.contains("/checkpoints/") {
            let output = format!("{:?}", export.table(&path).await);
            assert!(!output.contains(KEY), "the key is in a row or the footer of {path}");
        }
    }
}

/// Everything that a run outputs.
fn output(export: &Export, run: &RunResult) -> String {
    let error = run.error.as_ref().map(|error| format!("{} {:?}", error_chain(error), error.hint()));
    format!("{run:?} {} {error:?} {:?}", run.summary(), export.take_events())
}

on_memory_and_disk! {
    async fn key_in_a_response_is_neither_shown_nor_kept(place) {
        for (at, outcome) in [
            (KeyLocation::Error, Outcome::Failed),
            (KeyLocation::Redirect, Outcome::Failed),
            // A page in place of every report looks like an outage.
            (KeyLocation::Page, Outcome::Unavailable),
            (KeyLocation::Rows, Outcome::Failed),
            (KeyLocation::Headers, Outcome::Complete),
        ] {
            for auth in place.cases([Auth::Header, Auth::Bearer, Auth::Query]) {
                let mut export = Export::start(place, account(), &["visibility_v2_by_day", "answers_v2", "models"]).await;
                export.api.auth = auth;
                // Positional values have no undeclared members, but the body around them has.
                for stream in ["visibility", "answers"] {
                    export.simulator.inject(Fault::from(FaultKind::RepeatKey { at }).of_stream(stream));
                }
                let run = export.run().await;
                assert_eq!(run.outcome, outcome, "{at:?}: {} {:?}", run.summary(), run.failed);
                let output = output(&export, &run);
                assert!(!output.contains(KEY), "{at:?}: {output}");
                if at == KeyLocation::Rows {
                    assert!(output.contains("contains the API key"), "{at:?}: {output}");
                }
                assert_key_is_in_no_file(&export).await;
                export.assert_equals_simulator("models").await;

                export.simulator.clear_faults();
                assert_eq!(export.run().await.outcome, Outcome::Complete, "{at:?}");
                export.assert_equals_simulator("visibility_v2_by_day").await;
                export.assert_equals_simulator("answers_v2").await;
            }
        }
    }
}

#[tokio::test]
async fn key_in_the_lists_of_the_account_is_not_shown() {
    for at in [KeyLocation::Error, KeyLocation::Redirect, KeyLocation::Page, KeyLocation::Rows] {
        let export = Export::start(Place::Memory, account(), &["models"]).await;
        export.simulator.inject(FaultKind::RepeatKey { at }.into());
        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Unavailable, "{at:?}");
        let output = output(&export, &run);
        assert!(!output.contains(KEY), "{at:?}: {output}");
        // Only that the run failed is recorded.
        assert!(export.files().await.is_empty());
        assert_key_is_in_no_file(&export).await;
    }
}

on_memory_and_disk! {
    async fn key_is_not_shown_by_any_failure(place) {
        let faults = [
            FaultKind::Unprocessable { detail: profound_export::simulator::DetailForm::List },
            FaultKind::Truncate { bytes: 2000 },
            FaultKind::Html { code: 200 },
            FaultKind::Status { code: 403, retry_after: None, reset: None },
            FaultKind::Status { code: 307, retry_after: None, reset: None },
            FaultKind::WrongType { column: "visibility_score".into() },
            FaultKind::ExtraField,
            FaultKind::RevokeKey,
        ];
        let shown = Arc::new(Mutex::new(String::new()));
        for auth in place.cases([Auth::Header, Auth::Query]) {
            let mut export = Export::start(place, account(), &STREAMS).await;
            export.api.auth = auth;
            let mut words_of = String::new();
            for fault in faults.clone() {
                export.simulator.clear_faults();
                // Once the account is not entitled to visibility, it is not requested any more.
                let of = if fault == FaultKind::RevokeKey { "answers" } else { "visibility" };
                export.simulator.inject(Fault::from(fault).of_stream(of));
                let settings = export.settings();
                words_of.push_str(&format!("{settings:?}"));
                let run = export.run().await;
                words_of.push_str(&format!("{run:?} {}", run.summary()));
                if let Some(error) = &run.error {
                    words_of.push_str(&error_chain(error));
                    words_of.push_str(&error.hint().unwrap_or_default());
                }
            }
            for event in export.take_events() {
                words_of.push_str(&format!("{event:?}"));
            }
            assert!(!words_of.contains(KEY), "the key is shown");
            assert_key_is_in_no_file(&export).await;
            shown.lock().unwrap().push_str(&words_of);
        }
        assert!(shown.lock().unwrap().contains("HTTP 401"), "the key was never rejected");
    }
}

#[tokio::test]
async fn key_in_the_address_is_not_shown_if_the_api_is_unreachable() {
    let mut export = Export::start(Place::Memory, account(), &STREAMS).await;
    export.api.auth = Auth::Query;
    // No server listens on port 1.
    export.api.base_url = "http://127.0.0.1:1".parse().unwrap();
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Unavailable);
    let output = format!("{} {run:?}", error_chain(run.error.as_ref().unwrap()));
    assert!(output.contains("cannot reach the API") && !output.contains(KEY), "{output}");
    // Only that the run failed is recorded.
    assert!(export.files().await.is_empty());
    assert_key_is_in_no_file(&export).await;
}
