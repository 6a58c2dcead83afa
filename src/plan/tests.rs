//! What a plan holds, for streams of the catalog and coverage made for the purpose.

use std::collections::BTreeSet;

use super::*;
use crate::catalog::Catalog;
use crate::model::cost::RequestCosts;
use crate::model::coverage::{Coverage, DayState};
use crate::model::day::Day;
use crate::model::days::DaysKind;
use crate::model::forgotten::{Erasure, Forgotten};
use crate::model::scope::{Named, Scope, ScopeKey, ScopeKind};
use crate::model::stream::Stream;
use crate::model::window::Window;

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn category(id: &str) -> Scope {
    Scope { category: Some(Named { id: id.into(), name: id.into() }), ..Scope::default() }
}

fn wanted(streams: &[&str], days: WantedDays) -> Wanted {
    let catalog = Catalog::embedded().unwrap();
    Wanted {
        streams: streams.iter().map(|name| Arc::clone(catalog.get(name).unwrap())).collect(),
        scopes: [
            (ScopeKind::Account, vec![Scope::default()]),
            (ScopeKind::Category, vec![category("c1"), category("c2")]),
        ]
        .into(),
        days,
        single_start: None,
        lookback_days: None,
        event_streams: true,
        paged: BTreeSet::new(),
        costs: RequestCosts::default(),
        max_window_days: 31,
        weekly_refresh_min_categories: 50,
    }
}

fn read(coverage: &mut Coverage, stream: &str, scope: &str, days: &[&str], at: &str) {
    let scope = category(scope);
    let scopes = coverage.entry(stream.to_owned()).or_default();
    let found = scopes.entry(scope.key()).or_insert_with(|| ScopeCoverage::new(scope));
    for text in days {
        let state = DayState { extracted_at: Some(at.parse().unwrap()), rows: 10, ..DayState::unknown() };
        found.days.insert(day(text), state);
    }
}

const NOW: &str = "2026-03-10T12:00:00Z";

fn windows(wanted: &Wanted, coverage: &Coverage) -> Vec<String> {
    let known = Known::at(NOW.parse().unwrap(), coverage, Forgotten::NOTHING, &|_, _, _| false);
    plan(wanted, &known).slices.iter().map(|planned| planned.slice.to_string()).collect()
}

#[test]
fn first_run_asks_everything_up_to_yesterday_in_one_window() {
    let wanted = wanted(&["visibility_v2", "models"], WantedDays::Since(day("2026-02-09")));
    assert_eq!(
        windows(&wanted, &Coverage::new()),
        [
            "models of the account",
            "visibility_v2 of \"c1\" 2026-02-09..2026-03-09",
            "visibility_v2 of \"c2\" 2026-02-09..2026-03-09",
        ]
    );
}

#[test]
fn final_days_are_not_requested_once_more_and_other_days_are() {
    let mut coverage = Coverage::new();
    // Read on the eighth: days up to the fourth were final then (lookback 3), later ones were not.
    read(
        &mut coverage,
        "visibility_v2",
        "c1",
        &["2026-03-03", "2026-03-04", "2026-03-05", "2026-03-06"],
        "2026-03-08T12:00:00Z",
    );
    let mut wanted = wanted(&["visibility_v2"], WantedDays::Since(day("2026-03-03")));
    wanted.scopes.insert(ScopeKind::Category, vec![category("c1")]);
    assert_eq!(windows(&wanted, &coverage), ["visibility_v2 of \"c1\" 2026-03-05..2026-03-09"]);
    wanted.lookback_days = Some(0);
    assert_eq!(windows(&wanted, &coverage), ["visibility_v2 of \"c1\" 2026-03-07..2026-03-09"]);
}

#[test]
fn long_gap_is_requested_in_windows_of_a_month_newest_first() {
    let mut wanted = wanted(&["visibility_v2"], WantedDays::Since(day("2026-01-01")));
    wanted.scopes.insert(ScopeKind::Category, vec![category("c1")]);
    assert_eq!(
        windows(&wanted, &Coverage::new()),
        [
            "visibility_v2 of \"c1\" 2026-02-07..2026-03-09",
            "visibility_v2 of \"c1\" 2026-01-07..2026-02-06",
            "visibility_v2 of \"c1\" 2026-01-01..2026-01-06",
        ]
    );
}

