//! The requests of a stream that is asked once per row of a parent, or once per day, and the rows of all of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::model::day::Day;
use catalog::model::relation::Variant;
use catalog::model::stream::{DaysKind, Stream};
use serde_json::{Value, json};

use crate::data::dataset::Dataset;
use crate::data::objects::{Object, Subject, Variables};
use crate::data::rows::Rows;
use crate::data::stream_shape::sends_days;

use super::selection::stream_rows;

/// The rows of one request, or of several that differ only in the day.
#[derive(Debug)]
pub(crate) struct RequestRows {
    /// The day, or the first one of the week or month, of the request, where rows do not carry one.
    pub(crate) day: Option<Day>,
    pub(crate) subject: Subject,
    pub(crate) rows: Rows,
}

impl RequestRows {
    /// Every row as named values, with what only the request says.
    pub(crate) fn objects(&self, stream: &Stream) -> Vec<Object> {
        let mut rows = self.rows.oldest_first();
        for column in stream.columns.iter().filter(|column| column.from_request) {
            for row in &mut rows {
                row.insert(column.name.clone(), json!(self.subject.variables.get(&column.name)));
            }
        }
        rows
    }
}

/// Everything that `stream` holds for `subject` on `days`, request by request.
pub(crate) fn request_rows(
    stream: &Arc<Stream>,
    subject: &Subject,
    days: &[Day],
    dataset: &Dataset,
) -> Vec<RequestRows> {
    let request = |day: Option<Day>, subject: Subject, days: &[Day]| {
        let rows = stream_rows(stream, &subject, days, dataset);
        RequestRows { day, subject, rows }
    };
    let Some(counting) = &stream.days else {
        let subjects = request_subjects(stream, subject, &[], dataset);
        return subjects.into_iter().map(|subject| request(None, subject, &[])).collect();
    };
    let has_day = counting.kind == DaysKind::Dated;
    if has_day && !stream.is_fan_out() {
        return vec![request(None, subject.clone(), days)];
    }
    let today = counting.zone.today(dataset.now);
    let mut marks: Vec<Day> = if counting.kind.is_period() {
        // Every week or month of one of the days, once it is over.
        let first = days.iter().map(|day| counting.kind.first_of(*day));
        first.filter(|first| counting.span(*first).end <= today).collect()
    } else {
        days.iter().copied().filter(|day| *day <= today).collect()
    };
    marks.dedup();
    let mut requests = Vec::new();
    for day in marks {
        let subjects = request_subjects(stream, subject, &[day], dataset);
        let covered: Vec<Day> = counting.span(day).days().collect();
        requests.extend(subjects.into_iter().map(|subject| request((!has_day).then_some(day), subject, &covered)));
    }
    requests
}

/// The subjects of the requests of `stream` on `days`: `subject` itself, or one for each row of the parent and variant.
fn request_subjects(stream: &Stream, subject: &Subject, days: &[Day], dataset: &Dataset) -> Vec<Subject> {
    let Some(parent) = &stream.parent else {
        // Only a user can say which requests there are.
        let is_unknown = !stream.parameters.is_empty() && subject.variables.is_empty();
        return if is_unknown { Vec::new() } else { vec![Subject { changed: None, ..subject.clone() }] };
    };
    let Some(parent_stream) = dataset.catalog.get(&parent.stream) else { return Vec::new() };
    let subject = Subject { variables: Variables::new(), changed: None, ..subject.clone() };
    let plain = [Variant::default()];
    let variants = if parent.variants.is_empty() { &plain[..] } else { &parent.variants };
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    let requests = request_rows(parent_stream, &subject, days, dataset);
    for row in requests.iter().flat_map(|request| request.objects(parent_stream)) {
        let text = |path: &String| text_at(&row, path);
        let bound = parent.bind.iter().map(|(name, path)| Some((name.clone(), text(path)?)));
        let Some(bound) = bound.collect::<Option<Variables>>() else { continue };
        for variant in variants {
            if variant.when.iter().any(|(path, wanted)| text(path).as_ref() != Some(wanted)) {
                continue;
            }
            let mut variables = bound.clone();
            variables.extend(variant.set.clone());
            if seen.insert(variables.clone()) {
                let changed = parent.changed.as_ref().and_then(text);
                found.push(Subject { variables, changed, ..subject.clone() });
            }
        }
    }
    found
}

/// The text at a dotted path of a row; numbers as they are written.
fn text_at(row: &Object, path: &str) -> Option<String> {
    let mut steps = path.split('.');
    let first = row.get(steps.next()?)?;
    match steps.try_fold(first, |value, step| value.get(step))? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The subject of a request of the child `stream`, if a row of its parent leads to that request.
pub(crate) fn find_request(stream: &Stream, subject: &Subject, days: &[Day], dataset: &Dataset) -> Option<Subject> {
    let find = |days: &[Day]| {
        let subjects = request_subjects(stream, subject, days, dataset);
        subjects.into_iter().find(|found| found.variables == subject.variables)
    };
    match &stream.days {
        Some(counting) if !sends_days(stream) => {
            // The request does not say of which day the parent's row is.
            let today = counting.zone.today(dataset.now);
            (0..=today.since(dataset.first_day)).find_map(|back| find(&[today.plus(-back)]))
        }
        _ => find(days),
    }
}
