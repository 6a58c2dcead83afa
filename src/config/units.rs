//! Quantities that carry their unit (`90m`, `5d`, `8GiB`), and days of the calendar.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::model::day::Day;

/// A length of time above zero: `90m`, `10s`, `1h 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = text.parse::<Span>().ok();
        let signed = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
        let duration = signed.and_then(|signed| Duration::try_from(signed).ok());
        let invalid = || format!("`{text}` is not a number above zero with a unit (`ms`, `s`, `m`, `h`, `d` or `w`)");
        duration.filter(|duration| !duration.is_zero()).map(Self).ok_or_else(invalid)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:#}", SignedDuration::try_from(self.0).unwrap_or(SignedDuration::MAX))
    }
}

/// A number of whole days: `5d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WholeDays(pub u16);

impl FromStr for WholeDays {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let days = text.strip_suffix('d').and_then(|days| days.parse().ok());
        days.map(Self).ok_or_else(|| format!("`{text}` is not a number of whole days, such as `5d`"))
    }
}

impl fmt::Display for WholeDays {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}d", self.0)
    }
}

/// A number of bytes: `128MiB`, `2GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The crate would accept a number without a unit, as bytes.
        let has_unit = text.ends_with(|last: char| last.is_ascii_alphabetic());
        let size = text.parse::<bytesize::ByteSize>().ok().filter(|_| has_unit);
        size.map(|size| Self(size.0))
            .ok_or_else(|| format!("`{text}` is not a number with a unit (such as `MB` or `GiB`)"))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("GiB", bytesize::GIB), ("MiB", bytesize::MIB), ("KiB", bytesize::KIB), ("kB", bytesize::KB)];
        let exact = units.into_iter().find(|(_, bytes)| self.0 > 0 && self.0.is_multiple_of(*bytes));
        let (unit, bytes) = exact.unwrap_or(("B", 1));
        write!(out, "{}{unit}", self.0 / bytes)
    }
}

/// Reads text that parses as `T`.
pub(super) fn text<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(deserializer: D) -> Result<T, D::Error> {
    let parsed = match Value::deserialize(deserializer)? {
        Value::String(text) => text.parse(),
        Value::Number(number) => Err(format!("`{number}` has no unit")),
        _ => Err("this is not text in quotes".to_owned()),
    };
    parsed.map_err(de::Error::custom)
}

/// Serde and JSON Schema for a type that is written as text.
macro_rules! as_text {
    ($type:ident, $pattern:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::config::units::text(deserializer)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}
pub(super) use as_text;

as_text!(Period, r"^[0-9]+(ms|s|m|h|d|w)( ?[0-9]+(ms|s|m|h|d|w))*$");
as_text!(WholeDays, r"^[0-9]+d$");
as_text!(ByteSize, r"^[0-9]+([kMGT]B|[KMGT]iB|B)$");

/// Reads one of several words. Serde alone would also accept the number of a word, or a table.
pub(super) fn word<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(de::value::StringDeserializer::new(String::deserialize(deserializer)?))
}

/// Reads an optional [`Day`] from exactly `YYYY-MM-DD`.
pub(super) fn optional_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Day>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(de::Error::custom)).transpose()
}

pub(super) fn day_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantity_is_parsed_as_it_is_shown() {
        for (text, shown) in [("90m", "1h 30m"), ("36h", "36h"), ("2d", "48h"), ("10s", "10s"), ("250ms", "250ms")] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), shown);
            assert_eq!(shown.parse::<Period>(), text.parse::<Period>());
        }
        for (text, shown) in
            [("8GiB", "8GiB"), ("1024MiB", "1GiB"), ("1500kB", "1500kB"), ("1537B", "1537B"), ("0B", "0B")]
        {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), shown);
        }
        assert_eq!("5d".parse::<WholeDays>().unwrap().to_string(), "5d");
    }

    #[test]
    fn quantity_without_a_known_unit_is_rejected() {
        for text in ["5", "", "m", "5x", "-5m", "0s", "99999999999999999999d"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
        for text in ["5", "GiB", "5GiBs", "-5MB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
        for text in ["5", "36h", "70000d", "d", "-1d"] {
            assert!(text.parse::<WholeDays>().is_err(), "{text}");
        }
    }
}
