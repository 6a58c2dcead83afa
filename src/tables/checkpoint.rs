//! Checkpoints: all actions that still count at one version, as one Parquet file, so that readers replay only the commits after it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Int32Array, Int64Array, ListArray, MapArray, RecordBatch, StringArray, StructArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value};

use crate::tables::action::Action;

/// The members of an [`Action`] that a checkpoint has, with their types.
fn columns() -> Fields {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let long = |name: &str| Field::new(name, DataType::Int64, true);
    let flag = |name: &str| Field::new(name, DataType::Boolean, true);
    let group = |name: &str, fields: Vec<Field>| Field::new(name, DataType::Struct(fields.into()), true);
    let texts = |name: &str| {
        let pair = vec![Field::new("key", DataType::Utf8, false), text("value")];
        let entries = Field::new("key_value", DataType::Struct(pair.into()), false);
        Field::new(name, DataType::Map(entries.into(), false), true)
    };
    let int = |name: &str| Field::new(name, DataType::Int32, true);
    let list = DataType::List(Arc::new(text("element")));
    let add = vec![text("path"), texts("partitionValues"), long("size"), long("modificationTime"), flag("dataChange")];
    let remove = vec![text("path"), long("deletionTimestamp"), flag("dataChange"), flag("extendedFileMetadata")];
    let metadata = vec![
        text("id"),
        text("name"),
        text("description"),
        group("format", vec![text("provider"), texts("options")]),
        text("schemaString"),
        Field::new("partitionColumns", list, true),
        texts("configuration"),
        long("createdTime"),
    ];
    Fields::from(vec![
        group("txn", vec![text("appId"), long("version"), long("lastUpdated")]),
        group("add", [add, vec![text("stats"), texts("tags")]].concat()),
        group("remove", [remove, vec![texts("partitionValues"), long("size")]].concat()),
        group("metaData", metadata),
        group("protocol", vec![int("minReaderVersion"), int("minWriterVersion")]),
    ])
}

/// Encodes `actions`.
///
/// # Errors
/// What the writer of Parquet rejects.
pub fn write(actions: &[Action]) -> Result<Bytes, ArrowError> {
    let rows: Vec<Value> = actions.iter().map(|action| serde_json::to_value(action).unwrap_or_default()).collect();
    let rows: Vec<Option<&Value>> = rows.iter().map(Some).collect();
    let fields = columns();
    let arrays = fields.iter().map(|field| array(&members(&rows, field.name()), field.data_type()));
    let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?.into())
}

fn members<'a>(rows: &[Option<&'a Value>], name: &str) -> Vec<Option<&'a Value>> {
    rows.iter().map(|row| row.and_then(|row| row.get(name)).filter(|value| !value.is_null())).collect()
}

/// Values of one type as an array.
fn array(values: &[Option<&Value>], data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let present = || Some(NullBuffer::from(values.iter().map(Option::is_some).collect::<Vec<_>>()));
    Ok(match data_type {
        DataType::Utf8 => Arc::new(values.iter().map(|value| value.and_then(Value::as_str)).collect::<StringArray>()),
        DataType::Int64 => Arc::new(values.iter().map(|value| value.and_then(Value::as_i64)).collect::<Int64Array>()),
        DataType::Int32 => {
            let small =
                |value: &Option<&Value>| value.and_then(Value::as_i64).and_then(|value| i32::try_from(value).ok());
            Arc::new(values.iter().map(small).collect::<Int32Array>())
        }
        DataType::Boolean => {
            Arc::new(values.iter().map(|value| value.and_then(Value::as_bool)).collect::<BooleanArray>())
        }
        DataType::Struct(fields) => {
            let arrays = fields.iter().map(|field| array(&members(values, field.name()), field.data_type()));
            Arc::new(StructArray::try_new(fields.clone(), arrays.collect::<Result<Vec<_>, _>>()?, present())?)
        }
        DataType::List(item) => {
            let items: Vec<&[Value]> =
                values.iter().map(|value| value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice)).collect();
            let offsets = OffsetBuffer::from_lengths(items.iter().map(|items| items.len()));
            let inner: Vec<Option<&Value>> = items.into_iter().flatten().map(Some).collect();
            Arc::new(ListArray::try_new(Arc::clone(item), offsets, array(&inner, item.data_type())?, present())?)
        }
        DataType::Map(entries, _) => {
            let pairs: Vec<Vec<(&String, &Value)>> =
                values.iter().map(|value| value.and_then(Value::as_object).into_iter().flatten().collect()).collect();
            let offsets = OffsetBuffer::from_lengths(pairs.iter().map(Vec::len));
            let keys: StringArray = pairs.iter().flatten().map(|(key, _)| Some(key.as_str())).collect();
            let texts: StringArray = pairs.iter().flatten().map(|(_, value)| value.as_str()).collect();
            let DataType::Struct(fields) = entries.data_type() else { return Err(unsupported(data_type)) };
            let pairs = StructArray::try_new(fields.clone(), vec![Arc::new(keys), Arc::new(texts)], None)?;
            Arc::new(MapArray::try_new(Arc::clone(entries), offsets, pairs, present(), false)?)
        }
        _ => return Err(unsupported(data_type)),
    })
}

