//! Descriptions of the columns of a table, including those that the exporter adds.

use crate::decode::EXTRA_COLUMN;
use crate::model::column::{Column, ColumnType};
use crate::model::scope::{ScopeKind, ScopePart};
use crate::model::stream::Stream;
use crate::write::OWN_COLUMNS;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnLine {
    /// `citation_details[].url` for a nested field.
    pub name: String,
    /// As stored.
    pub data_type: String,
    pub unit: String,
    pub range: String,
    /// With the documented values.
    pub about: String,
}

/// All columns in order: scope, stream, exporter. Fields of nested columns have their own lines if `nested`.
pub fn column_lines(stream: &Stream, nested: bool) -> Vec<ColumnLine> {
    let own = stream.columns.iter().flat_map(|column| own_lines(column, nested));
    scope_lines(stream.scope).into_iter().chain(own).chain(added_lines()).collect()
}

/// The columns of the scope.
pub fn scope_lines(scope: ScopeKind) -> Vec<ColumnLine> {
    let mut lines = Vec::new();
    for part in scope.parts() {
        let (id, name) = part.columns();
        let noun = part.path_key();
        lines.extend(id.map(|id| line(id, "utf8", &format!("requested {noun}"))));
        let about = match part {
            ScopePart::Domain => "host name of the requested domain".to_owned(),
            _ => format!("name of the {noun} when the file was written"),
        };
        lines.push(line(name, "utf8", &about));
    }
    lines
}

/// The columns that the exporter adds to every table.
pub fn added_lines() -> Vec<ColumnLine> {
    let mut lines = vec![line(EXTRA_COLUMN, "json", "fields that the catalog does not declare; null without any")];
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
        about.push_str("; from the request, because rows do not hold it");
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

/// The type in the table, which may differ from its form in rows.
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
