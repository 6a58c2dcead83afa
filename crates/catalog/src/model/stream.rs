//! One endpoint asked in one way: what the catalog declares, and what follows from it without input or output.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::column::{Column, Protect};
use crate::model::scope::ScopeKind;

pub use crate::model::days::{Days, DaysKind, WindowEnd};
pub use crate::model::pagination::{Cursor, PageInfo, Pagination};
pub use crate::model::relation::{DiscoveredObject, Discovers, Fallback, Parent, Variant};
pub use crate::model::request_line::{Method, RequestLine};

/// One way of asking one endpoint: one schema, one output table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// The name of the stream, its table and its directory: lower case, digits and underscores.
    pub name: String,
    /// What one row is, in a sentence.
    pub about: String,
    /// Streams whose requests count days alike share a family; that of the file unless a stream names its own.
    #[serde(default)]
    pub family: String,
    /// The smallest tier it belongs to; none for fallbacks and streams chosen by name only.
    #[serde(default)]
    pub tier: Option<Tier>,
    /// Why it should be chosen knowingly: deprecated, personal data, or costly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opt_in: Option<String>,
    /// How far the vendor stands behind the endpoint.
    #[serde(default)]
    pub status: EndpointStatus,
    /// Method and path; `{category_id}` and the like are filled from the scope and the parent.
    pub request: RequestLine,
    /// Path of the twin that answers with server-sent events, if there is one.
    #[serde(default)]
    pub event_stream: Option<String>,
    /// How a large result is asked for piece by piece.
    #[serde(default)]
    pub pagination: Pagination,
    /// Where the rows stand in a response.
    #[serde(default)]
    pub rows: RowsAt,
    /// What it is asked for.
    pub scope: ScopeKind,
    /// The stream whose rows it is asked for, one request each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// Parameters that only a user can supply, as `[[parameters.<stream>]]`: it is asked once for each entry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<String>,
    /// The stream that tells whether there is anything to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
    /// The column that tells streams behind this one whether there is anything to read: true, or a figure above zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// The stream with a signal on whose days an empty answer is doubtful.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expects: Option<String>,
    /// How it counts days; none for lists, which are read whole.
    #[serde(default)]
    pub days: Option<Days>,
    /// Whether it is a list that hardly ever differs from one day to the next, so that a week between two readings is
    /// no loss where each category costs a request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub changes_rarely: bool,
    /// The part of the request body that never changes. A text such as `{asset_name}` is filled like the path.
    #[serde(default)]
    pub body: Map<String, Value>,
    /// The part of the query string that never changes, before it is encoded. Filled like the path, and with `{first}`
    /// and `{last}`, the first and the last day asked for.
    #[serde(default)]
    pub query: String,
    /// What the total announced by the API counts.
    #[serde(default)]
    pub total: Total,
    /// Columns that identify a row within its scope; `asset.name` names a field of a struct.
    pub key: Vec<String>,
    /// What is tried once when the API refuses the request with 422.
    #[serde(default)]
    pub on_422: Option<Fallback>,
    /// What else its rows tell: the objects that other streams are asked for.
    #[serde(default)]
    pub discovers: Option<Discovers>,
    /// What a reader should know before trusting a figure.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The columns, in the order of the table.
    pub columns: Vec<Column>,
    /// Columns whose values are kept from the disk, as the jobs say; a declaration never does.
    #[serde(skip)]
    pub protect: BTreeMap<String, Protect>,
}

impl Stream {
    /// Whether its rows carry a day.
    pub fn is_dated(&self) -> bool {
        self.days.is_some()
    }

    /// Whether it takes the variable `{name}` in path, query or body.
    pub fn uses_variable(&self, name: &str) -> bool {
        let variable = format!("{{{name}}}");
        let in_body = || self.body.values().any(|value| value.to_string().contains(&variable));
        self.request.path.contains(&variable) || self.query.contains(&variable) || in_body()
    }

    /// Whether each of its slices is many requests, one for each row of a parent or entry of a user.
    pub fn is_fan_out(&self) -> bool {
        self.parent.is_some() || !self.parameters.is_empty()
    }

    /// The names the request asks for as `dimensions` and `metrics`, when rows may come as positional arrays.
    pub fn positional_names(&self) -> Option<(Vec<String>, Vec<String>)> {
        let names = |key: &str| -> Option<Vec<String>> {
            self.body.get(key)?.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
        };
        Some((names("dimensions")?, names("metrics")?))
    }

    /// Whether texts of it are hashed.
    pub fn hashes(&self) -> bool {
        self.protect.values().any(|protect| *protect == Protect::Hash)
    }

    /// The column called `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// A named selection of streams; each contains the ones above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// What an account is for: prompts, answers, visibility, citations, sentiment, fan-outs, bots, referrals.
    Minimal,
    /// The usual choice.
    Core,
    /// Every product an account may have, deprecated and personal data included.
    Wide,
    /// All that can be read.
    Everything,
}

impl Tier {
    /// Every tier, smallest first.
    pub const ALL: [Self; 4] = [Self::Minimal, Self::Core, Self::Wide, Self::Everything];

    /// The name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Core => "core",
            Self::Wide => "wide",
            Self::Everything => "everything",
        }
    }
}

/// How far the vendor stands behind an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointStatus {
    /// Documented and current.
    #[default]
    Current,
    /// Documented as beta.
    Beta,
    /// Announced to go.
    Deprecated,
    /// Not in the published document, seen elsewhere.
    Undocumented,
}

impl EndpointStatus {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Beta => "beta",
            Self::Deprecated => "deprecated",
            Self::Undocumented => "undocumented",
        }
    }
}

/// What the total announced by the API counts, and so what it proves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Total {
    /// Rows: exactly as many must arrive.
    #[default]
    Rows,
    /// Entities, of which a grouped result has one row or more: at least as many rows must arrive.
    AtLeast,
    /// Something that has no relation to the number of rows: it proves nothing.
    Unrelated,
}

/// Where the rows stand in a response.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RowsAt {
    /// A bare array, or the member `data`: an array, or one object that is the only row.
    #[default]
    Data,
    /// The whole body is one row.
    Body,
    /// Several arrays of the body; each row says in a column of its own which one it came from.
    Members {
        /// The members that are arrays of rows.
        names: Vec<String>,
        /// The column that takes the name of the member.
        column: String,
    },
    /// An array of texts, wherever rows may stand; each becomes a row of one column.
    Texts {
        /// The column that takes the text.
        column: String,
    },
}
