//! Every fault with every kind of pagination: the lake equals the account, or the published files are kept, and the next run
//! completes. A snapshot lists the outcomes.

use std::time::Duration;

use futures::StreamExt;
use jiff::SignedDuration;
use profound_export::config::Period;
use profound_export::run::Outcome;
use profound_export::simulator::{DetailForm, Fault, FaultKind, GatewayForm};
use serde_json::Value;

use crate::support::{Export, Place, account, day, is_long_test, real_store};

/// Kinds of pagination, each with a stream.
const PAGINATIONS: [(&str, &str); 4] = [
    ("event stream", "visibility_v2_by_day"),
    ("offset pages", "visibility_v1"),
    ("cursor pages", "answers_v2"),
    ("list", "category_topics"),
];

/// Concurrent cells: most of their time is backoff.
const AT_ONCE: usize = 64;

/// All but a rejected key, floods, and values that differ from the account's, which have tests of their own.
fn faults() -> Vec<FaultKind> {
    let status = |code| FaultKind::Status { code, retry_after: Some("0".into()), reset: None };
    vec![
        status(400),
        status(403),
        status(404),
        status(408),
        status(500),
        status(503),
        FaultKind::Redirect { to: "http://127.0.0.1:9/".into() },
        FaultKind::Html { code: 200 },
        FaultKind::Html { code: 502 },
        FaultKind::Gateway { code: 401, form: GatewayForm::Message },
        FaultKind::Gateway { code: 403, form: GatewayForm::Text },
        FaultKind::Gateway { code: 404, form: GatewayForm::Problem },
        FaultKind::Gateway { code: 422, form: GatewayForm::Empty },
        FaultKind::Unprocessable { detail: DetailForm::List },
        FaultKind::Truncate { bytes: 200 },
        FaultKind::Stall { bytes: 200 },
        FaultKind::Drip { bytes: 4096, milliseconds: 1 },
        FaultKind::SilentEnd { rows: 1 },
        FaultKind::ErrorEvent { rows: 1, name: None },
        FaultKind::RepeatedEvents { rows: 1 },
        FaultKind::RenamedEvents { name: "batch".into() },
        FaultKind::NoSummary,
        FaultKind::DefaultPage { rows: 3 },
        FaultKind::EntityTotals,
        FaultKind::ChangingTotal,
        FaultKind::RepeatedCursor,
        FaultKind::RepeatedPage,
        FaultKind::ShortList { rows: 1 },
        FaultKind::FewerRows { rows: 1 },
        FaultKind::DataFirst,
        FaultKind::NullQuery,
        FaultKind::NoTotal,
        FaultKind::NoRateHeaders,
        FaultKind::NoDate,
        FaultKind::ExtraField,
        FaultKind::InvalidUtf8,
        FaultKind::DeepNesting { levels: 100_000 },
        FaultKind::Gzip { ends_at: None, damaged_at: None },
        FaultKind::Gzip { ends_at: Some(60), damaged_at: None },
        FaultKind::Gzip { ends_at: None, damaged_at: Some(60) },
    ]
}

/// `fault` as the command line writes it.
fn fault_name(fault: &Fault) -> String {
    let mut members = serde_json::to_value(fault).unwrap();
    let mut name = members["fault"].take().as_str().unwrap().to_owned();
    let is_default = |name: &str, value: &Value| value.is_null() || (name == "after" && *value == 0);
    let settings = members.as_object().unwrap().iter().filter(|(name, value)| !is_default(name, value));
    for (index, (setting, value)) in settings.enumerate() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        name.push_str(&format!("{}{setting}={value}", if index == 0 { ':' } else { ',' }));
    }
    name
}

/// A day of one category in the lake, which the service has revised since.
async fn revised(place: Place, stream: &str) -> Export {
    let mut export = Export::start(place, account(), &[stream]).await;
    export.job.start = Some(day("2026-03-09"));
    export.job.categories = vec![export.categories()[0].clone()];
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    export.simulator.restate(day("2026-03-09"));
    export
}

