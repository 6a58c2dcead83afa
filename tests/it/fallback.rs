//! A grain that the API rejects is replaced by its declared fallback, and the ledger records it.

use profound_export::model::stream::Fallback;
use profound_export::run::Outcome;
use profound_export::simulator::{DetailForm, Fault, FaultKind};
use serde_json::Value;

use crate::support::{Export, Place, account, day, instant, of_stream, on_memory_and_disk};

const STAND_IN: &str = "visibility_v2_by_model_region_prompt";

fn refused(detail: DetailForm) -> Fault {
    FaultKind::Unprocessable { detail }.into()
}

/// Rejects requests with `member`, of more than `limit` rows.
fn rejecting(member: &str, limit: Option<u64>) -> Fault {
    FaultKind::RejectMember { member: member.into(), limit }.into()
}

/// Rejects the finest grain of visibility, but not its fallback.
async fn refusing(place: Place, streams: &[&str]) -> Export {
    let export = Export::start(place, account(), streams).await;
    // Names are matched as parts, and one name is part of the other: twice, since one rejection alone proves nothing.
    export.simulator.inject(refused(DetailForm::Text).of_stream("visibility_v2").times(2));
    export
}

on_memory_and_disk! {
    async fn fallback_has_its_own_table_and_is_remembered(place) {
        let mut export = refusing(place, &["visibility_v2"]).await;
        // One request at a time, so that the rejection meets the grain that is requested first.
        export.api.concurrency = 1;
        export.job.categories = vec![export.categories()[0].clone()];
        let run = export.run().await;

        assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
        assert!(export.versions("visibility_v2").await.is_empty(), "coarser rows went into the finer table");
        assert_eq!(export.state().await.facts.fallback("visibility_v2"), Some(STAND_IN));
        let (stream, scope) = (export.stream(STAND_IN), export.first_scope(STAND_IN));
        export.assert_rows_are_simulated(stream, &scope, export.wanted(stream)).await;

        export.simulator.clear_faults();
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete);
        assert!(of_stream(&received, "visibility_v2").is_empty(), "the rejected grain was requested twice");
        assert_eq!(of_stream(&received, STAND_IN).len(), 1);
    }
}

#[tokio::test]
async fn rejection_without_a_fallback_shows_the_api_message() {
    for (form, message) in [(DetailForm::Text, "Unsupported combination"), (DetailForm::List, "body: Value error")] {
        let export = Export::start(Place::Memory, account(), &["visibility_v2_by_day", "answers_v1"]).await;
        export.simulator.inject(refused(form).of_stream("visibility_v2_by_day"));
        let run = export.run().await;
        assert_eq!((run.outcome, run.failed.len()), (Outcome::Failed, export.categories().len()));
        assert!(run.failed[0].1.contains(message) && run.failed[0].1.contains("422"), "{:?}", run.failed);
        export.assert_equals_simulator("answers_v1").await;
    }
}

#[tokio::test]
async fn rejection_is_final_if_the_fallback_is_rejected_too() {
    let export = Export::start(Place::Memory, account(), &["visibility_v2"]).await;
    export.simulator.inject(refused(DetailForm::Text).of_stream("visibility_v2"));
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Failed);
    assert_eq!(
        of_stream(&received, "visibility_v2").len() + of_stream(&received, STAND_IN).len(),
        6 * export.categories().len(),
        "each twice, and the pages of the fallback"
    );
    assert_eq!(export.state().await.facts.fallback("visibility_v2"), None, "both were rejected");
}

on_memory_and_disk! {
    async fn column_is_null_if_its_member_is_rejected(place) {
        for (name, column) in place.cases([
            ("answers_v2", "citation_details"),
            ("sentiment_v2_by_theme", "cited_websites"),
            ("bots_v2", "agents"),
        ]) {
            let mut export = Export::start(place, account(), &[name]).await;
            export.api.concurrency = 1;
            let Some(Fallback::Without(member)) = export.stream(name).on_422.clone() else { unreachable!() };
            export.simulator.inject(rejecting(&member, None).of_stream(name));
            let (run, first) = export.run_and_watch().await;

            assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
            let rows = export.all_rows(name).await;
            assert!(!rows.is_empty() && rows.iter().all(|row| row[column] == Value::Null), "{name}.{column}");
            let expected: u64 = export.simulator.scopes(export.stream(name).scope).iter().map(|scope| {
                export.simulator.truth(export.stream(name), scope, export.wanted(export.stream(name))).rows
            }).sum();
            assert_eq!(rows.len() as u64, expected, "{name}");

            // Rejected twice, recorded, and not requested any more, neither in this run nor in the next.
            export.simulator.clear_faults();
            let (run, second) = export.run_and_watch().await;
            assert_eq!((run.outcome, run.totals().files), (Outcome::Complete, 0), "{}", run.summary());
            let slices = of_stream(&second, name).len();
            assert_eq!(of_stream(&first, name).len(), slices + 2, "{name}");
            assert!(of_stream(&second, name).iter().all(|request| !request.body.to_string().contains(column.trim_start_matches("cited_"))), "{name}");
        }
    }
}

