//! The expected result for a value, computed without the exporter's code.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use profound_export::decode::EXTRA_COLUMN;
use profound_export::model::column::ColumnType;
use serde_json::{Number, Value, json};

/// The row of the table, or why it is rejected.
pub type Fate = Result<Value, Refusal>;

/// A value that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub column: String,
    pub expected: String,
    pub found: String,
}

/// The expected result of `row` in a table of one column `v`: no member is lost.
pub fn fate_of_row(column_type: &ColumnType, row: &Value) -> Fate {
    let (mut stored, mut extra) = (Value::Null, Vec::new());
    for (name, value) in row.as_object().unwrap() {
        match name.as_str() {
            "v" => stored = fate(column_type, value, "v", &mut extra)?,
            _ => extra.push(pair(name, value)),
        }
    }
    let extra = (!extra.is_empty()).then(|| format!("{{{}}}", extra.join(",")));
    Ok(json!({"v": stored, EXTRA_COLUMN: extra}))
}

fn fate(column_type: &ColumnType, value: &Value, path: &str, extra: &mut Vec<String>) -> Fate {
    let stored = match (column_type, value) {
        (_, Value::Null) => Some(Value::Null),
        (ColumnType::Json, value) => Some(json!(value.to_string())),
        (ColumnType::Utf8, Value::String(_)) | (ColumnType::Bool, Value::Bool(_)) => Some(value.clone()),
        (ColumnType::Int64, Value::Number(number)) => integer(number).map(Value::from),
        (ColumnType::Float64, Value::Number(number)) => {
            if float(number).is_none() {
                extra.push(pair(path, value));
            }
            number.as_f64().map(Value::from)
        }
        (ColumnType::UnixSeconds, Value::Number(number)) => integer(number)
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .map(|instant| json!(instant.to_string())),
        (ColumnType::Timestamp, Value::String(text)) => instant(text).map(|instant| json!(instant.to_string())),
        (ColumnType::Date, Value::String(text)) => {
            let day = day(text);
            if day.is_some() && text.len() != 10 {
                extra.push(pair(path, value));
            }
            day.map(|day| json!(day.to_string()))
        }
        (ColumnType::List(item), Value::Array(items)) => {
            let items = items.iter().enumerate();
            return items.map(|(at, value)| fate(item, value, &format!("{path}[{at}]"), extra)).collect();
        }
        (ColumnType::Struct(fields), Value::Object(members)) => {
            let mut stored: Value = fields.iter().map(|(name, _)| (name.clone(), Value::Null)).collect();
            for (name, value) in members {
                let path = format!("{path}.{name}");
                match fields.iter().find(|(field, _)| field == name) {
                    Some((_, field)) => stored[name] = fate(field, value, &path, extra)?,
                    None => extra.push(pair(&path, value)),
                }
            }
            Some(stored)
        }
        _ => None,
    };
    stored.ok_or_else(|| Refusal { column: path.to_owned(), expected: in_words(column_type), found: shown(value) })
}

fn pair(name: &str, value: &Value) -> String {
    format!("{}:{value}", json!(name))
}

/// Whole numbers, also those written with a point, as long as it is exact.
fn integer(number: &Number) -> Option<i64> {
    let from_float = |float: f64| (float.fract() == 0.0 && float.abs() <= 2_f64.powi(53)).then_some(float as i64);
    if number.is_f64() { from_float(number.as_f64()?) } else { number.as_i64() }
}

/// Numbers that are one float.
fn float(number: &Number) -> Option<f64> {
    let float = number.as_f64()?;
    let same = |integer: i128| float as i128 == integer;
    let exact = match (number.as_i64(), number.as_u64()) {
        (Some(integer), _) => same(integer.into()),
        (None, Some(integer)) => same(integer.into()),
        (None, None) => true,
    };
    exact.then_some(float)
}

/// The instant of a text, to the microsecond.
fn instant(text: &str) -> Option<Timestamp> {
    let in_utc = |local: DateTime| local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let instant = text.parse::<Timestamp>().ok();
    let instant = instant.or_else(|| in_utc(text.parse().ok()?)).or_else(|| in_utc(text.parse::<Date>().ok()?.into()));
    Timestamp::from_microsecond(instant?.as_microsecond()).ok()
}

/// The day a label begins with.
fn day(label: &str) -> Option<Date> {
    let (day, rest) = label.split_at_checked(10)?;
    (rest.is_empty() || rest.starts_with(['T', ' '])).then(|| day.parse().ok())?
}

fn in_words(column_type: &ColumnType) -> String {
    match column_type {
        ColumnType::Utf8 => "text".into(),
        ColumnType::Int64 => "an integer".into(),
        ColumnType::Float64 => "a number".into(),
        ColumnType::Bool => "true or false".into(),
        ColumnType::Date => "a day".into(),
        ColumnType::Timestamp => "a time".into(),
        ColumnType::UnixSeconds => "seconds since 1970".into(),
        ColumnType::Json => "JSON".into(),
        ColumnType::List(item) => format!("a list of {item}"),
        ColumnType::Struct(_) => "an object".into(),
    }
}

/// A value as messages show it.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) => format!("{text:?}"),
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or_default().to_string(),
        other => other.to_string(),
    };
    if text.chars().count() <= 80 { text } else { text.chars().take(80).chain(['…']).collect() }
}
