//! Which rows are wanted: the columns of one answer, what it is about, and its days.

use catalog::model::column::Column;
use catalog::model::day::Day;

use super::day_rows::DayOrder;
use super::objects::Subject;
use super::row_zone::RowZone;

/// Which rows an answer has.
#[derive(Debug, Clone)]
pub(crate) struct RowSpec {
    /// The stream whose number of rows applies.
    pub(crate) stream: String,
    /// What else the rows depend on, besides the subject and the columns.
    pub(crate) kind: String,
    /// In the order of named rows.
    pub(crate) columns: Vec<SpecColumn>,
    /// The column that holds the day.
    pub(crate) day_column: Option<String>,
    pub(crate) zone: RowZone,
    /// The column that names the zone.
    pub(crate) zone_column: Option<String>,
    pub(crate) days: Vec<Day>,
    pub(crate) subject: Subject,
    /// Whether assets that are not owned are left out.
    pub(crate) owned_only: bool,
    /// Whether values are positional, where the schema allows hardly any nulls.
    pub(crate) positional: bool,
    pub(crate) order: DayOrder,
    pub(crate) volume: RowVolume,
    /// The column that is above zero, or true, on every day with rows.
    pub(crate) signal: Option<String>,
    /// Whether all figures are zero, as where there is nothing to count.
    pub(crate) zero: bool,
}

/// A column, and whether it distinguishes rows.
#[derive(Debug, Clone)]
pub(crate) struct SpecColumn {
    pub(crate) column: Column,
    pub(crate) is_key: bool,
}

/// How many rows a day has, unless the account says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowVolume {
    /// As many as its grain suggests; some days have none.
    ByGrain,
    /// The same, and never none, because other streams rely on them.
    Steady,
    One,
    /// A few for each request.
    Few,
}

impl RowSpec {
    pub(crate) fn is_day(&self, column: &Column) -> bool {
        self.day_column.as_deref() == Some(column.name.as_str())
    }

    /// What the column `name` holds, if every row holds the same.
    pub(crate) fn fixed(&self, name: &str) -> Option<&str> {
        let zone = (self.zone_column.as_deref() == Some(name)).then_some(self.zone.name.as_str());
        self.subject.variables.get(name).map(String::as_str).or(zone)
    }
}