#[test]
fn slice_extracted_longest_ago_is_first() {
    let mut coverage = Coverage::new();
    read(&mut coverage, "visibility_v2", "c1", &["2026-03-08"], "2026-03-09T12:00:00Z");
    read(&mut coverage, "visibility_v2", "c2", &["2026-03-08"], "2026-03-09T11:00:00Z");
    let wanted = wanted(&["visibility_v2"], WantedDays::Since(day("2026-03-08")));
    assert!(windows(&wanted, &coverage)[0].contains("\"c2\""));
}

#[test]
fn backfill_requests_only_missing_days_unless_forced() {
    let mut coverage = Coverage::new();
    read(&mut coverage, "visibility_v2", "c1", &["2026-03-08"], "2026-03-09T12:00:00Z");
    let window = Window::inclusive(day("2026-03-07"), day("2026-03-08")).unwrap();
    let mut backfill = wanted(&["visibility_v2", "models"], WantedDays::Only { window, force: false });
    backfill.scopes.insert(ScopeKind::Category, vec![category("c1")]);
    assert_eq!(windows(&backfill, &coverage), ["visibility_v2 of \"c1\" 2026-03-07"]);
    backfill.days = WantedDays::Only { window, force: true };
    assert_eq!(windows(&backfill, &coverage), ["visibility_v2 of \"c1\" 2026-03-07..2026-03-08"]);
}

/// The stream `name` as one whose days are of `kind`.
fn of_kind(name: &str, kind: DaysKind) -> Arc<Stream> {
    let mut stream = Stream::clone(Catalog::embedded().unwrap().get(name).unwrap());
    stream.days.as_mut().unwrap().kind = kind;
    stream.days.as_mut().unwrap().lookback = 7;
    Arc::new(stream)
}

#[test]
fn undated_days_are_requested_one_by_one_and_once_more_when_final() {
    let mut wanted = wanted(&[], WantedDays::Since(day("2026-02-20")));
    wanted.streams = vec![of_kind("visibility_v2_by_day", DaysKind::Window)];
    wanted.scopes.insert(ScopeKind::Category, vec![category("c1")]);
    wanted.single_start = Some(day("2026-03-01"));
    let mut coverage = Coverage::new();
    let days = ["2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05"];
    read(&mut coverage, "visibility_v2_by_day", "c1", &days, "2026-03-06T12:00:00Z");
    assert_eq!(
        windows(&wanted, &coverage),
        [
            "visibility_v2_by_day of \"c1\" 2026-03-09",
            "visibility_v2_by_day of \"c1\" 2026-03-08",
            "visibility_v2_by_day of \"c1\" 2026-03-07",
            "visibility_v2_by_day of \"c1\" 2026-03-06",
            // Seven days after the end of the second is the tenth, at midnight; the third is not final yet.
            "visibility_v2_by_day of \"c1\" 2026-03-02",
            "visibility_v2_by_day of \"c1\" 2026-03-01",
        ]
    );
}

#[test]
fn month_is_requested_as_a_whole_after_its_end() {
    let mut wanted = wanted(&[], WantedDays::Since(day("2026-01-20")));
    wanted.streams = vec![of_kind("visibility_v2_by_day", DaysKind::Month)];
    wanted.scopes.insert(ScopeKind::Category, vec![category("c1")]);
    wanted.single_start = Some(day("2026-03-05"));
    let all = [
        "visibility_v2_by_day of \"c1\" 2026-02-01..2026-02-28",
        "visibility_v2_by_day of \"c1\" 2026-01-01..2026-01-31",
    ];
    assert_eq!(windows(&wanted, &Coverage::new()), all);
    let mut coverage = Coverage::new();
    read(&mut coverage, "visibility_v2_by_day", "c1", &["2026-02-01", "2026-01-01"], "2026-03-02T12:00:00Z");
    // February was read before it was settled, which it is by now; January after.
    assert_eq!(windows(&wanted, &coverage), all[..1]);
}

