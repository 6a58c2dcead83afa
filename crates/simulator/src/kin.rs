//! Streams that are asked for the rows of another: which requests there are, and what all of them bring.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use catalog::model::day::Day;
use catalog::model::relation::Variant;
use catalog::model::stream::{DaysKind, RowsAt, Stream};

use super::bind::Variables;
use super::question::{Rows, slice};
use super::table::{Conditions, Row};
use super::world::{Entry, Place, World};

/// The rows of one request, or of several that differ by nothing but the day.
#[derive(Debug)]
pub(super) struct Part {
    /// The day or month it is about, where rows do not carry one.
    pub(super) day: Option<Day>,
    /// What it is about.
    pub(super) place: Place,
    /// Its rows.
    pub(super) rows: Rows,
}

/// Whether a request of `stream` says its days.
pub(super) fn tells_days(stream: &Stream) -> bool {
    let sent = stream.days.as_ref().is_some_and(|days| days.sent);
    sent || stream.uses_variable("first") || stream.uses_variable("last")
}

/// Everything that `stream` holds for `place` on `days`, request by request.
pub(super) fn parts(
    stream: &Arc<Stream>,
    place: &Place,
    days: &[Day],
    world: &World,
    conditions: &Conditions<'_>,
) -> Vec<Part> {
    let part = |day: Option<Day>, place: Place, days: &[Day]| {
        let rows = slice(stream, &place, days, world, conditions);
        Part { day, place, rows }
    };
    let Some(counting) = &stream.days else {
        let places = requests(stream, place, &[], world, conditions);
        return places.into_iter().map(|place| part(None, place, &[])).collect();
    };
    if counting.kind == DaysKind::Dated && !stream.is_fan_out() {
        return vec![part(None, place.clone(), days)];
    }
    let today = counting.zone.today(conditions.now);
    let mut marks: Vec<Day> = match counting.kind {
        // Every month that one of the days belongs to, once it is over.
        DaysKind::Month => {
            days.iter().map(|day| day.first_of_month()).filter(|month| month.next_month() <= today).collect()
        }
        DaysKind::Dated | DaysKind::Window => days.iter().copied().filter(|day| *day <= today).collect(),
    };
    marks.dedup();
    let carried = counting.kind == DaysKind::Dated;
    let mut parts = Vec::new();
    for day in marks {
        for place in requests(stream, place, &[day], world, conditions) {
            parts.push(part((!carried).then_some(day), place, &[day]));
        }
    }
    parts
}

/// What `stream` is asked for at `place` on `days`: the place itself, or one for each row of the parent and variant.
pub(super) fn requests(
    stream: &Stream,
    place: &Place,
    days: &[Day],
    world: &World,
    conditions: &Conditions<'_>,
) -> Vec<Place> {
    let Some(parent) = &stream.parent else {
        // Nobody but a user knows what else it can be asked for.
        let unknown = !stream.parameters.is_empty() && place.variables.is_empty();
        return if unknown { Vec::new() } else { vec![Place { changed: None, ..place.clone() }] };
    };
    let Some(of) = conditions.catalog.get(&parent.stream) else {
        return Vec::new();
    };
    let place = Place { variables: Variables::new(), changed: None, ..place.clone() };
    let plain = [Variant::default()];
    let variants = if parent.variants.is_empty() { &plain[..] } else { &parent.variants };
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    for row in parts(of, &place, days, world, conditions).iter().flat_map(|part| named(of, part, world)) {
        let text = |path: &str| text_at(&row, path);
        let taken: Option<Variables> =
            parent.bind.iter().map(|(name, path)| Some((name.clone(), text(path)?))).collect();
        let Some(taken) = taken else { continue };
        for variant in variants {
            if variant.when.iter().any(|(path, wanted)| text(path).as_ref() != Some(wanted)) {
                continue;
            }
            let mut variables = taken.clone();
            variables.extend(variant.set.clone());
            if seen.insert(variables.clone()) {
                let changed = parent.changed.as_deref().and_then(text);
                found.push(Place { variables, changed, ..place.clone() });
            }
        }
    }
    found
}

/// The text at a dotted path of a row; numbers as they are written.
fn text_at(row: &Entry, path: &str) -> Option<String> {
    let mut steps = path.split('.');
    let first = row.get(steps.next()?)?;
    match steps.try_fold(first, |value, step| value.get(step))? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Every row of `part` as an object of named values, oldest day first where rows have days.
pub(super) fn named(stream: &Stream, part: &Part, world: &World) -> Vec<Entry> {
    let mut rows = rows(stream, &part.rows, &part.place, world);
    for column in stream.columns.iter().filter(|column| column.from_request) {
        for row in &mut rows {
            row.insert(column.name.clone(), json!(part.place.variables.get(&column.name)));
        }
    }
    rows
}

/// The same without what only the request says.
pub(super) fn rows(stream: &Stream, rows: &Rows, place: &Place, world: &World) -> Vec<Entry> {
    let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let table = match rows {
        Rows::List(rows) => {
            let object = |row: &[u8]| match (parse(row), &stream.rows) {
                (Value::Object(row), _) => row,
                (text, RowsAt::Texts { column }) => Map::from_iter([(column.clone(), text)]),
                _ => Entry::new(),
            };
            return rows.iter().map(|row| object(row)).collect();
        }
        Rows::Table(table) => table,
    };
    let mut rows = Vec::new();
    let mut row = Row::default();
    let mut days: Vec<_> = table.days().iter().enumerate().map(|(index, day)| (day.day, index, day.rows)).collect();
    days.sort();
    for (_, index, count) in days {
        for number in 0..count {
            table.row(index, number, &mut row);
            let value = |(index, name): (usize, String)| {
                let mut text = Vec::new();
                table.write(index, &row, world, place, &mut text);
                (name, parse(&text))
            };
            let names = table.columns().map(|column| column.name.clone()).enumerate();
            rows.push(names.map(value).collect());
        }
    }
    rows
}

/// The request of `stream` that `place` names, if a row of the parent brings it about.
pub(super) fn known(
    stream: &Stream,
    place: &Place,
    days: &[Day],
    world: &World,
    conditions: &Conditions<'_>,
) -> Option<Place> {
    let same = |found: &Place| found.variables == place.variables;
    let on = |days: &[Day]| requests(stream, place, days, world, conditions).into_iter().find(same);
    match &stream.days {
        Some(counting) if !tells_days(stream) => {
            // The request does not say which day's row it means.
            let today = counting.zone.today(conditions.now);
            let since = today.since(conditions.first_day).max(0);
            (0..=since).find_map(|back| on(&[today.plus(-back)]))
        }
        _ => on(days),
    }
}
