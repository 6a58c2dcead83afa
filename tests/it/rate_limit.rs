//! The rate limit is never exceeded, even with external usage of the key, and deadlines hold.

use std::collections::BTreeMap;
use std::time::Duration;

use profound_export::model::event::Event;
use profound_export::run::{Outcome, discover, preview};
use profound_export::simulator::{Account, Fault, FaultKind, ReceivedRequest, ResetForm};

use crate::support::{Export, Place, account, instant, max_cost_within};

const STREAMS: [&str; 4] = ["visibility_v2_by_day", "visibility_v1", "answers_v2", "category_topics"];

/// No request was rate limited, and no trailing `period` had more than `limit` requests.
fn assert_within(received: &[ReceivedRequest], limit: u64, period: Duration) {
    assert!(received.iter().all(|request| request.status == 200), "the limit was hit");
    let most = max_cost_within(received, period);
    assert!(most <= limit, "{most} requests within {period:?}, and {limit} are allowed");
}

#[tokio::test]
async fn negotiated_limit_is_learned_from_every_form_of_reset() {
    let forms = [None, Some(ResetForm::Seconds), Some(ResetForm::HttpDate), Some(ResetForm::IsoDate)];
    let case = async |form: Option<ResetForm>| {
        let period = Duration::from_secs(3);
        let account = Account { requests_per_period: 37, period, categories: 20, ..account() };
        let mut export = Export::start(Place::Memory, account, &STREAMS).await;
        export.api.reserve_requests = 0;
        if let Some(form) = form {
            export.simulator.inject(FaultKind::ResetHeader { form }.into());
        }
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "{form:?}: {}", run.summary());
        assert!(2 * 37 < received.len(), "{form:?}: two periods are enough for {} requests", received.len());
        assert_within(&received, 37, period);
        export.assert_equals_simulator("answers_v2").await;
    };
    futures::future::join_all(forms.map(case)).await;
}

#[tokio::test]
async fn larger_limit_is_used_at_once() {
    let account = Account { requests_per_period: 2000, categories: 650, ..account() };
    let mut export = Export::start(Place::Memory, account, &["category_topics"]).await;
    export.time = Some(Duration::from_secs(1200));
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    assert!(650 < received.len());
    assert!(!export.take_events().iter().any(|event| matches!(event, Event::RateLimitWait { .. })), "it waited");
}

#[tokio::test]
async fn run_completes_without_rate_limit_headers() {
    let export = Export::start(Place::Memory, account(), &STREAMS).await;
    export.simulator.inject(FaultKind::NoRateHeaders.into());
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    assert_within(&received, 600, Duration::from_secs(3600));
    for stream in STREAMS {
        export.assert_equals_simulator(stream).await;
    }
}

#[tokio::test]
async fn external_usage_is_respected_and_the_reserve_is_left() {
    let period = Duration::from_secs(3);
    let account = Account { requests_per_period: 40, period, categories: 8, ..account() };
    let mut export = Export::start(Place::Memory, account, &STREAMS).await;
    export.api.reserve_requests = 12;
    // Another user of the key sends a request for each published slice, and always has one left.
    let simulator = std::sync::Arc::clone(&export.simulator);
    export.listen(move |event| {
        if matches!(event, Event::SlicePublished { .. }) {
            assert_eq!(simulator.spend(1), 1, "no request was left for other users");
        }
    });
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    assert_within(&received, 40 - 12, period);
    for stream in STREAMS {
        export.assert_equals_simulator(stream).await;
    }
}

#[tokio::test]
async fn retries_count_against_the_limit() {
    let period = Duration::from_secs(2);
    let account = Account { requests_per_period: 12, period, ..account() };
    let mut export = Export::start(Place::Memory, account, &STREAMS).await;
    export.api.reserve_requests = 0;
    let busy = FaultKind::Status { code: 503, retry_after: Some("0".into()), reset: None };
    for stream in STREAMS {
        export.simulator.inject(Fault::from(busy.clone()).of_stream(stream).times(3));
    }
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    assert_eq!(received.iter().filter(|request| request.status == 503).count(), 12);
    assert!(received.iter().all(|request| request.status != 429), "the limit was hit");
    let most = max_cost_within(&received, period);
    assert!(most <= 12, "{most} requests within a period");
}

