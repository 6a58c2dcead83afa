//! Every day of a range is requested exactly once, in the form of its family, however the range is split.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use profound_export::api::{Request, RequestOptions, SliceRequest, Transport, Variables};
use profound_export::catalog::Catalog;
use profound_export::model::cost::RequestCosts;
use profound_export::model::coverage::Coverage;
use profound_export::model::day::Day;
use profound_export::model::days::{Days, DaysKind, WindowEnd};
use profound_export::model::forgotten::Forgotten;
use profound_export::model::scope::{Named, Scope, ScopeKind};
use profound_export::model::slice::Slice;
use profound_export::model::stream::Stream;
use profound_export::model::window::Window;
use profound_export::plan::{Known, Wanted, WantedDays, plan};

use crate::support::{day, instant};

/// Every stream that counts days.
static DATED: LazyLock<Vec<Arc<Stream>>> = LazyLock::new(|| {
    Catalog::embedded().unwrap().streams().filter(|stream| stream.is_dated()).map(Arc::clone).collect()
});

/// Days on which calendars are got wrong: both changes of the clocks, leap days, a century without one, ends of years.
const TURNS: [&str; 9] = [
    "2026-03-08",
    "2026-11-01",
    "2024-02-29",
    "2028-02-29",
    "2000-02-29",
    "2100-02-28",
    "2100-03-01",
    "2026-12-31",
    "2099-12-31",
];

/// A range of days around one of the turns.
fn any_range() -> impl Strategy<Value = Window> {
    let around = (prop::sample::select(&TURNS[..]), -40_i64..40, 1_i64..75);
    around.prop_map(|(turn, before, length)| {
        let start = day(turn).plus(before);
        Window::new(start, start.plus(length)).unwrap()
    })
}

fn scope() -> Scope {
    let named = |id: &str| Some(Named { id: id.into(), name: id.into() });
    Scope { organization: named("o"), category: named("c"), asset: named("a"), domain: named("d.example") }
}

/// The slices that a plan has for `range` of `stream`.
fn planned(stream: &Arc<Stream>, range: Window, max_window_days: i64) -> Vec<Slice> {
    let kinds =
        [ScopeKind::Account, ScopeKind::Organization, ScopeKind::Category, ScopeKind::CategoryAsset, ScopeKind::Domain];
    let wanted = Wanted {
        streams: vec![Arc::clone(stream)],
        scopes: kinds.map(|kind| (kind, vec![scope()])).into(),
        days: WantedDays::Only { window: range, force: false },
        single_start: None,
        lookback_days: None,
        event_streams: true,
        paged: BTreeSet::new(),
        costs: RequestCosts::default(),
        max_window_days,
        weekly_refresh_min_categories: 50,
    };
    // The whole range is over, its last month too.
    let now = instant(&format!("{}T12:00:00Z", range.end.plus(60)));
    let coverage = Coverage::new();
    let known = Known::at(now, &coverage, Forgotten::NOTHING, &|_, _, _| false);
    plan(&wanted, &known).slices.into_iter().map(|planned| planned.slice).collect()
}

/// The slices that a run requests if responses break: `slice`, its halves, or halves of these.
fn split(slice: Slice, choices: &mut impl Iterator<Item = bool>) -> Vec<Slice> {
    match slice.halves().filter(|_| choices.next() == Some(true)) {
        None => vec![slice],
        Some((older, newer)) => [split(older, choices), split(newer, choices)].concat(),
    }
}

/// The days of `request`, by the documented parameters of its family; none if it has no days.
fn requested_days(request: &Request, days: &Days, end: WindowEnd) -> Option<Window> {
    let text = |name: &str| Some(request.body()?.get(name)?.as_str()?.to_owned());
    let in_query = |name: &str| {
        let query = url::form_urlencoded::parse(request.query().as_bytes()).map(|(_, value)| value.into_owned());
        let mut inner = query.filter_map(|value| serde_json::from_str::<serde_json::Value>(&value).ok());
        inner.find_map(|value| Some(value.get(name)?.as_str()?.to_owned()))
    };
    let first = text("start_date").or_else(|| in_query("since"))?;
    let last = text("end_date").or_else(|| in_query("until"))?;
    let (first, last) = (day(&first), day(&last));
    let end = if end == WindowEnd::Exclusive { last } else { last.next() };
    let margin = i64::from(days.margin);
    Window::new(first.plus(margin), end.plus(-margin))
}

