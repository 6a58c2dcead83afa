//! Values to JSON text, fast: no value is built for what is only written.

use serde_json::Value;

/// A number as rows hold it. Fractions are exact to a millionth, so that sums over a table are exact too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// No value.
    Null,
    /// A whole number.
    Integer(i64),
    /// A fraction in millionths; `form` chooses among the ways of writing it.
    Millionths { value: i64, form: u64 },
}

/// One whole in millionths.
pub(super) const ONE: i64 = 1_000_000;

/// Writes `number` as a JSON number: `0`, `0.0`, `1`, `1.0`, `0.25` and `1.2e-05` all occur.
pub(super) fn write_number(number: Number, out: &mut Vec<u8>) {
    match number {
        Number::Null => out.extend_from_slice(b"null"),
        Number::Integer(value) => write_integer(value, out),
        Number::Millionths { value, form } => {
            if value < 0 {
                out.push(b'-');
            }
            let value = value.unsigned_abs();
            let (whole, fraction) = (value / ONE as u64, value % ONE as u64);
            if fraction == 0 {
                write_unsigned(whole, out);
                if form % 2 == 1 {
                    out.extend_from_slice(b".0");
                }
            } else if value < 100 {
                write_tiny(value, out);
            } else {
                write_unsigned(whole, out);
                out.push(b'.');
                write_fraction(fraction, out);
            }
        }
    }
}

/// Less than a ten-thousandth is written as Python writes it: `1.2e-05`.
fn write_tiny(millionths: u64, out: &mut Vec<u8>) {
    if millionths < 10 {
        out.push(b'0' + millionths as u8);
        out.extend_from_slice(b"e-06");
        return;
    }
    out.push(b'0' + (millionths / 10) as u8);
    if !millionths.is_multiple_of(10) {
        out.push(b'.');
        out.push(b'0' + (millionths % 10) as u8);
    }
    out.extend_from_slice(b"e-05");
}

fn write_fraction(millionths: u64, out: &mut Vec<u8>) {
    let start = out.len();
    let mut power = 100_000;
    while 0 < power {
        out.push(b'0' + (millionths / power % 10) as u8);
        power /= 10;
    }
    while start + 1 < out.len() && out.last() == Some(&b'0') {
        out.pop();
    }
}

pub(super) fn write_integer(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    write_unsigned(value.unsigned_abs(), out);
}

fn write_unsigned(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes the instant `second` (Unix) as `"2026-08-11T14:05:00Z"`, quotes included; `micros` adds a fraction.
pub(super) fn write_instant(second: i64, micros: Option<u32>, out: &mut Vec<u8>) {
    let (year, month, day) = civil(second.div_euclid(86_400));
    let time = second.rem_euclid(86_400);
    out.push(b'"');
    for (value, width, after) in
        [(year, 4, b'-'), (month, 2, b'-'), (day, 2, b'T'), (time / 3600, 2, b':'), (time / 60 % 60, 2, b':')]
    {
        write_padded(value, width, out);
        out.push(after);
    }
    write_padded(time % 60, 2, out);
    if let Some(micros) = micros {
        out.push(b'.');
        write_padded(i64::from(micros), 6, out);
    }
    out.extend_from_slice(b"Z\"");
}

fn write_padded(value: i64, width: u32, out: &mut Vec<u8>) {
    for place in (0..width).rev() {
        out.push(b'0' + (value / 10i64.pow(place) % 10) as u8);
    }
}

/// Year, month and day of a day since 1970-01-01 (the algorithm of Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The JSON text of `value`. With `ascii` all but ASCII is escaped, as Python's `json` does by default.
pub(super) fn encoded(value: &Value, ascii: bool) -> Box<[u8]> {
    let text = value.to_string();
    if !ascii || text.is_ascii() {
        return text.into_bytes().into();
    }
    let mut out = String::with_capacity(text.len() * 2);
    for character in text.chars() {
        if character.is_ascii() {
            out.push(character);
            continue;
        }
        // Beyond the basic plane two escapes make one character.
        for unit in character.encode_utf16(&mut [0; 2]) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    }
    out.into_bytes().into()
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
    fn numbers_are_written_in_every_form_the_api_uses() {
        let form = |value, form| written(|out| write_number(Number::Millionths { value, form }, out));
        assert_eq!(form(0, 0), "0");
        assert_eq!(form(ONE, 0), "1");
        assert_eq!(form(ONE, 1), "1.0");
        assert_eq!(form(250_000, 0), "0.25");
        assert_eq!(form(12, 0), "1.2e-05");
        assert_eq!(form(5, 0), "5e-06");
        assert_eq!(form(-1_000_001, 0), "-1.000001");
        assert_eq!(written(|out| write_integer(i64::MIN, out)), i64::MIN.to_string());
    }

    #[test]
    fn instants_are_written_as_jiff_writes_them() {
        for second in [0, 951_826_800, 1_772_323_200, 1_793_505_599, -86_401] {
            let expected = jiff::Timestamp::from_second(second).unwrap().to_string();
            assert_eq!(written(|out| write_instant(second, None, out)), format!("\"{expected}\""));
        }
    }

    #[test]
    fn escaped_text_reads_as_the_same_text() {
        let text = json!("🍵 \"é\"\u{2028}\n");
        let escaped = encoded(&text, true);
        assert!(escaped.is_ascii());
        assert_eq!(serde_json::from_slice::<Value>(&escaped).unwrap(), text);
    }
}
