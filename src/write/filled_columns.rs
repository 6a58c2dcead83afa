//! Which columns have values: of rows on their way to a file, and of a published file by its statistics.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::file::metadata::ParquetMetaDataReader;

/// Whether any row has a value, by column; `asset.name` is a field of a struct. An empty list is no value.
pub type FilledColumns = BTreeMap<String, bool>;

/// Adds the columns of `batch`, which has the same columns as all batches before.
pub(super) fn add_filled(filled: &mut FilledColumns, batch: &RecordBatch) {
    for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        add_array(filled, field.name(), array);
    }
}

fn add_array(filled: &mut FilledColumns, name: &str, array: &ArrayRef) {
    let has_value = match array.data_type() {
        DataType::Struct(fields) => {
            for (field, part) in fields.iter().zip(array.as_struct().columns()) {
                add_array(filled, &format!("{name}.{}", field.name()), part);
            }
            return;
        }
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            (0..lists.len()).any(|row| lists.is_valid(row) && lists.value_length(row) > 0)
        }
        _ => array.null_count() < array.len(),
    };
    match filled.get_mut(name) {
        Some(known) => *known |= has_value,
        None => drop(filled.insert(name.to_owned(), has_value)),
    }
}

/// The columns of the file of `length` bytes that ends with `end`; `None` if that is no whole footer. Without statistics a column counts as
/// filled.
pub fn filled_columns_of(end: &Bytes, length: u64) -> Option<FilledColumns> {
    let mut reader = ParquetMetaDataReader::new();
    reader.try_parse_sized(end, length).ok()?;
    let metadata = reader.finish().ok()?;
    let mut filled = FilledColumns::new();
    for chunk in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let steps = chunk.column_path().parts().iter().take_while(|step| *step != "list");
        let name = steps.map(String::as_str).collect::<Vec<_>>().join(".");
        let nulls = chunk.statistics().and_then(|statistics| statistics.null_count_opt());
        let has_value = nulls.is_none_or(|nulls| nulls < u64::try_from(chunk.num_values()).unwrap_or_default());
        *filled.entry(name).or_default() |= has_value;
    }
    Some(filled)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::Int64Type;
    use arrow_array::{Int64Array, ListArray, StringArray, StructArray};
    use arrow_schema::{Field, Fields};
    use parquet::arrow::ArrowWriter;

    use super::*;

    #[test]
    fn statistics_of_a_file_say_the_same_as_its_rows() {
        let text = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
        let fields = Fields::from(["id", "name"].map(|name| Field::new(name, DataType::Utf8, true)).to_vec());
        let asset = StructArray::new(fields, vec![text(vec![None, None]), text(vec![None, Some("a")])], None);
        let empty = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![]), None]);
        let full = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)]), None]);
        let columns: Vec<(&str, ArrayRef, bool)> = vec![
            ("null", Arc::new(Int64Array::from(vec![None, None])), true),
            ("one", text(vec![None, Some("")]), true),
            ("asset", Arc::new(asset), true),
            ("empty", Arc::new(empty), true),
            ("full", Arc::new(full), true),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let mut filled = FilledColumns::new();
        add_filled(&mut filled, &batch);
        let expected = [
            ("asset.id", false),
            ("asset.name", true),
            ("empty", false),
            ("full", true),
            ("null", false),
            ("one", true),
        ];
        assert_eq!(filled, expected.map(|(name, filled)| (name.to_owned(), filled)).into());

        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        let file = Bytes::from(writer.into_inner().unwrap());
        let length = file.len() as u64;
        assert_eq!(filled_columns_of(&file, length), Some(filled));
        assert_eq!(filled_columns_of(&file.slice(file.len() - 9..), length), None);
    }
}
