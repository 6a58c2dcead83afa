//! The day of each row.

use std::collections::{BTreeMap, HashMap};

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::day::Day;
use crate::model::stream::Days;

/// Indexes of the rows of each day; `None` for rows without a day.
pub(super) fn rows_by_day(batch: &RecordBatch, days: &Days) -> BTreeMap<Option<Day>, Vec<u32>> {
    let mut rows: BTreeMap<Option<Day>, Vec<u32>> = BTreeMap::new();
    let Some(array) = batch.column_by_name(&days.column) else {
        return rows;
    };
    let zones = days.zone_column.as_ref().and_then(|column| batch.column_by_name(column)?.as_string_opt::<i32>());
    let mut known: HashMap<&str, Option<TimeZone>> = HashMap::new();
    // With an unknown zone the row falls back to the zone of the stream.
    let mut zone_of = |row: usize| -> Option<TimeZone> {
        let name = zones.filter(|zones| zones.is_valid(row))?.value(row);
        known.entry(name).or_insert_with(|| TimeZone::get(name).ok()).clone()
    };
    let mut day_of = |row: usize| -> Option<Day> {
        match array.data_type() {
            _ if array.is_null(row) => None,
            DataType::Date32 => Some(Day::from_epoch_days(array.as_primitive::<Date32Type>().value(row))),
            _ => {
                let instant = array.as_primitive::<TimestampMicrosecondType>().value(row);
                let instant = Timestamp::from_microsecond(instant).ok()?;
                Some(zone_of(row).map_or_else(|| days.zone.today(instant), |zone| Day::from_timestamp(instant, zone)))
            }
        }
    };
    for row in 0..batch.num_rows() {
        rows.entry(day_of(row)).or_default().push(row as u32);
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, StringArray, TimestampMicrosecondArray};
    use proptest::prelude::*;

    use super::*;
    use crate::model::day::DayZone;
    use crate::model::days::DaysKind;

    const NEW_YORK: &str = "America/New_York";

    /// The day of a row with the timestamp `at` and, if given, the zone `row_zone`.
    fn day_of(at: &str, zone: DayZone, row_zone: Option<&str>) -> String {
        let instant: Timestamp = at.parse().unwrap();
        let days = Days { column: "at".into(), zone_column: Some("zone".into()), ..Days::new(DaysKind::Dated, zone) };
        let at = TimestampMicrosecondArray::from(vec![instant.as_microsecond()]).with_timezone("UTC");
        let zones = StringArray::from(vec![row_zone]);
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("at", Arc::new(at) as ArrayRef, true),
            ("zone", Arc::new(zones) as ArrayRef, true),
        ]);
        let rows = rows_by_day(&batch.unwrap(), &days);
        let (day, rows) = rows.into_iter().next().unwrap();
        assert_eq!(rows, [0]);
        day.unwrap().to_string()
    }

    #[test]
    fn days_end_and_begin_at_midnight_of_their_zone_across_dst() {
        for (last, first, day, next) in [
            // Winter, summer, the end of a year, a leap day, and the century without one.
            ("2026-01-16T04:59:59.999Z", "2026-01-16T05:00:00Z", "2026-01-15", "2026-01-16"),
            ("2026-07-16T03:59:59.999Z", "2026-07-16T04:00:00Z", "2026-07-15", "2026-07-16"),
            ("2027-01-01T04:59:59.999Z", "2027-01-01T05:00:00Z", "2026-12-31", "2027-01-01"),
            ("2028-02-29T04:59:59.999Z", "2028-02-29T05:00:00Z", "2028-02-28", "2028-02-29"),
            ("2100-03-01T04:59:59.999Z", "2100-03-01T05:00:00Z", "2100-02-28", "2100-03-01"),
            // The day of 23 hours in spring and the one of 25 hours in autumn.
            ("2026-03-08T04:59:59.999Z", "2026-03-08T05:00:00Z", "2026-03-07", "2026-03-08"),
            ("2026-03-09T03:59:59.999Z", "2026-03-09T04:00:00Z", "2026-03-08", "2026-03-09"),
            ("2026-11-01T03:59:59.999Z", "2026-11-01T04:00:00Z", "2026-10-31", "2026-11-01"),
            ("2026-11-02T04:59:59.999Z", "2026-11-02T05:00:00Z", "2026-11-01", "2026-11-02"),
        ] {
            for (zone, row_zone) in [(DayZone::Eastern, None), (DayZone::Utc, Some(NEW_YORK))] {
                assert_eq!(
                    (day_of(last, zone, row_zone).as_str(), day_of(first, zone, row_zone).as_str()),
                    (day, next)
                );
            }
            let [utc_last, utc_first] = [last, first].map(|at| day_of(at, DayZone::Utc, None));
            assert_eq!((utc_last.as_str(), utc_first.as_str()), (&last[..10], &first[..10]));
        }
        let [last, first] =
            ["2026-03-08T23:59:59.999Z", "2026-03-09T00:00:00Z"].map(|at| day_of(at, DayZone::Utc, None));
        assert_eq!((last.as_str(), first.as_str()), ("2026-03-08", "2026-03-09"));
    }

    #[test]
    fn repeated_and_skipped_hours_belong_to_their_day() {
        // 01:30 occurs twice on 1 November, and 02:30 not at all on 8 March.
        for at in
            ["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z", "2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00"]
        {
            assert_eq!(day_of(at, DayZone::Eastern, None), "2026-11-01", "{at}");
        }
        for at in ["2026-03-08T06:59:59.999Z", "2026-03-08T07:00:00Z", "2026-03-08T02:30:00-05:00"] {
            assert_eq!(day_of(at, DayZone::Eastern, None), "2026-03-08", "{at}");
        }
    }

    #[test]
    fn zone_of_a_row_counts_unless_it_is_unknown() {
        let at = "2026-03-08T10:30:00Z";
        for (zone, day) in
            [("Pacific/Auckland", "2026-03-08"), ("Pacific/Kiritimati", "2026-03-09"), ("Etc/GMT+12", "2026-03-07")]
        {
            assert_eq!(day_of(at, DayZone::Eastern, Some(zone)), day, "{zone}");
        }
        assert_eq!(day_of(at, DayZone::Utc, Some("Mars/Olympus")), "2026-03-08");
        let [before, after] = ["2011-12-30T09:59:59.999Z", "2011-12-30T10:00:00Z"]
            .map(|at| day_of(at, DayZone::Utc, Some("Pacific/Apia")));
        assert_eq!((before.as_str(), after.as_str()), ("2011-12-29", "2011-12-31"));
    }

    proptest! {
        #[test]
        fn day_of_a_row_contains_its_instant(second in 0_i64..4_200_000_000, micros in 0_i64..1_000_000) {
            let instant = Timestamp::from_microsecond(second * 1_000_000 + micros).unwrap();
            for zone in [DayZone::Eastern, DayZone::Utc] {
                let day: Day = day_of(&instant.to_string(), zone, None).parse().unwrap();
                prop_assert!(zone.start_of(day) <= instant && instant < zone.start_of(day.next()));
            }
        }
    }
}