#[test]
fn scope_without_entitlement_is_skipped_for_a_day() {
    let mut coverage = Coverage::new();
    read(&mut coverage, "visibility_v2", "c1", &[], NOW);
    let denied = |at: &str| {
        Some(crate::model::coverage::NotEntitled {
            run: uuid::Uuid::nil(),
            at: at.parse().unwrap(),
            detail: "Forbidden".into(),
            is_confirmed: true,
        })
    };
    let wanted = wanted(&["visibility_v2"], WantedDays::Since(day("2026-03-09")));
    let mut slices = |at: &str| {
        coverage.get_mut("visibility_v2").unwrap().get_mut(&category("c1").key()).unwrap().not_entitled = denied(at);
        windows(&wanted, &coverage).len()
    };
    assert_eq!(slices("2026-03-09T13:00:00Z"), 1);
    assert_eq!(slices("2026-03-09T11:00:00Z"), 2);
}

#[test]
fn days_possibly_overwritten_by_a_killed_run_are_due() {
    let mut coverage = Coverage::new();
    read(&mut coverage, "visibility_v2", "c1", &["2026-03-01"], "2026-03-08T12:00:00Z");
    let mut wanted = wanted(&["visibility_v2"], WantedDays::Since(day("2026-03-01")));
    wanted.scopes.insert(ScopeKind::Category, vec![category("c1")]);
    let doubtful = |_: &str, _: &ScopeKey, due: Option<Day>| due == Some(day("2026-03-01"));
    let known = Known::at(NOW.parse().unwrap(), &coverage, Forgotten::NOTHING, &doubtful);
    assert_eq!(plan(&wanted, &known).slices[0].slice.window.unwrap().start, day("2026-03-01"));
}

/// The slices of a plan as text, those of the backfill after a `~`.
fn planned_slices(wanted: &Wanted, coverage: &Coverage) -> Vec<String> {
    let known = Known::at(NOW.parse().unwrap(), coverage, Forgotten::NOTHING, &|_, _, _| false);
    let text = |planned: &PlannedSlice| {
        let mark = if planned.is_backfill { "~" } else { "" };
        format!("{mark}{}", planned.slice.to_string().replace("\"", ""))
    };
    plan(wanted, &known).slices.iter().map(text).collect()
}

#[test]
fn new_category_is_due_for_its_newest_window_then_backfilled() {
    let mut coverage = Coverage::new();
    let days: Vec<String> =
        Window::inclusive(day("2026-01-01"), day("2026-03-08")).unwrap().days().map(|day| day.to_string()).collect();
    let days: Vec<&str> = days.iter().map(String::as_str).collect();
    read(&mut coverage, "visibility_v2", "c1", &days, "2026-03-09T12:00:00Z");
    let wanted = wanted(&["visibility_v2"], WantedDays::Since(day("2026-01-01")));
    assert_eq!(
        planned_slices(&wanted, &coverage),
        [
            "visibility_v2 of c2 2026-02-07..2026-03-09",
            "visibility_v2 of c1 2026-03-06..2026-03-09",
            "~visibility_v2 of c2 2026-01-07..2026-02-06",
            "~visibility_v2 of c2 2026-01-01..2026-01-06",
        ]
    );
}

#[test]
fn earlier_start_is_backfill_unless_it_fits_a_window_that_is_due() {
    let mut coverage = Coverage::new();
    read(&mut coverage, "visibility_v2", "c1", &["2026-03-07", "2026-03-08"], "2026-03-09T12:00:00Z");
    let mut wanted = wanted(&["visibility_v2"], WantedDays::Since(day("2026-01-20")));
    wanted.scopes.insert(ScopeKind::Category, vec![category("c1")]);
    let known = Known::at(NOW.parse().unwrap(), &coverage, Forgotten::NOTHING, &|_, _, _| false);
    let slices = plan(&wanted, &known).slices;
    assert_eq!(
        planned_slices(&wanted, &coverage),
        ["visibility_v2 of c1 2026-02-07..2026-03-09", "~visibility_v2 of c1 2026-01-20..2026-02-06"]
    );
    assert_eq!(slices[0].due, Due { missing: 1, lookback: 2, backfill: 28, retry: 0 });
    assert_eq!(slices[1].due, Due { backfill: 18, ..Due::default() });
}

