//! The status of a day, decided in one place.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::model::compact_timestamp::CompactTimestamp;
use crate::model::coverage::DayState;
use crate::model::day::Day;
use crate::model::days::Days;
use crate::model::history::{list_of, snapshot_day};
use crate::model::stream::Stream;

/// The status of one day, or list, of one stream and scope. The most urgent comes first: where several scopes share a cell, it shows the
/// least of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DayStatus {
    /// The last extraction could not be proven complete, or would have lost too many rows. The published file is kept.
    Suspect,
    /// Wanted by a job and never extracted.
    Missing,
    /// Extracted, but its file was damaged or overwritten since, or its table has another meaning now.
    Stale,
    /// Extracted while the vendor may still restate it.
    Provisional,
    Final,
    /// Final, without rows.
    Empty,
    /// The account may not read the stream for this scope. No day of it is due.
    NotEntitled,
}

impl DayStatus {
    pub const ALL: [Self; 7] =
        [Self::Suspect, Self::Missing, Self::Stale, Self::Provisional, Self::Final, Self::Empty, Self::NotEntitled];

    /// The status of a day that is final when it was extracted at `final_from` or later; with `None`, whenever it was extracted.
    pub fn of(state: Option<&DayState>, final_from: Option<CompactTimestamp>) -> Self {
        let Some(state) = state else {
            return Self::Missing;
        };
        match state.extracted_at {
            _ if state.suspect.is_some() => Self::Suspect,
            None => Self::Missing,
            Some(_) if state.stale => Self::Stale,
            Some(extracted_at) if final_from.is_some_and(|final_from| extracted_at < final_from) => Self::Provisional,
            Some(_) if state.rows == 0 => Self::Empty,
            Some(_) => Self::Final,
        }
    }
}

impl fmt::Display for DayStatus {
    /// The name that serde gives it: there is no second table of names.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(out)
    }
}

/// How the days of a table become final.
#[derive(Debug, Clone, Copy)]
pub enum Finality<'a> {
    /// A list: the last copy is the current one.
    List,
    /// List snapshots, each replaced until its UTC day is over.
    Snapshots,
    /// Days or months that the vendor restates until the stream's lookback is over.
    Lookback(&'a Days),
}

impl<'a> Finality<'a> {
    /// Of the table called `table`, which is `stream`'s if the catalog has one of that name; `None` for a table that the catalog no longer has.
    pub fn of_table(table: &str, stream: Option<&'a Stream>) -> Option<Self> {
        if list_of(table).is_some() {
            return Some(Self::Snapshots);
        }
        stream.map(|stream| stream.days.as_ref().map_or(Self::List, Self::Lookback))
    }

    /// From when an extraction of `day` is final, as [`DayStatus::of`] takes it.
    pub fn final_from(self, day: Day, now: Timestamp) -> Option<CompactTimestamp> {
        match self {
            Self::List => None,
            // Nothing can be added to the snapshot of a day that is over, so when it was taken no longer matters.
            Self::Snapshots => (day >= snapshot_day(now)).then(|| Timestamp::MAX.into()),
            Self::Lookback(days) => Some(days.final_at(day, days.lookback).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::coverage::Suspect;
    use crate::model::day::DayZone;
    use crate::model::days::DaysKind;

    fn read(at: &str) -> DayState {
        DayState { extracted_at: Some(at.parse().unwrap()), rows: 7, ..DayState::unknown() }
    }

    fn status(state: &DayState, day: &str, finality: Finality<'_>, now: &str) -> DayStatus {
        DayStatus::of(Some(state), finality.final_from(day.parse().unwrap(), now.parse().unwrap()))
    }

    #[test]
    fn day_is_final_only_when_extracted_after_its_lookback() {
        // The Eastern day ends at 05:00 UTC; three days later is the fifth.
        let days = Days { lookback: 3, ..Days::new(DaysKind::Dated, DayZone::Eastern) };
        let status = |state| status(&state, "2026-03-01", Finality::Lookback(&days), "2026-04-01T00:00:00Z");
        assert_eq!(status(read("2026-03-05T04:59:59Z")), DayStatus::Provisional);
        assert_eq!(status(read("2026-03-05T05:00:00Z")), DayStatus::Final);
        assert_eq!(status(DayState { rows: 0, ..read("2026-03-05T05:00:00Z") }), DayStatus::Empty);
        assert_eq!(status(DayState { stale: true, ..read("2026-03-09T00:00:00Z") }), DayStatus::Stale);
        assert_eq!(status(DayState { stale: true, ..DayState::unknown() }), DayStatus::Missing);
        let suspect = Some(Box::new(Suspect { problem: "half the rows".into(), unconfirmed: None }));
        assert_eq!(status(DayState { suspect, ..DayState::unknown() }), DayStatus::Suspect);
        assert_eq!(DayStatus::of(None, None), DayStatus::Missing);
    }

    #[test]
    fn month_is_final_only_when_extracted_after_its_end_and_lookback() {
        let days = Days { lookback: 7, ..Days::new(DaysKind::Month, DayZone::Eastern) };
        let status = |at| status(&read(at), "2026-03-01", Finality::Lookback(&days), "2026-05-01T00:00:00Z");
        assert_eq!(status("2026-04-07T23:59:59Z"), DayStatus::Provisional);
        assert_eq!(status("2026-04-08T04:00:00Z"), DayStatus::Final);
    }

    #[test]
    fn snapshot_is_provisional_until_its_day_is_over() {
        let taken = read("2026-03-10T06:00:00Z");
        let status = |state, now| status(state, "2026-03-10", Finality::Snapshots, now);
        assert_eq!(status(&taken, "2026-03-10T23:59:59Z"), DayStatus::Provisional);
        assert_eq!(status(&taken, "2026-03-11T00:00:00Z"), DayStatus::Final);
        assert_eq!(status(&DayState { stale: true, ..taken.clone() }, "2026-03-12T00:00:00Z"), DayStatus::Stale);
    }

    #[test]
    fn printed_name_is_the_stored_name() {
        for status in DayStatus::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.to_string());
        }
        assert_eq!(DayStatus::NotEntitled.to_string(), "not_entitled");
    }
}
