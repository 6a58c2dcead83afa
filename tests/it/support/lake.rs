//! A lake as its readers see it, compared with the simulator's rows.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{ArrowError, DataType};
use bytes::Bytes;
use futures::TryStreamExt;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use profound_export::destination::OWN_DIRECTORY;
use profound_export::model::column::ColumnType;
use profound_export::model::day::Day;
use profound_export::model::scope::Scope;
use profound_export::model::stream::Stream;
use profound_export::model::window::Window;
use serde_json::{Map, Value, json};

use super::Export;

/// A Parquet file: its rows, the pairs of its footer, and its columns.
#[derive(Debug)]
pub struct Table {
    pub rows: Vec<Value>,
    pub footer: BTreeMap<String, String>,
    pub columns: Vec<String>,
}

impl Export {
    /// Every object of the lake.
    pub async fn objects(&self) -> BTreeMap<String, ObjectMeta> {
        let all: Vec<ObjectMeta> = self.lake.store().list(None).try_collect().await.unwrap();
        all.into_iter().map(|object| (object.location.to_string(), object)).collect()
    }

    /// Every file that readers see: those outside the exporter's own directory.
    pub async fn files(&self) -> BTreeMap<String, ObjectMeta> {
        let mut objects = self.objects().await;
        objects.retain(|path, _| !path.starts_with(OWN_DIRECTORY));
        objects
    }

    /// The files of one stream, each with its ETag and time, which differ between versions.
    pub async fn versions(&self, stream: &str) -> BTreeMap<String, (Option<String>, Timestamp)> {
        let files = self.files().await.into_iter().filter(|(path, _)| path.split('/').next() == Some(stream));
        let version = |object: ObjectMeta| {
            let written = object.last_modified.timestamp_micros();
            (object.e_tag, Timestamp::from_microsecond(written).unwrap())
        };
        files.map(|(path, object)| (path, version(object))).collect()
    }

    pub async fn bytes(&self, path: &str) -> Bytes {
        self.lake.store().get(&Path::from(path)).await.unwrap().bytes().await.unwrap()
    }

    pub async fn table(&self, path: &str) -> Table {
        table_of(self.bytes(path).await)
    }

    /// The rows of a stream and scope, of all days, as the files hold them.
    pub async fn rows(&self, stream: &str, scope: &Scope) -> Vec<Value> {
        let mut rows = Vec::new();
        for (path, day) in self.paths(stream, scope).await {
            let table = self.table(&path).await;
            for row in &table.rows {
                assert!(self.is_of_day(stream, row, day), "{path} contains {row}");
            }
            rows.extend(table.rows);
        }
        rows
    }

    /// The rows of a stream, of all scopes.
    pub async fn all_rows(&self, stream: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        for scope in self.simulator.scopes(self.stream(stream).scope) {
            rows.extend(self.rows(stream, &scope).await);
        }
        rows
    }

    /// The days of a stream and scope that have a file, empty files included.
    pub async fn days(&self, stream: &str, scope: &Scope) -> BTreeSet<Day> {
        self.paths(stream, scope).await.into_iter().filter_map(|(_, day)| day).collect()
    }

    async fn paths(&self, stream: &str, scope: &Scope) -> Vec<(String, Option<Day>)> {
        let mut found = Vec::new();
        let below = Path::from(stream);
        let files: Vec<ObjectMeta> = self.lake.store().list(Some(&below)).try_collect().await.unwrap();
        for path in files.into_iter().map(|file| file.location.to_string()) {
            let parsed = self.layout().parse(&Path::from(path.as_str()));
            let parsed = parsed.unwrap_or_else(|| panic!("`{path}` is no path of the layout"));
            if self.path_of(stream, scope, parsed.day) == path {
                found.push((path, parsed.day));
            }
        }
        found
    }

    /// The path of a file of a table. Tables of list snapshots are no streams.
    pub fn path_of(&self, table: &str, scope: &Scope, day: Option<Day>) -> String {
        match self.catalog.get(table) {
            Some(stream) => self.layout().path_for(stream, scope, day).to_string(),
            None => self.layout().data_path(table, scope, day).to_string(),
        }
    }

