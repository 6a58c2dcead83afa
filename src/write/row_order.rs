//! The order of rows in the files of tables: by key, and for one key by day. Engines then skip pages, and equal values compress well.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef};

use crate::model::stream::Stream;

/// The columns by which rows are sorted, the first one first.
#[derive(Debug, Clone)]
pub struct RowOrder {
    columns: Vec<KeyColumn>,
}

#[derive(Debug, Clone)]
struct KeyColumn {
    /// As in Parquet: a column, or a column and a member.
    path: String,
    column: usize,
    member: Option<usize>,
}

impl RowOrder {
    /// The key of `stream` without its day, then the day. Parts of the key that are no column of `schema` are partitions, and lists have no
    /// order.
    pub fn new(stream: &Stream, schema: &SchemaRef) -> Self {
        let day = stream.days.as_ref().map(|days| &days.column);
        let key = stream.key.iter().filter(|part| Some(*part) != day);
        let key = key.chain(day.filter(|day| stream.key.contains(day)));
        Self { columns: key.filter_map(|path| KeyColumn::new(path, schema)).collect() }
    }

    /// Their paths in Parquet.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.path.as_str())
    }

    /// Batch and row of each row, in order. Equal rows keep theirs.
    pub fn sorted(&self, batches: &[RecordBatch]) -> Vec<(usize, usize)> {
        let rows = |(number, batch): (usize, &RecordBatch)| (0..batch.num_rows()).map(move |row| (number, row));
        let mut places: Vec<(usize, usize)> = batches.iter().enumerate().flat_map(rows).collect();
        if self.columns.is_empty() {
            return places;
        }
        // One buffer for all keys: a small allocation for each row would cost more than the rows.
        let (mut keys, mut ends) = (Vec::new(), Vec::with_capacity(places.len()));
        for batch in batches {
            let arrays: Vec<&ArrayRef> = self.columns.iter().map(|column| column.of(batch)).collect();
            for row in 0..batch.num_rows() {
                arrays.iter().for_each(|array| encode(array, row, &mut keys));
                ends.push(keys.len());
            }
        }
        let key = |row: usize| &keys[row.checked_sub(1).map_or(0, |before| ends[before])..ends[row]];
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_by(|one, other| key(*one).cmp(key(*other)));
        places = order.into_iter().map(|row| places[row]).collect();
        places
    }
}

impl KeyColumn {
    fn new(path: &str, schema: &SchemaRef) -> Option<Self> {
        let (name, member) = path.split_once('.').map_or((path, None), |(name, member)| (name, Some(member)));
        let column = schema.index_of(name).ok()?;
        let data_type = schema.field(column).data_type();
        let (member, data_type) = match (data_type, member) {
            (DataType::Struct(fields), Some(member)) => {
                let at = fields.iter().position(|field| field.name() == member)?;
                (Some(at), fields[at].data_type())
            }
            (data_type, None) => (None, data_type),
            _ => return None,
        };
        let has_order = matches!(
            data_type,
            DataType::Utf8 | DataType::Int64 | DataType::Boolean | DataType::Date32 | DataType::Timestamp(..)
        );
        has_order.then(|| Self { path: path.to_owned(), column, member })
    }

    fn of<'a>(&self, batch: &'a RecordBatch) -> &'a ArrayRef {
        let column = batch.column(self.column);
        self.member.map_or(column, |member| column.as_struct().column(member))
    }
}

/// Appends bytes whose order is that of the values; null comes first.
fn encode(array: &ArrayRef, row: usize, to: &mut Vec<u8>) {
    if array.is_null(row) {
        return to.push(0);
    }
    to.push(1);
    match array.data_type() {
        DataType::Utf8 => {
            // A zero byte would look like the end.
            for byte in array.as_string::<i32>().value(row).bytes() {
                to.push(byte);
                to.extend((byte == 0).then_some(u8::MAX));
            }
            to.extend([0, 0]);
        }
        DataType::Boolean => to.push(array.as_boolean().value(row).into()),
        DataType::Int64 => to.extend(ordered(array.as_primitive::<Int64Type>().value(row))),
        DataType::Date32 => to.extend(ordered(array.as_primitive::<Date32Type>().value(row).into())),
        DataType::Timestamp(..) => to.extend(ordered(array.as_primitive::<TimestampMicrosecondType>().value(row))),
        // No other type is part of an order.
        _ => {}
    }
}

fn ordered(value: i64) -> [u8; 8] {
    (value ^ i64::MIN).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{BooleanArray, Date32Array, Int64Array, StringArray};
    use proptest::prelude::*;

    use super::*;

    type Row = (Option<String>, Option<i64>, Option<bool>, Option<i32>);

    proptest! {
        #[test]
        fn rows_are_in_the_order_of_their_values_with_nulls_first(
            rows in proptest::collection::vec(
                (
                    proptest::option::of("[\0a\u{1}é]{0,3}"),
                    proptest::option::of(prop_oneof![Just(i64::MIN), Just(i64::MAX), -2_i64..3]),
                    proptest::option::of(any::<bool>()),
                    proptest::option::of(-2_i32..3),
                ),
                0..40,
            ),
            split in 1_usize..9,
        ) {
            let batch = |rows: &[Row]| {
                let columns: [(&str, ArrayRef); 4] = [
                    ("text", Arc::new(rows.iter().map(|row| row.0.clone()).collect::<StringArray>())),
                    ("int", Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>())),
                    ("bool", Arc::new(rows.iter().map(|row| row.2).collect::<BooleanArray>())),
                    ("date", Arc::new(rows.iter().map(|row| row.3).collect::<Date32Array>())),
                ];
                RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
            };
            let chunks: Vec<&[Row]> = rows.chunks(split).collect();
            let batches: Vec<RecordBatch> = chunks.iter().map(|rows| batch(rows)).collect();
            let schema = batch(&[]).schema();
            let columns = ["text", "int", "bool", "date"].map(|name| KeyColumn::new(name, &schema).unwrap());
            let order = RowOrder { columns: columns.to_vec() };
            let found: Vec<Row> = order.sorted(&batches).into_iter().map(|(batch, row)| chunks[batch][row].clone()).collect();
            let mut expected = rows.clone();
            expected.sort();
            prop_assert_eq!(found, expected);
        }
    }
}
