//! The rows of one answer.

use super::generated::GeneratedRows;
use super::objects::{Object, text};

/// The rows of one answer: those of a list are ready, those of a report are made when they are read.
#[derive(Debug)]
pub(crate) enum Rows {
    List(Vec<Object>),
    Generated(Box<GeneratedRows>),
}

impl Rows {
    pub(crate) fn total(&self) -> u64 {
        match self {
            Self::List(rows) => rows.len() as u64,
            Self::Generated(rows) => rows.days.total(),
        }
    }

    /// Row `offset` of the answer as named values; there must be such a row.
    pub(crate) fn get(&self, offset: u64) -> Object {
        match self {
            Self::List(rows) => rows[offset as usize].clone(),
            Self::Generated(rows) => {
                let (day, number) = rows.days.locate(offset);
                rows.object(day, number)
            }
        }
    }

    /// The id of row `offset` of the answer.
    pub(crate) fn id(&self, offset: u64) -> String {
        text(&self.get(offset), "id")
    }

    /// Every row as named values, oldest day first where rows have days.
    pub(crate) fn oldest_first(&self) -> Vec<Object> {
        let rows = match self {
            Self::List(rows) => return rows.clone(),
            Self::Generated(rows) => rows,
        };
        let mut days: Vec<_> = rows.days.iter().enumerate().map(|(index, day)| (day.day, index, day.rows)).collect();
        days.sort();
        let numbers = days.into_iter().flat_map(|(_, day, rows)| (0..rows).map(move |number| (day, number)));
        numbers.map(|(day, number)| rows.object(day, number)).collect()
    }
}
