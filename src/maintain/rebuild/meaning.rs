//! What a table means, as its files and the catalog tell it.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use jiff::Timestamp;

use crate::ledger::TableMeaning;
use crate::maintain::rebuild::footer::FileFooter;
use crate::model::column::ColumnType;
use crate::model::history::{SNAPSHOT_COLUMN, list_of};
use crate::model::stream::Stream;

/// Holds what the API sent beyond the catalog: no column that the catalog declares.
const EXTRA_COLUMN: &str = "_extra";

/// What the files of one table mean: nearly always the same.
#[derive(Debug, Default)]
pub struct FileMeanings {
    /// Each once, with the time of its newest file.
    all: Vec<(Timestamp, TableMeaning)>,
    /// Files that do not say themselves what they mean.
    pub silent: u64,
}

impl FileMeanings {
    /// Adds what a file means of the table of `stream`, which is none where this version does not know it. Says which of the
    /// meanings that is.
    pub fn add(&mut self, stream: Option<&Stream>, said: &FileFooter, columns: &[(String, DataType)]) -> Option<usize> {
        self.silent += u64::from(said.request.is_none());
        let meaning = meaning(stream, said, columns)?;
        match self.all.iter().position(|(_, known)| *known == meaning) {
            Some(which) => {
                self.all[which].0 = self.all[which].0.max(said.extracted_at);
                Some(which)
            }
            None => {
                self.all.push((said.extracted_at, meaning));
                Some(self.all.len() - 1)
            }
        }
    }

    /// What the table means: what its newest file says.
    pub fn settled(&self) -> Option<&TableMeaning> {
        self.all.iter().max_by_key(|(at, _)| *at).map(|(_, meaning)| meaning)
    }

    /// How a meaning contradicts what the table means, in words.
    pub fn conflict(&self, which: usize) -> Option<String> {
        self.all.get(which)?.1.conflict(self.settled()?)
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }
}

fn meaning(stream: Option<&Stream>, said: &FileFooter, columns: &[(String, DataType)]) -> Option<TableMeaning> {
    let now = stream.map(TableMeaning::from_stream);
    let declared = |name: &str| Some(&stream?.columns.iter().find(|column| column.name == name)?.data_type);
    let type_of = |(name, stored): &(String, DataType)| {
        let same = declared(name).filter(|declared| is_stored_as(declared, stored));
        (name.clone(), same.map_or_else(|| type_name(stored), ToString::to_string))
    };
    let mut types: BTreeMap<String, String> =
        columns.iter().filter(|(name, _)| name != EXTRA_COLUMN).map(type_of).collect();
    if list_of(&said.stream).is_some() {
        types.insert(SNAPSHOT_COLUMN.to_owned(), ColumnType::Date.to_string());
    }
    let protected = match (&said.request, &now) {
        (None, Some(now)) => now.protected.clone(),
        _ => said.protected.clone(),
    };
    // A file that is silent is taken to mean what its columns do not contradict.
    let request = said.request.clone().or_else(|| now.map(|now| now.request))?;
    Some(TableMeaning { request, columns: types, protected })
}

/// Whether values of a declared type lie in files as `stored`.
fn is_stored_as(declared: &ColumnType, stored: &DataType) -> bool {
    match (declared, stored) {
        (ColumnType::Utf8 | ColumnType::Json, DataType::Utf8)
        | (ColumnType::Int64, DataType::Int64)
        | (ColumnType::Float64, DataType::Float64)
        | (ColumnType::Bool, DataType::Boolean)
        | (ColumnType::Date, DataType::Date32)
        | (ColumnType::Timestamp | ColumnType::UnixSeconds, DataType::Timestamp(..)) => true,
        (ColumnType::List(item), DataType::List(field)) => is_stored_as(item, field.data_type()),
        (ColumnType::Struct(declared), DataType::Struct(stored)) => {
            let is_same = |((name, declared), stored): (&(String, ColumnType), &arrow::datatypes::FieldRef)| {
                name == stored.name() && is_stored_as(declared, stored.data_type())
            };
            declared.len() == stored.len() && declared.iter().zip(stored).all(is_same)
        }
        _ => false,
    }
}

/// The name of the type whose values lie in files as `stored`; one of them where there are several.
fn type_name(stored: &DataType) -> String {
    match stored {
        DataType::Utf8 => ColumnType::Utf8.to_string(),
        DataType::Int64 => ColumnType::Int64.to_string(),
        DataType::Float64 => ColumnType::Float64.to_string(),
        DataType::Boolean => ColumnType::Bool.to_string(),
        DataType::Date32 => ColumnType::Date.to_string(),
        DataType::Timestamp(..) => ColumnType::Timestamp.to_string(),
        DataType::List(item) => format!("list<{}>", type_name(item.data_type())),
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|field| format!("{}: {}", field.name(), type_name(field.data_type())));
            format!("struct<{}>", fields.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn said(extracted_at: &str, request: Option<&str>) -> FileFooter {
        FileFooter {
            stream: "visibility_v2".into(),
            scope: crate::model::scope::Scope::default(),
            window: None,
            day: None,
            extracted_at: extracted_at.parse().unwrap(),
            proof: None,
            organizations: std::collections::BTreeSet::new(),
            request: request.map(str::to_owned),
            protected: BTreeMap::new(),
            salt: None,
        }
    }

    #[test]
    fn silent_file_means_what_is_declared_where_its_columns_say_the_same() {
        let catalog = Catalog::embedded().unwrap();
        let stream = catalog.get("models").unwrap();
        let stored = |column: &crate::model::column::Column| match column.data_type {
            ColumnType::Utf8 => (column.name.clone(), DataType::Utf8),
            _ => panic!("the table of models has other types now"),
        };
        let columns: Vec<_> = stream.columns.iter().map(stored).collect();
        let mut meanings = FileMeanings::default();
        meanings.add(Some(stream), &said("2026-03-01T00:00:00Z", None), &columns);
        assert_eq!((meanings.silent, meanings.settled()), (1, Some(&TableMeaning::from_stream(stream))));

        let mut other = columns.clone();
        other[0].1 = DataType::Int64;
        let mut meanings = FileMeanings::default();
        meanings.add(Some(stream), &said("2026-03-01T00:00:00Z", None), &other);
        let conflict = meanings.settled().unwrap().conflict(&TableMeaning::from_stream(stream)).unwrap();
        assert!(conflict.contains("was int64 and is now utf8"), "{conflict}");
    }

    #[test]
    fn newest_file_counts_whichever_is_read_first_and_a_contradiction_is_told() {
        for order in [[0, 1], [1, 0]] {
            let files = [said("2026-03-01T00:00:00Z", Some("one")), said("2026-03-02T00:00:00Z", Some("two"))];
            let mut meanings = FileMeanings::default();
            for index in order {
                meanings.add(None, &files[index], &[]);
            }
            let conflicts: Vec<_> = (0..meanings.len()).filter_map(|which| meanings.conflict(which)).collect();
            assert!(conflicts.len() == 1 && conflicts[0].contains("its request, grain"), "{conflicts:?}");
            assert_eq!(meanings.settled().unwrap().request, "two");
        }
    }
}
