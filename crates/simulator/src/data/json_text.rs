//! Values to JSON text. Rows are written piece by piece, because building a `Value` for each of a million rows takes
//! longer than everything else.

use std::io::Write as _;

use jiff::Timestamp;
use serde_json::Value;

/// A number as rows hold it. Fractions are whole millionths, so that sums over a table are exact in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    Null,
    Integer(i64),
    /// A fraction in millionths; `is_float` writes whole numbers as `1.0`.
    Millionths {
        value: i64,
        is_float: bool,
    },
}

/// One in millionths.
pub(crate) const ONE: i64 = 1_000_000;

impl Number {
    /// Writes a JSON number in one of the forms that Python writes: `0`, `0.0`, `1`, `0.25` and `1.2e-05` all occur.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        let _ = match self {
            Self::Null => write!(out, "null"),
            Self::Integer(value) => write!(out, "{value}"),
            Self::Millionths { value, is_float } => {
                let fraction = value as f64 / ONE as f64;
                match value {
                    _ if value % ONE == 0 && is_float => write!(out, "{fraction:.1}"),
                    // Python writes less than a ten-thousandth with a two-digit exponent.
                    1..100 => write!(out, "{}", format!("{fraction:e}").replace("e-", "e-0")),
                    _ => write!(out, "{fraction}"),
                }
            }
        };
    }
}

/// Writes `second` (Unix) as an instant in quotes, with a fraction if `micros` is given.
pub(crate) fn write_instant(second: i64, micros: u32, out: &mut Vec<u8>) {
    let instant = Timestamp::new(second, micros as i32 * 1000).unwrap_or_default();
    // Writing to a vector cannot fail.
    let _ = write!(out, "\"{instant}\"");
}

/// The JSON text of `value`. With `ascii` everything but ASCII is escaped, as Python's `json` does by default.
pub(crate) fn json_text(value: &Value, ascii: bool) -> Box<[u8]> {
    let text = value.to_string();
    if !ascii || text.is_ascii() {
        return text.into_bytes().into();
    }
    let mut escaped = String::with_capacity(text.len() * 2);
    for unit in text.encode_utf16() {
        match char::from_u32(unit.into()) {
            Some(character) if character.is_ascii() => escaped.push(character),
            // Beyond the basic plane two escapes make one character.
            _ => escaped.push_str(&format!("\\u{unit:04x}")),
        }
    }
    escaped.into_bytes().into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_written_in_every_form_of_the_api() {
        let form = |value, is_float| written(|out| Number::Millionths { value, is_float }.write(out));
        assert_eq!(form(0, false), "0");
        assert_eq!(form(0, true), "0.0");
        assert_eq!(form(ONE, false), "1");
        assert_eq!(form(ONE, true), "1.0");
        assert_eq!(form(250_000, true), "0.25");
        assert_eq!(form(12, false), "1.2e-05");
        assert_eq!(form(5, false), "5e-06");
        assert_eq!(form(-1_000_001, false), "-1.000001");
    }

    #[test]
    fn instants_are_written_with_and_without_a_fraction() {
        assert_eq!(written(|out| write_instant(951_826_800, 0, out)), "\"2000-02-29T12:20:00Z\"");
        assert_eq!(written(|out| write_instant(0, 250_000, out)), "\"1970-01-01T00:00:00.25Z\"");
    }

    #[test]
    fn escaped_text_reads_as_the_same_text() {
        let text = json!("🍵 \"é\"\u{2028}\n");
        let escaped = json_text(&text, true);
        assert!(escaped.is_ascii());
        assert_eq!(serde_json::from_slice::<Value>(&escaped).unwrap(), text);
    }
}
