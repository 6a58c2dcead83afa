use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::config::Config;
use crate::ledger::{RunEnd, RunSummary};
use crate::model::counters::Counters;
use crate::model::day::Day;
use crate::model::day_status::DayStatus;
use crate::model::outcome::Outcome;
use crate::model::proof::Proof;
use crate::model::scope::Named;
use crate::observe::{ActiveRun, Activity, Problem, RateLimitView};
use crate::server::page_data::StreamFilter;
use crate::status::{
    DayCell, Headline, JobStatus, ReadError, RunDetails, RunSlice, SliceResult, Status, StreamStatus, SuspectDays,
    TrendPoint,
};

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
        unknown_category: None,
        category: None,
        filter: StreamFilter::default(),
    }
}

fn cell(day: Day, worst: DayStatus, problem: Option<&str>) -> DayCell {
    DayCell {
        day,
        worst,
        scopes: [(worst, 200)].into(),
        // No two days are equal, so that no line is shorter than it can be.
        rows: 1_000 + (day.to_epoch_days() * 7919 % 1000).unsigned_abs() as u64,
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
        missing_scopes: 0,
    }
}

fn trend_point(number: i64) -> TrendPoint {
    TrendPoint {
        started_at: now() - jiff::SignedDuration::from_hours(24 * (30 - number)),
        outcome: if number % 10 == 9 { Outcome::Failed } else { Outcome::Complete },
        milliseconds: 100_000 + number.unsigned_abs() * 37_123 % 20_000,
        requests: 400 + number.unsigned_abs() * 91 % 100,
        rows: 1_000_000 + number.unsigned_abs() * 7919 % 100_000,
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
        waited_seconds: 0,
        failed_streams: ["answers_v2".into()].into(),
        problems: vec!["answers_v2 of \"Acme\": a value does not fit its column".into()],
        hint: None,
    };
    let run = RunSummary { ended_at: now(), first_number: Some(4), number: 9, end };
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
            killed_since: None,
            deferred: None,
            trend: (0..30).map(trend_point).collect(),
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
        stream: None,
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
    data.read_error = Some(ReadError { message: HOSTILE.into(), chain: format!("{HOSTILE}: {HOSTILE}"), hint: None });
    data.filter.search = HOSTILE.into();
    let shown = index(&data).into_string();
    assert!(shown.contains("&lt;script&gt;alert(1)"));
    assert_eq!(shown.matches("<script").count(), 1, "only our own: {shown}");
    assert!(!shown.contains("<img") && !shown.contains("\"'>"), "{shown}");
    let slice = |result| RunSlice { stream: HOSTILE.into(), scope: HOSTILE.into(), window: None, at: now(), result };
    let results = [
        SliceResult::Suspect { problem: HOSTILE.into() },
        SliceResult::NotEntitled { detail: HOSTILE.into() },
        SliceResult::Published { rows: 1, requests: 1, files: 1, proof: Proof::Total },
    ];
    let details = RunDetails { run: Uuid::nil(), slices: results.map(slice).into(), omitted_records: 9 };
    for shown in [no_such_stream(HOSTILE), run(&data, &details)].map(Markup::into_string) {
        assert!(!shown.contains("<img") && shown.matches("<script").count() == 1, "{shown}");
    }
}

/// The text of a page that a reader sees without opening anything.
fn visible(page: &str) -> String {
    let folded = page.split("<details").enumerate().map(|(index, part)| match (index, part.split_once("</details>")) {
        (0, _) | (_, None) => part,
        (_, Some((_, rest))) => rest,
    });
    folded.collect()
}

