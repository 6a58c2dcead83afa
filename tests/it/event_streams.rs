//! An event stream proves only what it shows: whatever it lacks, hides or rejects, pages complete it.

use profound_export::model::proof::Proof;
use profound_export::run::Outcome;
use profound_export::simulator::{Account, Fault, FaultKind, GatewayForm};

use crate::support::{Export, Place, account, instant, of_stream, on_memory_and_disk};

const STREAMS: [&str; 4] = ["visibility_v2_by_day", "sentiment_v2_by_theme", "answers_v2", "visibility_v1"];

fn status(code: u16) -> FaultKind {
    FaultKind::Status { code, retry_after: None, reset: None }
}

/// Runs an account with `faults`: the lake equals the account, and the coverage knows no missing entitlement.
async fn assert_complete(export: &Export, streams: &[&str], faults: &[Fault]) {
    faults.iter().for_each(|fault| export.simulator.inject(fault.clone()));
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Complete, "{faults:?}: {} {:?}", run.summary(), run.failed);
    assert_eq!(run.not_entitled.len(), 0, "{faults:?}");
    for stream in streams {
        export.assert_equals_simulator(stream).await;
    }
}

on_memory_and_disk! {
    async fn pages_replace_an_event_stream_whose_path_is_rejected(place) {
        let gateways = [GatewayForm::Text, GatewayForm::Empty].map(|form| FaultKind::Gateway { code: 405, form });
        let rejections = [400, 403, 404, 405, 406, 410, 415, 422, 501].map(status).into_iter().chain(gateways);
        for rejection in place.cases(rejections.chain([FaultKind::Html { code: 404 }])) {
            let small = Account { categories: 1, ..account() };
            let streams = ["visibility_v2_by_day", "visibility_v1"];
            let export = Export::start(place, small, &streams).await;
            assert_complete(&export, &streams, &[Fault::from(rejection).on_path("/stream")]).await;
        }
    }
}

#[tokio::test]
async fn rejected_event_stream_is_remembered_for_a_week() {
    let mut export = Export::start(Place::Memory, account(), &["visibility_v2_by_day"]).await;
    export.api.concurrency = 1;
    let rejected = |received: &[_]| {
        of_stream(received, "visibility_v2_by_day").iter().filter(|request| request.path.ends_with("/stream")).count()
    };
    export.simulator.inject(Fault::from(status(404)).on_path("/stream"));
    for (now, requests) in [("2026-03-10T16:00:00Z", 1), ("2026-03-11T16:00:00Z", 0), ("2026-03-18T17:00:00Z", 1)] {
        export.simulator.set_now(instant(now));
        let (run, received) = export.run_and_watch().await;
        assert_eq!((run.outcome, rejected(&received)), (Outcome::Complete, requests), "{now}: {}", run.summary());
        export.assert_equals_simulator("visibility_v2_by_day").await;
    }
    // With the date of the last rejection, and no longer once the event stream is back.
    let facts = export.state().await.facts;
    let learned = facts.iter().find(|learned| learned.evidence.contains("HTTP 404")).unwrap();
    assert!(learned.checked_at.is_some_and(|at| at > instant("2026-03-18T00:00:00Z")), "{learned:?}");
    export.simulator.clear_faults();
    export.simulator.set_now(instant("2026-03-26T16:00:00Z"));
    let (run, received) = export.run_and_watch().await;
    assert_eq!((run.outcome, rejected(&received)), (Outcome::Complete, export.categories().len()));
}

#[tokio::test]
async fn missing_entitlement_is_what_the_pages_say() {
    let export = Export::start(Place::Memory, account(), &["visibility_v2_by_day"]).await;
    export.simulator.inject(Fault::from(status(403)).of_stream("visibility_v2_by_day"));
    let run = export.run().await;
    assert_eq!((run.outcome, run.not_entitled.len()), (Outcome::Complete, 2), "{}", run.summary());
    assert!(export.state().await.facts.iter().all(|learned| !learned.evidence.contains("403")), "nothing was complete");
}

