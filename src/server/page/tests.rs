use std::collections::BTreeMap;

use uuid::Uuid;

use super::*;
use crate::ledger::{RunEnd, RunSummary};
use crate::model::counters::Counters;
use crate::model::day::Day;
use crate::model::day_status::DayStatus;
use crate::model::outcome::Outcome;
use crate::model::proof::Proof;
use crate::model::scope::Named;
use crate::observe::{ActiveRun, Problem, RateLimitView};
use crate::status::{DayCell, Headline, JobStatus, SuspectDays};

const HOSTILE: &str = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;";

fn now() -> Timestamp {
    "2026-11-28T06:12:00Z".parse().unwrap()
}

fn data(status: Option<Status>) -> PageData {
    PageData {
        status: status.map(Arc::new),
        activity: Activity::default(),
        config: Arc::new(Config::default()),
        read_error: None,
        now: now(),
        shown_days: 90,
        has_metrics: false,
        category: None,
    }
}

fn cell(day: Day, worst: DayStatus, problem: Option<&str>) -> DayCell {
    DayCell {
        day,
        worst,
        scopes: [(worst, 200)].into(),
        rows: 123_456,
        extracted_at: Some(now().into()),
        proofs: vec![Proof::Total],
        problem: problem.map(str::to_owned),
    }
}

fn stream_called(name: &str, family: &str, state: impl Fn(i64) -> DayStatus) -> StreamStatus {
    let last: Day = "2026-11-27".parse().unwrap();
    StreamStatus {
        name: name.into(),
        family: family.into(),
        requested_for: "200 categories".into(),
        scopes: 200,
        not_entitled: 0,
        rows: 1_234_567_890,
        is_list: false,
        extracted_at: None,
        is_suspect: false,
        days: (0..90).map(|at| Some(cell(last.plus(at - 89), state(at), None))).collect(),
        lag_seconds: 0,
        has_missing_days: false,
        missing_since: None,
    }
}

fn status(streams: Vec<StreamStatus>) -> Status {
    let end = RunEnd {
        run: Uuid::nil(),
        job: "nightly".into(),
        backfill: false,
        started_at: now(),
        outcome: Outcome::Failed,
        counters: Counters {
            slices: 3,
            deferred: 1,
            requests: 477,
            rows: 1_198_402,
            files: 1_640,
            unchanged: 412,
            bytes: 31_000_000,
            ..Counters::default()
        },
        backfill_remaining: 0,
        problems: vec!["answers_v2 of \"Acme\": a value does not fit its column".into()],
        hint: None,
    };
    let run = RunSummary { ended_at: now(), number: 9, end };
    Status {
        at: now(),
        records: 9,
        headline: Headline::default(),
        jobs: vec![JobStatus {
            name: "nightly".into(),
            timezone: "America/New_York".into(),
            last_run: Some(run.clone()),
            last_success: None,
            next_run: Some("2026-11-28T11:30:00Z".parse().unwrap()),
            later_runs: Vec::new(),
            last_start: None,
            running_since: None,
            lag_seconds: 90_000,
            worst_stream: Some("answers_v2".into()),
        }],
        runs: vec![run; 50],
        streams,
        categories: (0..200)
            .map(|at| Named {
                id: format!("790c4118-3ba7-5cfd-97f5-9e68e7964{at:03}"),
                name: format!("Category number {at}"),
            })
            .collect(),
        suspects: Vec::new(),
        learned: Vec::new(),
        not_entitled: Vec::new(),
    }
}

/// All streams of the catalog.
fn all_streams(state: impl Fn(i64) -> DayStatus + Copy) -> Vec<StreamStatus> {
    let config = crate::config::load(&crate::config::Sources::default()).unwrap();
    let streams = config.catalog().streams();
    streams.map(|stream| stream_called(&stream.name, &stream.family, state)).collect()
}

#[test]
fn page_before_the_first_read_shows_that_it_is_reading() {
    let page = index(&data(None)).into_string();
    assert!(page.contains("Reading the lake.") && page.contains("</html>"));
    assert!(!page.contains("<h2>"), "no sections yet: {page}");
}

#[test]
fn hostile_names_and_messages_are_escaped() {
    let mut status = status(vec![stream_called("answers_v2", HOSTILE, |_| DayStatus::Suspect)]);
    status.categories =
        vec![Named { id: HOSTILE.into(), name: HOSTILE.into() }, Named { id: "b".into(), name: HOSTILE.into() }];
    status.runs[0].end.problems = vec![HOSTILE.into()];
    status.runs[0].end.hint = Some(HOSTILE.into());
    status.suspects.push(SuspectDays {
        stream: "answers_v2".into(),
        scope: HOSTILE.into(),
        problem: HOSTILE.into(),
        days: Vec::new(),
    });
    let mut data = data(Some(status));
    data.activity.problems.push_front(Problem {
        at: now(),
        job: Some(HOSTILE.into()),
        run: None,
        is_error: true,
        message: HOSTILE.into(),
    });
    data.activity.run = Some(ActiveRun {
        run: Uuid::nil(),
        job: HOSTILE.into(),
        started_at: now(),
        planned_slices: Some(3),
        finished_slices: 1,
        rows: 1,
        requests: 1,
        files: 1,
        failed_slices: 1,
        active_slices: vec![HOSTILE.into()],
    });
    data.activity.alerts.push(crate::model::event::FiringAlert {
        event: "job_failed",
        summary: HOSTILE.into(),
        since: now(),
        impact: HOSTILE.into(),
        action: HOSTILE.into(),
    });
    data.read_error = Some(HOSTILE.into());
    let shown = index(&data).into_string();
    assert!(shown.contains("&lt;script&gt;alert(1)"));
    assert_eq!(shown.matches("<script").count(), 1, "only our own: {shown}");
    assert!(!shown.contains("<img") && !shown.contains("\"'>"), "{shown}");
    let shown = no_such_stream(HOSTILE).into_string();
    assert!(!shown.contains("<img") && shown.matches("<script").count() == 1);
}

