//! How streams hang together: what one falls back to, asks its rows for, waits for, or tells the others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is tried once when the API refuses a request with 422, and remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// Another stream, with a coarser grain and a table of its own.
    Stream(String),
    /// The same table, asked without this member of the body; its column is null. `include.citation_details`
    /// removes the entry `citation_details` of the list `include`, or the member of that name of the object.
    Without(String),
}

/// The objects that a list's rows name, for which other streams are asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discovers {
    /// What kind of object a row is.
    pub object: DiscoveredObject,
    /// Where a row holds its id.
    pub id: String,
    /// Where a row holds its name.
    pub name: String,
    /// Where a row holds the id of the object it belongs to.
    #[serde(default)]
    pub parent: Option<String>,
    /// Where a row says whether the customer owns it.
    #[serde(default)]
    pub owned: Option<String>,
}

/// A kind of object that streams are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscoveredObject {
    /// An organization of the key.
    Organization,
    /// A category; its parent is an organization.
    Category,
    /// An asset; its parent is a category.
    Asset,
    /// A domain; its parent is an organization.
    Domain,
}

/// The stream whose rows another is asked for, one request each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// The stream whose rows are the parents. It has the same scope, and the same days.
    pub stream: String,
    /// What requests take from a row of the parent: the name of a variable, and where the row holds it.
    pub bind: BTreeMap<String, String>,
    /// Where a row of the parent says when it last changed; children read since then are not asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<String>,
    /// Further variables; each row of the parent is asked once for each variant. None is one without variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<Variant>,
}

/// One way of asking a child.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Variables and their values.
    pub set: BTreeMap<String, String>,
    /// Which rows of the parent it is for: where a row holds a text, and the text. None is all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub when: BTreeMap<String, String>,
}
