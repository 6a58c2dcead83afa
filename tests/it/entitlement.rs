//! A scope or stream without entitlement is reported once and delays nothing else.

use profound_export::model::event::Event;
use profound_export::run::Outcome;
use profound_export::simulator::{Account, Fault, FaultKind, GatewayForm};

use crate::support::{Export, Place, account, instant, of_stream, on_memory_and_disk};

fn status(code: u16) -> Fault {
    FaultKind::Status { code, retry_after: None, reset: None }.into()
}

on_memory_and_disk! {
    async fn other_categories_are_exported_when_one_is_not_entitled(place) {
        let export = Export::start(place, account(), &["visibility_v2_by_day", "answers_v2", "models"]).await;
        let barred = export.categories()[0].clone();
        export.simulator.inject(status(403).of_category(&barred));

        let run = export.run().await;

        assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
        assert_eq!(run.not_entitled.len(), 2, "one slice a stream");
        let scopes = export.simulator.scopes(export.stream("answers_v2").scope);
        for stream in ["visibility_v2_by_day", "answers_v2"] {
            assert!(export.rows(stream, &scopes[0]).await.is_empty());
            let stream = export.stream(stream);
            export.assert_rows_are_simulated(stream, &scopes[1], export.wanted(stream)).await;
        }
        let coverage = export.coverage().await;
        let shown = coverage.iter().filter(|row| row["status"] == "not_entitled");
        assert_eq!(shown.filter(|row| row["category_id"] == barred && row["problem"].is_string()).count(), 2);
    }
}

#[tokio::test]
async fn missing_entitlement_is_confirmed_by_the_next_run_and_then_retried_after_a_day() {
    let export = Export::start(Place::Memory, account(), &["visibility_v2_by_day"]).await;
    let barred = export.categories()[0].clone();
    export.simulator.inject(status(404).of_category(&barred));
    export.run().await;

    let of_barred = |received: &[_]| {
        of_stream(received, "visibility_v2_by_day")
            .iter()
            .filter(|request| request.body["category_id"] == barred)
            .count()
    };
    // Of the event stream, and of the page that confirms its answer.
    for (now, requests) in [("2026-03-10T17:00:00Z", 2), ("2026-03-11T16:00:00Z", 0), ("2026-03-11T18:00:00Z", 2)] {
        export.simulator.set_now(instant(now));
        let (run, received) = export.run_and_watch().await;
        let found = (run.outcome, run.not_entitled.len(), of_barred(&received));
        assert_eq!(found, (Outcome::Complete, 1, requests), "{now}");
    }

    // Once the account is entitled, the days are backfilled.
    export.simulator.clear_faults();
    export.simulator.set_now(instant("2026-03-12T19:00:00Z"));
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    export.assert_equals_simulator("visibility_v2_by_day").await;
    assert!(export.coverage().await.iter().all(|row| row["status"] != "not_entitled"));
}

/// Every form in which something in front of the API answers.
fn gateway_answers() -> impl Iterator<Item = FaultKind> {
    let forms = [GatewayForm::Text, GatewayForm::Empty, GatewayForm::Message, GatewayForm::Problem, GatewayForm::Login];
    [401, 403, 404, 422].into_iter().flat_map(move |code| {
        let json = forms.into_iter().map(move |form| FaultKind::Gateway { code, form });
        json.chain([FaultKind::Html { code }])
    })
}