#[test]
fn page_shows_what_was_learned() {
    use crate::ledger::{Fact, LearnedFact};
    let mut status = status(Vec::new());
    let fact = Fact::RejectedMember { stream: "answers_v2".into(), member: Some("include.citation_details".into()) };
    status.learned = vec![LearnedFact::new(fact, HOSTILE, now())];
    let shown = index(&data(Some(status))).into_string();
    let difference = "is requested without <code>include.citation_details</code>, so that its column is null, since 28 Nov: &lt;/title&gt;";
    assert!(shown.contains("Learned from the API") && shown.contains(difference), "{shown}");
}

#[test]
fn page_of_all_streams_and_ninety_days_is_below_110_kb() {
    let usual = |at: i64| if at < 87 { DayStatus::Final } else { DayStatus::Provisional };
    let page = index(&data(Some(status(all_streams(usual))))).into_string();
    assert!(page.len() < 110_000, "{} bytes", page.len());
    // The worst case, with no two equal neighbours, is still a page that a browser can show.
    let page = index(&data(Some(status(all_streams(|at| DayStatus::ALL[(at % 6) as usize]))))).into_string();
    assert!(page.len() < 400_000, "{} bytes", page.len());
}

#[test]
fn size_of_the_json_is_bounded() {
    let mut status = status(all_streams(|at| DayStatus::ALL[(at % 6) as usize]));
    let suspect =
        SuspectDays { stream: "answers_v2".into(), scope: "x".repeat(100), problem: "y".repeat(300), days: Vec::new() };
    status.suspects = vec![suspect; 10_000];
    let json = serde_json::to_string(&crate::server::status_json::StatusJson::new(&data(Some(status)))).unwrap();
    assert!(json.len() < 3_000_000, "{} bytes", json.len());
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((value["suspects"].as_array().unwrap().len(), &value["omitted"]), (100, &9_900.into()));
}

#[test]
fn rate_limit_shows_sent_and_free_requests() {
    let mut data = data(Some(status(Vec::new())));
    let resets_at = Some("2026-11-28T06:40:00Z".parse().unwrap());
    data.activity.rate_limit = Some(RateLimitView {
        limit: 600,
        remaining: Some(188),
        reserved: 60,
        own_requests: 412,
        external_requests: 0,
        resets_at,
        observed_at: now(),
    });
    let text = rate_limit::rate_limit(&data).into_string();
    assert!(
        text.contains("<b>412</b> sent") && text.contains("<b>128</b> free") && text.contains("06:40 UTC"),
        "{text}"
    );
}

#[test]
fn footer_shows_the_destination_without_secrets() {
    let mut config = Config::default();
    config.destination.url = "s3://AKIA:s3cr3t@bucket/prefix?token=t0ken".into();
    let data = PageData { config: Arc::new(config), ..data(None) };
    assert_eq!(data.destination(), "s3://bucket/prefix");
}

#[test]
fn verdict_names_the_most_serious_problem_and_its_remedy() {
    let mut fresh = status(Vec::new());
    fresh.headline = Headline::default();
    let mut data = data(Some(fresh));
    let verdict_text = |data: &PageData| {
        let verdict = data.verdict();
        format!("{:?}: {} | {}", verdict.tone, verdict.sentence, verdict.next.unwrap_or_default())
    };
    let mut all = vec![verdict_text(&data)];
    data.read_error = Some("the bucket `lake` does not answer".into());
    all.push(verdict_text(&data));
    data.read_error = None;
    let ended = |outcome, problem: &str, hint: Option<&str>| crate::observe::LatestRun {
        ended_at: now(),
        job: "nightly".into(),
        outcome,
        problem: Some(problem.into()),
        hint: hint.map(str::to_owned),
    };
    data.activity.latest_run =
        Some(ended(Outcome::Unavailable, "no space is left on `/data`", Some("make room, or name another directory")));
    all.push(verdict_text(&data));
    data.activity.latest_run =
        Some(ended(Outcome::KeyRejected, "the API rejected the key (HTTP 401)", Some("make a new key")));
    data.activity.key_rejected_at = Some(now());
    all.push(verdict_text(&data));
    data.activity = Activity::default();
    let mut incomplete = status(Vec::new());
    incomplete.headline =
        Headline { streams_missing_days: 3, missing_since: Some("2026-11-24".parse().unwrap()), ..Headline::default() };
    data.status = Some(Arc::new(incomplete));
    all.push(verdict_text(&data));
    data.status =
        Some(Arc::new(Status { headline: Headline { is_new: true, ..Headline::default() }, ..status(Vec::new()) }));
    all.push(verdict_text(&data));
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn statuses_differ_in_shape_not_only_in_colour() {
    let shapes: BTreeMap<&str, String> = DayStatus::ALL
        .into_iter()
        .map(|state| {
            let rule = format!("svg .{} {{", day_strip::class(state));
            let line =
                STYLE.lines().find(|line| line.starts_with(&rule)).unwrap_or_else(|| panic!("no shape of {rule}"));
            (&line[line.find("stroke-width").unwrap()..], state.to_string())
        })
        .collect();
    assert_eq!(shapes.len(), DayStatus::ALL.len(), "{shapes:?}");
}
