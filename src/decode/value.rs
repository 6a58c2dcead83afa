//! Reads one JSON value into one builder.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sonic_rs::LazyValue;

use crate::decode::builder::{ColumnBuilder, StructBuilder};
use crate::decode::error::DecodeError;
use crate::decode::schema::{EXTRA_COLUMN, TableSchema};
use crate::decode::words::{ESCAPED_MARK, INTEGER_MARK, MARK, without_marks};
use crate::model::column::ColumnType;
use crate::model::day::Day;
use crate::model::format::format_number;

/// The longest value shown in an error, in characters.
const SHOWN_CHARACTERS: usize = 80;

/// Undeclared members that are reported by name; all further ones share [`OTHER_MEMBERS`]. A table of values in place of a row has any
/// number of them.
pub const MAX_REPORTED_MEMBERS: usize = 50;
pub const OTHER_MEMBERS: &str = "(others)";

/// Undeclared members of one row that are kept.
const MAX_EXTRA_MEMBERS: usize = 100_000;

/// Shown in place of a value of a protected column.
const NOT_SHOWN: &str = "(not shown)";

/// What the values of one row have in common while they are read.
#[derive(Debug)]
pub struct RowContext {
    schema: Arc<TableSchema>,
    /// The path to the current value: a column, then indices of items and fields. Rendered as text only when needed.
    steps: Vec<usize>,
    /// Undeclared members, as `"name":value` pairs joined by commas.
    extra: String,
    extra_members: usize,
    /// Why no row can be stored. The parser's own error has only text.
    pub fault: Option<DecodeError>,
    /// The first value of the row that its column cannot hold.
    pub misfit: Option<DecodeError>,
    /// Whether words that are not JSON, and long integers, are marked in the rows.
    pub has_marked_words: bool,
    /// Whether a number may be a long integer, which the parser rounds.
    pub has_rounded: bool,
    /// Undeclared members seen so far, each with an example.
    pub drift: BTreeMap<String, String>,
    /// Rows before this one.
    pub rows_read: u64,
    /// The first page is 1.
    pub page: u64,
}

impl RowContext {
    pub fn new(schema: Arc<TableSchema>) -> Self {
        let (steps, extra, drift) = (Vec::new(), String::new(), BTreeMap::new());
        Self {
            schema,
            steps,
            extra,
            extra_members: 0,
            fault: None,
            misfit: None,
            has_marked_words: false,
            has_rounded: false,
            drift,
            rows_read: 0,
            page: 1,
        }
    }

    /// Forgets the rows after the first `rows_read`.
    pub fn restart(&mut self, rows_read: u64) {
        self.steps.clear();
        self.extra.clear();
        self.extra_members = 0;
        self.misfit = None;
        self.rows_read = rows_read;
    }

    pub fn stream(&self) -> String {
        self.schema.stream.clone()
    }

    /// Records the member `name` of the current value, which the catalog does not declare.
    pub fn keep_unknown(&mut self, name: &str, json: &str) {
        let path = self.path(|index| format!("[{index}]"));
        let (exact, generic) = if path.is_empty() {
            (name.to_owned(), name.to_owned())
        } else {
            (format!("{path}.{name}"), format!("{}.{name}", self.path(|_| "[]".to_owned())))
        };
        if self.is_protected(name) {
            // The value may be one that must not be written. Its name is reported all the same.
            self.record_drift(&generic, NOT_SHOWN);
        } else {
            self.keep(&exact, &generic, json);
        }
    }

    /// Whether the current value, or its member `name`, belongs to a protected column.
    fn is_protected(&self, name: &str) -> bool {
        let column = match self.steps.first() {
            Some(column) => Some(*column),
            None => self.schema.column(name.split('.').next().unwrap_or(name)),
        };
        column.is_some_and(|column| self.schema.is_protected(column))
    }

