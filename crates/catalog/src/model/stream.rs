//! A stream: one endpoint, requested in one way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::column::{Column, Protect};
use crate::model::scope::ScopeKind;

pub use crate::model::days::{Days, DaysKind, WindowEnd};
pub use crate::model::pagination::{Cursor, PageInfo, Pagination};
pub use crate::model::relation::{DiscoveredObject, Discovers, Fallback, Parent, Variant};
pub use crate::model::request_line::{Method, RequestLine};

/// One endpoint, requested in one way: one schema, one output table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Also the name of its table and directory: lower-case letters, digits and underscores.
    pub name: String,
    /// One sentence: what a row is.
    pub about: String,
    /// Streams that count days alike share a family. Defaults to that of the file.
    #[serde(default)]
    pub family: String,
    /// The smallest tier with it; none for fallbacks and streams that are chosen by name only.
    #[serde(default)]
    pub tier: Option<Tier>,
    /// Why it needs a deliberate choice: deprecated, personal data, or costly.
    #[serde(default)]
    pub opt_in: Option<String>,
    #[serde(default)]
    pub status: EndpointStatus,
    /// Variables such as `{category_id}` come from the scope and the parent.
    pub request: RequestLine,
    /// Path of the same query with server-sent events as the response.
    #[serde(default)]
    pub event_stream: Option<String>,
    #[serde(default)]
    pub pagination: Pagination,
    #[serde(default)]
    pub rows: RowsAt,
    pub scope: ScopeKind,
    #[serde(default)]
    pub parent: Option<Parent>,
    /// Parameters that only a user can supply, as `[[parameters.<stream>]]`: it is asked once for each entry.
    #[serde(default)]
    pub parameters: Vec<String>,
    /// The stream whose signal says whether there are rows.
    #[serde(default)]
    pub gate: Option<String>,
    /// The column that says whether the streams gated by this one have rows: true, or above zero.
    #[serde(default)]
    pub signal: Option<String>,
    /// The stream whose signal makes an empty response suspect.
    #[serde(default)]
    pub expects: Option<String>,
    /// None for lists, which are extracted as a whole.
    #[serde(default)]
    pub days: Option<Days>,
    /// A list that hardly ever changes: a weekly refresh is enough where each category costs a request.
    #[serde(default)]
    pub changes_rarely: bool,
    /// The fixed part of the request body; texts may contain variables such as `{asset_name}`.
    #[serde(default)]
    pub body: Map<String, Value>,
    /// The fixed part of the query string, before encoding. May contain variables, and `{first}` and `{last}`, the first and
    /// last requested day.
    #[serde(default)]
    pub query: String,
    #[serde(default)]
    pub total: Total,
    /// Columns that identify a row within its scope; `asset.name` names a field of a struct.
    pub key: Vec<String>,
    #[serde(default)]
    pub on_422: Option<Fallback>,
    #[serde(default)]
    pub discovers: Option<Discovers>,
    /// Caveats about the figures.
    #[serde(default)]
    pub notes: Vec<String>,
    pub columns: Vec<Column>,
    /// Columns with personal data to protect. Set by jobs, never by a declaration.
    #[serde(skip)]
    pub protect: BTreeMap<String, Protect>,
}

impl Stream {
    pub fn is_dated(&self) -> bool {
        self.days.is_some()
    }

    /// Whether path, query or body contain `{name}`.
    pub fn uses_variable(&self, name: &str) -> bool {
        let variable = format!("{{{name}}}");
        let in_body = || self.body.values().any(|value| value.to_string().contains(&variable));
        self.request.path.contains(&variable) || self.query.contains(&variable) || in_body()
    }

    /// Whether each slice is many requests: one per row of a parent or entry of a user.
    pub fn is_fan_out(&self) -> bool {
        self.parent.is_some() || !self.parameters.is_empty()
    }

    /// The requested `dimensions` and `metrics`, if rows may be positional arrays.
    pub fn positional_names(&self) -> Option<(Vec<String>, Vec<String>)> {
        let names = |key: &str| -> Option<Vec<String>> {
            self.body.get(key)?.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
        };
        Some((names("dimensions")?, names("metrics")?))
    }

    /// Members of rows that the request names, in lists or as members that are true.
    pub fn requested_members(&self) -> impl Iterator<Item = &str> {
        const LISTS: [&str; 4] = ["dimensions", "metrics", "group_by", "include"];
        LISTS.iter().filter_map(|list| self.body.get(*list)).flat_map(|list| {
            let named = list.as_array().into_iter().flatten().filter_map(Value::as_str);
            let members = list.as_object().into_iter().flatten();
            named.chain(members.filter(|(_, value)| **value == Value::Bool(true)).map(|(name, _)| name.as_str()))
        })
    }

    pub fn has_hashed_columns(&self) -> bool {
        self.protect.values().any(|protect| *protect == Protect::Hash)
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// A named selection of streams; each includes those above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Prompts, answers, visibility, citations, sentiment, fan-outs, bots, referrals.
    Minimal,
    /// The default.
    Core,
    /// Every product an account may have, deprecated and personal data included.
    Wide,
    Everything,
}

impl Tier {
    /// Smallest first.
    pub const ALL: [Self; 4] = [Self::Minimal, Self::Core, Self::Wide, Self::Everything];

    pub fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Core => "core",
            Self::Wide => "wide",
            Self::Everything => "everything",
        }
    }
}

/// The support status of an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointStatus {
    #[default]
    Current,
    Beta,
    /// Documented as deprecated.
    Deprecated,
    /// Not in the published document.
    Undocumented,
}

impl EndpointStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Beta => "beta",
            Self::Deprecated => "deprecated",
            Self::Undocumented => "undocumented",
        }
    }
}

/// What the announced total counts, and so what it proves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Total {
    /// Exactly as many rows must arrive.
    #[default]
    Rows,
    /// It counts entities with one or more rows each: at least as many rows must arrive.
    AtLeast,
    /// It has no relation to the number of rows, and proves nothing.
    Unrelated,
}

/// Where a response has its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RowsAt {
    /// A bare array, or the member `data`: an array, or an object as the only row.
    #[default]
    Data,
    /// The whole body is one row.
    Body,
    /// Several arrays of the body; an extra column has the name of the array.
    Members { names: Vec<String>, column: String },
    /// An array of texts; each becomes a row of one column.
    Texts { column: String },
}
