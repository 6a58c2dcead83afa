//! One difference between two surfaces.

use serde::Serialize;

use super::surface::{OperationName, SurfaceMember};

/// One difference between a document and the surface of this version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub operation: OperationName,
    /// Whether the operation's event stream differs in the same way.
    pub event_stream_too: bool,
    pub kind: DifferenceKind,
    /// The parameter (`body group_by[]`) or response field (`data[].model.id`); none for a whole operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How its type, its values or its presence changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// The streams that are affected.
    pub streams: Vec<String>,
    /// What happens to these streams, or why none is affected.
    pub impact: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    NewOperation,
    RemovedOperation,
    DeprecatedOperation,
    NewParameter,
    RemovedParameter,
    ChangedParameter,
    NewField,
    RemovedField,
    ChangedField,
}

/// A difference before its impact is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change<'a> {
    pub operation: &'a OperationName,
    pub kind: DifferenceKind,
    pub name: &'a str,
    pub old: Option<&'a SurfaceMember>,
    pub new: Option<&'a SurfaceMember>,
}

impl Difference {
    /// The difference and its impact, in one line.
    pub fn to_line(&self) -> String {
        let kind = format!("{:?}", self.kind);
        let (verb, noun) = kind.split_at(kind[1..].find(char::is_uppercase).map_or(kind.len(), |at| at + 1));
        let mut text = format!("{} {}", verb.to_lowercase(), noun.to_lowercase());
        if let Some(name) = &self.name {
            text.push_str(&match name.split_once(' ') {
                Some((place, name)) => format!(" `{}` in the {place} of", name.trim_end_matches("[]")),
                None => format!(" `{name}` in responses of"),
            });
        }
        text.push_str(&format!(" {}", self.operation));
        if self.event_stream_too {
            text.push_str(" (and its event stream)");
        }
        if !self.details.is_empty() {
            text.push_str(&format!(" ({})", self.details.join(", ")));
        }
        format!("{text}: {}", self.impact)
    }
}
