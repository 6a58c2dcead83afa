//! Numbers for people.

use std::time::Duration;

/// `1 row`, `1,234 rows`.
pub fn format_count(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", format_number(count))
}

/// `1234567` as `1,234,567`.
pub fn format_number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `512 B`, `3.1 MB`.
pub fn format_bytes(number: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let step = (0..units.len() - 1).find(|step| number < 1000_u64.pow(*step as u32 + 1)).unwrap_or(units.len() - 1);
    match step {
        0 => format!("{number} B"),
        _ => format!("{:.1} {}", number as f64 / 1000_f64.powi(step as i32), units[step]),
    }
}

/// `3.1 s`, `53 m 10 s`.
pub fn format_duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (whole, unit, part, part_unit) = match seconds {
        0..60 => return format!("{:.1} s", time.as_secs_f64()),
        60..3600 => (seconds / 60, "m", seconds % 60, "s"),
        _ => (seconds / 3600, "h", seconds % 3600 / 60, "m"),
    };
    match part {
        0 => format!("{whole} {unit}"),
        part => format!("{whole} {unit} {part} {part_unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_grouped_and_times_are_short() {
        assert_eq!((format_count(1, "row"), format_count(1_234, "row")), ("1 row".into(), "1,234 rows".into()));
        assert_eq!(
            (format_number(0), format_number(999), format_number(1_234_567)),
            ("0".into(), "999".into(), "1,234,567".into())
        );
        assert_eq!([0, 999, 1_000, 21_400_000].map(format_bytes), ["0 B", "999 B", "1.0 kB", "21.4 MB"]);
        let times =
            [3.12, 190.0, 1800.0, 7260.0, 86_400.0].map(|seconds| format_duration(Duration::from_secs_f64(seconds)));
        assert_eq!(times, ["3.1 s", "3 m 10 s", "30 m", "2 h 1 m", "24 h"]);
    }
}