    /// Records the current value as sent, because its column holds less of it.
    fn keep_original(&mut self, json: &str) {
        if self.is_protected("") {
            return;
        }
        let exact = self.path(|index| format!("[{index}]"));
        let generic = self.path(|_| "[]".to_owned());
        self.keep(&exact, &generic, json);
    }

    /// Records the member `name` of the row, for which the table has a column.
    pub fn keep_known(&mut self, name: &str, json: &str) {
        self.extra_members += 1;
        if self.extra_members > MAX_EXTRA_MEMBERS {
            let expected = format!("at most {} undeclared members", format_number(MAX_EXTRA_MEMBERS as u64));
            let (stream, row, column) = (self.stream(), self.rows_read + 1, EXTRA_COLUMN.to_owned());
            let problem = || DecodeError::Mismatch { stream, row, column, expected, found: "more".to_owned() };
            self.misfit.get_or_insert_with(problem);
            return;
        }
        if !self.extra.is_empty() {
            self.extra.push(',');
        }
        self.extra.push_str(&serde_json::Value::from(name).to_string());
        self.extra.push(':');
        self.extra.push_str(json);
    }

    fn keep(&mut self, exact: &str, generic: &str, json: &str) {
        let json = if self.has_marked_words { without_marks(json) } else { Cow::Borrowed(json) };
        self.keep_known(exact, &json);
        self.record_drift(generic, &json);
    }

    fn record_drift(&mut self, generic: &str, example: &str) {
        if self.drift.contains_key(generic) {
        } else if self.drift.len() < MAX_REPORTED_MEMBERS {
            self.drift.insert(shorten(generic), shorten(example));
        } else {
            self.drift.entry(OTHER_MEMBERS.to_owned()).or_insert_with(|| shorten(generic));
        }
    }

    /// The undeclared members of the row that ends, as a JSON object.
    pub fn take_extra(&mut self) -> Option<String> {
        self.extra_members = 0;
        let extra = std::mem::take(&mut self.extra);
        (!extra.is_empty()).then(|| format!("{{{extra}}}"))
    }

    /// Runs `read` with `step` added to the path.
    pub fn within<T>(&mut self, step: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        self.steps.push(step);
        let result = read(self);
        self.steps.pop();
        result
    }

    /// The path of the current value: `citation_details[2].positions`.
    fn path(&self, item: impl Fn(usize) -> String) -> String {
        let mut path = String::new();
        let Some((column, steps)) = self.steps.split_first() else {
            return path;
        };
        path.push_str(self.schema.arrow.field(*column).name());
        let mut at = &self.schema.types[*column];
        for step in steps {
            match at {
                ColumnType::List(items) => {
                    path.push_str(&item(*step));
                    at = items;
                }
                ColumnType::Struct(fields) => {
                    // Writing to a string cannot fail.
                    let _ = write!(path, ".{}", fields[*step].0);
                    at = &fields[*step].1;
                }
                _ => break,
            }
        }
        path
    }

