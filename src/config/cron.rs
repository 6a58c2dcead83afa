//! Cron expressions and time zones, checked field by field. [`crate::schedule`] computes with them.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::problem::{InvalidValue, did_you_mean};

/// The five fields with their ranges.
const FIELDS: [(&str, &str); 5] = [
    ("a minute", "0 to 59"),
    ("an hour", "0 to 23"),
    ("a day of the month", "1 to 31, or `L` for the last"),
    ("a month", "1 to 12, or JAN to DEC"),
    ("a day of the week", "0 to 7, where 0 and 7 are Sunday, or SUN to SAT"),
];

const EXAMPLE: &str =
    "write for example `30 6 * * *`, every day at 06:30: minute, hour, day of the month, month, day of the week";

/// Parses five fields, six with seconds first, or a nickname such as `@daily`.
///
/// # Errors
/// What is wrong, by field, and what to write instead.
pub fn parse(expression: &str) -> Result<Cron, InvalidValue> {
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).dom_and_dow(false).build();
    let invalid = || InvalidValue::new(format!("`{expression}` is not a cron expression"), EXAMPLE);
    // A nickname, such as `@daily`, has no fields.
    if expression.trim().starts_with('@') {
        return parser.parse(expression.trim()).map_err(|_| invalid());
    }
    let fields: Vec<&str> = expression.split_whitespace().collect();
    let first = match fields.len() {
        0 => return Err(InvalidValue::new("the expression is empty", EXAMPLE)),
        5 => 0,
        6 => 1,
        count => {
            let what = format!("`{expression}` has {count} fields; five, or six with seconds first, are needed");
            return Err(InvalidValue::new(what, EXAMPLE));
        }
    };
    // The parser's error does not always name the field, so each field is parsed alone.
    let ranges = std::iter::once(("a second", "0 to 59")).chain(FIELDS).skip(1 - first);
    for (position, (field, (name, range))) in fields.iter().zip(ranges).enumerate() {
        let alone = (0..fields.len()).map(|other| if other == position { *field } else { "*" });
        if parser.parse(&alone.collect::<Vec<_>>().join(" ")).is_err() {
            let instead = format!("write {range}, `*` for every, or a list, range or step of them");
            return Err(InvalidValue::new(format!("`{field}` is not {name}"), instead));
        }
    }
    let cron = parser.parse(expression).map_err(|_| invalid())?;
    // Searched from a fixed day, so that the result never depends on the current time.
    if cron.find_next_occurrence(&Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC), false).is_err() {
        return Err(InvalidValue::new(
            format!("`{expression}` never runs: no such day exists"),
            "write a day that the month has",
        ));
    }
    Ok(cron)
}

/// Finds an IANA time zone by name.
///
/// # Errors
/// That there is none with this name, with the nearest one.
pub fn zone(name: &str) -> Result<TimeZone, InvalidValue> {
    // Names in the database that are not places.
    let is_place = !name.is_empty() && !["localtime", "posixrules", "Factory"].contains(&name);
    if is_place && let Ok(zone) = TimeZone::get(name) {
        return Ok(zone);
    }
    // `Etc/GMT+5` looks like `GMT+5` and means the opposite.
    let places = jiff::tz::db().available().map(|known| known.to_string());
    let known: Vec<String> = places.filter(|known| !known.starts_with("Etc/")).collect();
    // Users write the city, or the city with a blank.
    let city = name.rsplit('/').next().unwrap_or(name).replace(' ', "_");
    let is_city = |known: &&String| known.rsplit('/').next().is_some_and(|known| known.eq_ignore_ascii_case(&city));
    let instead = match known.iter().filter(|_| !city.is_empty()).find(is_city) {
        Some(zone) => format!("did you mean `{zone}`?"),
        None => {
            let otherwise = "write a place of the IANA database, such as `America/New_York`, or `UTC`";
            did_you_mean(name, known.iter().map(String::as_str), otherwise)
        }
    };
    Err(InvalidValue::new(format!("there is no time zone `{name}`"), instead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_expression_names_the_field_and_the_remedy() {
        for (expression, what, instead) in [
            ("0 25 * * *", "`25` is not an hour", "write 0 to 23"),
            ("61 * * * *", "`61` is not a minute", "write 0 to 59"),
            ("99 0 6 * * *", "`99` is not a second", "write 0 to 59"),
            ("0 6 * * MUN", "`MUN` is not a day of the week", "write 0 to 7"),
            ("0 6 0 * *", "`0` is not a day of the month", "write 1 to 31"),
            ("0 6 * 13 *", "`13` is not a month", "write 1 to 12"),
            ("6 30", "`6 30` has 2 fields", "write for example"),
            ("0 0 6 * * * 2027", "`0 0 6 * * * 2027` has 7 fields", "write for example"),
            ("  ", "the expression is empty", "write for example"),
            ("@reboot", "`@reboot` is not a cron expression", "write for example"),
            ("0 0 30 2 *", "`0 0 30 2 *` never runs", "write a day"),
        ] {
            let fault = parse(expression).err().unwrap_or_else(|| panic!("{expression} was accepted"));
            assert!(fault.what.starts_with(what) && fault.instead.starts_with(instead), "{expression}: {fault:?}");
        }
        for expression in ["0 0 29 2 *", "30 0 6 * * *", "@daily"] {
            assert!(parse(expression).is_ok(), "{expression}");
        }
    }

    #[test]
    fn unknown_zone_names_the_nearest_known_one() {
        for (name, near) in [
            ("America/New_Yrok", "America/New_York"),
            ("Berlin", "Europe/Berlin"),
            ("New York", "America/New_York"),
            ("", "America/New_York"),
        ] {
            assert!(zone(name).unwrap_err().instead.contains(near), "{name}");
        }
        for offset in ["GMT+5", "UTC-5", "Etc/GMT+25"] {
            let instead = zone(offset).unwrap_err().instead;
            assert!(!instead.contains("Etc/"), "{offset}: {instead}");
        }
        assert!(zone("UTC").is_ok());
    }
}
