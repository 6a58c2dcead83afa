//! A list that lacks known objects is never silent, and objects with an unknown owner are requested.

use profound_export::config::AssetChoice;
use profound_export::model::scope::ScopeKind;
use profound_export::run::Outcome;
use profound_export::simulator::{Account, Fault, FaultKind, Simulator};
use std::sync::Arc;

use crate::support::{Export, Place, account, of_stream, on_memory_and_disk};

const STREAMS: [&str; 4] = ["visibility_v2_by_day", "bots_v2", "knowledge_bases", "sentiment_v2_by_model"];

fn large() -> Account {
    Account { organizations: 2, domains: 3, ..account() }
}

fn short(rows: u64, path: &str) -> Fault {
    Fault::from(FaultKind::ShortList { rows }).on_path(path)
}

fn without(column: &str, path: &str) -> Fault {
    Fault::from(FaultKind::MissingField { column: column.into() }).on_path(path)
}

on_memory_and_disk! {
    async fn shorter_list_fails_once_and_is_then_believed(place) {
        // `None`: all but the last, of whose name another organization has one.
        let [none, one] = [Some(0), Some(1)];
        let organization = [(one, "/v1/org"), (one, "/v1/org/categories")];
        let owners = [(None, "/v1/org/domains"), (one, "/v1/org/domains"), (none, "/v1/org/domains"), (none, "/v1/org/assets")];
        let lists = organization.into_iter().chain(owners);
        for (rows, path) in place.cases(lists) {
            let export = Export::start(place, large(), &STREAMS).await;
            assert_eq!(export.run().await.outcome, Outcome::Complete);
            let before = export.files().await;
            let rows = rows.unwrap_or(export.simulator.scopes(ScopeKind::Domain).len() as u64 - 1);
            // The path of the organizations is part of the others.
            let fault = if path == "/v1/org" { short(rows, path).of_stream("organizations") } else { short(rows, path) };
            export.simulator.inject(fault);
            for outcome in [Outcome::Failed, Outcome::Complete, Outcome::Complete] {
                let run = export.run().await;
                assert_eq!(run.outcome, outcome, "{rows} of {path}: {:?}", run.failed);
                let named = |(_, problem): &(_, String)| problem.contains("not listed: ");
                assert_eq!(run.failed.iter().any(named), outcome == Outcome::Failed, "{:?}", run.failed);
            }
            let after = export.files().await;
            assert!(before.keys().all(|path| after.contains_key(path)), "a published file is gone");

            export.simulator.clear_faults();
            assert_eq!(export.run().await.outcome, Outcome::Complete);
            export.simulator.inject(short(rows, path).of_stream(if path == "/v1/org" { "organizations" } else { "" }));
            assert_eq!(export.run().await.outcome, Outcome::Failed, "{rows} of {path}, another time");
        }
    }
}

on_memory_and_disk! {
    async fn objects_with_an_unknown_owner_are_requested(place) {
        for (column, path) in place.cases([("organization", "/v1/org/categories"), ("organization", "/v1/org/domains"), ("is_owned", "/v1/org/assets")]) {
            let export = Export::start(place, large(), &STREAMS).await;
            assert_eq!(export.run().await.outcome, Outcome::Complete);
            let before = export.files().await;
            export.simulator.inject(without(column, path));
            let (run, received) = export.run_and_watch().await;
            assert_eq!(run.outcome, Outcome::Complete, "{path}: {:?}", run.failed);
            for stream in ["visibility_v2_by_day", "bots_v2", "sentiment_v2_by_model"] {
                let scopes = export.simulator.scopes(export.stream(stream).scope).len();
                assert!(of_stream(&received, stream).len() >= scopes, "{path}: {stream}");
            }
            if path != "/v1/org/assets" {
                assert_eq!(export.files().await.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "{path}");
            }
        }
    }
}

on_memory_and_disk! {
    async fn object_that_its_list_does_not_name_fails_the_run(place) {
        let members = [
            ("organizations", "id"), ("categories", "id"), ("domains", "name"), ("assets", "id"), ("assets", "name"), ("assets", "category"),
        ];
        for ((list, column), value) in place.cases(members.into_iter().zip(["null", "\"\"", "7"].into_iter().cycle())) {
            let export = Export::start(place, large(), &STREAMS).await;
            let bad = FaultKind::BadValue { column: column.into(), value: value.into(), day: None };
            export.simulator.inject(Fault::from(bad).of_stream(list));
            for _ in 0..3 {
                let run = export.run().await;
                assert_eq!(run.outcome, Outcome::Failed, "`{column}` of {list} is {value}: {:?}", run.failed);
                assert!(run.failed.iter().any(|(slice, problem)| slice.stream.name == list && problem.contains("has no text as")), "{:?}", run.failed);
            }
            export.simulator.clear_faults();
            let runs = [export.run().await, export.run().await];
            assert_eq!(runs[1].outcome, Outcome::Complete, "{list}: {:?}", runs[1].failed);
            export.assert_equals_simulator("sentiment_v2_by_model").await;
        }
    }
}

#[tokio::test]
async fn asset_with_another_owner_fails_the_run_once() {
    let mut export = Export::start(Place::Memory, large(), &STREAMS).await;
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    let bad = FaultKind::BadValue { column: "is_owned".into(), value: "false".into(), day: None };
    export.simulator.inject(Fault::from(bad).of_stream("assets"));
    export.job.assets = AssetChoice::All;
    assert_eq!(export.run().await.outcome, Outcome::Complete, "this job exports every asset");
    export.job.assets = AssetChoice::Owned;
    assert_eq!(export.run().await.outcome, Outcome::Failed);
    export.job.assets = AssetChoice::All;
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    export.job.assets = AssetChoice::Owned;
    assert_eq!(export.run().await.outcome, Outcome::Complete, "a second run found the same");
}

#[tokio::test]
async fn categories_of_an_organization_that_is_not_listed_are_requested() {
    let mut export = Export::start(Place::Memory, large(), &["visibility_v2_by_day"]).await;
    let simulator = Simulator::start(Arc::new(export.catalog.clone()), large()).await.unwrap();
    simulator.inject(short(1, "/v1/org").of_stream("organizations"));
    export.api.base_url = simulator.url().parse().unwrap();
    export.simulator = Arc::new(simulator);
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    export.assert_equals_simulator("visibility_v2_by_day").await;
}
