//! The rows that charts query, in SQLite.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use rusqlite::types::Value;
use rusqlite::{Connection, ToSql, params_from_iter};

use super::source::{Extract, Kind, Relation};
use crate::model::day::Day;

/// Memory for rows. What exceeds it goes to a temporary file that has no name and only this process can open.
const CACHE_KIB: i64 = 64 * 1024;

pub struct Database {
    connection: Connection,
}

/// The result of a query.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Value>>,
}

impl Rows {
    /// The values of a column, in order.
    pub fn column<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Value> {
        let index = self.columns.iter().position(|column| column == name);
        self.rows.iter().filter_map(move |row| row.get(index?))
    }
}

impl Database {
    /// An empty one, with the days of `extract`.
    pub fn new(extract: &Extract) -> rusqlite::Result<Self> {
        // No name: a temporary database, removed when it is closed.
        let connection = Connection::open("")?;
        connection.pragma_update(None, "journal_mode", "off")?;
        connection.pragma_update(None, "synchronous", "off")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        let days = extract.period.columns();
        let [names, values] = [days.map(|(name, _)| name.to_owned()), days.map(|(_, day)| format!("'{day}'"))];
        connection.execute_batch(&format!(
            "create table period ({}); insert into period values ({})",
            names.join(", "),
            values.join(", ")
        ))?;
        Ok(Self { connection })
    }

    /// An empty table.
    pub fn create(&self, name: &str, columns: &[&str]) -> rusqlite::Result<()> {
        // Columns without a type keep values as they are.
        self.connection.execute_batch(&format!("create table {name} ({})", columns.join(", ")))
    }

    pub fn insert(&mut self, name: &str, rows: impl Iterator<Item = Vec<Value>>) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        let mut statement = None;
        for row in rows {
            let statement = match &mut statement {
                Some(statement) => statement,
                none => {
                    let places = vec!["?"; row.len()].join(", ");
                    none.insert(transaction.prepare(&format!("insert into {name} values ({places})"))?)
                }
            };
            statement.execute(params_from_iter(row.iter().map(|value| value as &dyn ToSql)))?;
        }
        drop(statement);
        transaction.commit()
    }

    /// Removes the rows of other scopes from a list, which has those of all.
    pub fn keep_category(&self, relation: &Relation, category: &str) -> rusqlite::Result<()> {
        let sql = format!("delete from {} where category_id is not ?", relation.name);
        self.connection.execute(&sql, [category]).map(|_| ())
    }

    pub fn query(&self, sql: &str) -> rusqlite::Result<Rows> {
        let mut statement = self.connection.prepare(sql)?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let count = columns.len();
        let rows = statement.query_map([], |row| (0..count).map(|index| row.get(index)).collect())?;
        Ok(Rows { rows: rows.collect::<Result<_, _>>()?, columns })
    }
}

/// The rows of `batch` that `relation` has. A column that the file lacks is null, as in the views of DuckDB.
pub fn rows_of(relation: &Relation, batch: &RecordBatch) -> Vec<Vec<Value>> {
    let columns: Vec<(Kind, Option<ArrayRef>)> =
        relation.columns.iter().map(|column| (column.kind, array(batch, column.path))).collect();
    let mut rows = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let mut items = None;
        let values: Vec<Value> = columns
            .iter()
            .map(|(kind, array)| match (kind, array) {
                (Kind::Each, array) => {
                    items = Some(array.as_ref().map_or_else(Vec::new, |array| texts(array, row)));
                    Value::Null
                }
                (_, Some(array)) => value(array, row),
                (_, None) => Value::Null,
            })
            .collect();
        match (items, relation.columns.iter().position(|column| column.kind == Kind::Each)) {
            (Some(items), Some(place)) => rows.extend(items.into_iter().map(|item| {
                let mut values = values.clone();
                values[place] = item;
                values
            })),
            _ => rows.push(values),
        }
    }
    rows
}

/// The column at `path`, where a field follows its structure after a dot.
fn array(batch: &RecordBatch, path: &str) -> Option<ArrayRef> {
    let mut parts = path.split('.');
    let first = batch.column_by_name(parts.next()?)?.clone();
    parts.try_fold(first, |array, part| array.as_struct_opt()?.column_by_name(part).cloned())
}

fn value(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::Int64 => Value::Integer(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Value::Real(array.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => Value::Integer(array.as_boolean().value(row).into()),
        DataType::Date32 => {
            Value::Text(Day::from_epoch_days(array.as_primitive::<Date32Type>().value(row)).to_string())
        }
        _ => Value::Null,
    }
}

/// The items of a list of texts.
fn texts(array: &ArrayRef, row: usize) -> Vec<Value> {
    match array.as_list_opt::<i32>() {
        Some(lists) if !lists.is_null(row) => {
            let items = lists.value(row);
            (0..items.len()).map(|item| value(&items, item)).collect()
        }
        _ => Vec::new(),
    }
}
