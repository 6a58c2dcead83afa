//! The columns that the exporter adds, so that every file is self-contained.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Date32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use jiff::Timestamp;
use uuid::Uuid;

use crate::model::history::list_of;
use crate::model::scope::{Scope, ScopeKind};
use crate::model::window::Window;

/// The provenance columns and their comments.
pub const OWN_COLUMNS: [(&str, &str); 4] = [
    ("_run_id", "run that wrote the row, a UUID version 7"),
    ("_extracted_at", "when the request that returned the row was sent"),
    ("_window_start", "first day of the requested window"),
    ("_window_end", "day after the last day of the requested window"),
];

/// Where the rows of a slice come from.
#[derive(Debug, Clone)]
pub struct Provenance {
    pub run_id: Uuid,
    /// When the first request was sent.
    pub extracted_at: Timestamp,
    pub scope: Scope,
    /// `None` for lists.
    pub window: Option<Window>,
    /// Further pairs of the footer: the account and the meaning of the table.
    pub footer: Vec<(&'static str, String)>,
}

/// The schema of a table: the scope's columns, those of decoded rows, then [`OWN_COLUMNS`].
pub fn table_schema(decoded: &Schema, scope: ScopeKind) -> SchemaRef {
    let mut fields: Vec<FieldRef> = Vec::new();
    for part in scope.parts() {
        let (id, name) = part.columns();
        fields.extend(id.into_iter().chain([name]).map(|column| Arc::new(Field::new(column, DataType::Utf8, true))));
    }
    fields.extend(decoded.fields().iter().cloned());
    let own_type = |name: &str| match name {
        "_run_id" => DataType::Utf8,
        "_extracted_at" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        _ => DataType::Date32,
    };
    for (name, about) in OWN_COLUMNS {
        let comment = HashMap::from([("comment".to_owned(), about.to_owned())]);
        fields.push(Arc::new(Field::new(name, own_type(name), true).with_metadata(comment)));
    }
    Arc::new(Schema::new(fields))
}

/// The number of columns before those of the API: the names of the scope, and the day of a snapshot.
pub fn added_columns(stream: &str, scope: &Scope) -> usize {
    let of_scope: usize = scope.parts().map(|(part, _)| 1 + usize::from(part.columns().0.is_some())).sum();
    of_scope + usize::from(list_of(stream).is_some())
}

/// Provenance as columns, whose memory the batches of a slice share.
pub(super) struct OwnColumns {
    pub provenance: Provenance,
    scope: ScopeKind,
    /// The columns before those of decoded rows, and behind them.
    columns: [Vec<ArrayRef>; 2],
    /// Of each column.
    rows: usize,
}

impl OwnColumns {
    pub fn new(provenance: Provenance, scope: ScopeKind) -> Self {
        Self { provenance, scope, columns: Default::default(), rows: 0 }
    }

    /// Adds the columns of the scope and the provenance to a batch. `schema` must be [`table_schema`] of the batch's.
    pub fn add_to(&mut self, batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        let rows = batch.num_rows();
        if self.rows < rows {
            self.rows = rows.next_power_of_two();
            self.columns = self.provenance.columns(self.scope, self.rows);
        }
        let [before, behind] =
            self.columns.each_ref().map(|columns| columns.iter().map(|column| column.slice(0, rows)));
        let arrays = before.chain(batch.columns().iter().cloned()).chain(behind).collect();
        RecordBatch::try_new(Arc::clone(schema), arrays)
    }
}

impl Provenance {
    /// The columns of the scope and those of the provenance.
    fn columns(&self, kind: ScopeKind, rows: usize) -> [Vec<ArrayRef>; 2] {
        let text = |value: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![value; rows])) };
        let mut scope: Vec<ArrayRef> = Vec::new();
        for part in kind.parts() {
            let named = self.scope.part(*part);
            if part.columns().0.is_some() {
                scope.push(text(named.map(|named| named.id.as_str())));
            }
            scope.push(text(named.map(|named| named.name.as_str())));
        }
        let day = |day: Option<i32>| -> ArrayRef { Arc::new(Date32Array::from(vec![day; rows])) };
        let extracted = TimestampMicrosecondArray::from(vec![self.extracted_at.as_microsecond(); rows]);
        let own: Vec<ArrayRef> = vec![
            text(Some(&self.run_id.to_string())),
            Arc::new(extracted.with_timezone("UTC")),
            day(self.window.map(|window| window.start.to_epoch_days())),
            day(self.window.map(|window| window.end.to_epoch_days())),
        ];
        [scope, own]
    }
}
