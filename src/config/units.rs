//! Values that carry their unit: lengths of time, whole days, sizes, days of the calendar.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::model::day::Day;

/// A length of time written with its unit: `90m`, `10s`, `1h 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// Units of [`Period`] in milliseconds, largest first.
const PERIOD_UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut total: u64 = 0;
        for (number, unit) in numbers_with_units(text)? {
            let (_, milliseconds) = PERIOD_UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .ok_or_else(|| format!("`{unit}` is not a unit of time; `ms`, `s`, `m`, `h`, `d` and `w` are"))?;
            let part = number.checked_mul(*milliseconds).and_then(|part| total.checked_add(part));
            total = part.ok_or_else(|| format!("`{text}` is too long"))?;
        }
        Ok(Self(Duration::from_millis(total)))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return out.write_str("0s");
        }
        let mut gap = "";
        // Weeks are read but days are written: `7d` says more.
        for (unit, milliseconds) in &PERIOD_UNITS[1..] {
            if rest / milliseconds != 0 {
                write!(out, "{gap}{}{unit}", rest / milliseconds)?;
                rest %= milliseconds;
                gap = " ";
            }
        }
        Ok(())
    }
}

/// A number of whole days, written `5d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WholeDays(pub u16);

impl FromStr for WholeDays {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let days = match numbers_with_units(text)?.as_slice() {
            [(days, "d")] => *days,
            _ => return Err(format!("`{text}` is not a number of whole days")),
        };
        u16::try_from(days).map(Self).map_err(|_| format!("`{text}` is too long"))
    }
}

impl fmt::Display for WholeDays {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}d", self.0)
    }
}

/// A number of bytes written with its unit: `128MiB`, `2GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// Units of [`ByteSize`] in bytes.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", bytesize::TIB),
    ("TB", bytesize::TB),
    ("GiB", bytesize::GIB),
    ("GB", bytesize::GB),
    ("MiB", bytesize::MIB),
    ("MB", bytesize::MB),
    ("KiB", bytesize::KIB),
    ("kB", bytesize::KB),
    ("B", 1),
];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = match numbers_with_units(text)?.as_slice() {
            [part] => *part,
            _ => return Err(format!("`{text}` is not one number and one unit")),
        };
        let (_, bytes) = SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| {
            format!("`{unit}` is not a unit of size; `B`, `kB`, `KiB`, `MB`, `MiB`, `GB`, `GiB`, `TB` and `TiB` are")
        })?;
        number.checked_mul(*bytes).map(Self).ok_or_else(|| format!("`{text}` is too large"))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = SIZE_UNITS.iter().find(|(_, bytes)| self.0 != 0 && self.0.is_multiple_of(*bytes));
        let (unit, bytes) = exact.unwrap_or(&("B", 1));
        write!(out, "{}{unit}", self.0 / bytes)
    }
}

/// `1h 30m` as `[(1, "h"), (30, "m")]`. A unit is never left out, a number is whole.
fn numbers_with_units(text: &str) -> Result<Vec<(u64, &str)>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        if number.is_empty() || (unit.is_empty() && !after.is_empty()) {
            return Err(format!("`{text}` is not a whole number and its unit"));
        }
        if unit.is_empty() {
            return Err(format!("`{text}` has no unit"));
        }
        parts.push((number.parse().map_err(|_| format!("`{text}` is too large"))?, unit));
        if after.is_empty() {
            return Ok(parts);
        }
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
}

/// Reads text that parses, and says of a bare number that it has no unit.
pub(super) struct Written<T>(std::marker::PhantomData<T>);

impl<T> Written<T> {
    pub(super) const fn new() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<T: FromStr<Err = String>> de::Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("text in quotes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        Err(E::custom(format!("`{number}` has no unit")))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        Err(E::custom(format!("`{number}` has no unit")))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        Err(E::custom(format!("`{number}` has no unit")))
    }
}

/// Serde and JSON Schema for a type that is written as text.
macro_rules! written {
    ($type:ident, $name:literal, $pattern:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any($crate::config::units::Written::new())
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}
pub(super) use written;

written!(Period, "Period", r"^[0-9]+(ms|s|m|h|d|w)( ?[0-9]+(ms|s|m|h|d|w))*$");
written!(WholeDays, "WholeDays", r"^[0-9]+d$");
written!(ByteSize, "ByteSize", r"^[0-9]+([kMGT]B|[KMGT]iB|B)$");

/// Reads one of several words. Serde alone would also take the number of a word, or a table.
pub(super) fn word<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(de::value::StringDeserializer::new(String::deserialize(deserializer)?))
}

/// Reads an optional [`Day`] from exactly `YYYY-MM-DD`.
pub(super) fn optional_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Day>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(de::Error::custom)).transpose()
}

/// The JSON Schema of a day.
pub(super) fn day_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_read_as_written() {
        for (text, seconds) in [("90m", 5_400), ("10s", 10), ("1h 30m", 5_400), ("1h30m", 5_400), ("2w", 1_209_600)] {
            assert_eq!(text.parse::<Period>().unwrap().0.as_secs(), seconds, "{text}");
        }
        assert_eq!("250ms".parse::<Period>().unwrap().0.as_millis(), 250);
    }

    #[test]
    fn shown_values_read_back_to_themselves() {
        for text in ["90m", "36h", "1500ms", "5m", "3d", "1h 1s", "0s"] {
            let period: Period = text.parse().unwrap();
            assert_eq!(period.to_string().parse::<Period>().unwrap(), period, "{text}");
        }
        for text in ["8GiB", "128MiB", "1500kB", "1537B", "0B"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string().parse(), text.parse::<ByteSize>(), "{text}");
        }
        assert_eq!(ByteSize(8 * bytesize::GIB).to_string(), "8GiB");
        assert_eq!("5d".parse::<WholeDays>().unwrap().to_string(), "5d");
    }

    #[test]
    fn numbers_without_a_known_unit_are_refused() {
        for text in ["5", "", "m", "5 m", "5x", "-5m", "1.5h", "5m ", " 5m", "5M", "99999999999999999999d"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
        for text in ["5", "5mb", "5Mib", "1.5GiB", "1GiB 5MiB", "GiB", "99999999999TiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
        for text in ["5", "36h", "1d 2d", "70000d", "d"] {
            assert!(text.parse::<WholeDays>().is_err(), "{text}");
        }
    }

    #[test]
    fn words_say_that_the_unit_is_missing() {
        assert_eq!("128".parse::<ByteSize>().unwrap_err(), "`128` has no unit");
        assert_eq!("3".parse::<WholeDays>().unwrap_err(), "`3` has no unit");
    }
}