#[tokio::test]
async fn requests_follow_the_plan_except_for_those_in_flight() {
    let account = Account { categories: 10, ..account() };
    let export = Export::start(Place::Memory, account, &STREAMS).await;
    let settings = export.settings();
    let found = discover(&settings.catalog, &settings.client).await.unwrap();
    let plan = preview(&settings, &export.goal(), &export.state().await, &found, None).unwrap().run.plan;
    let planned: BTreeMap<(String, String), usize> = plan
        .slices
        .iter()
        .enumerate()
        .filter_map(|(place, planned)| {
            let category = planned.slice.scope.category.as_ref()?.id.clone();
            Some(((planned.slice.stream.name.clone(), category), place))
        })
        .collect();
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    let categories = export.categories();
    let mut places: Vec<usize> = Vec::new();
    for request in received {
        let text = format!("{} {} {}", request.path, request.query, request.body);
        let category = categories.iter().find(|id| text.contains(*id));
        let key = request.stream.zip(category.cloned());
        if let Some(place) = key.and_then(|key| planned.get(&key)).filter(|place| !places.contains(place)) {
            places.push(*place);
        }
    }
    assert_eq!(places.len(), planned.len(), "every slice was requested");
    let mut sorted = places.clone();
    sorted.sort_unstable();
    // Of the slices before it, all but those in flight with it were requested.
    for (requested, place) in places.iter().enumerate() {
        let before = sorted.iter().position(|other| other == place).unwrap();
        assert!(before < requested + export.api.concurrency, "{places:?}");
    }
}

#[tokio::test]
async fn limit_is_never_exceeded_and_the_run_completes() {
    let account = Account { requests_per_period: 8, period: Duration::from_secs(2), ..account() };
    let mut export = Export::start(Place::Memory, account, &STREAMS).await;
    export.api.reserve_requests = 0;
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    assert!(8 < received.len(), "one period is enough for {} requests", received.len());
    assert_within(&received, 8, Duration::from_secs(2));
    for stream in STREAMS {
        export.assert_equals_simulator(stream).await;
    }
}

#[tokio::test]
async fn reserve_is_left_to_other_users_of_the_key() {
    let account = Account { requests_per_period: 20, ..account() };
    let mut export = Export::start(Place::Memory, account, &STREAMS).await;
    export.api.reserve_requests = 12;
    export.time = Some(Duration::from_secs(60));
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Incomplete, "{}", run.summary());
    assert!(received.len() <= 8, "{} of 20 requests were used", received.len());
}

#[tokio::test]
async fn run_ends_at_once_if_the_deadline_is_before_the_next_request() {
    let account = Account { requests_per_period: 8, ..account() };
    let mut export = Export::start(Place::Memory, account, &STREAMS).await;
    export.api.reserve_requests = 0;
    export.time = Some(Duration::from_secs(600));
    let (run, received) = export.run_and_watch().await;

    assert_eq!(run.outcome, Outcome::Incomplete, "{}", run.summary());
    assert!(run.elapsed < Duration::from_secs(30), "it waited for {:?}", run.elapsed);
    assert!(!run.deferred.is_empty() && received.len() <= 8);
    assert!(run.totals().slices > 0, "no slice was exported");
    export.assert_ledger_knows_every_file().await;
    assert_eq!(export.state().await.runs.back().unwrap().end.outcome, Outcome::Incomplete);

    // Each run resumes in the next window and repeats no request that could wait.
    let mut runs = 1;
    for hour in 17..24 {
        export.simulator.set_now(instant(&format!("2026-03-10T{hour}:30:00Z")));
        let run = export.run().await;
        runs += 1;
        if run.outcome == Outcome::Complete {
            break;
        }
        assert_eq!(run.outcome, Outcome::Incomplete, "{}", run.summary());
    }
    assert!(runs > 1);
    for stream in ["visibility_v2_by_day", "category_topics", "answers_v2"] {
        export.assert_equals_simulator(stream).await;
    }
}
