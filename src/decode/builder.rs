//! Builders of Arrow arrays, one for each type of the catalog.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, ListArray, StructArray};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};

use crate::decode::schema::{list_item, struct_fields};
use crate::model::column::ColumnType;

/// Builds the array of a column. Values are appended in the order of rows; `finish` empties it for the next batch.
#[derive(Debug)]
pub enum ColumnBuilder {
    Utf8(StringBuilder),
    /// The text of a JSON value.
    Json(StringBuilder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Bool(BooleanBuilder),
    /// Days since 1970-01-01.
    Date(Date32Builder),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(TimestampMicrosecondBuilder),
    /// Timestamps that the API sends in whole seconds.
    UnixSeconds(TimestampMicrosecondBuilder),
    List(ListBuilder),
    Struct(StructBuilder),
}

/// Builds lists: the items of all lists, and where each list ends.
#[derive(Debug)]
pub struct ListBuilder {
    item_type: ColumnType,
    pub items: Box<ColumnBuilder>,
    offsets: Vec<i32>,
    valid: Vec<bool>,
}

/// Builds structs, with one builder a field.
#[derive(Debug)]
pub struct StructBuilder {
    pub fields: Vec<(String, ColumnType)>,
    /// In the order of `fields`.
    pub builders: Vec<ColumnBuilder>,
    valid: Vec<bool>,
}

impl ColumnBuilder {
    pub fn new(column_type: &ColumnType) -> Self {
        match column_type {
            ColumnType::Utf8 => Self::Utf8(StringBuilder::new()),
            ColumnType::Json => Self::Json(StringBuilder::new()),
            ColumnType::Int64 => Self::Int64(Int64Builder::new()),
            ColumnType::Float64 => Self::Float64(Float64Builder::new()),
            ColumnType::Bool => Self::Bool(BooleanBuilder::new()),
            ColumnType::Date => Self::Date(Date32Builder::new()),
            ColumnType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            ColumnType::UnixSeconds => Self::UnixSeconds(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            ColumnType::List(item) => Self::List(ListBuilder {
                item_type: ColumnType::clone(item),
                items: Box::new(Self::new(item)),
                offsets: vec![0],
                valid: Vec::new(),
            }),
            ColumnType::Struct(fields) => Self::Struct(StructBuilder {
                fields: fields.clone(),
                builders: fields.iter().map(|(_, field)| Self::new(field)).collect(),
                valid: Vec::new(),
            }),
        }
    }

    /// The declared type, for messages.
    pub fn describe(&self) -> String {
        match self {
            Self::Utf8(_) => "text".into(),
            Self::Json(_) => "JSON".into(),
            Self::Int64(_) => "an integer".into(),
            Self::Float64(_) => "a number".into(),
            Self::Bool(_) => "true or false".into(),
            Self::Date(_) => "a day".into(),
            Self::Timestamp(_) => "a time".into(),
            Self::UnixSeconds(_) => "seconds since 1970".into(),
            Self::List(list) => format!("a list of {}", list.item_type),
            Self::Struct(_) => "an object".into(),
        }
    }

    pub fn append_null(&mut self) {
        match self {
            Self::Utf8(builder) | Self::Json(builder) => builder.append_null(),
            Self::Int64(builder) => builder.append_null(),
            Self::Float64(builder) => builder.append_null(),
            Self::Bool(builder) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Timestamp(builder) | Self::UnixSeconds(builder) => builder.append_null(),
            Self::List(list) => list.end(false),
            Self::Struct(fields) => {
                fields.builders.iter_mut().for_each(Self::append_null);
                fields.end(false);
            }
        }
    }

    /// The array built so far; the builder is empty afterwards.
    ///
    /// # Errors
    /// Only if parts of a list or struct differ in length, which would be a bug here.
    pub fn finish(&mut self) -> Result<ArrayRef, arrow_schema::ArrowError> {
        Ok(match self {
            Self::Utf8(builder) | Self::Json(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) | Self::UnixSeconds(builder) => Arc::new(builder.finish()),
            Self::List(list) => {
                let offsets = std::mem::replace(&mut list.offsets, vec![0]);
                Arc::new(ListArray::try_new(
                    list_item(&list.item_type),
                    OffsetBuffer::new(ScalarBuffer::from(offsets)),
                    list.items.finish()?,
                    nulls(&mut list.valid),
                )?)
            }
            Self::Struct(fields) => {
                let rows = fields.valid.len();
                let arrays: Result<Vec<_>, _> = fields.builders.iter_mut().map(Self::finish).collect();
                let names = struct_fields(&fields.fields);
                Arc::new(StructArray::try_new_with_length(names, arrays?, nulls(&mut fields.valid), rows)?)
            }
        })
    }
}

impl ListBuilder {
    /// Ends a list after the items appended since the previous one; `valid` is false for null.
    pub fn end(&mut self, valid: bool) {
        let end = self.items.len();
        // A block is at most about 1 MiB or one row, so the number of items fits.
        self.offsets.push(i32::try_from(end).unwrap_or(i32::MAX));
        self.valid.push(valid);
    }
}

impl StructBuilder {
    pub fn len(&self) -> usize {
        self.valid.len()
    }

    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|(field, _)| field == name)
    }

    /// Ends a struct, every field of which has been appended; `valid` is false for null.
    pub fn end(&mut self, valid: bool) {
        self.valid.push(valid);
    }
}

impl ColumnBuilder {
    /// Values appended since the last batch.
    pub fn len(&self) -> usize {
        use arrow_array::builder::ArrayBuilder;
        match self {
            Self::Utf8(builder) | Self::Json(builder) => builder.len(),
            Self::Int64(builder) => builder.len(),
            Self::Float64(builder) => builder.len(),
            Self::Bool(builder) => builder.len(),
            Self::Date(builder) => builder.len(),
            Self::Timestamp(builder) | Self::UnixSeconds(builder) => builder.len(),
            Self::List(list) => list.valid.len(),
            Self::Struct(fields) => fields.len(),
        }
    }
}

fn nulls(valid: &mut Vec<bool>) -> Option<NullBuffer> {
    let valid = std::mem::take(valid);
    (!valid.iter().all(|is_valid| *is_valid)).then(|| NullBuffer::from(valid))
}
