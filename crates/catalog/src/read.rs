//! Files of declarations -> streams. What the streams of a file share is declared once and inserted here.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::CatalogError;
use crate::model::stream::Stream;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamFile {
    /// Facts learned about the days of one stream apply to its whole family.
    family: String,
    /// Fields for every stream that does not declare them.
    #[serde(default)]
    defaults: Map<String, Value>,
    /// Columns that streams refer to by name.
    #[serde(default)]
    columns: Map<String, Value>,
    #[serde(rename = "stream")]
    streams: Vec<Map<String, Value>>,
}

/// Fields that two streams cannot share.
const OWN: [&str; 2] = ["name", "about"];

/// Parses `text`, the content of `file`.
///
/// # Errors
/// Names the file, and the stream if one is invalid.
pub fn parse_streams(file: &str, text: &str) -> Result<Vec<Stream>, CatalogError> {
    let parsed: StreamFile = toml::from_str(text)
        .map_err(|source| CatalogError::Syntax { file: file.to_owned(), source: Box::new(source) })?;
    let mut streams = Vec::new();
    for (index, declared) in parsed.streams.iter().enumerate() {
        let stream = match declared.get("name").and_then(Value::as_str) {
            Some(name) => name.to_owned(),
            None => format!("number {}", index + 1),
        };
        let complete = complete(&parsed, declared);
        let parsed = complete.and_then(|value| serde_json::from_value(value).map_err(|error| error.to_string()));
        let error = |problem| CatalogError::Declaration { file: file.to_owned(), stream, problem };
        streams.push(parsed.map_err(error)?);
    }
    Ok(streams)
}

/// A declaration with the defaults and shared columns of its file.
fn complete(file: &StreamFile, declared: &Map<String, Value>) -> Result<Value, String> {
    if let Some(name) = OWN.into_iter().find(|name| file.defaults.contains_key(*name)) {
        return Err(format!("`{name}` is not allowed in [defaults]"));
    }
    let mut whole = declared.clone();
    for (name, value) in &file.defaults {
        whole.entry(name.clone()).or_insert_with(|| value.clone());
    }
    whole.entry("family").or_insert_with(|| file.family.clone().into());
    if let Some(Value::Array(columns)) = whole.get_mut("columns") {
        for column in columns {
            if let Value::String(name) = column {
                *column = shared(file, name)?;
            }
        }
    }
    Ok(Value::Object(whole))
}

fn shared(file: &StreamFile, name: &str) -> Result<Value, String> {
    let Some(Value::Object(column)) = file.columns.get(name) else {
        return Err(format!("column `{name}` is not declared in [columns]"));
    };
    let mut column = column.clone();
    column.insert("name".into(), name.into());
    Ok(Value::Object(column))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stream::Tier;

    const FILE: &str = r#"
        family = "lists"
        [defaults]
        tier = "core"
        scope = "account"
        key = ["id"]
        [columns]
        id = { type = "utf8", about = "identifier" }
        [[stream]]
        name = "one"
        about = "One row per thing."
        request = "GET /v1/one"
        columns = ["id", { name = "label", type = "utf8", about = "label" }]
        [[stream]]
        name = "two"
        about = "One row per thing."
        family = "others"
        tier = "wide"
        request = "GET /v1/two"
        columns = ["id"]
    "#;

    #[test]
    fn streams_take_defaults_and_columns_of_their_file() {
        let streams = parse_streams("lists.toml", FILE).unwrap();
        let found: Vec<_> = streams.iter().map(|stream| (stream.family.as_str(), stream.tier)).collect();
        assert_eq!(found, [("lists", Some(Tier::Core)), ("others", Some(Tier::Wide))]);
        let names: Vec<_> = streams[0].columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["id", "label"]);
        assert_eq!(streams[0].columns[0].about, "identifier");
    }

    #[test]
    fn errors_name_the_file_and_the_stream() {
        let error = |text: &str| parse_streams("lists.toml", text).unwrap_err().to_string();
        let unknown = error(&FILE.replace("columns = [\"id\"]", "columns = [\"ids\"]"));
        assert_eq!(unknown, "catalog file `lists.toml`, stream `two`: column `ids` is not declared in [columns]");
        let shared = error(&FILE.replace("tier = \"core\"", "about = \"Rows.\""));
        assert_eq!(shared, "catalog file `lists.toml`, stream `one`: `about` is not allowed in [defaults]");
        let mistyped = error(&FILE.replace("family = \"others\"", "famliy = \"others\""));
        assert!(mistyped.starts_with("catalog file `lists.toml`, stream `two`: unknown field `famliy`"), "{mistyped}");
    }
}
