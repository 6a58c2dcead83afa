//! A lake contains exactly the rows of the API, whatever the shape of the responses.

use profound_export::config::Partition;
use profound_export::model::day::Day;
use profound_export::model::days::WindowEnd;
use profound_export::model::event::Event;
use profound_export::model::scope::ScopeKind;
use profound_export::run::{Outcome, RunResult};
use profound_export::simulator::{Account, Fault, FaultKind};
use serde_json::{Value, json};

use crate::support::{Export, Place, account, of_stream, on_memory_and_disk};

/// Streams with every shape of request and response.
pub const STREAMS: [&str; 6] =
    ["minimal", "category_topics", "category_tags", "visibility_v1", "citations_v1", "answers_v1"];

async fn assert_whole(export: &Export, run: &RunResult) {
    assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
    for stream in export.goal().streams {
        export.assert_equals_simulator(&stream.name).await;
    }
    export.assert_ledger_knows_every_file().await;
}

on_memory_and_disk! {
    async fn every_stream_equals_the_simulator_after_one_run(place) {
        let export = Export::start(place, account(), &STREAMS).await;
        let run = export.run().await;
        assert_whole(&export, &run).await;
        assert_eq!(run.streams.len(), export.goal().streams.len());
        assert!(export.take_events().iter().all(|event| !format!("{event:?}").starts_with("Drift")));
    }
}

async fn assert_whole_with(account: Account, faults: &[FaultKind], event_streams: bool) -> Export {
    let mut export = Export::start(Place::Memory, account, &STREAMS).await;
    export.api.event_streams = event_streams;
    faults.iter().for_each(|fault| export.simulator.inject(fault.clone().into()));
    let run = export.run().await;
    assert_whole(&export, &run).await;
    export
}