#[test]
fn gap_before_recent_days_is_backfill() {
    let mut coverage = Coverage::new();
    read(&mut coverage, "visibility_v2", "c1", &["2025-01-01", "2025-01-02"], "2026-03-09T12:00:00Z");
    read(&mut coverage, "visibility_v2", "c1", &["2026-03-07", "2026-03-08"], "2026-03-09T12:00:00Z");
    let mut wanted = wanted(&["visibility_v2"], WantedDays::Since(day("2025-01-01")));
    wanted.scopes.insert(ScopeKind::Category, vec![category("c1")]);
    let slices = planned_slices(&wanted, &coverage);
    assert_eq!(slices[0], "visibility_v2 of c1 2026-02-07..2026-03-09");
    assert!(2 < slices.len() && slices[1..].iter().all(|slice| slice.starts_with('~')), "{slices:#?}");
    assert!(!slices.iter().any(|slice| slice.contains("2025-01-01")), "what was read is final: {slices:#?}");
}

#[test]
fn failed_slices_are_last_in_their_tier() {
    let mut coverage = Coverage::new();
    read(&mut coverage, "visibility_v2", "c1", &["2026-03-07"], "2026-03-08T12:00:00Z");
    read(&mut coverage, "visibility_v2", "c2", &["2026-03-07"], "2026-03-08T13:00:00Z");
    let wanted = wanted(&["visibility_v2"], WantedDays::Since(day("2026-03-07")));
    let first = |coverage: &Coverage| planned_slices(&wanted, coverage)[0].clone();
    assert!(first(&coverage).starts_with("visibility_v2 of c1"), "what was read longest ago comes first");
    let broken = coverage.get_mut("visibility_v2").unwrap().get_mut(&category("c1").key()).unwrap();
    let suspect = crate::model::coverage::Suspect { problem: "HTTP 500".into(), unconfirmed: None };
    broken.state_mut(Some(day("2026-03-08"))).suspect = Some(Box::new(suspect));
    assert!(first(&coverage).starts_with("visibility_v2 of c2"), "{:#?}", planned_slices(&wanted, &coverage));
}

#[test]
fn gated_streams_keep_their_turn_and_follow_their_gate() {
    let streams = ["youtube_channels_v2_by_channel", "youtube_summary_v2", "visibility_v2_by_topic"];
    let mut wanted = wanted(&streams, WantedDays::Since(day("2026-03-08")));
    // All of one tier, so that only age counts.
    let of_one_tier = |stream: &Arc<Stream>| Arc::new(Stream { tier: None, ..Stream::clone(stream) });
    wanted.streams = wanted.streams.iter().map(of_one_tier).collect();
    wanted.scopes.insert(ScopeKind::Category, vec![category("c1")]);
    let mut coverage = Coverage::new();
    read(&mut coverage, "youtube_channels_v2_by_channel", "c1", &["2026-03-07"], "2026-03-05T12:00:00Z");
    read(&mut coverage, "visibility_v2_by_topic", "c1", &["2026-03-07"], "2026-03-06T12:00:00Z");
    read(&mut coverage, "youtube_summary_v2", "c1", &["2026-03-07"], "2026-03-08T12:00:00Z");
    assert_eq!(
        planned_slices(&wanted, &coverage),
        [
            "youtube_summary_v2 of c1 2026-03-09",
            "youtube_summary_v2 of c1 2026-03-08",
            "youtube_channels_v2_by_channel of c1 2026-03-08..2026-03-09",
            "visibility_v2_by_topic of c1 2026-03-08..2026-03-09",
        ]
    );
}

