//! The names a document holds: operations, parameters, values and members of answers. No sentence of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::openapi::DocumentError;

/// The surface this version was made for, as `streams diff --openapi FILE --surface` printed it.
const EMBEDDED: &str = include_str!("surface.json");
const TYPES: &str = " or ";
const VALUES: &str = " | ";
const REQUIRED: &str = "required ";

/// What a document says, as names alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surface {
    /// Every operation. Those that write have no members: they are never called.
    pub operations: BTreeMap<OperationName, Operation>,
}

/// Method and path of an operation, written `POST /v2/reports/visibility`. Ordered by path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OperationName {
    /// The path, with the names of its variables.
    pub path: String,
    /// The method, in capitals.
    pub method: String,
}

/// One operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Operation {
    /// Whether the document says that it will go.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
    /// What a request may hold: `query limit`, `path category_id`, `body group_by[]`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Member>,
    /// What an answer may hold: `data[].model.id`; `event.date` of an event stream.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, Member>,
}

/// What stands at one place. Written `required string: day | week`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// Whether a request must hold it.
    pub required: bool,
    /// Its types, null aside; `any` where the document does not say.
    pub types: BTreeSet<String>,
    /// The only values it may take, where the document lists them.
    pub values: BTreeSet<String>,
}

impl Surface {
    /// The surface this version was made for.
    ///
    /// # Errors
    /// Only when the embedded file is wrong, which a test rules out.
    pub fn embedded() -> Result<Self, DocumentError> {
        serde_json::from_str(EMBEDDED).map_err(DocumentError::Embedded)
    }
}

impl OperationName {
    /// Whether it can be a read: a GET, or a POST that asks for a report, answers or a search.
    pub fn may_read(&self) -> bool {
        let asks = ["/answers", "/answers/stream", "/search"];
        match self.method.as_str() {
            "GET" => true,
            "POST" => self.path.contains("/reports/") || asks.iter().any(|end| self.path.ends_with(end)),
            _ => false,
        }
    }

    /// The same whatever the variables of its path are called.
    pub fn identity(&self) -> (String, String) {
        let mut path = String::new();
        let mut inside = false;
        for character in self.path.chars() {
            match character {
                '}' => inside = false,
                _ if inside => continue,
                '{' => inside = true,
                _ => {}
            }
            path.push(character);
        }
        (path, self.method.clone())
    }
}

impl fmt::Display for OperationName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.method, self.path)
    }
}

impl Serialize for OperationName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OperationName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom(format!("`{text}` is not a method and a path"));
        let (method, path) = text.split_once(' ').ok_or_else(wrong)?;
        Ok(Self { path: path.to_owned(), method: method.to_owned() })
    }
}

impl Member {
    /// Its types in words.
    pub fn types_in_words(&self) -> String {
        let types: Vec<&str> = self.types.iter().map(String::as_str).collect();
        types.join(TYPES)
    }

    /// This and `other`, where one place may hold either.
    pub fn merge(&mut self, other: Self) {
        // A place that may hold anything is not limited to the values of another alternative of the same type.
        self.types.extend(other.types);
        self.values.extend(other.values);
        self.required |= other.required;
    }
}

impl Serialize for Member {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let required = if self.required { REQUIRED } else { "" };
        let values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        let colon = if values.is_empty() { "" } else { ": " };
        serializer.collect_str(&format_args!("{required}{}{colon}{}", self.types_in_words(), values.join(VALUES)))
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (required, rest) = text.strip_prefix(REQUIRED).map_or((false, text.as_str()), |rest| (true, rest));
        let (types, values) = rest.split_once(": ").map_or((rest, None), |(types, values)| (types, Some(values)));
        Ok(Self {
            required,
            types: types.split(TYPES).map(str::to_owned).collect(),
            values: values.into_iter().flat_map(|values| values.split(VALUES)).map(str::to_owned).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_surface_is_written_as_it_is_read() {
        let surface = Surface::embedded().unwrap();
        let text = format!("{}\n", serde_json::to_string_pretty(&surface).unwrap());
        assert!(text == EMBEDDED, "print it anew: `streams diff --openapi FILE --surface`");
    }

    #[test]
    fn operations_are_the_same_whatever_their_variables_are_called() {
        let name = |path: &str| OperationName { path: path.into(), method: "GET".into() };
        assert_eq!(name("/v1/{a}/b/{c}").identity(), name("/v1/{x}/b/{y_z}").identity());
        assert_ne!(name("/v1/{a}/b").identity(), name("/v1/a/b").identity());
    }
}
