//! Files of declarations: what their streams share is written once, and put into each of them here.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::catalog::CatalogError;
use crate::model::stream::Stream;

/// One file of the catalog.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamFile {
    /// What its streams share about the edges of their windows.
    family: String,
    /// Fields of every stream that does not say them itself.
    #[serde(default)]
    defaults: Map<String, Value>,
    /// Columns that streams name instead of declaring them again.
    #[serde(default)]
    columns: Map<String, Value>,
    #[serde(rename = "stream")]
    streams: Vec<Map<String, Value>>,
}

/// Fields that two streams cannot share.
const OWN: [&str; 2] = ["name", "about"];

/// The streams that `text` declares, the content of the file called `file`.
///
/// # Errors
/// The file, and the stream where one is at fault.
pub fn read(file: &str, text: &str) -> Result<Vec<Stream>, CatalogError> {
    let parsed: StreamFile = toml::from_str(text)
        .map_err(|source| CatalogError::Syntax { file: file.to_owned(), source: Box::new(source) })?;
    let mut streams = Vec::new();
    for (index, declared) in parsed.streams.iter().enumerate() {
        let stream = match declared.get("name").and_then(Value::as_str) {
            Some(name) => name.to_owned(),
            None => format!("number {}", index + 1),
        };
        let whole = complete(&parsed, declared);
        let read = whole.and_then(|whole| serde_json::from_value(whole).map_err(|error| error.to_string()));
        let fault = |problem| CatalogError::Declaration { file: file.to_owned(), stream, problem };
        streams.push(read.map_err(fault)?);
    }
    Ok(streams)
}

/// One declaration with everything that its file says for it.
fn complete(file: &StreamFile, declared: &Map<String, Value>) -> Result<Value, String> {
    if let Some(name) = OWN.into_iter().find(|name| file.defaults.contains_key(*name)) {
        return Err(format!("`{name}` cannot stand in [defaults]"));
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

/// The column `name` of the file's own dictionary.
fn shared(file: &StreamFile, name: &str) -> Result<Value, String> {
    let Some(Value::Object(column)) = file.columns.get(name) else {
        return Err(format!("column `{name}` does not stand in [columns]"));
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
    fn streams_take_what_their_file_says_for_all() {
        let streams = read("lists.toml", FILE).unwrap();
        let told: Vec<_> = streams.iter().map(|stream| (stream.family.as_str(), stream.tier)).collect();
        assert_eq!(told, [("lists", Some(Tier::Core)), ("others", Some(Tier::Wide))]);
        let names: Vec<_> = streams[0].columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["id", "label"]);
        assert_eq!(streams[0].columns[0].about, "identifier");
    }

    #[test]
    fn faults_name_the_file_and_the_stream() {
        let told = |text: &str| read("lists.toml", text).unwrap_err().to_string();
        let unknown = told(&FILE.replace("columns = [\"id\"]", "columns = [\"ids\"]"));
        assert_eq!(unknown, "catalog file `lists.toml`, stream `two`: column `ids` does not stand in [columns]");
        let shared = told(&FILE.replace("tier = \"core\"", "about = \"Rows.\""));
        assert_eq!(shared, "catalog file `lists.toml`, stream `one`: `about` cannot stand in [defaults]");
        let mistyped = told(&FILE.replace("family = \"others\"", "famliy = \"others\""));
        assert!(mistyped.starts_with("catalog file `lists.toml`, stream `two`: unknown field `famliy`"), "{mistyped}");
    }
}
