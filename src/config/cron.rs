//! Cron expressions and zones, checked in words. [`crate::schedule`] computes with what is checked here.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::problem::nearest;

/// Why a cron expression or a zone cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct CronError {
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub instead: String,
}

impl CronError {
    fn new(what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { what: what.into(), instead: instead.into() }
    }
}

/// The five fields: name with its article, what may stand there.
const FIELDS: [(&str, &str); 5] = [
    ("a minute", "0 to 59"),
    ("an hour", "0 to 23"),
    ("a day of the month", "1 to 31, or `L` for the last"),
    ("a month", "1 to 12, or JAN to DEC"),
    ("a day of the week", "0 to 7, where 0 and 7 are Sunday, or SUN to SAT"),
];

/// Reads five fields, or six with seconds first.
///
/// # Errors
/// What is wrong, by field, and what to write instead.
pub fn parse(expression: &str) -> Result<Cron, CronError> {
    let example =
        "write for example `30 6 * * *`, every day at 06:30: minute, hour, day of the month, month, day of the week";
    if let Some(nickname) = expression.trim().strip_prefix('@') {
        let same = match nickname {
            "hourly" => "0 * * * *",
            "daily" | "midnight" => "0 0 * * *",
            "weekly" => "0 0 * * 0",
            "monthly" => "0 0 1 * *",
            "yearly" | "annually" => "0 0 1 1 *",
            _ => return Err(CronError::new(format!("`{expression}` is not a cron expression"), example)),
        };
        return Err(CronError::new("short names are not read, only fields are", format!("write `{same}`")));
    }
    let fields: Vec<&str> = expression.split_whitespace().collect();
    let (seconds, five) = match fields.as_slice() {
        [] => return Err(CronError::new("the expression is empty", example)),
        five if five.len() == 5 => (None, five),
        [seconds, five @ ..] if five.len() == 5 => (Some(*seconds), five),
        [_, ..] => {
            let what =
                format!("`{expression}` has {} fields; five, or six with seconds first, are needed", fields.len());
            return Err(CronError::new(what, example));
        }
    };
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).dom_and_dow(false).build();
    // The parser tells what is wrong, but not always where: each field is tried alone.
    let wrong = |field: &str, name: &str, range: &str| {
        CronError::new(
            format!("`{field}` is not {name}"),
            format!("write {range}, `*` for every, or a list, range or step of them"),
        )
    };
    if let Some(seconds) = seconds
        && parser.parse(&format!("{seconds} * * * * *")).is_err()
    {
        return Err(wrong(seconds, "a second", "0 to 59"));
    }
    for (position, (field, (name, range))) in five.iter().zip(FIELDS).enumerate() {
        let alone: Vec<&str> = (0..5).map(|other| if other == position { *field } else { "*" }).collect();
        if parser.parse(&alone.join(" ")).is_err() {
            return Err(wrong(field, name, range));
        }
    }
    let cron = parser
        .parse(expression)
        .map_err(|_| CronError::new(format!("`{expression}` is not a cron expression"), example))?;
    // From a fixed day, so that the answer never depends on when it is asked.
    if cron.find_next_occurrence(&Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC), false).is_err() {
        let what = format!("`{expression}` never comes: no such day exists");
        return Err(CronError::new(what, "write a day that the month has"));
    }
    Ok(cron)
}

/// Finds an IANA zone by name.
///
/// # Errors
/// That there is none of this name, with the nearest that exists.
pub fn zone(name: &str) -> Result<TimeZone, CronError> {
    // Some names of the database are not places and follow nobody's clock.
    let is_place = !name.is_empty() && !["localtime", "posixrules", "Factory"].contains(&name);
    if is_place && let Ok(zone) = TimeZone::get(name) {
        return Ok(zone);
    }
    let known: Vec<String> = jiff::tz::db().available().map(|known| known.to_string()).collect();
    // People write the city, or the city with a blank.
    let city = name.rsplit('/').next().unwrap_or(name).replace(' ', "_");
    let by_city = known.iter().find(|known| {
        !city.is_empty() && known.rsplit('/').next().is_some_and(|known| known.eq_ignore_ascii_case(&city))
    });
    let instead = match by_city.map(String::as_str).or_else(|| nearest(name, known.iter().map(String::as_str))) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "write a place of the IANA database, such as `America/New_York`, or `UTC`".to_owned(),
    };
    Err(CronError::new(format!("there is no time zone `{name}`"), instead))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(expression: &str) -> (String, String) {
        let error = parse(expression).err().unwrap_or_else(|| panic!("{expression} was read"));
        (error.what, error.instead)
    }

    #[test]
    fn wrong_field_is_named_with_what_may_stand_there() {
        assert_eq!(words("0 25 * * *").0, "`25` is not an hour");
        assert!(words("0 25 * * *").1.starts_with("write 0 to 23"));
        assert_eq!(words("61 * * * *").0, "`61` is not a minute");
        assert_eq!(words("99 0 6 * * *").0, "`99` is not a second");
        assert_eq!(words("0 6 * * MUN").0, "`MUN` is not a day of the week");
        assert_eq!(words("0 6 0 * *").0, "`0` is not a day of the month");
        assert_eq!(words("0 6 * 13 *").0, "`13` is not a month");
    }

    #[test]
    fn number_of_fields_is_told() {
        assert!(words("6 30").0.contains("has 2 fields"), "{}", words("6 30").0);
        assert!(words("0 0 6 * * * 2027").0.contains("has 7 fields"));
        assert_eq!(words("  ").0, "the expression is empty");
    }

    #[test]
    fn short_names_are_answered_with_their_fields() {
        assert_eq!(words("@daily").1, "write `0 0 * * *`");
        assert!(words("@reboot").1.contains("for example"));
    }

    #[test]
    fn days_that_never_come_are_refused() {
        assert!(words("0 0 30 2 *").0.contains("never comes"));
        assert!(parse("0 0 29 2 *").is_ok());
    }

    #[test]
    fn unknown_zone_names_the_nearest_known_one() {
        assert_eq!(zone("America/New_Yrok").unwrap_err().instead, "did you mean `America/New_York`?");
        assert_eq!(zone("Berlin").unwrap_err().instead, "did you mean `Europe/Berlin`?");
        assert_eq!(zone("New York").unwrap_err().instead, "did you mean `America/New_York`?");
        assert!(zone("").unwrap_err().instead.contains("America/New_York"));
        assert!(zone("UTC").is_ok());
    }
}
