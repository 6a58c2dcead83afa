//! The tree of settings: merged from its layers, and deserialized with the path of what is wrong.

use figment::Figment;
use figment::error::Actual;
use figment::providers::Serialized;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What a value is instead of what its setting needs.
pub(super) use figment::Error as Mismatch;
pub(super) use figment::error::Kind;

/// Sections and their settings.
pub(super) type Tree = Map<String, Value>;

/// One tree of all layers; a later layer replaces single settings of an earlier one.
pub(super) fn merge(layers: [Value; 2]) -> Tree {
    let merged = layers.into_iter().fold(Figment::new(), |all, layer| all.merge(Serialized::defaults(layer)));
    // Cannot fail: a tree of JSON is deserialized as a tree of JSON.
    merged.extract().expect("settings are a table")
}

/// Deserializes `value`; the first mismatch otherwise, with its path from the root of `value`.
pub(super) fn deserialize<T: DeserializeOwned>(value: &Value) -> Result<T, Box<Mismatch>> {
    let value = figment::value::Value::serialize(value).map_err(Box::new)?;
    value.deserialize().map_err(|mut mismatch: Mismatch| {
        // The path sometimes ends at the table with the unknown setting.
        if let Kind::UnknownField(name, _) = &mismatch.kind
            && mismatch.path.last() != Some(name)
        {
            mismatch.path.push(name.clone());
        }
        Box::new(mismatch)
    })
}

/// Removes the member at `path`; false when there is none.
pub(super) fn remove<S: AsRef<str>>(tree: &mut Value, path: &[S]) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    let parent = parents.iter().try_fold(tree, |value, step| match value {
        Value::Object(members) => members.get_mut(step.as_ref()),
        Value::Array(items) => items.get_mut(step.as_ref().parse::<usize>().ok()?),
        _ => None,
    });
    parent.and_then(Value::as_object_mut).is_some_and(|members| members.shift_remove(last.as_ref()).is_some())
}

/// What a value is, as a message names it.
pub(super) fn found(actual: &Actual) -> String {
    match actual {
        Actual::Bool(value) => format!("`{value}`"),
        Actual::Unsigned(number) => format!("`{number}`"),
        Actual::Signed(number) => format!("`{number}`"),
        Actual::Float(number) => format!("`{number}`"),
        Actual::Str(text) => format!("`\"{text}\"`"),
        Actual::Char(character) => format!("`\"{character}\"`"),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a table".to_owned(),
        _ => "this".to_owned(),
    }
}

/// What serde expects, in the words of TOML.
pub(super) fn needed(expected: &str) -> &str {
    match expected {
        "u16" | "u32" | "u64" | "usize" => "a whole number, zero or above",
        "a boolean" => "`true` or `false`",
        "a string" | "path string" => "text in quotes",
        "a sequence" => "a list",
        "a map" => "a table",
        other => other,
    }
}