#[tokio::test]
async fn event_stream_without_a_known_summary_costs_one_request() {
    let mut export = Export::start(Place::Memory, account(), &["visibility_v2_by_day", "visibility_v1"]).await;
    export.api.concurrency = 1;
    export.simulator.inject(FaultKind::NoSummary.into());
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
    for stream in ["visibility_v2_by_day", "visibility_v1"] {
        export.assert_equals_simulator(stream).await;
        let of_stream = of_stream(&received, stream);
        assert_eq!(of_stream.iter().filter(|request| request.path.ends_with("/stream")).count(), 1, "{stream}");
        let windows: std::collections::BTreeSet<_> =
            of_stream.iter().map(|request| request.body["start_date"].to_string()).collect();
        assert_eq!(windows.len(), 1, "no window is halved: {windows:?}");
    }
}

on_memory_and_disk! {
    async fn null_pagination_proves_nothing_without_a_total(place) {
        let page = || Fault::from(FaultKind::DefaultPage { rows: 5 });
        let export = Export::start(place, account(), &["visibility_v1", "sentiment_v1"]).await;
        assert_complete(&export, &["visibility_v1", "sentiment_v1"], &[page(), FaultKind::NoTotal.into()]).await;
        assert!(export.state().await.facts.events_incomplete("visibility_v1", export.simulator.now()));

        // With a total, what is missing shows.
        let export = Export::start(place, account(), &["visibility_v1"]).await;
        assert_complete(&export, &["visibility_v1"], &[page()]).await;
    }
}

on_memory_and_disk! {
    async fn rows_under_another_name_are_requested_as_pages(place) {
        for name in place.cases(["", "item", "Result", "message"]) {
            for total in [None, Some(Fault::from(FaultKind::NoTotal))] {
                let export = Export::start(place, account(), &STREAMS).await;
                let renamed = Fault::from(FaultKind::RenamedEvents { name: name.into() });
                assert_complete(&export, &STREAMS, &[vec![renamed], Vec::from_iter(total)].concat()).await;
            }
        }
    }
}

on_memory_and_disk! {
    async fn event_stream_without_rows_or_a_total_is_no_empty_day(place) {
        let export = Export::start(place, account(), &STREAMS).await;
        let cut = Fault::from(FaultKind::SilentEnd { rows: 0 });
        assert_complete(&export, &STREAMS, &[cut, FaultKind::NoTotal.into()]).await;
    }
}

on_memory_and_disk! {
    async fn failure_reported_under_any_name_is_no_end(place) {
        for name in place.cases(["exception", "QueryFailed", "error", "stream_aborted", "notice"]) {
            let export = Export::start(place, account(), &STREAMS).await;
            let failure = Fault::from(FaultKind::ErrorEvent { rows: 3, name: Some(name.into()) });
            assert_complete(&export, &STREAMS, &[failure, FaultKind::NoTotal.into()]).await;
        }
    }
}

on_memory_and_disk! {
    async fn clean_end_is_confirmed_if_the_total_counts_no_rows(place) {
        let streams = ["shopping_brands_v2_by_topic", "visibility_v2_by_day", "sentiment_v2_by_theme"];
        // With few rows, some days or entities are missing; with many, only rows.
        let cuts = [3, 5, 8, 17, 30].map(|rows| (FaultKind::EntityTotals, rows));
        for (total, rows) in place.cases(cuts.into_iter().chain([(FaultKind::NoTotal, 17)])) {
            let export = Export::start(place, account(), &streams).await;
            let cut = Fault::from(FaultKind::SilentEnd { rows });
            assert_complete(&export, &streams, &[cut, total.into()]).await;
            let state = export.state().await;
            let days = state.coverage["visibility_v2_by_day"].values().flat_map(|scope| scope.days.values());
            assert!(days.into_iter().all(|day| matches!(day.proof, Some(Proof::CursorEnd | Proof::Total))));
            assert!(!state.facts.events_incomplete("visibility_v2_by_day", export.simulator.now()), "a doubt is not a fact");
        }
    }
}