#[test]
fn concurrent_run_starts_from_the_other_end_but_with_gates_first() {
    let wanted = wanted(&["visibility_v2", "answers_v2", "models"], WantedDays::Since(day("2026-03-08")));
    let coverage = Coverage::new();
    let alone = Known::at(NOW.parse().unwrap(), &coverage, Forgotten::NOTHING, &|_, _, _| false);
    let order = |plan: &Plan| -> Vec<String> { plan.slices.iter().map(|planned| planned.slice.to_string()).collect() };
    let (forth, back) = (order(&plan(&wanted, &alone)), order(&reversed(plan(&wanted, &alone), &wanted, &alone)));
    assert_eq!(back[0], forth[0], "lists come first all the same");
    assert!(back[1..].iter().eq(forth[1..].iter().rev()), "{forth:#?} {back:#?}");

    let gated =
        self::wanted(&["youtube_channels_v2_by_channel", "youtube_summary_v2"], WantedDays::Since(day("2026-03-08")));
    let slices = reversed(plan(&gated, &alone), &gated, &alone).slices;
    for scope in ["c1", "c2"] {
        let place = |stream: &str| {
            let is_it = |planned: &PlannedSlice| {
                planned.slice.stream.name == stream && planned.slice.scope.key() == category(scope).key()
            };
            slices.iter().position(is_it).unwrap()
        };
        assert!(place("youtube_summary_v2") < place("youtube_channels_v2_by_channel"));
    }
}

#[test]
fn streams_whose_events_lack_columns_cost_their_pages() {
    let mut coverage = Coverage::new();
    let rows =
        DayState { extracted_at: Some("2026-03-08T12:00:00Z".parse().unwrap()), rows: 120, ..DayState::unknown() };
    let scope = category("c1");
    let days = [(day("2026-03-07"), rows)].into_iter().collect();
    let known = crate::model::coverage::ScopeCoverage { days, ..ScopeCoverage::new(scope.clone()) };
    coverage.entry("visibility_v2".into()).or_default().insert(scope.key(), known);
    let mut wanted = wanted(&["visibility_v2"], WantedDays::Since(day("2026-03-09")));
    wanted.scopes.insert(ScopeKind::Category, vec![scope]);
    let requests = |wanted: &Wanted| {
        plan(wanted, &Known::at(NOW.parse().unwrap(), &coverage, Forgotten::NOTHING, &|_, _, _| false)).requests()
    };
    assert_eq!(requests(&wanted), 1);
    wanted.paged.insert("visibility_v2".into());
    assert_eq!(requests(&wanted), 3, "120 rows, 50 a page");
}

#[test]
fn gates_precede_their_streams_in_the_backfill() {
    let mut wanted =
        wanted(&["youtube_channels_v2_by_channel", "youtube_summary_v2"], WantedDays::Since(day("2026-01-01")));
    wanted.scopes.insert(ScopeKind::Category, vec![category("c1")]);
    let slices = planned_slices(&wanted, &Coverage::new());
    let place = |text: &str| slices.iter().position(|slice| slice.ends_with(text)).unwrap();
    assert!(place("summary_v2 of c1 2026-02-07") < place("by_channel of c1 2026-02-07..2026-03-09"));
    assert!(place("summary_v2 of c1 2026-01-07") < place("by_channel of c1 2026-01-07..2026-02-06"));
    assert!(place("by_channel of c1 2026-02-07..2026-03-09") < place("summary_v2 of c1 2026-02-06"));
    assert!(slices.iter().skip(32).all(|slice| slice.starts_with('~')), "{slices:#?}");
}

#[test]
fn rarely_changing_lists_are_weekly_in_large_accounts() {
    let categories: Vec<Scope> = (0..70).map(|number| category(&format!("c{number}"))).collect();
    let mut wanted = wanted(&["category_topics", "prompts"], WantedDays::Since(day("2026-03-09")));
    wanted.scopes.insert(ScopeKind::Category, categories.clone());
    let mut coverage = Coverage::new();
    for stream in ["category_topics", "prompts"] {
        for scope in &categories {
            let read = DayState { extracted_at: Some("2026-03-09T12:00:00Z".parse().unwrap()), ..DayState::unknown() };
            let scopes = coverage.entry(stream.to_owned()).or_default();
            let whole =
                crate::model::coverage::ScopeCoverage { whole: Some(read), ..ScopeCoverage::new(scope.clone()) };
            scopes.insert(scope.key(), whole);
        }
    }
    let due = |wanted: &Wanted, now: &str| {
        let known = Known::at(now.parse().unwrap(), &coverage, Forgotten::NOTHING, &|_, _, _| false);
        let slices = plan(wanted, &known).slices;
        let of = |name: &str| slices.iter().filter(|planned| planned.slice.stream.name == name).count();
        (of("prompts"), of("category_topics"))
    };
    let week = (10..=15).map(|of_march| due(&wanted, &format!("2026-03-{of_march}T12:00:00Z")));
    let of_week: Vec<(usize, usize)> = week.collect();
    assert!(of_week.iter().all(|(prompts, topics)| *prompts == 70 && (5..=16).contains(topics)), "{of_week:?}");
    assert_eq!(due(&wanted, "2026-03-16T12:00:00Z"), (70, 70), "none is older than a week");
    wanted.weekly_refresh_min_categories = 71;
    assert_eq!(due(&wanted, "2026-03-10T12:00:00Z"), (70, 70));
}

