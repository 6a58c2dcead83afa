//! Daily snapshots of lists, so that what was tracked when can be answered. The current copy stays as it is.

use jiff::Timestamp;

use crate::model::column::{Column, ColumnType};
use crate::model::day::{Day, DayZone};
use crate::model::stream::Stream;

/// What the table of a list's snapshots is called after the list.
pub const HISTORY_ENDING: &str = "_history";
/// The column that says which day a row is a snapshot of.
pub const SNAPSHOT_COLUMN: &str = "snapshot_date";

/// The table of the snapshots of `list`: its columns after the day, and its key with the day.
pub fn history_of(list: &Stream) -> Stream {
    let date = Column {
        name: SNAPSHOT_COLUMN.to_owned(),
        data_type: ColumnType::Date,
        about: "UTC day on which the list was read".to_owned(),
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

/// The name of the table of the snapshots of the list called `list`.
pub fn history_name(list: &str) -> String {
    format!("{list}{HISTORY_ENDING}")
}

/// The list whose snapshots the table called `table` holds; none when it is a table of another kind.
pub fn list_of(table: &str) -> Option<&str> {
    table.strip_suffix(HISTORY_ENDING)
}

/// The day whose snapshot a list is that was read at `at`. Lists are of no endpoint's days, so UTC counts.
pub fn snapshot_day(at: Timestamp) -> Day {
    DayZone::Utc.today(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_snapshots_are_known_by_their_names() {
        assert_eq!(list_of(&history_name("prompts")), Some("prompts"));
        assert_eq!(list_of("prompts"), None);
    }
}