    /// The word in place of `value` that is not JSON, if there was one.
    fn marked_word<'a>(&self, value: &'a str) -> Option<&'a str> {
        value.strip_prefix(MARK).filter(|_| self.has_marked_words)
    }

    /// Records that the current value does not fit, and appends null in its place: the other rows are read all the same.
    pub fn reject(&mut self, builder: &mut ColumnBuilder, found: impl fmt::Display) {
        builder.append_null();
        if self.misfit.is_some() {
            return;
        }
        let column = self.path(|index| format!("[{index}]"));
        let found = if self.is_protected("") { NOT_SHOWN.to_owned() } else { shorten(&found.to_string()) };
        let (stream, row, expected) = (self.stream(), self.rows_read + 1, builder.describe());
        self.misfit = Some(DecodeError::Mismatch { stream, row, column, expected, found });
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Reads one value into `builder`, which then has exactly one value more.
pub struct ValueSeed<'a> {
    pub builder: &'a mut ColumnBuilder,
    pub row: &'a mut RowContext,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if let ColumnBuilder::Json(builder) = self.builder {
            let json = RawSeed.deserialize(deserializer)?;
            match json.as_str() {
                "null" => builder.append_null(),
                text if self.row.has_marked_words && text.contains(ESCAPED_MARK) => {
                    self.row.reject(self.builder, without_marks(text));
                }
                text if self.row.has_marked_words => builder.append_value(without_marks(text)),
                text => builder.append_value(text),
            }
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.builder.describe())
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.builder.append_null();
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        match self.builder {
            ColumnBuilder::Bool(builder) => builder.append_value(value),
            other => self.row.reject(other, value),
        }
        Ok(())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        match self.builder {
            ColumnBuilder::Int64(builder) => builder.append_value(value),
            ColumnBuilder::Float64(builder) => {
                builder.append_value(value as f64);
                if !exact_in_float(value) {
                    self.row.keep_original(&value.to_string());
                }
            }
            ColumnBuilder::UnixSeconds(builder) => match Timestamp::from_second(value) {
                Ok(instant) => builder.append_value(instant.as_microsecond()),
                Err(_) => self.row.reject(self.builder, value),
            },
            other => self.row.reject(other, value),
        }
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => {
                match self.builder {
                    ColumnBuilder::Float64(builder) => {
                        builder.append_value(value as f64);
                        // A float may hold a larger one exactly.
                        if (value as f64) as u128 != u128::from(value) {
                            self.row.keep_original(&value.to_string());
                        }
                    }
                    other => self.row.reject(other, value),
                }
                Ok(())
            }
        }
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.row.has_rounded |= value.abs() >= i64::MAX as f64;
        match self.builder {
            ColumnBuilder::Float64(builder) => builder.append_value(value),
            // `2.0` is an integer.
            ColumnBuilder::Int64(builder) if is_integer(value) => builder.append_value(value as i64),
            ColumnBuilder::UnixSeconds(_) if is_integer(value) => return self.visit_i64(value as i64),
            other => self.row.reject(other, value),
        }
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        if let Some(word) = self.row.marked_word(value) {
            self.row.reject(self.builder, word);
            return Ok(());
        }
        let integer = value.strip_prefix(INTEGER_MARK).filter(|_| self.row.has_marked_words);
        match self.builder {
            ColumnBuilder::Float64(builder) if integer.is_some() => {
                let integer = integer.unwrap_or_default();
                let float: f64 = integer.parse().unwrap_or(f64::INFINITY);
                builder.append_value(float);
                if format!("{float:.0}") != integer {
                    self.row.keep_original(integer);
                }
            }
            other if integer.is_some() => self.row.reject(other, integer.unwrap_or_default()),
            ColumnBuilder::Utf8(builder) => builder.append_value(value),
            ColumnBuilder::Date(builder) => match day_of_label(value) {
                Some(day) => {
                    builder.append_value(day.to_epoch_days());
                    if value.len() != DAY_CHARACTERS {
                        // The label has more than the day, and none of it may be lost.
                        self.row.keep_original(&serde_json::Value::from(value).to_string());
                    }
                }
                None => self.row.reject(self.builder, format!("{value:?}")),
            },
            ColumnBuilder::Timestamp(builder) => match microseconds(value) {
                Some(instant) => builder.append_value(instant),
                None => self.row.reject(self.builder, format!("{value:?}")),
            },
            other => self.row.reject(other, format!("{value:?}")),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let row = self.row;
        let ColumnBuilder::List(list) = self.builder else {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            row.reject(self.builder, "a list");
            return Ok(());
        };
        for index in 0_usize.. {
            let builder = &mut list.items;
            let read = row.within(index, |row| items.next_element_seed(ValueSeed { builder, row }))?;
            if read.is_none() {
                break;
            }
        }
        list.end(true);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let row = self.row;
        match self.builder {
            ColumnBuilder::Struct(fields) => visit_struct(fields, row, members),
            other => {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                row.reject(other, "an object");
                Ok(())
            }
        }
    }
}

