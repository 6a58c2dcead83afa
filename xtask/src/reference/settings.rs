//! docs/reference/settings.md: every setting, from the same types as the JSON Schema of `jobs.toml`.

use serde_json::Value;

use super::cell;

/// The page about the settings of `schema`, a JSON Schema of `jobs.toml` without references.
pub fn settings_page(schema: &Value) -> String {
    let mut text = include_str!("settings.md").to_owned();
    for (section, schema) in properties(schema) {
        let (heading, entries) = match schema.get("items") {
            Some(items) => (format!("[[{section}]]"), items),
            None => (format!("[{section}]"), schema),
        };
        text.push_str(&format!("\n## `{heading}`\n\n{}\n\n", description(schema)));
        // `[[parameters.<stream>]]` has one table a stream, each with keys of its own.
        if entries.get("properties").is_none() {
            continue;
        }
        text.push_str("| setting | default | meaning | example | variable |\n|---|---|---|---|---|\n");
        for (name, setting) in properties(entries) {
            text.push_str(&row(section, name, setting));
        }
    }
    text
}

fn row(section: &str, name: &str, setting: &Value) -> String {
    let default = setting.get("default").map_or("none".to_owned(), code);
    let example = setting.pointer("/examples/0").map_or_else(String::new, code);
    let meaning = format!("{}{}", description(setting), choices(setting));
    format!("| `{name}` | {default} | {} | {example} | {} |\n", cell(&meaning), variable(section, name))
}

/// The environment variable of a setting. Lists of tables have none, except jobs, which are found by their names.
fn variable(section: &str, name: &str) -> String {
    let upper = name.to_uppercase();
    match section {
        "job" if name == "name" => String::new(),
        "job" => format!("`PROFOUND_EXPORT_JOB__<NAME>__{upper}`"),
        "alert" | "stream" | "parameters" => String::new(),
        _ => format!("`PROFOUND_EXPORT_{}__{upper}`", section.to_uppercase()),
    }
}

/// The values of an enumerated setting, each with its meaning.
fn choices(setting: &Value) -> String {
    let one_of = setting.get("oneOf").or_else(|| setting.get("anyOf")).and_then(Value::as_array);
    let constants = one_of.into_iter().flatten().filter_map(|choice| {
        let value = choice.get("const")?;
        Some(format!(" {}: {}", code(value), description(choice)))
    });
    constants.collect()
}

/// The description of a setting, without the default, which has a column of its own.
fn description(schema: &Value) -> &str {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    text.split(" Default: ").next().unwrap_or_default()
}

fn properties(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = schema.get("properties").and_then(Value::as_object);
    members.into_iter().flatten().map(|(name, schema)| (name.as_str(), schema))
}

fn code(value: &Value) -> String {
    format!("`{}`", cell(&value.to_string()))
}
