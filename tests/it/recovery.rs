//! After any event that leaves days out, the next run requests exactly these days, and the one after it nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use profound_export::config::WholeDays;
use profound_export::model::window::Window;
use profound_export::plan::WantedDays;
use profound_export::run::{Outcome, RunRequest, run_job};
use profound_export::simulator::{Account, Fault, FaultKind, ReceivedRequest, Simulator};

use crate::support::{Export, Place, account, day, days, instant, on_memory_and_disk};

const STREAMS: [&str; 2] = ["visibility_v2_by_day", "visibility_v2"];

/// A requested stream, category and day.
type Asked = BTreeSet<(String, String, String)>;

/// A lake in which every day is final as soon as it is extracted.
async fn final_lake(place: Place) -> Export {
    let mut export = Export::start(place, account(), &STREAMS).await;
    export.job.lookback = Some(WholeDays(0));
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    export
}

/// The requested days of dated streams.
fn requested(received: &[ReceivedRequest]) -> Asked {
    let mut requested = Asked::new();
    for request in received {
        let text = |name: &str| request.body[name].as_str();
        let (Some(stream), Some(category)) = (request.stream.clone(), text("category_id")) else { continue };
        let (Some(first), Some(last)) = (text("start_date"), text("end_date")) else { continue };
        for day in days(first, last).days() {
            requested.insert((stream.clone(), category.to_owned(), day.to_string()));
        }
    }
    requested
}

fn product(streams: &[&str], categories: &[String], window: Window) -> Asked {
    let all = streams.iter().flat_map(|stream| categories.iter().map(move |category| (stream, category)));
    let days = |(stream, category): (&&str, &String)| {
        window.days().map(|day| ((*stream).to_owned(), category.clone(), day.to_string())).collect::<Vec<_>>()
    };
    all.flat_map(days).collect()
}

/// The next run requests exactly `wanted`, and the one after it nothing.
async fn assert_asks_exactly(export: &Export, wanted: &Asked) {
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
    let requested = requested(&received);
    let (more, less): (Vec<_>, Vec<_>) =
        (requested.difference(wanted).collect(), wanted.difference(&requested).collect());
    assert!(more.is_empty() && less.is_empty(), "requested needlessly: {more:?}\nnot requested: {less:?}");
    let (run, received) = export.run_and_watch().await;
    assert_eq!((run.outcome, self::requested(&received)), (Outcome::Complete, Asked::new()));
    for stream in &export.job.streams {
        let stream = export.stream(stream);
        for scope in export.simulator.scopes(stream.scope) {
            // Days that were not re-extracted may have changed in the account since.
            let is_asked = |(name, category, _): &(String, String, String)| {
                *name == stream.name && scope.category.as_ref().is_some_and(|named| named.id == *category)
            };
            if wanted.iter().any(is_asked) {
                export.assert_rows_are_simulated(stream, &scope, export.wanted(stream)).await;
            }
        }
    }
}

on_memory_and_disk! {
    async fn missed_runs_are_caught_up_exactly_by_the_next(place) {
        let export = final_lake(place).await;
        export.simulator.set_now(instant("2026-03-15T16:00:00Z"));
        assert_asks_exactly(&export, &product(&STREAMS, &export.categories(), days("2026-03-10", "2026-03-14"))).await;
    }
}

on_memory_and_disk! {
    async fn earlier_start_extracts_exactly_the_days_before(place) {
        let mut export = final_lake(place).await;
        export.job.start = Some(day("2026-02-27"));
        assert_asks_exactly(&export, &product(&STREAMS, &export.categories(), days("2026-02-27", "2026-03-05"))).await;
    }
}

on_memory_and_disk! {
    async fn new_stream_extracts_exactly_its_own_days(place) {
        let mut export = final_lake(place).await;
        export.job.streams.push("answers_v2".into());
        let wanted = product(&["answers_v2"], &export.categories(), days("2026-03-06", "2026-03-09"));
        assert_asks_exactly(&export, &wanted).await;
    }
}

on_memory_and_disk! {
    async fn new_category_extracts_exactly_its_own_days(place) {
        let mut export = final_lake(place).await;
        let before = export.categories();
        let account = Account { categories: 3, now: Some(export.simulator.now()), ..account() };
        let simulator = Simulator::start(Arc::new(export.catalog.clone()), account).await.unwrap();
        export.api.base_url = simulator.url().parse().unwrap();
        export.simulator = Arc::new(simulator);
        let new: Vec<String> = export.categories().into_iter().filter(|id| !before.contains(id)).collect();
        assert_eq!(new.len(), 1);
        assert_asks_exactly(&export, &product(&STREAMS, &new, days("2026-03-06", "2026-03-09"))).await;
    }
}

on_memory_and_disk! {
    async fn failed_category_of_a_stream_is_retried_exactly(place) {
        let export = final_lake(place).await;
        let category = export.categories()[1].clone();
        export.simulator.set_now(instant("2026-03-13T16:00:00Z"));
        let damaged = Fault::from(FaultKind::InvalidUtf8).of_stream("visibility_v2_by_day").of_category(&category);
        export.simulator.inject(damaged);
        assert_eq!(export.run().await.outcome, Outcome::Failed);
        let state = export.states("visibility_v2_by_day", &category).await;
        assert_eq!((state["2026-03-09"].as_str(), state["2026-03-10"].as_str()), ("provisional", "suspect"));
        // While the failure lasts, every run reports it.
        let repeated = export.run().await;
        assert_eq!((repeated.outcome, repeated.failed.len()), (Outcome::Failed, 3), "each day by itself: {}", repeated.summary());
        export.simulator.clear_faults();
        let wanted = product(&["visibility_v2_by_day"], &[category], days("2026-03-10", "2026-03-12"));
        assert_asks_exactly(&export, &wanted).await;
    }
}

on_memory_and_disk! {
    async fn backfill_extracts_missing_days_or_all_if_forced(place) {
        let export = final_lake(place).await;
        let backfill = async |force| {
            let window = days("2026-03-04", "2026-03-07");
            let goal = RunRequest { days: Some(WantedDays::Only { window, force }), ..export.goal() };
            export.a_minute_later();
            let before = export.simulator.requests().len();
            let run = run_job(&export.settings(), &goal).await;
            assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
            requested(&export.simulator.requests()[before..])
        };
        let product = |first, last| product(&STREAMS, &export.categories(), days(first, last));
        assert_eq!(backfill(false).await, product("2026-03-04", "2026-03-05"));
        assert_eq!(backfill(false).await, Asked::new());
        let versions = export.versions("visibility_v2").await;
        assert_eq!(backfill(true).await, product("2026-03-04", "2026-03-07"));
        let after = export.versions("visibility_v2").await;
        let rewritten = after.iter().filter(|(path, version)| versions[*path] != **version).count();
        let of_window = after.keys().filter(|path| path.rsplit("day=").next().unwrap() < "2026-03-08").count();
        assert_eq!(rewritten, of_window, "files of these days are rewritten, and no others");
    }
}
