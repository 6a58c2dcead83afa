//! One thing that a document says otherwise than this version knows it.

use serde::Serialize;

use super::surface::OperationName;

/// One thing that a document says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The operation.
    #[serde(serialize_with = "as_text")]
    pub operation: OperationName,
    /// Whether the twin of the operation that answers with events differs in the same way.
    pub event_stream_too: bool,
    /// What differs.
    #[serde(flatten)]
    pub change: Change,
    /// The streams it concerns, by name.
    pub streams: Vec<String>,
    /// What it means for the export.
    pub means: String,
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// An operation that this version does not know.
    NewOperation,
    /// An operation that is gone.
    VanishedOperation,
    /// An operation that is announced to go.
    DeprecatedOperation,
    /// A parameter that this version does not know.
    NewParameter {
        /// Which: `body group_by[]`.
        name: String,
        /// Whether a request must hold it.
        required: bool,
    },
    /// A parameter that is gone.
    VanishedParameter {
        /// Which.
        name: String,
    },
    /// A parameter that a request must hold, which it had not to.
    RequiredParameter {
        /// Which.
        name: String,
    },
    /// A parameter of another type.
    ChangedParameter {
        /// Which.
        name: String,
        /// Its types before.
        was: String,
        /// Its types now.
        is: String,
    },
    /// Values that a parameter may take besides.
    NewValues {
        /// Which parameter.
        name: String,
        /// The values; none where any value is taken now.
        values: Vec<String>,
    },
    /// Values that a parameter may take no longer.
    VanishedValues {
        /// Which parameter.
        name: String,
        /// The values; none where any value was taken before.
        values: Vec<String>,
    },
    /// A member of answers that this version does not know.
    NewField {
        /// Where: `data[].model.id`.
        name: String,
        /// Its types.
        is: String,
    },
    /// A member of answers that is gone.
    VanishedField {
        /// Where.
        name: String,
    },
    /// A member of answers of another type.
    ChangedField {
        /// Where.
        name: String,
        /// Its types before.
        was: String,
        /// Its types now.
        is: String,
    },
    /// Values that a member of answers may take besides.
    NewFieldValues {
        /// Where.
        name: String,
        /// The values; none where any value is told now.
        values: Vec<String>,
    },
    /// Values that a member of answers takes no longer.
    VanishedFieldValues {
        /// Where.
        name: String,
        /// The values; none where any value was told before.
        values: Vec<String>,
    },
}

impl Difference {
    /// What differs and what it means, in one line.
    pub fn words(&self) -> String {
        format!("{}: {}", self.what(), self.means)
    }

    fn what(&self) -> String {
        let twin = if self.event_stream_too { " (and of its event stream)" } else { "" };
        let of = format!("{}{twin}", self.operation);
        match &self.change {
            Change::NewOperation => format!("new operation {}{}", self.operation, self.and_twin()),
            Change::VanishedOperation => format!("vanished operation {}{}", self.operation, self.and_twin()),
            Change::DeprecatedOperation => format!("deprecated operation {}{}", self.operation, self.and_twin()),
            Change::NewParameter { name, required: false } => format!("new parameter {} of {of}", parameter(name)),
            Change::NewParameter { name, .. } => {
                format!("new parameter {} of {of}, which is required", parameter(name))
            }
            Change::VanishedParameter { name } => format!("vanished parameter {} of {of}", parameter(name)),
            Change::RequiredParameter { name } => format!("parameter {} of {of} is required now", parameter(name)),
            Change::ChangedParameter { name, was, is } => {
                format!("parameter {} of {of} is {is} now, and was {was}", parameter(name))
            }
            Change::NewValues { name, values } => match values.is_empty() {
                true => format!("parameter {} of {of} takes any value now", parameter(name)),
                false => format!("new {} of parameter {} of {of}", quoted(values), parameter(name)),
            },
            Change::VanishedValues { name, values } => match values.is_empty() {
                true => format!("parameter {} of {of} takes listed values only now", parameter(name)),
                false => format!("vanished {} of parameter {} of {of}", quoted(values), parameter(name)),
            },
            Change::NewField { name, is } => format!("new field `{name}` ({is}) in answers of {of}"),
            Change::VanishedField { name } => format!("vanished field `{name}` in answers of {of}"),
            Change::ChangedField { name, was, is } => {
                format!("field `{name}` in answers of {of} is {is} now, and was {was}")
            }
            Change::NewFieldValues { name, values } => match values.is_empty() {
                true => format!("field `{name}` in answers of {of} may hold any value now"),
                false => format!("new {} of field `{name}` in answers of {of}", quoted(values)),
            },
            Change::VanishedFieldValues { name, values } => match values.is_empty() {
                true => format!("field `{name}` in answers of {of} holds listed values only now"),
                false => format!("vanished {} of field `{name}` in answers of {of}", quoted(values)),
            },
        }
    }

    fn and_twin(&self) -> &'static str {
        if self.event_stream_too { " (and its event stream)" } else { "" }
    }
}

/// A parameter in words: `group_by` in the body.
fn parameter(name: &str) -> String {
    let (place, name) = name.split_once(' ').unwrap_or(("body", name));
    format!("`{}` in the {place}", name.strip_suffix("[]").unwrap_or(name))
}

fn quoted(values: &[String]) -> String {
    let noun = if values.len() == 1 { "value" } else { "values" };
    let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
    format!("{noun} {}", values.join(", "))
}

fn as_text<S: serde::Serializer>(name: &OperationName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(name)
}