fn visit_struct<'de, A: MapAccess<'de>>(
    fields: &mut StructBuilder,
    row: &mut RowContext,
    mut members: A,
) -> Result<(), A::Error> {
    let rows = fields.len();
    while let Some(name) = members.next_key_seed(NameSeed(|name: &str| fields.index_of(name)))? {
        match name {
            MemberName::Known(index) if fields.builders[index].len() == rows => {
                let builder = &mut fields.builders[index];
                row.within(index, |row| members.next_value_seed(ValueSeed { builder, row }))?;
            }
            // The first value of a name counts, another one goes to `_extra`.
            MemberName::Known(index) => {
                let json = members.next_value_seed(RawSeed)?;
                row.keep_unknown(&fields.fields[index].0, &json);
            }
            MemberName::Unknown(name) => {
                let json = members.next_value_seed(RawSeed)?;
                row.keep_unknown(&name, &json);
            }
        }
    }
    for builder in fields.builders.iter_mut().filter(|builder| builder.len() == rows) {
        builder.append_null();
    }
    fields.end(true);
    Ok(())
}

/// The name of a member: what it refers to, or its text.
pub enum MemberName<T> {
    Known(T),
    Unknown(String),
}

/// Reads the name of a member and looks it up. Only an unknown name is copied.
pub struct NameSeed<F>(pub F);

impl<'de, T, F: Fn(&str) -> Option<T>> DeserializeSeed<'de> for NameSeed<F> {
    type Value = MemberName<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<MemberName<T>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, T, F: Fn(&str) -> Option<T>> Visitor<'de> for NameSeed<F> {
    type Value = MemberName<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<MemberName<T>, E> {
        Ok((self.0)(name).map_or_else(|| MemberName::Unknown(name.to_owned()), MemberName::Known))
    }
}

/// Reads the text of any value, byte for byte, if it is JSON.
pub struct RawSeed;

impl<'de> DeserializeSeed<'de> for RawSeed {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        let lazy = LazyValue::deserialize(deserializer)?;
        let text = lazy.as_raw_str().trim();
        // sonic-rs skips a lazy value by its brackets and quotes alone, but what is stored as JSON must be JSON.
        serde_json::from_str::<IgnoredAny>(text).map_err(D::Error::custom)?;
        Ok(text.to_owned())
    }
}

const DAY_CHARACTERS: usize = "2026-03-01".len();

/// 2^53: every integer up to it has a float of its own.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Whether `value` is exactly one integer: beyond 2^53 a float represents several.
fn is_integer(value: f64) -> bool {
    value.fract() == 0.0 && value.abs() <= MAX_EXACT
}

fn exact_in_float(value: i64) -> bool {
    value.unsigned_abs() <= MAX_EXACT as u64 || (value as f64) as i128 == i128::from(value)
}

/// The day of a bucket label: its first ten characters. The vendor does not document the rest.
fn day_of_label(label: &str) -> Option<Day> {
    let day: Day = label.get(..DAY_CHARACTERS)?.parse().ok()?;
    let separated = label[DAY_CHARACTERS..].chars().next().is_none_or(|next| next == 'T' || next == ' ');
    separated.then_some(day)
}

/// Microseconds since the epoch of an instant in ISO form; without an offset it is UTC, without a time midnight.
fn microseconds(text: &str) -> Option<i64> {
    let instant = match text.parse::<Timestamp>() {
        Ok(instant) => instant,
        Err(_) => {
            let local = match text.parse::<DateTime>() {
                Ok(local) => local,
                Err(_) => text.parse::<Date>().ok()?.at(0, 0, 0, 0),
            };
            local.to_zoned(TimeZone::UTC).ok()?.timestamp()
        }
    };
    Some(instant.as_microsecond())
}
