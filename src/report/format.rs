//! Values as text: figures with their unit, changes with their sign.

use rusqlite::types::Value;

use super::figure::Format;
use crate::model::day::Day;
use crate::model::format::format_number;

/// Before a unit, so that it stays with its figure.
const NARROW_SPACE: char = '\u{202f}';

/// A value of a query; `None` without one.
pub fn text(format: Format, value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Blob(_) => None,
        Value::Text(day) if format == Format::Day => Some(day.parse::<Day>().map_or_else(|_| day.clone(), Day::short)),
        Value::Text(text) => Some(text.clone()),
        Value::Integer(number) => Some(value_text(format, *number as f64)),
        Value::Real(number) => Some(value_text(format, *number)),
    }
}

pub fn as_text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Real(number) => Some(*number),
        _ => None,
    }
}

pub fn value_text(format: Format, value: f64) -> String {
    match format {
        Format::Text | Format::Day | Format::Count => format_number(value.round().max(0.0) as u64),
        Format::Share => format!("{:.1}{NARROW_SPACE}%", value * 100.0),
        Format::Percent => format!("{value:.1}{NARROW_SPACE}%"),
        Format::SharePoints | Format::SharePointsOfOthers => signed(value * 100.0, ""),
        Format::Points | Format::RankChange => signed(value, ""),
        Format::Growth => signed(value * 100.0, "\u{202f}%"),
        Format::Rank => format!("{value:.1}"),
    }
}

/// `+2.1`, `−0.4`, `0.0`.
fn signed(value: f64, unit: &str) -> String {
    let digits = format!("{:.1}", value.abs());
    let sign = match value {
        _ if digits == "0.0" => "",
        value if value > 0.0 => "+",
        _ => "−",
    };
    format!("{sign}{digits}{unit}")
}

/// Whether a change is good (1), bad (-1) or neither, as it is shown.
pub fn direction(format: Format, value: f64) -> i8 {
    let sign = match value_text(format, value) {
        text if text.starts_with('+') => 1,
        text if text.starts_with('−') => -1,
        _ => 0,
    };
    match format {
        Format::SharePointsOfOthers | Format::Growth => 0,
        // The first place is the best.
        Format::RankChange => -sign,
        _ => sign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_units_and_changes_have_signs() {
        let cases = [
            (Format::Share, Value::Real(0.2512), "25.1\u{202f}%"),
            (Format::SharePoints, Value::Real(-0.021), "−2.1"),
            (Format::SharePoints, Value::Real(-0.0001), "0.0"),
            (Format::Growth, Value::Real(0.5), "+50.0\u{202f}%"),
            (Format::Count, Value::Integer(12_345), "12,345"),
            (Format::Day, Value::Text("2026-11-22".into()), "Sun 22 Nov"),
        ];
        for (format, value, expected) in cases {
            assert_eq!(text(format, &value).as_deref(), Some(expected), "{format:?}");
        }
        assert_eq!(text(Format::Share, &Value::Null), None);
        assert_eq!((direction(Format::RankChange, -0.5), direction(Format::SharePoints, 0.0001)), (1, 0));
    }
}
