//! Protected columns: dropped, or hashed with a salt, before a row is written to disk.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, StringArray, new_null_array};
use arrow_schema::{ArrowError, DataType};
use sha2::{Digest, Sha256};

use crate::config::Salt;
use crate::model::column::Protect;
use crate::model::stream::Stream;

/// The protected columns of one stream.
#[derive(Debug, Clone, Default)]
pub struct Protection {
    columns: Vec<(String, Protect)>,
    salt: Option<Salt>,
}

impl Protection {
    pub fn new(stream: &Stream, salt: Option<&Salt>) -> Self {
        let columns = stream.protect.iter().map(|(name, protect)| (name.clone(), *protect)).collect();
        Self { columns, salt: salt.cloned() }
    }

    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Replaces protected values by null or their hash. The schema stays the same, and null stays null.
    ///
    /// # Errors
    /// If a column to be hashed is not text or there is no salt; the configuration rejects both.
    pub fn apply(&self, batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
        if self.is_empty() {
            return Ok(batch);
        }
        let schema = batch.schema();
        let mut arrays = batch.columns().to_vec();
        for (name, protect) in &self.columns {
            let index = schema.index_of(name)?;
            arrays[index] = match protect {
                Protect::Drop => new_null_array(arrays[index].data_type(), arrays[index].len()),
                Protect::Hash => self.hashed(&arrays[index])?,
            };
        }
        RecordBatch::try_new(schema, arrays)
    }

    fn hashed(&self, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        let Some(salt) = &self.salt else {
            return Err(ArrowError::InvalidArgumentError("no salt is set".into()));
        };
        match array.data_type() {
            DataType::Utf8 => {
                let texts = array.as_string::<i32>().iter();
                Ok(Arc::new(texts.map(|text| text.map(|text| hash(salt, text))).collect::<StringArray>()))
            }
            DataType::List(item) => {
                let lists = array.as_list::<i32>();
                let items = self.hashed(lists.values())?;
                let offsets = lists.offsets().clone();
                Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, items, lists.nulls().cloned())?))
            }
            other => Err(ArrowError::InvalidArgumentError(format!("a column of {other} cannot be hashed"))),
        }
    }
}

/// SHA-256 of the salt and the text, as 64 hexadecimal digits.
fn hash(salt: &Salt, text: &str) -> String {
    let digest = Sha256::new().chain_update(salt.expose()).chain_update(text.as_bytes()).finalize();
    const_hex::encode(digest)
}

#[cfg(test)]
mod tests {
    use arrow_array::make_array;
    use arrow_schema::{Field, Schema};
    use proptest::prelude::*;

    use super::*;

    fn salt() -> Salt {
        Salt::from_bytes(b"0123456789abcdef").unwrap()
    }

    fn batch(texts: &[Option<String>]) -> RecordBatch {
        let text: ArrayRef = Arc::new(texts.iter().cloned().collect::<StringArray>());
        let item = Arc::new(Field::new("element", DataType::Utf8, true));
        let offsets = arrow_buffer::OffsetBuffer::from_lengths(texts.iter().map(|_| 1));
        let list: ArrayRef = Arc::new(ListArray::new(Arc::clone(&item), offsets, Arc::clone(&text), None));
        let schema = Schema::new(vec![
            Field::new("dropped", DataType::Utf8, true),
            Field::new("hashed", DataType::Utf8, true),
            Field::new("hashed_list", DataType::List(item), true),
        ]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::clone(&text), text, list]).unwrap()
    }

    fn protection() -> Protection {
        let columns = [("dropped", Protect::Drop), ("hashed", Protect::Hash), ("hashed_list", Protect::Hash)];
        let columns = columns.map(|(name, protect)| (name.to_owned(), protect)).to_vec();
        Protection { columns, salt: Some(salt()) }
    }

    /// Every byte of an array and its items.
    fn bytes(array: &dyn Array) -> Vec<u8> {
        let data = array.to_data();
        let own = data.buffers().iter().flat_map(|buffer| buffer.to_vec());
        own.chain(data.child_data().iter().flat_map(|child| bytes(&make_array(child.clone())))).collect()
    }

    #[test]
    fn published_hashes_do_not_change() {
        // The same as `printf '0123456789abcdef192.0.2.1' | sha256sum`.
        assert_eq!(hash(&salt(), "192.0.2.1"), "de4904b9eba34fdd59c4dc02f21ab6c88b0f3fa41eb1c44ddaf22ad7bb49fd46");
    }

    #[test]
    fn null_stays_null_and_empty_text_is_hashed() {
        let protected = protection().apply(batch(&[None, Some(String::new())])).unwrap();
        assert_eq!(protected.column(0).null_count(), 2);
        let hashed = protected.column(1).as_string::<i32>();
        assert!(hashed.is_null(0) && hashed.value(1).len() == 64);
    }

    #[test]
    fn text_is_rejected_without_a_salt() {
        let protection = Protection { salt: None, ..protection() };
        assert!(protection.apply(batch(&[Some("a".into())])).is_err());
    }

    proptest! {
        // Hexadecimal hashes contain no letter beyond `f`.
        #[test]
        fn original_value_occurs_nowhere_in_the_batch(text in "[g-z]{3,40}", other in "\\PC{0,20}") {
            let protected = protection().apply(batch(&[Some(text.clone()), Some(other), None])).unwrap();
            let bytes: Vec<u8> = protected.columns().iter().flat_map(|column| bytes(column)).collect();
            let occurs = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            prop_assert!(!occurs);
        }

        #[test]
        fn equal_texts_have_equal_hashes_and_others_have_others(one in "\\PC{0,20}", two in "\\PC{0,20}") {
            prop_assert_eq!(one == two, hash(&salt(), &one) == hash(&salt(), &two));
        }
    }
}
