//! The columns of a table, the exporter's own included, as people read them.

use crate::decode::EXTRA_COLUMN;
use crate::model::column::{Column, ColumnType};
use crate::model::scope::{ScopeKind, ScopePart};
use crate::model::stream::Stream;
use crate::write::OWN_COLUMNS;

/// One line of a table of columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnLine {
    /// The column; `citation_details[].url` for a field within it.
    pub name: String,
    /// Its type as it is stored.
    pub data_type: String,
    /// The unit of a number.
    pub unit: String,
    /// The least and the greatest value.
    pub range: String,
    /// What it means, and the values it takes where they are known.
    pub about: String,
}

/// The columns of the table of `stream`, in their order: what it was asked for, its own, and those the exporter adds.
/// Fields of nested columns have lines of their own when `nested`; else the type tells them.
pub fn column_lines(stream: &Stream, nested: bool) -> Vec<ColumnLine> {
    let own = stream.columns.iter().flat_map(|column| own_lines(column, nested));
    scope_lines(stream.scope).into_iter().chain(own).chain(added_lines()).collect()
}

/// The columns that say what the rows were asked for.
pub fn scope_lines(scope: ScopeKind) -> Vec<ColumnLine> {
    let mut lines = Vec::new();
    for part in scope.parts() {
        let (id, name) = part.columns();
        let noun = part.path_key();
        lines.extend(id.map(|id| line(id, "utf8", &format!("{noun} asked for"))));
        let about = match part {
            ScopePart::Domain => "domain asked for, as its host name".to_owned(),
            _ => format!("name of the {noun} when the file was written"),
        };
        lines.push(line(name, "utf8", &about));
    }
    lines
}

/// The columns that every table ends with.
pub fn added_lines() -> Vec<ColumnLine> {
    let mut lines =
        vec![line(EXTRA_COLUMN, "json", "members the API sent beyond these columns; null where there were none")];
    for (name, about) in OWN_COLUMNS {
        let data_type = match name {
            "_run_id" => "utf8",
            "_extracted_at" => "timestamp",
            _ => "date",
        };
        lines.push(line(name, data_type, about));
    }
    lines
}

/// A column, and its fields when they are wanted.
pub fn own_lines(column: &Column, nested: bool) -> Vec<ColumnLine> {
    let number = |value: f64| value.to_string();
    let mut about = column.about.clone();
    if !column.values.is_empty() {
        about.push_str(&format!("; values: {}", column.values.join(", ")));
    }
    if column.from_request {
        about.push_str("; as asked, rows do not say it");
    }
    let data_type = if nested { outer(&column.data_type) } else { stored(&column.data_type).to_string() };
    let mut lines = vec![ColumnLine {
        name: column.name.clone(),
        data_type,
        unit: column.unit.clone().unwrap_or_default(),
        range: column.range.map_or_else(String::new, |[least, most]| format!("{} to {}", number(least), number(most))),
        about,
    }];
    if nested {
        fields(&column.name, &column.data_type, &mut lines);
    }
    lines
}

fn fields(name: &str, data_type: &ColumnType, lines: &mut Vec<ColumnLine>) {
    match data_type {
        ColumnType::List(items) => fields(&format!("{name}[]"), items, lines),
        ColumnType::Struct(members) => {
            for (member, data_type) in members {
                let name = format!("{name}.{member}");
                lines.push(line(&name, &outer(data_type), ""));
                fields(&name, data_type, lines);
            }
        }
        _ => {}
    }
}

/// A type without what is inside its structs.
fn outer(data_type: &ColumnType) -> String {
    match data_type {
        ColumnType::List(items) => format!("list<{}>", outer(items)),
        ColumnType::Struct(_) => "struct".to_owned(),
        plain => stored(plain).to_string(),
    }
}

/// The type in the table, which is not always told like that in rows.
fn stored(data_type: &ColumnType) -> ColumnType {
    match data_type {
        ColumnType::UnixSeconds => ColumnType::Timestamp,
        ColumnType::List(items) => ColumnType::List(Box::new(stored(items))),
        ColumnType::Struct(members) => {
            ColumnType::Struct(members.iter().map(|(name, member)| (name.clone(), stored(member))).collect())
        }
        plain => plain.clone(),
    }
}

fn line(name: &str, data_type: &str, about: &str) -> ColumnLine {
    ColumnLine {
        name: name.to_owned(),
        data_type: data_type.to_owned(),
        unit: String::new(),
        range: String::new(),
        about: about.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn table_has_the_scope_first_and_the_exporters_columns_last() {
        let catalog = Catalog::embedded().unwrap();
        for stream in catalog.streams() {
            let names: Vec<String> = column_lines(stream, false).into_iter().map(|line| line.name).collect();
            let decoded = crate::decode::TableSchema::new(stream).arrow;
            let table = crate::write::table_schema(&decoded, stream.scope);
            let fields: Vec<&String> = table.fields().iter().map(|field| field.name()).collect();
            assert_eq!(names.iter().collect::<Vec<_>>(), fields, "{}", stream.name);
        }
    }

    #[test]
    fn nested_columns_show_their_fields() {
        let catalog = Catalog::embedded().unwrap();
        let lines = column_lines(catalog.get("answers_v2").unwrap(), true);
        let of = |name: &str| lines.iter().find(|line| line.name == name).unwrap().data_type.clone();
        assert_eq!(of("citation_details"), "list<struct>");
        assert_eq!(of("citation_details[].url"), "utf8");
    }
}