fn unsupported(data_type: &DataType) -> ArrowError {
    ArrowError::NotYetImplemented(format!("{data_type} in a checkpoint"))
}

/// The actions of a checkpoint, also of one that another engine wrote.
///
/// # Errors
/// Why it is no checkpoint.
pub fn read(bytes: Bytes) -> Result<Vec<Action>, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    let wanted: Vec<String> = columns().iter().map(|field| field.name().clone()).collect();
    let schema = builder.parquet_schema();
    let roots = schema.root_schema().get_fields().iter().enumerate();
    let roots: Vec<usize> =
        roots.filter(|(_, field)| wanted.iter().any(|name| name == field.name())).map(|(index, _)| index).collect();
    let mask = ProjectionMask::roots(schema, roots);
    let batches = builder.with_projection(mask).build().map_err(|error| error.to_string())?;
    let mut actions = Vec::new();
    for batch in batches {
        let batch = batch.map_err(|error| error.to_string())?;
        let fields = batch.schema();
        for row in 0..batch.num_rows() {
            let value = object(fields.fields().iter().zip(batch.columns()), row);
            actions.push(serde_json::from_value(value).map_err(|error| format!("row {row}: {error}"))?);
        }
    }
    Ok(actions)
}

/// An object without the members that are null.
fn object<'a>(members: impl Iterator<Item = (&'a FieldRef, &'a ArrayRef)>, row: usize) -> Value {
    let members = members.map(|(field, array)| (field.name().clone(), value(array, row)));
    Value::Object(members.filter(|(_, value)| !value.is_null()).collect())
}

/// Null for types that no [`Action`] has.
fn value(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Struct(fields) => object(fields.iter().zip(array.as_struct().columns()), row),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            (0..items.len()).map(|item| value(&items, item)).collect()
        }
        DataType::Map(..) => {
            let pairs = array.as_map().value(row);
            let (keys, values) = (pairs.column(0), pairs.column(1));
            let pair = |index| Some((value(keys, index).as_str()?.to_owned(), value(values, index)));
            Value::Object((0..pairs.len()).filter_map(pair).collect::<Map<_, _>>())
        }
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::action::{Add, Format, MetaData, Protocol, Txn};

    #[test]
    fn checkpoint_reads_back_as_the_actions_that_were_written() {
        let texts = |pairs: &[(&str, Option<&str>)]| {
            pairs.iter().map(|(name, text)| ((*name).to_owned(), text.map(str::to_owned))).collect()
        };
        let add = Add {
            path: "category_id=a/month=2026-03/v1-0.parquet".into(),
            partition_values: texts(&[("category_id", Some("a")), ("month", None)]),
            size: 7,
            modification_time: 8,
            data_change: false,
            stats: Some("{}".into()),
            tags: Some(texts(&[("days", Some("x"))])),
        };
        let metadata = MetaData {
            id: "1".into(),
            name: Some("t".into()),
            description: None,
            format: Format { provider: "parquet".into(), options: texts(&[]) },
            schema_string: "{}".into(),
            partition_columns: vec!["category_id".into(), "month".into()],
            configuration: texts(&[("a", Some("b"))]),
            created_time: Some(9),
        };
        let untagged = Add { tags: None, stats: None, partition_values: texts(&[]), ..add.clone() };
        let actions: Vec<Action> = vec![
            Protocol { min_reader_version: 1, min_writer_version: 2 }.into(),
            metadata.into(),
            Txn { app_id: "a".into(), version: 3, last_updated: None }.into(),
            untagged.removed(10, true).into(),
            add.into(),
            untagged.into(),
        ];
        assert_eq!(read(write(&actions).unwrap()).unwrap(), actions);
        assert!(read(Bytes::from_static(b"no table")).is_err());
    }
}