    fn is_of_day(&self, stream: &str, row: &Value, day: Option<Day>) -> bool {
        let (Some(days), Some(day)) = (&self.stream(stream).days, day) else {
            return true;
        };
        if days.kind.is_single() {
            return row["_window_start"] == json!(day);
        }
        let text = row[&days.column].as_str().unwrap();
        if let Some(zone) = days.zone_column.as_ref().and_then(|column| row[column].as_str()) {
            let instant: Timestamp = text.parse().unwrap();
            return instant.in_tz(zone).unwrap().date().to_string() == day.to_string();
        }
        match text.parse::<Timestamp>() {
            Ok(instant) => (days.zone.start_of(day)..days.zone.start_of(day.next())).contains(&instant),
            Err(_) => text == day.to_string(),
        }
    }

    /// Asserts that the lake holds every row of the simulator's `stream` once, with the same values, and no other rows.
    pub async fn assert_equals_simulator(&self, stream: &str) {
        let stream = self.stream(stream);
        let window = self.wanted(stream);
        for scope in self.simulator.scopes(stream.scope) {
            self.assert_rows_are_simulated(stream, &scope, window).await;
        }
    }

    /// The same for one scope, and for the rows of `window` only.
    pub async fn assert_rows_are_simulated(&self, stream: &Stream, scope: &Scope, window: Option<Window>) {
        let exported = self.rows(&stream.name, scope).await;
        let simulated = self.simulator.rows(stream, scope, window);
        let (exported, simulated) = (contents(stream, &exported), contents(stream, &simulated));
        if exported != simulated {
            let (have, want): (BTreeSet<_>, BTreeSet<_>) = (exported.iter().collect(), simulated.iter().collect());
            panic!(
                "{} of {scope}: {} rows exported, {} simulated\n only exported: {:?}\nonly simulated: {:?}",
                stream.name,
                exported.len(),
                simulated.len(),
                have.difference(&want).next(),
                want.difference(&have).next(),
            );
        }
    }

    /// Asserts that the ledger and the files agree: existence, size and rows, with no file missing from the ledger.
    pub async fn assert_ledger_knows_every_file(&self) {
        let (state, mut files) = (self.state().await, self.files().await);
        for (stream, scopes) in &state.coverage {
            for coverage in scopes.values() {
                let days = coverage.days.iter().map(|(day, state)| (Some(*day), state));
                for (day, known) in days.chain(coverage.whole.iter().map(|state| (None, state))) {
                    let path = self.path_of(stream, &coverage.scope, day);
                    let file = files.remove(&path);
                    assert_eq!(file.is_some(), known.file, "existence of {path}");
                    let Some(file) = file else { continue };
                    assert_eq!(file.size, known.bytes, "{path}");
                    assert_eq!(self.table(&path).await.rows.len() as u64, known.rows, "rows of {path}");
                }
            }
        }
        assert!(files.is_empty(), "not in the ledger: {:?}", files.keys());
    }

    /// The coverage table.
    pub async fn coverage(&self) -> Vec<Value> {
        self.table(&format!("{OWN_DIRECTORY}/coverage.parquet")).await.rows
    }

    /// The states of a stream in the coverage table, by day.
    pub async fn states(&self, stream: &str, category: &str) -> BTreeMap<String, String> {
        let rows = self.coverage().await;
        let wanted = rows.iter().filter(|row| row["stream"] == stream && row["category_id"] == category);
        wanted
            .map(|row| (row["day"].as_str().unwrap_or_default().into(), row["status"].as_str().unwrap().into()))
            .collect()
    }
}

/// The rows of a Parquet file.
pub fn table_of(bytes: Bytes) -> Table {
    whole_table_of(bytes).unwrap()
}

/// The rows of a Parquet file, or why it is not a complete one.
pub fn whole_table_of(bytes: Bytes) -> Result<Table, ArrowError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let pairs = builder.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let footer = pairs.into_iter().map(|pair| (pair.key, pair.value.unwrap_or_default())).collect();
    let columns = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let batches = builder.build()?.collect::<Result<Vec<RecordBatch>, _>>()?;
    Ok(Table { rows: batches.iter().flat_map(rows_of).collect(), footer, columns })
}