/// The texts of a column, of all scopes.
async fn texts(export: &Export, stream: &str, column: &str) -> Vec<String> {
    let rows = export.all_rows(stream).await;
    rows.iter().filter_map(|row| row[column].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn half_surrogates_become_replacement_characters_without_further_requests() {
    let streams = ["answers_v2", "category_topics"];
    for event_streams in [true, false] {
        let mut export = Export::start(Place::Memory, account(), &streams).await;
        export.api.event_streams = event_streams;
        let (_, clean) = export.run_and_watch().await;
        let mut export = Export::start(Place::Memory, account(), &streams).await;
        export.api.event_streams = event_streams;
        for (stream, column) in [("answers_v2", "response"), ("category_topics", "name")] {
            export.simulator.inject(Fault::from(FaultKind::HalfSurrogate { column: column.into() }).of_stream(stream));
        }
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
        assert_eq!(received.len(), clean.len());
        for (stream, column) in [("answers_v2", "response"), ("category_topics", "name")] {
            let texts = texts(&export, stream, column).await;
            assert!(!texts.is_empty() && texts.iter().all(|text| text.ends_with('\u{fffd}')), "{stream} {texts:?}");
        }
        let warnings = export.take_events().into_iter().filter(|event| matches!(event, Event::Warning { .. }));
        assert_eq!(warnings.count(), 2, "once a stream");
    }
}

#[tokio::test]
async fn repeated_rows_of_an_event_stream_are_never_published() {
    for stream in ["visibility_v2_by_day", "answers_v2", "sentiment_v2_by_day"] {
        let export = Export::start(Place::Memory, account(), &[stream]).await;
        let repeated = Fault::from(FaultKind::RepeatedEvents { rows: 1 }).of_stream(stream);
        export.simulator.inject(repeated.clone());
        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Failed, "{stream}: {}", run.summary());
        assert!(export.files().await.is_empty(), "{stream}");
        let suspect = export.coverage().await.iter().any(|row| row["status"] == "suspect");
        assert!(suspect, "{stream}");

        export.simulator.clear_faults();
        export.simulator.inject(repeated.times(1));
        let run = export.run().await;
        assert_whole(&export, &run).await;
    }
}

#[tokio::test]
async fn rows_are_the_same_if_positional_names_are_reversed() {
    assert_whole_with(Account { named_events: false, reverse_positions: true, ..account() }, &[], true).await;
}

#[tokio::test]
async fn rows_are_the_same_if_lists_are_wrapped_and_bytes_drip() {
    let account = Account { wrap_lists: true, ..account() };
    assert_whole_with(account, &[FaultKind::Drip { bytes: 20_011, milliseconds: 0 }], true).await;
}

#[tokio::test]
async fn rows_are_the_same_page_by_page() {
    let export =
        assert_whole_with(Account { reverse_positions: true, ..account() }, &[FaultKind::DataFirst], false).await;
    let requests = export.simulator.requests();
    assert!(requests.iter().all(|request| !request.path.ends_with("/stream")));
    assert!(2 < of_stream(&requests, "visibility_v2").len(), "cursors were followed");
}

#[tokio::test]
async fn rows_are_the_same_without_names_and_totals() {
    let account = Account { named_events: false, ..account() };
    assert_whole_with(account, &[FaultKind::NullQuery, FaultKind::NoTotal, FaultKind::NoRateHeaders], true).await;
}

#[tokio::test]
async fn last_day_is_exported_if_end_date_is_exclusive() {
    let export = assert_whole_with(Account { inclusive_v2: false, ..account() }, &[], true).await;
    let facts = export.state().await.facts;
    assert_eq!(facts.window_end("reports_v2"), Some(WindowEnd::Exclusive));
    assert_eq!(facts.window_end("answers_v2"), Some(WindowEnd::Exclusive));

    // The learned meaning is used: the next run requests each slice once, up to the day after its last.
    let (run, received) = export.run_and_watch().await;
    assert_whole(&export, &run).await;
    let requested = of_stream(&received, "visibility_v2");
    assert_eq!(requested.len(), export.categories().len());
    assert!(requested.iter().all(|request| request.body["end_date"] == "2026-03-10"));
}

#[tokio::test]
async fn end_date_is_sent_as_documented_if_it_is_inclusive() {
    let export = assert_whole_with(account(), &[], true).await;
    assert_eq!(export.state().await.facts.window_end("reports_v2"), Some(WindowEnd::Inclusive));
    let requests = export.simulator.requests();
    assert!(of_stream(&requests, "visibility_v2").iter().all(|request| request.body["end_date"] == "2026-03-09"));
    assert!(of_stream(&requests, "visibility_v1").iter().all(|request| request.body["end_date"] == "2026-03-10"));
}

#[tokio::test]
async fn rows_are_the_same_with_every_partition() {
    for partition in [Partition::Month, Partition::None] {
        let mut export = Export::start(Place::Memory, account(), &["visibility_v2_by_day", "bots_v2", "models"]).await;
        export.partition = partition;
        let run = export.run().await;
        assert_whole(&export, &run).await;
    }
}

#[tokio::test]
async fn every_row_names_its_scope_run_and_window() {
    let export =
        Export::start(Place::Memory, account(), &["visibility_v2_by_day", "bots_v2", "sentiment*", "prompts"]).await;
    let run = export.run().await;

    for stream in export.goal().streams {
        for scope in export.simulator.scopes(stream.scope) {
            let rows = export.rows(&stream.name, &scope).await;
            let window = export.wanted(&stream);
            let date = |day: Option<Day>| day.map_or(Value::Null, |day| json!(day.to_string()));
            for row in &rows {
                for (part, named) in scope.parts() {
                    let (id, name) = part.columns();
                    assert!(id.is_none_or(|id| row[id] == named.id), "{row}");
                    assert_eq!(row[name], named.name);
                }
                assert_eq!(row["_run_id"], run.run_id.to_string());
                assert_eq!(row["_window_start"], date(window.map(|window| window.start)));
                assert_eq!(row["_window_end"], date(window.map(|window| window.end)));
                assert_eq!(row["_extra"], Value::Null);
                assert!(row["_extracted_at"].as_str().unwrap().starts_with("2026-03-10T16:00:"), "{row}");
            }
        }
    }
    let files = export.files().await;
    let path = files.keys().find(|path| path.starts_with("visibility_v2_by_day/")).unwrap();
    let table = export.table(path).await;
    let footer = |name: &str| table.footer[&format!("profound_export.{name}")].clone();
    assert_eq!(footer("rows"), table.rows.len().to_string());
    assert_eq!((footer("stream"), footer("proof")), ("visibility_v2_by_day".into(), "total".into()));
    assert_eq!((footer("window_start"), footer("window_end")), ("2026-03-06".into(), "2026-03-10".into()));
}

#[tokio::test]
async fn domain_of_two_organizations_is_exported_for_each() {
    let export = Export::start(Place::Memory, account(), &["bots_v2", "referrals_v2"]).await;
    let run = export.run().await;
    assert_whole(&export, &run).await;
    let domains = export.simulator.scopes(ScopeKind::Domain);
    let same = domains.iter().filter(|scope| scope.domain == domains[0].domain);
    let counts: Vec<usize> =
        futures::future::join_all(same.map(async |scope| export.rows("bots_v2", scope).await.len())).await;
    assert!(counts.len() == 2 && counts.iter().all(|rows| *rows > 0), "{counts:?}");
}

#[tokio::test]
async fn object_named_like_a_path_is_stored_under_its_id() {
    let export = Export::start(Place::Memory, account(), &["visibility_v2_by_day"]).await;
    export.run().await;
    for scope in export.simulator.scopes(ScopeKind::Category) {
        let category = scope.category.clone().unwrap();
        let prefix = format!("visibility_v2_by_day/category={}/", category.id);
        assert!(export.files().await.keys().any(|path| path.starts_with(&prefix)), "{category:?}");
    }
}

#[tokio::test]
async fn repeated_page_is_retried_and_never_published() {
    let mut export = Export::start(Place::Memory, account(), &["visibility_v2"]).await;
    export.api.event_streams = false;
    export.simulator.inject(Fault::from(FaultKind::RepeatedPage).of_stream("visibility_v2").after(1).times(1));
    let run = export.run().await;
    assert_whole(&export, &run).await;
}