/// Checks that every dated stream requests each day of `range` once; a month belongs to its first day.
fn assert_each_day_once(range: Window, max_window_days: i64, learned: Option<WindowEnd>, choices: &[bool]) {
    let options = RequestOptions { window_end: learned, ..RequestOptions::default() };
    for stream in DATED.iter() {
        let days = stream.days.as_ref().unwrap();
        let mut choices = choices.iter().copied().cycle();
        let mut requested: BTreeMap<Day, u32> = BTreeMap::new();
        let pieces = planned(stream, range, max_window_days).into_iter().flat_map(|slice| split(slice, &mut choices));
        for slice in pieces {
            let window = slice.window.unwrap();
            for transport in [Transport::Events, Transport::Pages] {
                let page = SliceRequest { slice: &slice, transport, options: &options, variables: &Variables::new() }
                    .page(None);
                match requested_days(&page, days, learned.unwrap_or(days.end)) {
                    Some(requested) => assert_eq!(requested, window, "{} {transport:?}", stream.name),
                    // The request does not depend on the day, so each day has its own.
                    None => assert!(days.kind == DaysKind::Window && !days.sent, "{}", stream.name),
                }
            }
            match days.kind {
                DaysKind::Dated => {}
                DaysKind::Window => assert_eq!(window.len_days(), 1, "{}", stream.name),
                DaysKind::Week => assert_eq!(window, week_of(window.start), "{}", stream.name),
                DaysKind::Month => assert_eq!(window, month_of(window.start), "{}", stream.name),
            }
            assert!(days.kind != DaysKind::Dated || window.len_days() <= max_window_days, "{}", stream.name);
            window.days().for_each(|day| *requested.entry(day).or_default() += 1);
        }
        let expected: Vec<Day> = match days.kind {
            DaysKind::Dated | DaysKind::Window => range.days().collect(),
            DaysKind::Week => {
                // The same for weeks, which begin on Mondays.
                let since_monday = |day: Day| day.since(self::day("2024-01-01")).rem_euclid(7);
                let marks = Window::new(range.start.plus(-since_monday(range.start)), range.end);
                let mondays = marks.into_iter().flat_map(Window::days).filter(|day| since_monday(*day) == 0);
                mondays.flat_map(|first| week_of(first).days()).collect()
            }
            DaysKind::Month => {
                // A backfill contains the months whose first day it contains, and the month of its own first day.
                let marks = range.start.first_of_month();
                let marks = Window::new(marks, range.end).into_iter().flat_map(Window::days);
                marks.filter(|day| day.is_first_of_month()).flat_map(|first| month_of(first).days()).collect()
            }
        };
        let once: Vec<Day> = requested.keys().copied().collect();
        assert_eq!(once, expected, "{} of {range}", stream.name);
        assert!(requested.values().all(|times| *times == 1), "{} of {range}: {requested:?}", stream.name);
    }
}

/// The week that begins with `first`.
fn week_of(first: Day) -> Window {
    Window::new(first, first.plus(7)).unwrap()
}

/// The month that begins with `first`, counted by hand.
fn month_of(first: Day) -> Window {
    let text = first.to_string();
    let (year, month): (i32, i32) = (text[..4].parse().unwrap(), text[5..7].parse().unwrap());
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    Window::new(first, first.plus(days)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24, rng_seed: RngSeed::Fixed(5), failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn every_day_is_requested_once_however_the_range_is_split(
        range in any_range(),
        max_window_days in prop::sample::select(vec![1_i64, 2, 7, 31, 90]),
        learned in prop::sample::select(vec![None, Some(WindowEnd::Inclusive), Some(WindowEnd::Exclusive)]),
        choices in prop::collection::vec(any::<bool>(), 1..12),
    ) {
        assert_each_day_once(range, max_window_days, learned, &choices);
    }
}

#[test]
fn single_day_has_equal_ends_unless_end_date_is_exclusive() {
    let one = Window::from_day(day("2028-02-29"));
    for stream in DATED.iter() {
        let days = stream.days.as_ref().filter(|days| !days.kind.is_period() && days.sent);
        let Some(days) = days else { continue };
        let slice = Slice { stream: Arc::clone(stream), scope: scope(), window: Some(one) };
        let options = RequestOptions::default();
        let requested = SliceRequest {
            slice: &slice,
            transport: Transport::Pages,
            options: &options,
            variables: &Variables::new(),
        };
        let page = requested.page(None);
        let end = match days.end {
            WindowEnd::Exclusive => "2028-03-01",
            WindowEnd::Inclusive | WindowEnd::Undocumented => "2028-02-29",
        };
        let body = page.body().unwrap();
        assert_eq!((&body["start_date"], &body["end_date"]), (&"2028-02-29".into(), &end.into()), "{}", stream.name);
    }
}

#[test]
fn centuries_are_leap_years_only_every_400_years() {
    for (year, days) in [(2000, 366), (2024, 366), (2026, 365), (2100, 365), (2400, 366)] {
        let window = Window::new(Day::new(year, 1, 1).unwrap(), Day::new(year + 1, 1, 1).unwrap()).unwrap();
        assert_eq!((window.len_days(), window.days().count()), (days, days as usize), "{year}");
        assert_eq!(Day::new(year, 2, 29).is_some(), days == 366, "{year}");
    }
}
