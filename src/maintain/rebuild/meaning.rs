//! For `ledger rebuild`: derives the [`TableMeaning`] of a table from the footers and columns of its files. It must equal that of the
//! declaration, else the next run rejects the table.

use std::collections::BTreeMap;

use arrow_schema::DataType;
use jiff::Timestamp;

use crate::decode::{EXTRA_COLUMN, data_type_of};
use crate::ledger::TableMeaning;
use crate::maintain::footer::FileFooter;
use crate::model::column::ColumnType;
use crate::model::history::{SNAPSHOT_COLUMN, list_of};
use crate::model::stream::Stream;

/// The distinct meanings of the files of one table: one, or more if the declaration of the stream changed.
#[derive(Debug, Default)]
pub struct FileMeanings {
    /// Each once, with the extraction time of its newest file.
    all: Vec<(Timestamp, TableMeaning)>,
}

impl FileMeanings {
    /// Adds the meaning of a file; returns its index in [`Self::conflicts`]. `stream` is that of the table, if this version knows it.
    pub fn add(&mut self, stream: Option<&Stream>, footer: &FileFooter, columns: &[(String, DataType)]) -> usize {
        let meaning = meaning(stream, footer, columns);
        let known = self.all.iter().position(|(_, known)| *known == meaning);
        let at = known.unwrap_or_else(|| {
            self.all.push((footer.extracted_at, meaning));
            self.all.len() - 1
        });
        self.all[at].0 = self.all[at].0.max(footer.extracted_at);
        at
    }

    /// The meaning of the table: that of its newest file.
    pub fn newest(&self) -> Option<&TableMeaning> {
        self.all.iter().max_by_key(|(at, _)| *at).map(|(_, meaning)| meaning)
    }

    /// Why rows of each meaning do not fit the newest; `None` if they do.
    pub fn conflicts(&self) -> Vec<Option<String>> {
        self.all.iter().map(|(_, meaning)| meaning.conflict(self.newest()?)).collect()
    }
}

fn meaning(stream: Option<&Stream>, footer: &FileFooter, columns: &[(String, DataType)]) -> TableMeaning {
    let declared = |name: &str| Some(&stream?.columns.iter().find(|column| column.name == name)?.data_type);
    // Several declared types are stored as one Arrow type, such as `json` and `utf8`; the declaration says which.
    let type_of = |(name, stored): &(String, DataType)| {
        let stored = type_name(stored);
        let declared = declared(name).filter(|declared| type_name(&data_type_of(declared)) == stored);
        (name.clone(), declared.map_or(stored, ToString::to_string))
    };
    let mut types: BTreeMap<String, String> =
        columns.iter().filter(|(name, _)| name != EXTRA_COLUMN).map(type_of).collect();
    if list_of(&footer.stream).is_some() {
        types.insert(SNAPSHOT_COLUMN.to_owned(), ColumnType::Date.to_string());
    }
    TableMeaning { request: footer.request.clone(), columns: types, protected: footer.protected.clone() }
}

/// The name of the first column type that is stored as `stored`.
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
    use crate::write::Footer;

    fn footer(extracted_at: &str, request: &str) -> FileFooter {
        let pairs =
            [("stream", "visibility_v2"), ("scope", "{}"), ("extracted_at", extracted_at), ("request", request)];
        let footer: Footer = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        FileFooter::parse(&footer).unwrap()
    }

    #[test]
    fn stored_columns_have_the_declared_types_if_they_fit() {
        let catalog = Catalog::embedded().unwrap();
        for stream in catalog.streams() {
            let declared = TableMeaning::from_stream(stream);
            let stored: Vec<_> =
                stream.columns.iter().map(|column| (column.name.clone(), data_type_of(&column.data_type))).collect();
            let footer = footer("2026-03-01T00:00:00Z", &declared.request);
            assert_eq!(meaning(Some(stream), &footer, &stored), declared, "{}", stream.name);
        }
        let stream = catalog.get("models").unwrap();
        let declared = TableMeaning::from_stream(stream);
        let footer = footer("2026-03-01T00:00:00Z", &declared.request);
        let stored: Vec<_> = stream.columns.iter().map(|column| (column.name.clone(), DataType::Int64)).collect();
        let conflict = meaning(Some(stream), &footer, &stored).conflict(&declared).unwrap();
        assert!(conflict.contains("was int64 and is now utf8"), "{conflict}");
    }

    #[test]
    fn newest_file_decides_in_any_order_and_the_other_conflicts() {
        for order in [[0, 1], [1, 0]] {
            let files = [footer("2026-03-01T00:00:00Z", "one"), footer("2026-03-02T00:00:00Z", "two")];
            let mut meanings = FileMeanings::default();
            for index in order {
                meanings.add(None, &files[index], &[]);
            }
            let conflicts: Vec<_> = meanings.conflicts().into_iter().flatten().collect();
            assert!(conflicts.len() == 1 && conflicts[0].contains("its request, grain"), "{conflicts:?}");
            assert_eq!(meanings.newest().unwrap().request, "two");
        }
    }
}
