//! The JSON Schema of `jobs.toml`, for editors, and what the program itself learns from it.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::Config;

/// The JSON Schema of `jobs.toml`: meanings from the doc comments, patterns, ranges, defaults, nothing unknown.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Config>().to_value();
    without_null(&mut schema);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("title".to_owned(), json!("jobs.toml of profound-export"));
    }
    for (section, required) in [("job", &["name"][..]), ("alert", &["name", "type"])] {
        let entry = schema.pointer_mut(&format!("/properties/{section}/items")).and_then(Value::as_object_mut);
        let Some(entry) = entry else { continue };
        entry.insert("required".to_owned(), json!(required));
        let name = entry.get_mut("properties").and_then(|all| all.get_mut("name")).and_then(Value::as_object_mut);
        if let Some(name) = name {
            name.remove("default");
        }
    }
    schema
}

/// TOML has no null: what may be left out is not required, and is said no other way. Defaults stand at the settings, not
/// at the sections. A comment of several lines is one paragraph.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("default").is_some_and(|default| default.is_null() || default.is_object()) {
                members.remove("default");
            }
            // Rust's own names of integers are no formats.
            if members.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
                members.remove("format");
            }
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    members.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
                choices.retain(|choice| choice != &json!({ "type": "null" }));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    members.remove("anyOf");
                    members.extend(only.into_iter().filter(|(name, _)| name != "description"));
                }
            }
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            members.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

static SCHEMA: LazyLock<Value> = LazyLock::new(schema);

/// Every setting outside jobs, such as `api.concurrency`.
pub(super) fn settings() -> Vec<String> {
    let sections = properties(&SCHEMA).filter(|(section, _)| *section != "job");
    sections
        .flat_map(|(section, schema)| properties(schema).map(move |(name, _)| format!("{section}.{name}")))
        .collect()
}

/// An example of a value of the setting at `path`, such as `job.0.cron`.
pub(super) fn example(path: &str) -> Option<&'static Value> {
    let mut schema: &Value = &SCHEMA;
    for part in path.split('.') {
        schema = match schema.get("items") {
            Some(items) if part.bytes().all(|byte| byte.is_ascii_digit()) => items,
            _ => schema.get("properties")?.get(part)?,
        };
    }
    schema.get("examples")?.get(0)
}

/// A value of JSON as TOML writes it.
pub(super) fn in_toml(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(in_toml).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("{name} = {}", in_toml(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        other => other.to_string(),
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members: Option<&Map<String, Value>> = schema.get("properties").and_then(Value::as_object);
    members.into_iter().flatten().map(|(name, schema)| (name.as_str(), schema))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/jobs.schema.json");

    fn is_valid(toml: &str) -> bool {
        let value: Value = toml::from_str(toml).unwrap();
        jsonschema::validator_for(&schema()).unwrap().is_valid(&value)
    }

    #[test]
    fn committed_schema_is_current() {
        let committed: Option<Value> =
            std::fs::read_to_string(COMMITTED).ok().and_then(|text| serde_json::from_str(&text).ok());
        assert!(
            committed == Some(schema()),
            "docs/jobs.schema.json is not what the program says: cargo run -- config schema > docs/jobs.schema.json"
        );
    }

    #[test]
    fn every_setting_says_what_it_is_and_gives_an_example() {
        let schema = schema();
        let sections = properties(&schema).map(|(section, schema)| match schema.get("items") {
            Some(items) => (format!("{section}.0"), items),
            None => (section.to_owned(), schema),
        });
        for (section, schema) in sections.collect::<Vec<_>>() {
            for (name, schema) in properties(schema) {
                assert!(schema["description"].is_string(), "{section}.{name} has no description");
                assert!(example(&format!("{section}.{name}")).is_some(), "{section}.{name} has no example");
            }
        }
    }

    #[test]
    fn schema_refuses_what_the_program_refuses() {
        assert!(is_valid("[[job]]\nname = \"nightly\"\nassets = [\"Acme\"]\nlookback = \"5d\""));
        for wrong in [
            "[api]\nconcurency = 4",
            "[api]\nconcurrency = 17",
            "[api]\nidle_timeout = 30",
            "[api]\nauth = \"basic\"",
            "[destination]\ncompression = \"zstd(20)\"",
            "[spool]\nmax_bytes = \"8 gigabytes\"",
            "[[job]]\ncron = \"0 6 * * *\"",
            "[[job]]\nname = \"Nightly Job\"",
            "[[job]]\nname = \"nightly\"\nlookback = \"36h\"",
            "[jobs]",
        ] {
            assert!(!is_valid(wrong), "{wrong}");
        }
    }
}