#[test]
fn plan_does_not_depend_on_the_order_of_streams_and_scopes() {
    let mut wanted = wanted(&["visibility_v2", "models", "answers_v2"], WantedDays::Since(day("2025-12-01")));
    let forwards = planned_slices(&wanted, &Coverage::new());
    wanted.streams.reverse();
    wanted.scopes.values_mut().for_each(|scopes| scopes.reverse());
    assert_eq!(planned_slices(&wanted, &Coverage::new()), forwards);
}

#[test]
fn second_run_requests_each_stream_once_and_single_days_twice() {
    let mut wanted = wanted(
        &["visibility_v2", "models", "youtube_summary_v2", "visibility_v2_month"],
        WantedDays::Since(day("2025-01-01")),
    );
    wanted.scopes.insert(ScopeKind::Category, vec![category("c1")]);
    let coverage = Coverage::new();
    let known = Known::at(NOW.parse().unwrap(), &coverage, Forgotten::NOTHING, &|_, _, _| false);
    let slices = steady_state_plan(&wanted, &known, SignedDuration::from_hours(24)).slices;
    let texts: Vec<String> = slices.iter().map(|planned| planned.slice.to_string().replace('"', "")).collect();
    assert_eq!(
        texts,
        [
            "models of the account",
            "visibility_v2 of c1 2026-03-06..2026-03-09",
            "youtube_summary_v2 of c1 2026-03-09",
            "youtube_summary_v2 of c1 2026-03-02",
        ]
    );
    assert!(slices.iter().all(|planned| !planned.is_backfill && planned.requests == 1));
    let weekly = steady_state_plan(&wanted, &known, SignedDuration::from_hours(24 * 7)).slices;
    assert_eq!(weekly.len(), 1 + 1 + 7 + 7 + 1, "a month was settled in that week");
}

#[test]
fn forgotten_days_are_never_planned_and_no_window_spans_them() {
    let mut forgotten = Forgotten::default();
    let window = Window::inclusive(day("2026-03-03"), day("2026-03-04"));
    forgotten.add("visibility_v2", &Erasure { window, ..Erasure::default() });
    let mut coverage = Coverage::new();
    // One of them was read by a run that did not know, and is stale.
    read(&mut coverage, "visibility_v2", "c1", &["2026-03-03"], "2026-03-03T12:00:00Z");
    for force in [None, Some(false), Some(true)] {
        let days = match force {
            None => WantedDays::Since(day("2026-03-01")),
            Some(force) => {
                WantedDays::Only { window: Window::inclusive(day("2026-03-01"), day("2026-03-06")).unwrap(), force }
            }
        };
        let mut wanted = wanted(&["visibility_v2"], days);
        wanted.scopes.insert(ScopeKind::Category, vec![category("c1")]);
        let known = Known::at(NOW.parse().unwrap(), &coverage, &forgotten, &|_, _, _| true);
        let windows: Vec<Window> =
            plan(&wanted, &known).slices.iter().filter_map(|planned| planned.slice.window).collect();
        assert!(
            windows.iter().all(|window| !window.contains(day("2026-03-03")) && !window.contains(day("2026-03-04"))),
            "{windows:?}"
        );
        assert!(windows.iter().any(|window| window.contains(day("2026-03-02"))), "{windows:?}");
        assert!(windows.iter().any(|window| window.contains(day("2026-03-05"))), "{windows:?}");
    }
}