/// The rows of a batch as objects.
pub fn rows_of(batch: &RecordBatch) -> Vec<Value> {
    let schema = batch.schema();
    let row = |index: usize| {
        let members = schema.fields().iter().zip(batch.columns());
        Value::Object(members.map(|(field, column)| (field.name().clone(), value_of(column, index))).collect())
    };
    (0..batch.num_rows()).map(row).collect()
}

fn value_of(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Utf8 => json!(array.as_string::<i32>().value(row)),
        DataType::Int64 => json!(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => json!(array.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => json!(array.as_boolean().value(row)),
        DataType::Date32 => json!(Day::from_epoch_days(array.as_primitive::<Date32Type>().value(row)).to_string()),
        DataType::Timestamp(..) => {
            let instant = array.as_primitive::<TimestampMicrosecondType>().value(row);
            json!(Timestamp::from_microsecond(instant).unwrap().to_string())
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            (0..items.len()).map(|item| value_of(&items, item)).collect()
        }
        DataType::Int32 => json!(array.as_primitive::<Int32Type>().value(row)),
        DataType::Map(..) => {
            let pairs = array.as_map().value(row);
            let text = |column: usize, row| value_of(pairs.column(column), row);
            let pair = |row| (text(0, row).as_str().unwrap().to_owned(), text(1, row));
            Value::Object((0..pairs.len()).map(pair).collect())
        }
        DataType::Struct(fields) => {
            let members = fields.iter().zip(array.as_struct().columns());
            Value::Object(members.map(|(field, part)| (field.name().clone(), value_of(part, row))).collect())
        }
        other => panic!("no table has {other}"),
    }
}

/// The stream's own columns of each row as text that is the same for equal rows, sorted.
pub fn contents(stream: &Stream, rows: &[Value]) -> Vec<String> {
    let mut contents: Vec<String> = rows.iter().map(|row| content(stream, row)).collect();
    contents.sort();
    contents
}

/// The stream's own columns of a row as text that is the same for equal rows.
fn content(stream: &Stream, row: &Value) -> String {
    let value = |name: &String, data_type| (name.clone(), fitted(&row[name], data_type));
    let members: Map<_, _> = stream.columns.iter().map(|column| value(&column.name, &column.data_type)).collect();
    Value::Object(members).to_string()
}

/// `value` as a column of `data_type` holds it.
fn fitted(value: &Value, data_type: &ColumnType) -> Value {
    match (data_type, value) {
        (_, Value::Null) => Value::Null,
        (ColumnType::Float64, value) => json!(value.as_f64().unwrap()),
        (ColumnType::Date, Value::String(text)) => json!(&text[..10]),
        (ColumnType::UnixSeconds, Value::Number(seconds)) => {
            json!(Timestamp::from_second(seconds.as_i64().unwrap()).unwrap().to_string())
        }
        (ColumnType::Timestamp | ColumnType::UnixSeconds, Value::String(text)) => {
            let without_zone = || text.parse::<DateTime>().unwrap().to_zoned(TimeZone::UTC).unwrap().timestamp();
            let instant: Timestamp = text.parse().unwrap_or_else(|_| without_zone());
            json!(Timestamp::from_microsecond(instant.as_microsecond()).unwrap().to_string())
        }
        (ColumnType::Json, Value::String(text)) => canonical(&serde_json::from_str(text).unwrap()),
        (ColumnType::Json, value) => canonical(value),
        (ColumnType::List(item), Value::Array(items)) => items.iter().map(|value| fitted(value, item)).collect(),
        (ColumnType::Struct(fields), Value::Object(members)) => {
            let field = |name: &String, inner| (name.clone(), fitted(members.get(name).unwrap_or(&Value::Null), inner));
            Value::Object(fields.iter().map(|(name, inner)| field(name, inner)).collect())
        }
        (_, value) => value.clone(),
    }
}

/// `value` with the members of objects sorted by name.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().map(|(name, value)| (name.clone(), canonical(value))).collect();
            Value::Object(sorted.into_iter().collect())
        }
        Value::Array(items) => items.iter().map(canonical).collect(),
        other => other.clone(),
    }
}
