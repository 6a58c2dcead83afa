//! Which rows are wanted: the columns of one answer, what it is about, and its days.

use std::sync::Arc;

use catalog::model::column::Column;
use catalog::model::day::Day;
use catalog::model::stream::Stream;

use super::day_rows::DayOrder;
use super::objects::Subject;
use super::row_zone::RowZone;

/// Which rows an answer has.
#[derive(Debug, Clone)]
pub(crate) struct RowSpec {
    pub(crate) stream: Arc<Stream>,
    /// In the order of named rows.
    pub(crate) columns: Vec<SpecColumn>,
    pub(crate) zone: RowZone,
    pub(crate) days: Vec<Day>,
    /// Whether there is one figure for all days, because rows have none.
    pub(crate) is_one_figure: bool,
    pub(crate) subject: Subject,
    /// Whether assets that are not owned are left out.
    pub(crate) owned_only: bool,
    pub(crate) order: DayOrder,
    pub(crate) volume: RowVolume,
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
    /// Whether `column` holds the day.
    pub(crate) fn is_day(&self, column: &Column) -> bool {
        self.stream.days.as_ref().is_some_and(|days| days.column == column.name)
    }

    /// What the column `name` holds, if every row holds the same.
    pub(crate) fn fixed(&self, name: &str) -> Option<&str> {
        let zone_column = self.stream.days.as_ref().and_then(|days| days.zone_column.as_deref());
        let zone = (zone_column == Some(name)).then_some(self.zone.name.as_str());
        self.subject.variables.get(name).map(String::as_str).or(zone)
    }
}
