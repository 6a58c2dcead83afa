//! Two processes with one key and one lake converge.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use profound_export::model::event::{Event, EventSink};
use profound_export::plan::WantedDays;
use profound_export::run::{Outcome, RunRequest, RunResult, RunSettings, run_job};
use profound_export::simulator::{Account, ReceivedRequest};

use crate::support::{Export, Place, account, days};

const STREAMS: [&str; 4] = ["visibility_v2_by_day", "visibility_v1", "answers_v2", "category_topics"];
const LIMIT: u32 = 30;
const PERIOD: Duration = Duration::from_secs(3);

/// When a process published each slice, a stream of a category.
type Done = Arc<Mutex<BTreeMap<(String, String), Timestamp>>>;

async fn export() -> Export {
    let account = Account { requests_per_period: LIMIT, period: PERIOD, categories: 12, ..account() };
    let mut export = Export::start(Place::Disk, account, &STREAMS).await;
    export.api.reserve_requests = 0;
    export
}

/// A process, and what it has done.
fn process(export: &Export) -> (RunSettings, Done) {
    let (done, simulator) = (Done::default(), Arc::clone(&export.simulator));
    let writes = Arc::clone(&done);
    let events = EventSink::new(move |event| {
        if let Event::SlicePublished { slice, .. } = event
            && let Some(category) = &slice.scope.category
        {
            let key = (slice.stream.name.clone(), category.id.clone());
            writes.lock().unwrap().insert(key, simulator.now());
        }
    });
    (RunSettings { events, ..export.settings() }, done)
}

/// Both at the same time, and what the simulator received meanwhile.
async fn both(export: &Export, goals: [RunRequest; 2]) -> ([RunResult; 2], [Done; 2], Vec<ReceivedRequest>) {
    let ((one, one_done), (other, other_done)) = (process(export), process(export));
    let (one, other) = tokio::join!(run_job(&one, &goals[0]), run_job(&other, &goals[1]));
    ([one, other], [one_done, other_done], export.simulator.requests())
}

fn assert_converged(export: &Export, runs: &[RunResult], received: &[ReceivedRequest]) {
    for run in runs {
        assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    }
    // As the server counts: in periods that begin at multiples of their length.
    let period = |one: &ReceivedRequest| one.at.as_second().div_euclid(PERIOD.as_secs() as i64);
    let most =
        received.chunk_by(|one, next| period(one) == period(next)).map(<[ReceivedRequest]>::len).max().unwrap() as u64;
    let in_flight = 2 * export.api.concurrency as u64;
    assert!(most <= u64::from(LIMIT) + in_flight, "{most} within a period of {LIMIT}");
    assert!(2 * LIMIT < received.len() as u32, "two periods are enough for {} requests", received.len());
}

#[tokio::test]
async fn two_runs_of_a_job_share_the_rate_limit_without_repeats() {
    let export = export().await;
    let (runs, done, received) = both(&export, [export.goal(), export.goal()]).await;
    assert_converged(&export, &runs, &received);
    for stream in STREAMS {
        export.assert_equals_simulator(stream).await;
    }
    // A process does not request what the other has recorded, except for requests about to be sent.
    let categories = export.categories();
    let is_late = |request: &&ReceivedRequest| {
        let text = format!("{} {} {}", request.path, request.query, request.body);
        let category = categories.iter().find(|id| text.contains(*id)).cloned();
        let key = request.stream.clone().zip(category);
        let done = key.and_then(|key| done.iter().filter_map(|done| done.lock().unwrap().get(&key).copied()).min());
        done.is_some_and(|done| done < request.at)
    };
    let late = received.iter().filter(is_late).count();
    assert!(late <= 2 * export.api.concurrency, "{late} were requested twice");
    // They start at opposite ends and meet in the middle, so hardly any other slice is requested by both: those in flight when they meet.
    let mut requested: BTreeMap<String, usize> = BTreeMap::new();
    for request in received.iter().filter(|request| request.status == 200 && !request.body.is_null()) {
        *requested.entry(format!("{} {}", request.path, request.body)).or_default() += 1;
    }
    let twice = requested.values().filter(|times| **times > 1).count();
    let is_few = twice <= late + 2 * export.api.concurrency;
    assert!(is_few, "{twice} of {} were requested by both, {late} of them late", requested.len());
    // Days that both wrote at once are re-extracted by the next run.
    assert_eq!(export.run_after_a_minute().await.outcome, Outcome::Complete);
    export.assert_ledger_knows_every_file().await;
}

#[tokio::test]
async fn run_and_backfill_of_other_days_share_the_rate_limit() {
    let export = export().await;
    // The lake knows its account and its first day.
    let before = days("2026-02-20", "2026-02-27");
    let backfill = RunRequest { days: Some(WantedDays::Only { window: before, force: false }), ..export.goal() };
    let (runs, _, received) = both(&export, [export.goal(), backfill]).await;
    assert_converged(&export, &runs, &received);
    for stream in ["visibility_v2_by_day", "answers_v2"] {
        let stream = export.stream(stream);
        for scope in export.simulator.scopes(stream.scope) {
            let exported = export.rows(&stream.name, &scope).await.len();
            let wanted = [Some(before), export.wanted(stream)];
            let simulated: usize =
                wanted.map(|window| export.simulator.rows(stream, &scope, window).len()).into_iter().sum();
            assert_eq!(exported, simulated, "{} of {scope}", stream.name);
        }
    }
    export.assert_ledger_knows_every_file().await;
}
