//! Child streams, requested once for each row of their parent, and re-extracted only if that row changed.

use std::collections::BTreeMap;

use profound_export::run::Outcome;
use profound_export::simulator::{Account, Fault, FaultKind, UndocumentedEnd};

use crate::support::{Export, Place, account, of_stream, on_memory_and_disk};

fn status(code: u16) -> Fault {
    FaultKind::Status { code, retry_after: None, reset: None }.into()
}

on_memory_and_disk! {
    async fn children_of_every_parent_are_extracted_and_it_once(place) {
        let streams = ["projects", "project_details", "project_tasks", "project_task_details"];
        let export = Export::start(place, account(), &streams).await;

        let (run, received) = export.run_and_watch().await;

        assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
        for stream in streams {
            export.assert_equals_simulator(stream).await;
            assert!(!export.all_rows(stream).await.is_empty(), "{stream}");
        }
        export.assert_ledger_knows_every_file().await;
        let projects = export.all_rows("projects").await.len();
        // Without a total an empty page ends the list.
        assert_eq!(of_stream(&received, "projects").len(), 2 * export.categories().len(), "once a category");
        assert_eq!(of_stream(&received, "project_details").len(), projects);
        assert_eq!(of_stream(&received, "project_tasks").len(), projects, "once, although children are requested for its rows");
    }
}

on_memory_and_disk! {
    async fn only_children_of_changed_parents_are_re_extracted(place) {
        let export = Export::start(place, account(), &["projects", "project_details"]).await;
        export.run().await;
        let before = export.versions("project_details").await;

        // An hour later, since a change within minutes of the extraction may have followed it.
        export.simulator.set_now(crate::support::instant("2026-03-10T17:00:00Z"));
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
        let projects = export.all_rows("projects").await;
        let unsaid = projects.iter().filter(|project| project["updated_at"].is_null()).count();
        assert_eq!(of_stream(&received, "project_details").len(), unsaid, "only those without a time of change");
        assert!(unsaid < projects.len());
        assert_eq!(export.versions("project_details").await, before);

        export.simulator.touch("projects", 2);
        let (run, received) = export.run_and_watch().await;
        assert!(unsaid < of_stream(&received, "project_details").len());
        assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
        assert!((unsaid..=unsaid + 2 * export.categories().len()).contains(&of_stream(&received, "project_details").len()));
        export.assert_equals_simulator("project_details").await;
        let runs = |rows: &[serde_json::Value]| {
            let mut runs: BTreeMap<String, usize> = BTreeMap::new();
            rows.iter().for_each(|row| *runs.entry(row["_run_id"].to_string()).or_default() += 1);
            runs.len()
        };
        assert_eq!(runs(&export.all_rows("project_details").await), 2, "the others keep the run that extracted them");
    }
}

on_memory_and_disk! {
    async fn failed_child_keeps_other_rows_and_is_retried_next_run(place) {
        let export = Export::start(place, account(), &["project_details"]).await;
        let category = export.categories()[0].clone();
        // The list, and the empty page that ends it, come first.
        export.simulator.inject(Fault { after: 2, times: Some(1), ..status(400).of_category(&category) });

        let run = export.run().await;
        assert_eq!((run.outcome, run.failed.len()), (Outcome::Failed, 1), "{}", run.summary());
        assert!(run.failed[0].1.starts_with("1 of "), "{}", run.failed[0].1);
        let stream = export.stream("project_details");
        let all = export.simulator.scopes(stream.scope).iter().map(|scope| export.simulator.truth(stream, scope, None).rows).sum::<u64>();
        assert_eq!(export.all_rows("project_details").await.len() as u64, all - 1);

        export.simulator.clear_faults();
        assert_eq!(export.run().await.outcome, Outcome::Complete);
        export.assert_equals_simulator("project_details").await;
    }
}

