//! The columns of a stream and their types.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: ColumnType,
    pub about: String,
    /// The unit of a number, such as `share` or `visits`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Minimum and maximum, both included, if documented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
    /// The documented values; others are stored too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Long texts that hardly ever repeat: the Parquet writer tries no dictionary.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub long_text: bool,
    /// The value is the variable of the same name in the request, because the API does not return it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_request: bool,
}

/// How personal data in a column is protected before anything reaches the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protect {
    /// Null in every row.
    Drop,
    /// The hexadecimal SHA-256 of a salt and the text.
    Hash,
}

impl Protect {
    pub fn past_tense(self) -> &'static str {
        match self {
            Self::Drop => "dropped",
            Self::Hash => "hashed",
        }
    }
}

impl Column {
    /// Text or a list of texts, which can be hashed.
    pub fn is_text(&self) -> bool {
        match &self.data_type {
            ColumnType::Utf8 => true,
            ColumnType::List(item) => **item == ColumnType::Utf8,
            _ => false,
        }
    }
}

/// Every value may be null.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ColumnType {
    Utf8,
    Int64,
    Float64,
    Bool,
    Date,
    /// Microseconds, UTC.
    Timestamp,
    /// Seconds since 1970 in responses; stored as a timestamp.
    UnixSeconds,
    /// Any JSON value, stored as text.
    Json,
    List(Box<ColumnType>),
    Struct(Vec<(String, ColumnType)>),
}

impl fmt::Display for ColumnType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utf8 => out.write_str("utf8"),
            Self::Int64 => out.write_str("int64"),
            Self::Float64 => out.write_str("float64"),
            Self::Bool => out.write_str("bool"),
            Self::Date => out.write_str("date"),
            Self::Timestamp => out.write_str("timestamp"),
            Self::UnixSeconds => out.write_str("unix_seconds"),
            Self::Json => out.write_str("json"),
            Self::List(item) => write!(out, "list<{item}>"),
            Self::Struct(fields) => {
                out.write_str("struct<")?;
                for (index, (name, field)) in fields.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(out, "{comma}{name}: {field}")?;
                }
                out.write_str(">")
            }
        }
    }
}

impl FromStr for ColumnType {
    type Err = String;

    /// Parses the output of `Display`: `list<struct<id: utf8, name: utf8>>`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let parsed = parse_type(&mut rest)?;
        if rest.trim().is_empty() {
            Ok(parsed)
        } else {
            Err(format!("`{text}` has text after the type: `{}`", rest.trim()))
        }
    }
}

fn parse_type(rest: &mut &str) -> Result<ColumnType, String> {
    let name = take_name(rest);
    match name {
        "utf8" => Ok(ColumnType::Utf8),
        "int64" => Ok(ColumnType::Int64),
        "float64" => Ok(ColumnType::Float64),
        "bool" => Ok(ColumnType::Bool),
        "date" => Ok(ColumnType::Date),
        "timestamp" => Ok(ColumnType::Timestamp),
        "unix_seconds" => Ok(ColumnType::UnixSeconds),
        "json" => Ok(ColumnType::Json),
        "list" => {
            expect(rest, '<')?;
            let item = parse_type(rest)?;
            expect(rest, '>')?;
            Ok(ColumnType::List(Box::new(item)))
        }
        "struct" => {
            expect(rest, '<')?;
            let mut fields = Vec::new();
            loop {
                let name = take_name(rest).to_owned();
                if name.is_empty() {
                    return Err("a struct field has no name".into());
                }
                expect(rest, ':')?;
                fields.push((name, parse_type(rest)?));
                if expect(rest, ',').is_err() {
                    break;
                }
            }
            expect(rest, '>')?;
            Ok(ColumnType::Struct(fields))
        }
        other => Err(format!(
            "`{other}` is not a type; there are utf8, int64, float64, bool, date, timestamp, unix_seconds, json, list<T> and struct<name: T, ...>"
        )),
    }
}

fn take_name<'a>(rest: &mut &'a str) -> &'a str {
    let trimmed = rest.trim_start();
    let end = trimmed.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(trimmed.len());
    let (name, tail) = trimmed.split_at(end);
    *rest = tail;
    name
}

fn expect(rest: &mut &str, wanted: char) -> Result<(), String> {
    match rest.trim_start().strip_prefix(wanted) {
        Some(tail) => {
            *rest = tail;
            Ok(())
        }
        None => Err(format!("`{wanted}` is missing before `{}`", rest.trim())),
    }
}

impl Serialize for ColumnType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_round_trip_through_text() {
        for text in [
            "utf8",
            "list<utf8>",
            "struct<id: utf8, name: utf8>",
            "list<struct<url: utf8, positions: list<int64>, groups: list<struct<group_id: int64>>>>",
        ] {
            assert_eq!(text.parse::<ColumnType>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn invalid_types_are_rejected() {
        for text in ["string", "list<utf8", "struct<>", "struct<id utf8>", "utf8 utf8"] {
            assert!(text.parse::<ColumnType>().is_err(), "{text}");
        }
    }
}