#[test]
fn messages_of_errors_are_folded_and_backticks_are_code() {
    const CHAIN: &str =
        "cannot write `a.parquet`: error sending request: tcp connect error: Connection refused (os error 111)";
    let mut status = status(vec![stream_called("answers_v2", "answers_v2", |_| DayStatus::Suspect)]);
    status.runs.truncate(1);
    for run in status.runs.iter_mut().chain(&mut status.jobs[0].last_run) {
        run.end.problems =
            vec![format!("answers_v2 of \"Acme\" 2026-11-01..2026-11-02: {CHAIN}"), "cut in `stre".into()];
    }
    status.suspects.push(SuspectDays {
        stream: "answers_v2".into(),
        scope: "\"Acme\"".into(),
        problem: CHAIN.into(),
        days: vec!["2026-11-01".parse().unwrap()],
    });
    let mut data = data(Some(status));
    data.read_error = Some(ReadError { message: "cannot read `lake`".into(), chain: CHAIN.into(), hint: None });
    data.activity.problems.push_front(Problem {
        at: now(),
        job: None,
        run: None,
        is_error: true,
        stream: None,
        message: CHAIN.into(),
    });
    data.activity.latest_run = Some(crate::observe::LatestRun {
        ended_at: now(),
        job: "other".into(),
        outcome: Outcome::Unavailable,
        problem: Some(CHAIN.into()),
        hint: Some("make room on `/data`".into()),
    });
    let page = index(&data).into_string();
    assert!(!page.contains('`'), "{page}");
    assert!(page.matches("os error 111").count() >= 4, "nothing is lost: {page}");
    assert!(!visible(&page).contains("os error"), "{}", visible(&page));
    assert!(page.contains("The last run of <code>other</code> could not reach the API or the destination."));
}

#[test]
fn what_is_missing_counts_scopes_and_never_sums_their_days() {
    let mut stream = stream_called("answers_v2", "answers_v2", |_| DayStatus::Final);
    (stream.missing_scopes, stream.has_missing_days) = (3, true);
    (stream.missing_since, stream.requested_for, stream.scopes) =
        (Some("2026-11-26".parse().unwrap()), "20 categories".into(), 20);
    stream.days[88].as_mut().unwrap().scopes = [(DayStatus::Missing, 3), (DayStatus::Final, 17)].into();
    assert_eq!(stream.missing_text().as_deref(), Some("3 of 20 categories missing Thu 26 Nov"));
    let page = index(&data(Some(status(vec![stream.clone()])))).into_string();
    assert!(page.contains("<code>answers_v2</code> is not complete: 3 of 20 categories missing Thu 26 Nov."), "{page}");
    stream.days[89].as_mut().unwrap().scopes = [(DayStatus::Missing, 3), (DayStatus::Final, 17)].into();
    assert_eq!(stream.missing_text().as_deref(), Some("3 of 20 categories missing since Thu 26 Nov"));
    stream.scopes = 1;
    assert_eq!(stream.missing_text().as_deref(), Some("missing since Thu 26 Nov"));
}