async fn assert_whole(export: &Export, stream: &str) {
    let (declared, scope) = (export.stream(stream), export.first_scope(stream));
    export.assert_rows_are_simulated(declared, &scope, export.wanted(declared)).await;
    export.assert_ledger_knows_every_file().await;
}

/// The outcome of a run with `fault`. Whatever it is, no file is partial, and the next run completes.
async fn outcome(place: Place, stream: &str, fault: Fault) -> Outcome {
    let what = format!("{} of {stream}", fault_name(&fault));
    // Shown only if the test fails: the last line names the cell.
    eprintln!("{what}");
    let mut export = revised(place, stream).await;
    let before = export.files().await;
    let idle_timeout = export.api.idle_timeout;
    if matches!(fault.kind, FaultKind::Stall { .. }) {
        export.api.idle_timeout = Period(Duration::from_secs(1));
    }
    export.simulator.inject(fault.of_stream(stream));
    let run = export.run().await;
    match run.outcome {
        Outcome::Complete => assert_whole(&export, stream).await,
        _ => assert_eq!(export.files().await, before, "{what} changed published files: {}", run.summary()),
    }
    export.simulator.clear_faults();
    export.api.idle_timeout = idle_timeout;
    // A stream that is not entitled is retried after a day.
    export.simulator.set_now(export.simulator.now() + SignedDuration::from_hours(25));
    let next = export.run().await;
    assert_eq!(next.outcome, Outcome::Complete, "{what}: {} {:?}", next.summary(), next.failed);
    assert_whole(&export, stream).await;
    run.outcome
}

/// The table of `place`: a line for each of `faults`, a column for each kind of pagination, with the outcome if the fault happens
/// once and if it lasts.
async fn table(place: Place, faults: &[FaultKind]) -> String {
    let mut cells = Vec::new();
    for fault in faults {
        for (_, stream) in PAGINATIONS {
            for times in [Some(1), None] {
                cells.push((stream, Fault { times, ..Fault::from(fault.clone()) }));
            }
        }
    }
    let outcomes = cells.into_iter().map(|(stream, fault)| outcome(place, stream, fault));
    let outcomes: Vec<Outcome> = futures::stream::iter(outcomes).buffered(AT_ONCE).collect().await;
    let mut text = format!("{:<32}", "fault");
    for (kind, _) in PAGINATIONS {
        text.push_str(&format!("{kind:<24}"));
    }
    for (fault, outcomes) in faults.iter().zip(outcomes.chunks(2 * PAGINATIONS.len())) {
        text.push_str(&format!("\n{:<32}", fault_name(&Fault::from(fault.clone()))));
        for pair in outcomes.chunks(2) {
            let [once, always] = [pair[0].to_string(), pair[1].to_string()];
            let cell = if once == always { once } else { format!("{once}, {always}") };
            text.push_str(&format!("{cell:<24}"));
        }
    }
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The table is the same for every destination, and in the documentation.
async fn assert_outcomes(place: Place) {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/explanation/reliability.md");
    let text = std::fs::read_to_string(page).unwrap();
    if place == Place::Disk && !is_long_test() {
        // What a response lacks has nothing to do with the destination: here every fifth fault.
        let some: Vec<FaultKind> = faults().into_iter().step_by(5).collect();
        let table = table(place, &some).await;
        let other = table.lines().find(|line| !text.contains(line));
        assert_eq!(other, None, "{page} has no such line");
        return;
    }
    let table = table(place, &faults()).await;
    insta::assert_snapshot!("every_fault", table);
    assert!(text.contains(&table), "{page} has another table than the snapshot");
}

mod every_fault_ends_as_listed_and_the_next_run_recovers {
    use super::*;

    #[tokio::test]
    async fn in_memory() {
        assert_outcomes(Place::Memory).await;
    }

    #[tokio::test]
    async fn on_disk() {
        assert_outcomes(Place::Disk).await;
    }

    #[tokio::test]
    async fn on_a_real_store() {
        match real_store() {
            Some(_) => assert_outcomes(Place::Bucket).await,
            None => eprintln!("skipped: PROFOUND_TEST_STORE names no store"),
        }
    }
}
