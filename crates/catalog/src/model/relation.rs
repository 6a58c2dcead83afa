//! Relations between streams: fallbacks, discovery, parents and children.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Used after the API rejected a request with 422; the ledger remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// Another stream, with a coarser grain and its own table.
    Stream(String),
    /// The same table, requested without this member of the body; its column is null. `include.citation_details`
    /// removes the entry `citation_details` of a list `include`, or the member of an object.
    Without(String),
    /// The same request on pages of `limit` rows; if those are rejected, too, without this member of the body.
    SmallPages { limit: u64, without: String },
}

/// The objects in a list's rows, for which other streams are requested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discovers {
    pub object: DiscoveredObject,
    /// The path of the id in a row.
    pub id: String,
    pub name: String,
    /// The path of the id of the object that it belongs to.
    #[serde(default)]
    pub parent: Option<String>,
    /// The path of whether the customer owns it.
    #[serde(default)]
    pub owned: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscoveredObject {
    Organization,
    /// Its parent is an organization.
    Category,
    /// Its parent is a category.
    Asset,
    /// Its parent is an organization.
    Domain,
}

impl DiscoveredObject {
    /// In the order in which they are requested.
    pub const ALL: [Self; 4] = [Self::Organization, Self::Category, Self::Asset, Self::Domain];

    pub fn name(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Category => "category",
            Self::Asset => "asset",
            Self::Domain => "domain",
        }
    }

    pub fn plural(self) -> String {
        match self {
            Self::Category => "categories".to_owned(),
            other => format!("{}s", other.name()),
        }
    }
}

/// Fan-out: a child stream is requested once per row of its parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// It has the same scope and days.
    pub stream: String,
    /// Variables of the child, each with the path of its value in a row of the parent.
    pub bind: BTreeMap<String, String>,
    /// The path of the time of the last change in a row of the parent; children extracted since then are skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<String>,
    /// Further variables: one request per row and variant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<Variant>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    pub set: BTreeMap<String, String>,
    /// The rows of the parent it applies to: paths and their required texts. Empty applies to all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub when: BTreeMap<String, String>,
}