#[tokio::test]
async fn gateway_answer_says_nothing_about_key_account_or_request() {
    let answers = gateway_answers().map(async |answer| {
        let small = Account { categories: 1, ..account() };
        let export = Export::start(Place::Memory, small, &["visibility_v2_by_day"]).await;
        let what = format!("{answer:?}");
        export.simulator.inject(Fault::from(answer).of_stream("visibility_v2_by_day"));
        let run = export.run().await;
        assert_eq!((run.outcome, run.failed.len()), (Outcome::Failed, 1), "{what}: {}", run.summary());
        let problem = &run.failed[0].1;
        assert!(problem.contains("`127.0.0.1`") && problem.contains("not the API's"), "{what}: {problem}");
        let state = export.state().await;
        assert!(state.facts.iter().next().is_none_or(|learned| !learned.evidence.contains("422")), "{what}");
        assert!(state.coverage.values().flatten().all(|(_, scope)| scope.not_entitled.is_none()), "{what}");

        export.simulator.clear_faults();
        assert_eq!(export.run().await.outcome, Outcome::Complete, "{what}");
        export.assert_equals_simulator("visibility_v2_by_day").await;
    });
    futures::future::join_all(answers).await;
}

#[tokio::test]
async fn gateway_answer_to_discovery_is_an_unreachable_api() {
    for answer in [FaultKind::Html { code: 401 }, FaultKind::Html { code: 403 }] {
        let export = Export::start(Place::Memory, account(), &["visibility_v2_by_day"]).await;
        export.simulator.inject(Fault::from(answer).on_path("/v1/org"));
        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Unavailable, "{}", run.summary());
        assert!(run.error.unwrap().hint().unwrap().contains("proxy, firewall or portal"));
    }
}

on_memory_and_disk! {
    async fn lost_entitlement_fails_once_and_is_then_recorded(place) {
        let export = Export::start(place, account(), &["visibility_v2_by_day"]).await;
        export.run().await;
        let before = export.versions("visibility_v2_by_day").await;
        let barred = export.categories()[0].clone();
        export.simulator.inject(status(403).of_category(&barred));
        export.take_events();

        let run = export.run().await;
        assert_eq!((run.outcome, run.failed.len()), (Outcome::Failed, 1), "{}", run.summary());
        let lost = |event: &Event| matches!(event, Event::NotEntitled { had_access: true, .. });
        assert_eq!(export.take_events().iter().filter(|event| lost(event)).count(), 1);

        for now in ["2026-03-10T20:00:00Z", "2026-03-12T20:00:00Z"] {
            export.simulator.set_now(instant(now));
            let run = export.run().await;
            assert_eq!((run.outcome, run.not_entitled.len()), (Outcome::Complete, 1), "{now}: {}", run.summary());
        }
        // Rows exported while the account was entitled are kept.
        let after = export.versions("visibility_v2_by_day").await;
        assert!(before.iter().filter(|(path, _)| path.contains(&barred)).all(|(path, version)| after[path] == *version));
    }
}

on_memory_and_disk! {
    async fn lake_has_no_owner_while_the_account_cannot_be_read(place) {
        for (code, path) in place.cases([(403, "/v1/org"), (404, "/v1/org"), (403, "/v1/org/categories"), (404, "/v1/org/categories")]) {
            let export = Export::start(place, account(), &["visibility_v2_by_day", "models"]).await;
            export.simulator.inject(status(code).on_path(path));
            let run = export.run().await;
            assert_eq!(run.outcome, Outcome::Unavailable, "{code} on {path}: {}", run.summary());
            // Only that the run failed is recorded, which `status` shows.
            assert!(export.files().await.is_empty(), "{:?}", export.files().await);
            let state = export.state().await;
            assert!(state.partition.is_none() && state.organizations.is_empty() && state.coverage.is_empty(), "{state:?}");
            assert_eq!(state.runs.back().unwrap().end.outcome, Outcome::Unavailable);
            assert!(run.error.unwrap().hint().unwrap().contains("api.base_url"));
        }
    }
}

#[tokio::test]
async fn account_is_exported_if_its_domain_list_is_not_entitled() {
    let export = Export::start(Place::Memory, account(), &["visibility_v2_by_day", "bots_v2", "domains"]).await;
    export.simulator.inject(status(403).on_path("/v1/org/domains"));
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
    export.assert_equals_simulator("visibility_v2_by_day").await;
    assert_eq!(run.not_entitled.len(), 1, "the list itself");
}