#[tokio::test]
async fn published_child_rows_are_kept_if_their_request_fails() {
    for code in [400, 403, 503] {
        let export = Export::start(Place::Memory, account(), &["content_optimization_analyses", "agent_details"]).await;
        assert_eq!(export.run().await.outcome, Outcome::Complete);
        for stream in ["content_optimization_analyses", "agent_details"] {
            let fault = Fault { stream: Some(stream.into()), after: 1, times: Some(1), ..status(code) };
            export.simulator.inject(fault);
        }

        let run = export.run().await;

        // A 503 is retried, and the retry succeeds.
        let failed = if code == 503 { 0 } else { 2 };
        assert_eq!(run.failed.len(), failed, "{code}: {}", run.summary());
        for stream in ["content_optimization_analyses", "agent_details"] {
            export.assert_equals_simulator(stream).await;
        }
        export.assert_ledger_knows_every_file().await;
    }
}

#[tokio::test]
async fn stream_is_not_entitled_if_every_request_is_not_found() {
    let export = Export::start(Place::Memory, account(), &["project_tasks", "project_task_details"]).await;
    export.simulator.inject(Fault { path: Some("/tasks".into()), ..status(404) });
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    let names: std::collections::BTreeSet<_> =
        run.not_entitled.iter().map(|slice| slice.stream.name.as_str()).collect();
    assert_eq!(names, ["project_task_details", "project_tasks"].into());
}

#[tokio::test]
async fn missing_version_is_no_row_and_no_failure() {
    let export = Export::start(Place::Memory, account(), &["agents", "agent_details"]).await;
    export.simulator.inject(Fault { stream: Some("agent_details".into()), after: 1, times: Some(1), ..status(404) });
    let run = export.run().await;
    assert_eq!((run.outcome, run.not_entitled.len()), (Outcome::Complete, 0), "{}", run.summary());
    let stream = export.stream("agent_details");
    let all = export.simulator.truth(stream, &export.first_scope("agent_details"), None).rows;
    assert!(all > 1);
    assert_eq!(export.all_rows("agent_details").await.len() as u64, all - 1);
}

#[tokio::test]
async fn parent_with_a_parent_is_verified_like_any_other_stream() {
    let streams = ["accuracy_claim_citations", "accuracy_citation_analysis"];
    let export = Export::start(Place::Memory, account(), &streams).await;
    export.simulator.inject(Fault { stream: Some(streams[0].into()), ..FaultKind::ChangingTotal.into() });

    let run = export.run().await;

    assert_eq!(run.outcome, Outcome::Failed, "{}", run.summary());
    let failed: std::collections::BTreeSet<_> =
        run.failed.iter().map(|(slice, _)| slice.stream.name.as_str()).collect();
    assert_eq!(failed, streams.into(), "neither is published as complete");
    assert!(export.all_rows("accuracy_citation_analysis").await.is_empty());
}

#[tokio::test]
async fn children_are_not_entitled_if_their_parent_is_not() {
    let export = Export::start(Place::Memory, account(), &["documents", "document_contents", "models"]).await;
    export.simulator.inject(Fault { stream: Some("documents".into()), ..status(403) });
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    let names: std::collections::BTreeSet<_> =
        run.not_entitled.iter().map(|slice| slice.stream.name.as_str()).collect();
    assert_eq!(names, ["document_contents", "documents"].into());
}

#[tokio::test]
async fn children_are_complete_whatever_end_date_of_the_parent_means() {
    let children = ["accuracy_claim_citations", "accuracy_cluster_example_runs"];
    for end in [UndocumentedEnd::Inclusive, UndocumentedEnd::Rejected, UndocumentedEnd::Empty] {
        for with_parent in [true, false] {
            let parent = with_parent.then_some("accuracy_inaccurate_clusters");
            let streams: Vec<&str> = children.into_iter().chain(parent).collect();
            let account = Account { undocumented_end: end, ..account() };
            let export = Export::start(Place::Memory, account, &streams).await;
            let run = export.run().await;
            assert_eq!(run.outcome, Outcome::Complete, "{end:?}, {streams:?}: {}", run.summary());
            for stream in streams {
                export.assert_equals_simulator(stream).await;
            }
        }
    }
}

#[tokio::test]
async fn children_of_a_dated_row_are_stored_in_its_day() {
    let streams = ["accuracy_inaccurate_clusters", "accuracy_claim_citations", "accuracy_claim_breakdown"];
    let export = Export::start(Place::Memory, account(), &streams).await;
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    assert_eq!(of_stream(&received, streams[0]).len(), 4, "the parent once a day");
    for stream in streams {
        export.assert_equals_simulator(stream).await;
    }
}
