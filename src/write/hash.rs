//! Hashes of rows, by value and not by representation.
//!
//! The hash of a day is the wrapping sum of the hashes of its rows, so the order of rows does not matter. A null adds nothing, so a
//! column that is added later and still empty changes nothing. Floats count to twelve significant digits, because two responses of the
//! API differ in the last ones (seen by users; `docs/`). Ledgers store these hashes: they must not change.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};

/// Significant digits of a float that count.
const FLOAT_DIGITS: i32 = 12;

/// The hash of each row over the columns at `columns`, seeded by column name.
pub fn row_hashes(batch: &RecordBatch, columns: &[usize]) -> Vec<u128> {
    let mut rows = vec![0_u128; batch.num_rows()];
    for column in columns {
        let seed = xxh3_64(batch.schema_ref().field(*column).name().as_bytes());
        add_hashes(batch.column(*column), seed, &mut rows);
    }
    rows.iter_mut().for_each(|row| *row = xxh3_128(&row.to_le_bytes()));
    rows
}

/// Adds the hash of each value of `array` to its row; a null adds nothing.
pub fn add_hashes(array: &ArrayRef, seed: u64, rows: &mut [u128]) {
    let mut add = |row: usize, bytes: &[u8]| rows[row] = rows[row].wrapping_add(xxh3_128_with_seed(bytes, seed));
    match array.data_type() {
        DataType::Utf8 => {
            let values = array.as_string::<i32>();
            present(array).for_each(|row| add(row, values.value(row).as_bytes()));
        }
        DataType::Int64 => {
            let values = array.as_primitive::<Int64Type>();
            present(array).for_each(|row| add(row, &values.value(row).to_le_bytes()));
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            present(array).for_each(|row| add(row, &rounded(values.value(row))));
        }
        DataType::Boolean => {
            let values = array.as_boolean();
            present(array).for_each(|row| add(row, &[u8::from(values.value(row))]));
        }
        DataType::Date32 => {
            let values = array.as_primitive::<Date32Type>();
            present(array).for_each(|row| add(row, &values.value(row).to_le_bytes()));
        }
        DataType::Timestamp(..) => {
            let values = array.as_primitive::<TimestampMicrosecondType>();
            present(array).for_each(|row| add(row, &values.value(row).to_le_bytes()));
        }
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let mut items = vec![0_u128; lists.values().len()];
            add_hashes(lists.values(), seed, &mut items);
            let mut bytes = Vec::new();
            present(array).for_each(|row| {
                // Order and number of items count, nulls included.
                bytes.clear();
                let range = lists.value_offsets()[row] as usize..lists.value_offsets()[row + 1] as usize;
                items[range].iter().for_each(|item| bytes.extend_from_slice(&item.to_le_bytes()));
                add(row, &bytes);
            });
        }
        DataType::Struct(fields) => {
            let parts = array.as_struct();
            let mut values = vec![0_u128; array.len()];
            for (field, part) in fields.iter().zip(parts.columns()) {
                add_hashes(part, seed ^ xxh3_64(field.name().as_bytes()), &mut values);
            }
            present(array).for_each(|row| add(row, &values[row].to_le_bytes()));
        }
        other => debug_assert!(false, "the catalog has no type {other}"),
    }
}

/// The rows whose value is not null.
fn present(array: &ArrayRef) -> impl Iterator<Item = usize> + '_ {
    let nulls = array.nulls();
    (0..array.len()).filter(move |row| nulls.is_none_or(|nulls| nulls.is_valid(*row)))
}

/// The first twelve significant digits of a float and its power of ten; zero has no sign.
fn rounded(value: f64) -> [u8; 12] {
    let mut bytes = [0; 12];
    if value == 0.0 || !value.is_finite() {
        bytes[..8].copy_from_slice(&(value + 0.0).to_bits().to_le_bytes());
        return bytes;
    }
    let mut power = FLOAT_DIGITS - 1 - value.abs().log10().floor() as i32;
    // Ten to this power overflows for the smallest numbers, so scaling takes two steps.
    let mut digits = (value * 10_f64.powi(power / 2) * 10_f64.powi(power - power / 2)).round();
    if digits.abs() >= 10_f64.powi(FLOAT_DIGITS) {
        digits /= 10.0;
        power -= 1;
    }
    bytes[..8].copy_from_slice(&(digits.round() as i64).to_le_bytes());
    bytes[8..].copy_from_slice(&power.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, Int64Array, StringArray};

    use super::*;

    fn hashes(columns: Vec<(&str, ArrayRef)>) -> Vec<u128> {
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
        let batch = batch.unwrap();
        row_hashes(&batch, &(0..batch.num_columns()).collect::<Vec<_>>())
    }

    fn floats(values: &[f64]) -> Vec<u128> {
        hashes(vec![("f", Arc::new(Float64Array::from(values.to_vec())))])
    }

    #[test]
    fn floats_that_differ_in_the_last_digits_are_equal() {
        let found = floats(&[0.3, 0.1 + 0.2, 0.300000000001, 0.0, -0.0, 1e-310, 9.999999999999e22, 1e23]);
        assert_eq!(found[0], found[1]);
        assert_ne!(found[0], found[2]);
        assert_eq!(found[3], found[4]);
        assert_eq!(found[6], found[7]);
        assert_ne!(found[5], found[3]);
    }

    #[test]
    fn column_that_is_all_null_changes_nothing() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let empty: ArrayRef = Arc::new(Int64Array::from(vec![None, None]));
        assert_eq!(hashes(vec![("t", Arc::clone(&text))]), hashes(vec![("t", text), ("n", empty)]));
    }

    #[test]
    fn equal_values_of_different_columns_differ() {
        let one: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
        let two: ArrayRef = Arc::new(StringArray::from(vec![None, Some("a")]));
        let found = hashes(vec![("one", one), ("two", two)]);
        assert_ne!(found[0], found[1]);
    }

    #[test]
    fn stored_hashes_do_not_change() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let number: ArrayRef = Arc::new(Float64Array::from(vec![0.25]));
        let found = hashes(vec![("text", text), ("number", number)]);
        assert_eq!(format!("{:032x}", found[0]), "9c5bd56a676da517cb9c800e68c022bb");
    }
}
