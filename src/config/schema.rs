//! The JSON Schema of `jobs.toml`, for editors, the reference of settings, and the examples in error messages.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::Config;

/// The JSON Schema of `jobs.toml`: descriptions from the doc comments, patterns, ranges, defaults and examples.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Config>().to_value();
    simplify(&mut schema);
    schema["title"] = json!("jobs.toml of profound-export");
    for (section, required) in [("job", &["name"][..]), ("alert", &["name", "type"])] {
        let entry = &mut schema["properties"][section]["items"];
        entry["required"] = json!(required);
        if let Some(name) = entry["properties"]["name"].as_object_mut() {
            name.shift_remove("default");
        }
    }
    for section in schema["properties"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        let entry = if section.get("items").is_some() { &mut section["items"] } else { section };
        entry
            .get_mut("properties")
            .and_then(Value::as_object_mut)
            .into_iter()
            .flat_map(Map::values_mut)
            .for_each(complete);
    }
    schema
}

/// Makes the default the example of a setting that has none, and the last sentence of its description.
fn complete(setting: &mut Value) {
    let Some(default) = setting.get("default").cloned() else { return };
    let is_empty = default.as_array().is_some_and(Vec::is_empty) || default == json!("");
    if setting.get("examples").is_none() && !is_empty {
        setting["examples"] = json!([default]);
    }
    if let Value::String(description) = &mut setting["description"]
        && !description.contains("Default:")
    {
        description.push_str(&format!(" Default: `{}`.", to_toml(&default)));
    }
}

/// Removes what TOML does not have: null, and so any default that is null. Sections have no default, only their settings do.
/// A description of several lines becomes one paragraph.
fn simplify(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("default").is_some_and(|default| default.is_null() || default.is_object()) {
                members.shift_remove("default");
            }
            // Rust's integer types are not formats of JSON Schema.
            if members.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
                members.shift_remove("format");
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
                    members.shift_remove("anyOf");
                    members.extend(only.into_iter().filter(|(name, _)| name != "description"));
                }
            }
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            members.values_mut().for_each(simplify);
        }
        Value::Array(items) => items.iter_mut().for_each(simplify),
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

/// An example for the setting at `path`, such as `job.0.cron`.
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

/// JSON in the syntax of TOML.
pub fn to_toml(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(to_toml).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("{name} = {}", to_toml(value))).collect();
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

    /// `UPDATE_SCHEMA=1 cargo test committed_schema` writes it.
    #[test]
    fn committed_schema_is_current() {
        let text = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(COMMITTED, &text).unwrap();
        }
        let is_current = std::fs::read_to_string(COMMITTED).is_ok_and(|committed| committed == text);
        assert!(is_current, "docs/jobs.schema.json is stale: cargo run -- config schema > docs/jobs.schema.json");
    }

    #[test]
    fn every_setting_has_a_description_a_default_and_an_example() {
        let schema = schema();
        for (section, schema) in properties(&schema) {
            let (path, schema) = match schema.get("items") {
                Some(items) => (format!("{section}.0"), items),
                None => (section.to_owned(), schema),
            };
            for (name, setting) in properties(schema) {
                let description = setting["description"].as_str().unwrap_or_default();
                let is_complete = ["Default:", "Required."].iter().any(|part| description.contains(part));
                assert!(is_complete || path == "stream.0", "{path}.{name}: {description}");
                assert!(example(&format!("{path}.{name}")).is_some(), "{path}.{name} has no example");
            }
        }
    }

    #[test]
    fn schema_rejects_what_the_program_rejects() {
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
