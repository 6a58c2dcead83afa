//! The natural keys of the rows of a slice: pages may overlap, and event streams have repeated rows.

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, SchemaRef};

use crate::model::stream::{Stream, Total};
use crate::write::distinct::DistinctHashes;
use crate::write::error::WriteError;
use crate::write::hash::add_hashes;
use crate::write::spool::SliceDir;

/// Counts the rows of a slice, and the different keys among them.
pub struct RowKeys {
    /// The columns of the key, with the field if one is of a struct.
    columns: Vec<(usize, Option<usize>)>,
    /// Whether rows count whose key is null in part.
    counts_nulls: bool,
    hashes: DistinctHashes,
}

impl RowKeys {
    /// `None` for streams of a single row, which have no key. A row with a null in its key may equal no other, so it is left out.
    pub fn of_rows(stream: &Stream, decoded: &SchemaRef, dir: &SliceDir) -> Option<Self> {
        Self::new(stream.key.iter(), decoded, false, DistinctHashes::new(dir.file("keys")))
    }

    /// The entities of a report with a total of entities: its keys without the day.
    pub fn of_entities(stream: &Stream, decoded: &SchemaRef, dir: &SliceDir) -> Option<Self> {
        let day = stream.days.as_ref().map(|days| &days.column);
        let key = stream.key.iter().filter(|column| Some(*column) != day);
        let has_total = stream.total == Total::AtLeast;
        has_total.then(|| Self::new(key, decoded, true, DistinctHashes::new(dir.file("entities")))).flatten()
    }

    fn new<'a>(
        key: impl Iterator<Item = &'a String>,
        decoded: &SchemaRef,
        counts_nulls: bool,
        hashes: DistinctHashes,
    ) -> Option<Self> {
        let find = |path: &String| {
            let (name, field) = path.split_once('.').map_or((path.as_str(), None), |(name, field)| (name, Some(field)));
            let column = decoded.index_of(name).ok()?;
            let field = match (decoded.field(column).data_type(), field) {
                (DataType::Struct(fields), Some(field)) => Some(fields.iter().position(|part| part.name() == field)?),
                _ => None,
            };
            Some((column, field))
        };
        let columns: Vec<_> = key.filter_map(find).collect();
        (!columns.is_empty()).then_some(Self { columns, counts_nulls, hashes })
    }

    pub fn add(&mut self, batch: &RecordBatch) -> Result<(), WriteError> {
        let (hashes, is_complete) = self.hash(batch);
        let counted = hashes.iter().zip(is_complete).filter(|(_, complete)| self.counts_nulls || *complete);
        self.hashes.add(counted.map(|(hash, _)| *hash as u64))
    }

    /// The hash of the key of each row, and whether no part of it is null.
    fn hash(&self, batch: &RecordBatch) -> (Vec<u128>, Vec<bool>) {
        let mut hashes = vec![0_u128; batch.num_rows()];
        let mut is_complete = vec![true; batch.num_rows()];
        for (seed, (column, field)) in self.columns.iter().enumerate() {
            let column = batch.column(*column);
            let part = match field {
                Some(field) => column.as_struct().column(*field),
                None => column,
            };
            add_hashes(part, seed as u64 + 1, &mut hashes);
            if part.null_count() > 0 {
                is_complete.iter_mut().enumerate().for_each(|(row, complete)| *complete &= part.is_valid(row));
            }
        }
        (hashes, is_complete)
    }

    pub fn disk_bytes(&self) -> u64 {
        self.hashes.disk_bytes()
    }

    /// How many different keys there are.
    pub fn count(self) -> Result<u64, WriteError> {
        self.hashes.count()
    }

    /// How many rows have the key of an earlier one.
    pub fn repeated(self) -> Result<u64, WriteError> {
        Ok(self.hashes.added() - self.hashes.count()?)
    }
}
