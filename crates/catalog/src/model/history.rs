//! List snapshots: daily copies of lists, in a table next to the current copy. They answer what was tracked when.

use jiff::Timestamp;

use crate::model::column::{Column, ColumnType};
use crate::model::day::{Day, DayZone};
use crate::model::stream::Stream;

/// The suffix of the table of a list's snapshots.
pub const HISTORY_ENDING: &str = "_history";
/// The column with the day of the snapshot.
pub const SNAPSHOT_COLUMN: &str = "snapshot_date";

/// The table of the snapshots of `list`: the day, then its columns; the key includes the day.
pub fn history_of(list: &Stream) -> Stream {
    let date = Column {
        name: SNAPSHOT_COLUMN.to_owned(),
        data_type: ColumnType::Date,
        about: "UTC day on which the list was extracted".to_owned(),
        unit: None,
        range: None,
        values: Vec::new(),
        long_text: false,
        from_request: false,
    };
    Stream {
        name: history_name(&list.name),
        key: [vec![SNAPSHOT_COLUMN.to_owned()], list.key.clone()].concat(),
        columns: [vec![date], list.columns.clone()].concat(),
        discovers: None,
        ..list.clone()
    }
}

pub fn history_name(list: &str) -> String {
    format!("{list}{HISTORY_ENDING}")
}

/// The list whose snapshots `table` holds; none if it is another kind of table.
pub fn list_of(table: &str) -> Option<&str> {
    table.strip_suffix(HISTORY_ENDING)
}

/// The day of the snapshot of a list that was extracted at `at`. Lists have no zone of their own, so it is a UTC day.
pub fn snapshot_day(at: Timestamp) -> Day {
    DayZone::Utc.today(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_tables_are_recognized_by_name() {
        assert_eq!(list_of(&history_name("prompts")), Some("prompts"));
        assert_eq!(list_of("prompts"), None);
    }
}