on_memory_and_disk! {
    async fn pages_are_used_if_event_streams_lack_a_column(place) {
        let export = Export::start(place, account(), &["visibility_v1"]).await;
        export.simulator.inject(FaultKind::MissingField { column: "executions".into() }.into());
        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
        export.assert_equals_simulator("visibility_v1").await;
        assert!(export.state().await.facts.events_incomplete("visibility_v1", export.simulator.now()));

        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete);
        let requested = of_stream(&received, "visibility_v1");
        assert!(!requested.is_empty() && requested.iter().all(|request| !request.path.ends_with("/stream")), "{requested:?}");
    }
}

on_memory_and_disk! {
    async fn one_rejection_changes_no_table(place) {
        for (name, fault) in place.cases([
            ("answers_v2", refused(DetailForm::Text)),
            ("answers_v2", rejecting("include.citation_details", None)),
            ("visibility_v2", refused(DetailForm::Text)),
            ("accuracy_overview", rejecting("end_date", None)),
        ]) {
            let mut export = Export::start(place, account(), &[name]).await;
            export.api.concurrency = 1;
            export.simulator.inject(fault.of_stream(name).times(1));
            let run = export.run().await;
            assert_eq!(run.outcome, Outcome::Complete, "{name}: {} {:?}", run.summary(), run.failed);
            let facts = export.state().await.facts;
            assert!(facts.iter().all(|learned| learned.difference().is_none()), "{name}: {facts:?}");
            export.assert_equals_simulator(name).await;
        }
    }
}

#[tokio::test]
async fn rejection_of_another_member_is_no_reason_for_a_fallback() {
    for (name, fault) in [
        ("answers_v2", rejecting("category_id", None)),
        ("answers_v2", refused(DetailForm::List)),
        ("visibility_v2", rejecting("category_id", None)),
        ("visibility_v2", refused(DetailForm::List)),
    ] {
        let export = Export::start(Place::Memory, account(), &[name]).await;
        export.simulator.inject(fault.of_stream(name));
        let run = export.run().await;
        assert_eq!((run.outcome, run.failed.len()), (Outcome::Failed, export.categories().len()), "{name}");
        assert!(export.state().await.facts.iter().all(|learned| learned.difference().is_none()), "{name}");
        export.simulator.clear_faults();
        assert_eq!(export.run().await.outcome, Outcome::Complete, "{name}");
        export.assert_equals_simulator(name).await;
    }
}

on_memory_and_disk! {
    async fn published_column_is_kept_if_its_member_is_rejected(place) {
        let export = Export::start(place, account(), &["answers_v2"]).await;
        assert_eq!(export.run().await.outcome, Outcome::Complete);
        let before = export.versions("answers_v2").await;
        export.simulator.restate(day("2026-03-08"));
        export.simulator.inject(rejecting("include.citation_details", None));
        for _ in 0..2 {
            let run = export.run().await;
            assert_eq!(run.outcome, Outcome::Failed, "{}", run.summary());
            assert!(run.failed[0].1.contains("`include.citation_details` was rejected"), "{:?}", run.failed);
        }
        assert_eq!(export.versions("answers_v2").await, before, "null replaced a published column");

        export.simulator.clear_faults();
        assert_eq!(export.run().await.outcome, Outcome::Complete);
        export.assert_equals_simulator("answers_v2").await;
    }
}

on_memory_and_disk! {
    async fn member_that_is_accepted_again_is_extracted_again(place) {
        for (name, fault) in
            place.cases([("answers_v2", rejecting("include.citation_details", None)), ("visibility_v2", refused(DetailForm::Text).times(2))])
        {
            let mut export = Export::start(place, account(), &[name]).await;
            export.api.concurrency = 1;
            export.simulator.inject(fault.of_stream(name));
            assert_eq!(export.run().await.outcome, Outcome::Complete);
            export.simulator.clear_faults();
            let learned = export.state().await.facts;
            assert!(learned.iter().any(|learned| learned.difference().is_some()), "{name}: {learned:?}");

            export.simulator.set_now(instant("2026-03-18T16:00:00Z"));
            assert_eq!(export.run().await.outcome, Outcome::Complete);
            let facts = export.state().await.facts;
            assert!(facts.iter().all(|learned| learned.difference().is_none()), "{name}: {facts:?}");
            export.assert_equals_simulator(name).await;
        }
    }
}

on_memory_and_disk! {
    async fn small_pages_are_tried_before_a_member_is_left_out(place) {
        let name = "factcheck_claims_v2";
        let export = Export::start(place, account(), &[name]).await;
        export.simulator.inject(rejecting("include.citation_sources", Some(5)));
        assert_eq!(export.run().await.outcome, Outcome::Complete);
        export.assert_equals_simulator(name).await;
        let facts = export.state().await.facts;
        assert_eq!((facts.page_limit(name), facts.rejected_member(name)), (Some(5), None));
    }
}
