//! A stream's columns as an Arrow schema.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};

use crate::model::column::{Column, ColumnType};
use crate::model::stream::Stream;

/// Members that the catalog does not declare, as the text of a JSON object, or null.
pub const EXTRA_COLUMN: &str = "_extra";

/// The table of a stream, as a decoder needs it.
#[derive(Debug)]
pub struct TableSchema {
    /// The stream's name, for messages.
    pub stream: String,
    /// The stream's columns in the order of the catalog, then [`EXTRA_COLUMN`].
    pub arrow: SchemaRef,
    /// The types of [`TableSchema::arrow`], without the extra column.
    pub types: Vec<ColumnType>,
    /// Rows may be positional arrays.
    pub positional: bool,
    /// The columns that the request names, and those of the key: some row must have each.
    pub expected: Vec<usize>,
    targets: HashMap<String, MemberTarget>,
    /// By column: its values may be in no message and in no other column.
    protected: Vec<bool>,
    scope_columns: Vec<&'static str>,
}

/// Where the value of a member goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberTarget {
    Column(usize),
    /// A reference `{id, name}` in place of a plain value of positional rows: its parts go into separate columns. The vendor's
    /// examples of version 1 event streams have such rows.
    Reference {
        id: Option<usize>,
        name: Option<usize>,
    },
    /// The positional array of dimensions.
    Dimensions,
    /// The positional array of metrics.
    Metrics,
}

impl TableSchema {
    pub fn new(stream: &Stream) -> Self {
        let mut fields: Vec<FieldRef> = stream.columns.iter().map(field_of).collect();
        fields.push(Arc::new(Field::new(EXTRA_COLUMN, DataType::Utf8, true)));
        let positional = stream.positional_names().is_some();
        let index = |name: &str| stream.columns.iter().position(|column| column.name == name);
        let key = stream.key.iter().map(|path| path.split('.').next().unwrap_or(path));
        let mut expected: Vec<usize> = stream.requested_members().filter_map(index).collect();
        for column in key.filter_map(index) {
            if !expected.contains(&column) {
                expected.push(column);
            }
        }
        Self {
            stream: stream.name.clone(),
            arrow: Arc::new(Schema::new(fields)),
            types: stream.columns.iter().map(|column| column.data_type.clone()).collect(),
            positional,
            expected,
            targets: targets(&stream.columns, positional),
            protected: stream.columns.iter().map(|column| stream.protect.contains_key(&column.name)).collect(),
            scope_columns: stream
                .scope
                .parts()
                .iter()
                .map(|part| part.columns())
                .flat_map(|(id, name)| id.into_iter().chain([name]))
                .collect(),
        }
    }

    /// Where the member `name` of a row goes; `None` if the catalog does not declare it.
    pub fn target(&self, name: &str) -> Option<MemberTarget> {
        self.targets.get(name).copied()
    }

    /// Whether the values of `column` may be in no message and in no other column.
    pub fn is_protected(&self, column: usize) -> bool {
        self.protected.get(column).is_some_and(|is_protected| *is_protected)
    }

    pub fn has_protected_columns(&self) -> bool {
        self.protected.contains(&true)
    }

    /// Whether the exporter writes `name` as a column of the scope.
    pub fn is_scope_column(&self, name: &str) -> bool {
        self.scope_columns.contains(&name)
    }

    pub fn column(&self, name: &str) -> Option<usize> {
        self.arrow.index_of(name).ok().filter(|index| *index < self.types.len())
    }
}

fn targets(columns: &[Column], positional: bool) -> HashMap<String, MemberTarget> {
    let index = |name: &str| columns.iter().position(|column| column.name == name);
    let mut targets = HashMap::new();
    for (column_index, column) in columns.iter().enumerate() {
        targets.insert(column.name.clone(), MemberTarget::Column(column_index));
    }
    if !positional {
        return targets;
    }
    for column in columns.iter().filter(|column| column.data_type == ColumnType::Utf8) {
        let object = column.name.strip_suffix("_id").or(column.name.strip_suffix("_name")).unwrap_or(&column.name);
        let id = index(&format!("{object}_id"));
        let name = index(object).or_else(|| index(&format!("{object}_name")));
        targets.insert(object.to_owned(), MemberTarget::Reference { id, name });
    }
    targets.insert("dimensions".to_owned(), MemberTarget::Dimensions);
    targets.insert("metrics".to_owned(), MemberTarget::Metrics);
    targets
}

fn field_of(column: &Column) -> FieldRef {
    let field = Field::new(&column.name, data_type_of(&column.data_type), true);
    Arc::new(field.with_metadata(HashMap::from([("comment".to_owned(), column.about.clone())])))
}

/// The Arrow type of a column. Lists name their items `element`, as the Parquet format does.
pub fn data_type_of(column_type: &ColumnType) -> DataType {
    match column_type {
        ColumnType::Utf8 | ColumnType::Json => DataType::Utf8,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp | ColumnType::UnixSeconds => {
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        }
        ColumnType::List(item) => DataType::List(list_item(item)),
        ColumnType::Struct(fields) => DataType::Struct(struct_fields(fields)),
    }
}

pub fn list_item(item: &ColumnType) -> FieldRef {
    Arc::new(Field::new("element", data_type_of(item), true))
}

pub fn struct_fields(fields: &[(String, ColumnType)]) -> Fields {
    fields.iter().map(|(name, field)| Field::new(name, data_type_of(field), true)).collect()
}
