//! The rows of one answer.

use catalog::model::stream::{RowsAt, Stream};
use serde_json::Value;

use super::figure::RowSeed;
use super::generated::GeneratedRows;
use super::objects::Object;

/// The rows of one answer: those of a list are ready, those of a report are made when they are read.
#[derive(Debug)]
pub(crate) enum Rows {
    /// JSON texts.
    List(Vec<Box<[u8]>>),
    Generated(Box<GeneratedRows>),
}

impl Rows {
    pub(crate) fn total(&self) -> u64 {
        match self {
            Self::List(rows) => rows.len() as u64,
            Self::Generated(rows) => rows.total(),
        }
    }

    /// What row `offset` of the answer holds in the column `name`, if that is a text.
    pub(crate) fn text(&self, offset: u64, name: &str) -> Option<String> {
        let value: Value = match self {
            Self::List(rows) => {
                serde_json::from_slice::<Value>(rows.get(usize::try_from(offset).ok()?)?).ok()?.get(name)?.clone()
            }
            Self::Generated(rows) => {
                let index = rows.columns().position(|column| column.name == name)?;
                let (mut row, mut text) = (RowSeed::default(), Vec::new());
                rows.seek((offset < rows.total()).then_some(offset)?, &mut row);
                rows.write(index, &row, &mut text);
                serde_json::from_slice(&text).ok()?
            }
        };
        value.as_str().map(str::to_owned)
    }

    /// Every row of `stream` as named values, oldest day first where rows have days.
    pub(crate) fn objects(&self, stream: &Stream) -> Vec<Object> {
        let parse = |text: &[u8]| serde_json::from_slice::<Value>(text).unwrap_or_default();
        let rows = match self {
            Self::List(rows) => {
                let object = |row: &Box<[u8]>| match (parse(row), &stream.rows) {
                    (Value::Object(row), _) => row,
                    (text, RowsAt::Texts { column }) => Object::from_iter([(column.clone(), text)]),
                    _ => Object::new(),
                };
                return rows.iter().map(object).collect();
            }
            Self::Generated(rows) => rows,
        };
        let mut days: Vec<_> = rows.days().iter().enumerate().map(|(index, day)| (day.day, index, day.rows)).collect();
        days.sort();
        let mut row = RowSeed::default();
        let mut objects = Vec::new();
        for (day, number) in days.into_iter().flat_map(|(_, index, rows)| (0..rows).map(move |row| (index, row))) {
            rows.begin_row(day, number, &mut row);
            let value = |(index, name): (usize, String)| {
                let mut text = Vec::new();
                rows.write(index, &row, &mut text);
                (name, parse(&text))
            };
            objects.push(rows.columns().map(|column| column.name.clone()).enumerate().map(value).collect());
        }
        objects
    }
}
