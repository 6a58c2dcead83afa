//! The names in a document: operations, parameters, values and response fields. No sentence of it, so it may be shipped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// The surface this version was made for, as `cargo xtask surface FILE` printed it.
const EMBEDDED: &str = include_str!("surface.json");
const TYPES: &str = " or ";
const VALUES: &str = " | ";
const REQUIRED: &str = "required ";

/// Why a document cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error("not an OpenAPI 3 document: it has no {0}")]
    NotOpenApi(&'static str),
    #[error("unresolved reference `{0}`")]
    Reference(String),
    #[error("the embedded surface is invalid")]
    Embedded(#[source] serde_json::Error),
}

/// The names in a document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surface {
    /// Operations that write have no members: they are never called.
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

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Operation {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
    /// `query limit`, `path category_id`, `body group_by[]`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, SurfaceMember>,
    /// `data[].model.id`; `event.date` for an event stream.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub response: BTreeMap<String, SurfaceMember>,
}

/// A parameter or response field. Written `required string: day | week`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SurfaceMember {
    pub required: bool,
    /// Without `null`; `any` where the document declares none.
    pub types: BTreeSet<String>,
    /// The allowed values; empty where the document lists none.
    pub values: BTreeSet<String>,
}

impl Surface {
    /// The surface this version was made for.
    ///
    /// # Errors
    /// When the embedded file is invalid, which a test rules out.
    pub fn embedded() -> Result<Self, DocumentError> {
        serde_json::from_str(EMBEDDED).map_err(DocumentError::Embedded)
    }
}

impl Surface {
    /// The operation called `name`, however the variables of its path are called.
    pub fn find(&self, name: &OperationName) -> Option<(&OperationName, &Operation)> {
        self.operations.iter().find(|(other, _)| other.identity() == name.identity())
    }
}

impl OperationName {
    pub fn new(method: &str, path: &str) -> Self {
        Self { path: path.to_owned(), method: method.to_owned() }
    }

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
        Ok(Self::new(method, path))
    }
}

impl SurfaceMember {
    pub fn types_text(&self) -> String {
        let types: Vec<&str> = self.types.iter().map(String::as_str).collect();
        types.join(TYPES)
    }

    /// Adds an alternative.
    pub fn merge(&mut self, other: Self) {
        self.types.extend(other.types);
        self.values.extend(other.values);
        self.required |= other.required;
    }
}

impl fmt::Display for SurfaceMember {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let required = if self.required { REQUIRED } else { "" };
        let values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        let colon = if values.is_empty() { "" } else { ": " };
        write!(out, "{required}{}{colon}{}", self.types_text(), values.join(VALUES))
    }
}

impl Serialize for SurfaceMember {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SurfaceMember {
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
        assert!(text == EMBEDDED, "print it again: `cargo xtask surface FILE`");
    }

    #[test]
    fn operations_match_if_only_variable_names_differ() {
        let name = |path: &str| OperationName { path: path.into(), method: "GET".into() };
        assert_eq!(name("/v1/{a}/b/{c}").identity(), name("/v1/{x}/b/{y_z}").identity());
        assert_ne!(name("/v1/{a}/b").identity(), name("/v1/a/b").identity());
    }
}
