//! The tree of settings: merged from its layers, and deserialized with the path of what is wrong. The only module that uses
//! figment.

use figment::Figment;
use figment::error::{Actual, Kind};
use figment::providers::Serialized;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Sections and their settings.
pub(super) type Tree = Map<String, Value>;

/// One tree of all layers; a later layer replaces single settings of an earlier one.
pub(super) fn merge(layers: [Tree; 2]) -> Tree {
    let merged = layers.into_iter().fold(Figment::new(), |all, layer| all.merge(Serialized::defaults(layer)));
    // Cannot fail: a tree of JSON is deserialized as a tree of JSON.
    merged.extract().expect("settings are a table")
}

/// What a value is instead of what its setting needs.
#[derive(Debug)]
pub(super) struct Mismatch {
    /// Where, from the root of what was deserialized.
    pub(super) path: Vec<String>,
    pub(super) reason: MismatchKind,
}

#[derive(Debug)]
pub(super) enum MismatchKind {
    UnknownSetting { name: String, known: Vec<&'static str> },
    UnknownWord { word: String, known: Vec<&'static str> },
    Missing(String),
    WrongType { found: String, needed: String },
    Other(String),
}

/// Deserializes `value`; the first mismatch otherwise.
pub(super) fn deserialize<T: DeserializeOwned>(value: &Value) -> Result<T, Mismatch> {
    let result = figment::value::Value::serialize(value).map_err(Box::new);
    let result = result.and_then(|value| value.deserialize().map_err(Box::new));
    result.map_err(|error: Box<figment::Error>| {
        let error = *error;
        let mut path = error.path.clone();
        let reason = match error.kind {
            Kind::UnknownField(name, known) => {
                // The path sometimes ends at the table with the unknown setting.
                if path.last() != Some(&name) {
                    path.push(name.clone());
                }
                MismatchKind::UnknownSetting { name, known: known.to_vec() }
            }
            Kind::UnknownVariant(word, known) => MismatchKind::UnknownWord { word, known: known.to_vec() },
            Kind::MissingField(name) => MismatchKind::Missing(name.into_owned()),
            Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
                MismatchKind::WrongType { found: describe(&actual), needed: needed(&expected).to_owned() }
            }
            Kind::Message(text) => MismatchKind::Other(text),
            other => MismatchKind::Other(other.to_string()),
        };
        Mismatch { path, reason }
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

fn describe(actual: &Actual) -> String {
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

fn needed(expected: &str) -> &str {
    match expected {
        "u16" | "u32" | "u64" | "usize" => "a whole number, zero or above",
        "a boolean" => "`true` or `false`",
        "a string" | "path string" => "text in quotes",
        "a sequence" => "a list",
        other => other,
    }
}
