//! SQL that makes the files of a stream a table: types, keys and comments from the catalog, in the dialect of an engine.

mod dialect;
mod statements;

use std::collections::BTreeSet;

use super::columns::column_lines;
use crate::model::column::ColumnType;
use crate::model::scope::ScopePart;
use crate::model::stream::{DaysKind, Stream};

pub use dialect::Target;

/// The files of one stream, as an engine sees them.
#[derive(Debug)]
pub struct TableFiles<'a> {
    /// Also the name of the table.
    pub stream: &'a Stream,
    /// The directory of the files, without a slash at its end.
    pub location: String,
    /// The keys of the directories in the order of paths, with the values that exist.
    pub directories: Vec<(String, BTreeSet<String>)>,
}

/// A table, ready to be written in any dialect.
#[derive(Debug)]
struct Table<'a> {
    files: &'a TableFiles<'a>,
    /// As in the files.
    columns: Vec<TableColumn>,
    /// One for each key of the directories; not in the files.
    directories: Vec<TableColumn>,
    /// Columns and fields that identify a row of the whole table.
    key: Vec<String>,
    comment: String,
}

#[derive(Debug)]
struct TableColumn {
    name: String,
    data_type: ColumnType,
    comment: String,
}

/// The statements that create the table, or replace what is there under its name.
pub fn statements(target: Target, files: &TableFiles) -> Vec<String> {
    statements::all(target, &Table::new(files))
}

impl<'a> Table<'a> {
    fn new(files: &'a TableFiles<'a>) -> Self {
        let stream = files.stream;
        let columns = column_lines(stream, false).into_iter().map(|line| {
            let mut comment = line.about;
            for (label, text) in [("unit", &line.unit), ("range", &line.range)] {
                if !text.is_empty() {
                    comment.push_str(&format!("; {label}: {text}"));
                }
            }
            // The text of a type always parses, as a test over the whole catalog shows.
            let data_type = line.data_type.parse().unwrap_or(ColumnType::Utf8);
            TableColumn { name: line.name, data_type, comment }
        });
        let key = key(stream);
        let identified = if key.is_empty() { Vec::new() } else { vec![format!("Key: {}.", key.join(", "))] };
        Self {
            files,
            columns: columns.collect(),
            directories: files.directories.iter().map(|(name, _)| directory(name, stream)).collect(),
            comment: [vec![stream.about.clone()], identified, stream.notes.clone()].concat().join(" "),
            key,
        }
    }

    /// The values of each directory key.
    fn values(&self) -> impl Iterator<Item = (&TableColumn, &BTreeSet<String>)> {
        self.directories.iter().zip(self.files.directories.iter().map(|(_, values)| values))
    }
}

/// What identifies a row of the whole table: the scope, the day where rows have none, and the key within both.
fn key(stream: &Stream) -> Vec<String> {
    let scope = stream.scope.parts().iter().map(|part| {
        let (id, name) = part.columns();
        id.unwrap_or(name).to_owned()
    });
    let has_no_date = stream.days.as_ref().is_some_and(|days| days.kind.is_single());
    let day = has_no_date.then(|| "_window_start".to_owned());
    let mut key: Vec<String> = Vec::new();
    for column in scope.chain(day).chain(stream.key.iter().cloned()) {
        if !key.contains(&column) {
            key.push(column);
        }
    }
    key
}

/// The column of a directory key.
fn directory(name: &str, stream: &Stream) -> TableColumn {
    let data_type = if name == "day" { ColumnType::Date } else { ColumnType::Utf8 };
    let of_a_scope = ScopePart::ALL.into_iter().any(|part| part.path_key() == name);
    let what = match (name, stream.days.as_ref().map(|days| days.kind)) {
        _ if of_a_scope => format!("{name} in the path, hashed if its id is no safe file name"),
        ("day", Some(DaysKind::Week)) => "first day of the week of the rows".to_owned(),
        ("month", Some(DaysKind::Month)) => "month of the rows".to_owned(),
        ("month", _) => "month of the file's day".to_owned(),
        _ => "day of the file".to_owned(),
    };
    let comment = format!("{what}; a filter on it reads only those files");
    TableColumn { name: name.to_owned(), data_type, comment }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::catalog::Catalog;
    use crate::model::column::Column;

    fn files(stream: &Stream, location: &str, keys: &[(&str, &[&str])]) -> Vec<(Target, Vec<String>)> {
        let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        let directories = keys.iter().map(|(key, of_key)| ((*key).to_owned(), values(of_key))).collect();
        let files = TableFiles { stream, location: location.to_owned(), directories };
        Target::value_variants().iter().map(|target| (*target, statements(*target, &files))).collect()
    }

    /// Apostrophes, backslashes, reserved words and nested types.
    #[test]
    fn statements_of_every_dialect_are_reviewed() {
        let column = |name: &str, data_type: &str, about: &str| Column {
            name: name.to_owned(),
            data_type: data_type.parse().unwrap(),
            about: about.to_owned(),
            unit: None,
            range: None,
            values: Vec::new(),
            long_text: false,
            from_request: false,
        };
        let catalog = Catalog::embedded().unwrap();
        let mut stream = Stream::clone(catalog.get("visibility_v2_by_day").unwrap());
        stream.notes = vec!["It's a note\nof two lines.".to_owned()];
        stream.columns = vec![
            column("date", "date", "the day's date"),
            Column { unit: Some("share".into()), range: Some([0.0, 1.0]), ..column("order", "float64", r"a \ b") },
            column("asset", "struct<name: utf8, from: list<struct<group: int64, at: unix_seconds>>>", "nested"),
            column("user", "list<bool>", "a list"),
        ];
        let mut shown = String::new();
        for (target, statements) in
            files(&stream, "s3://b/it's", &[("category", &["c1", "c2"]), ("day", &["2026-11-01"])])
        {
            shown.push_str(&format!("-- {}\n{};\n\n", target.name(), statements.join(";\n")));
        }
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn every_stream_is_a_table_without_names_that_collide() {
        let catalog = Catalog::embedded().unwrap();
        for stream in catalog.streams() {
            for line in column_lines(stream, false) {
                assert_eq!(line.data_type.parse::<ColumnType>().unwrap().to_string(), line.data_type);
            }
            let parts = stream.scope.parts().iter().map(|part| part.path_key().to_owned());
            let directories = parts.chain(["day".to_owned(), "month".to_owned()]);
            let directories = directories.map(|key| (key, BTreeSet::new())).collect();
            let table = TableFiles { stream, location: String::new(), directories };
            let table = Table::new(&table);
            let all = table.columns.iter().chain(&table.directories);
            // Engines ignore the case of names.
            let names: BTreeSet<String> = all.clone().map(|column| column.name.to_lowercase()).collect();
            assert_eq!(names.len(), all.count(), "{}", stream.name);
            for path in &table.key {
                let column = path.split('.').next().unwrap();
                assert!(table.columns.iter().any(|known| known.name == column), "{}: {path}", stream.name);
            }
        }
    }

    #[test]
    fn comments_are_cut_where_an_engine_limits_them() {
        let catalog = Catalog::embedded().unwrap();
        let mut stream = Stream::clone(catalog.get("regions").unwrap());
        stream.columns[0].about = "é".repeat(2000);
        for (target, statements) in files(&stream, "@s", &[]) {
            let longest = statements.join("\n").matches('é').count();
            let expected = match target {
                Target::Athena => 254,
                Target::Bigquery => 1023,
                _ => 2000,
            };
            assert_eq!(longest, expected, "{}", target.name());
        }
    }
}