#[test]
fn parts_of_the_page_are_in_the_order_of_their_urgency() {
    let mut status = status(vec![stream_called("answers_v2", "answers_v2", |_| DayStatus::Final)]);
    status.headline.failed_runs = vec![("nightly".into(), Outcome::Failed)];
    let page = index(&data(Some(status))).into_string();
    let parts = [
        "id=\"headline\"",
        "id=\"jobs\"",
        "id=\"problems\"",
        "id=\"rate-limit\"",
        "id=\"coverage\"",
        "id=\"streams\"",
        "id=\"runs\"",
    ];
    let places = parts.map(|part| page.find(part).unwrap_or_else(|| panic!("no {part}")));
    assert!(places.is_sorted(), "{places:?}");
    for words in ["duration of the last 30 runs", "rows of the last 30 runs", "3 failed", "rows per day: median"] {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn filter_shows_the_streams_that_it_names() {
    let mut late = stream_called("answers_v2", "answers_v2", |_| DayStatus::Missing);
    late.lag_seconds = 90_000;
    let other = stream_called("visibility_v2", "reports_v2", |_| DayStatus::Final);
    let mut data = data(Some(status(vec![late, other])));
    let shows = |data: &PageData| {
        let page = index(data).into_string();
        ["answers_v2", "visibility_v2"].map(|name| page.contains(&format!("href=\"stream/{name}\">{name}</a><svg")))
    };
    assert_eq!(shows(&data), [true, true]);
    data.filter.search = "visi".into();
    assert_eq!(shows(&data), [false, true]);
    data.filter = StreamFilter { only_problems: true, ..StreamFilter::default() };
    assert_eq!(shows(&data), [true, false]);
    data.filter.search = "nothing".into();
    assert_eq!(shows(&data), [false, false]);
    assert!(index(&data).into_string().contains("0 of 2 streams"));
}

#[test]
fn alert_with_the_reason_of_a_problem_is_no_second_card() {
    let mut status = status(Vec::new());
    status.headline.failed_runs = vec![("nightly".into(), Outcome::Failed)];
    let mut data = data(Some(status));
    for (event, summary) in [("job_failed", "the run failed"), ("job_overdue", "job `weekly` did not start")] {
        data.activity.alerts.push(crate::model::event::FiringAlert {
            event,
            summary: summary.into(),
            since: now(),
            impact: "its tables get no new days".into(),
            action: "check the daemon".into(),
        });
    }
    let cards: Vec<String> = problems(&data).into_iter().map(|card| card.summary).collect();
    assert_eq!(cards, ["The last run of `nightly` failed.", "Job `weekly` did not start."]);
}

#[test]
fn clock_behind_the_ledger_is_a_problem() {
    let mut data = data(Some(status(Vec::new())));
    data.now = "2026-11-20T00:00:00Z".parse().unwrap();
    let cards = problems(&data);
    assert!(cards.iter().any(|card| card.summary.contains("clock of this machine is behind")), "{cards:?}");
    assert!(index(&data).into_string().contains("</html>"));
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
fn page_of_200_categories_and_a_year_is_below_300_kb() {
    let usual = |at: i64| if at < 87 { DayStatus::Final } else { DayStatus::Provisional };
    let mut of_a_year = status(all_streams(usual));
    of_a_year.jobs = vec![of_a_year.jobs[0].clone(); 30];
    let page = index(&data(Some(of_a_year))).into_string();
    assert!(page.len() < 300_000, "{} bytes", page.len());
    // The worst case, with no two equal neighbours, is still a page that a browser can show.
    let page = index(&data(Some(status(all_streams(|at| DayStatus::ALL[(at % 6) as usize]))))).into_string();
    assert!(page.len() < 500_000, "{} bytes", page.len());
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
        text.contains("<b>412</b> used")
            && text.contains("<b>60</b> reserved")
            && text.contains("<b>128</b> free")
            && text.contains("06:40 UTC"),
        "{text}"
    );
}

#[test]
fn footer_shows_the_destination_without_secrets() {
    let mut config = Config::default();
    config.destination.url = "s3://AKIA:s3cr3t@bucket/prefix?token=t0ken".into();
    let data = PageData { config: Arc::new(config), ..data(None) };
    assert_eq!(data.destination(), "s3://bucket/prefix");
    let mut config = Config::default();
    config.destination.url = "lake".into();
    let data = PageData { config: Arc::new(config), ..data };
    assert!(std::path::Path::new(&data.destination()).is_absolute(), "{}", data.destination());
}

#[test]
fn verdict_names_the_most_serious_problem_and_its_remedy() {
    let mut fresh = status(Vec::new());
    fresh.headline = Headline::default();
    fresh.jobs[0].last_run = None;
    let mut data = data(Some(fresh));
    let verdict_text = |data: &PageData| {
        let verdict = StatusVerdict::new(data, &problems(data));
        format!("{:?}: {} | {}", verdict.tone, verdict.sentence, verdict.next.unwrap_or_default())
    };
    let mut all = vec![verdict_text(&data)];
    let (message, hint) = ("the bucket `lake` does not answer".to_owned(), Some("check the network"));
    data.read_error = Some(ReadError { chain: format!("{message}: timeout"), message, hint });
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
