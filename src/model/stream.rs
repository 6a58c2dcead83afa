//! One endpoint asked in one way: what the catalog declares, and what follows from it without input or output.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::column::Column;
use crate::model::day::DayZone;
use crate::model::scope::ScopeKind;

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
    /// How far the vendor stands behind the endpoint.
    #[serde(default)]
    pub status: Status,
    /// Method and path; `{category_id}` in the path is filled from the scope.
    pub request: RequestLine,
    /// Path of the twin that answers with server-sent events, if there is one.
    #[serde(default)]
    pub event_stream: Option<String>,
    /// How a large result is asked for piece by piece.
    #[serde(default)]
    pub pagination: Pagination,
    /// What it is asked for.
    pub scope: ScopeKind,
    /// How it counts days; none for lists, which are read whole.
    #[serde(default)]
    pub days: Option<Days>,
    /// The part of the request body that never changes.
    #[serde(default)]
    pub body: Map<String, Value>,
    /// The part of the query string that never changes, as sent.
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
}

impl Stream {
    /// Whether its rows carry a day.
    pub fn is_dated(&self) -> bool {
        self.days.is_some()
    }

    /// The names the request asks for as `dimensions` and `metrics`, when rows may come as positional arrays.
    pub fn positional_names(&self) -> Option<(Vec<String>, Vec<String>)> {
        let names = |key: &str| -> Option<Vec<String>> {
            self.body.get(key)?.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
        };
        Some((names("dimensions")?, names("metrics")?))
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
pub enum Status {
    /// Documented and current.
    #[default]
    Current,
    /// Documented as beta.
    Beta,
    /// Announced to go.
    Deprecated,
}

impl Status {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Beta => "beta",
            Self::Deprecated => "deprecated",
        }
    }
}

/// The methods that can be a read. Others cannot be declared, so they cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Parameters in path and query.
    Get,
    /// A query whose parameters are a JSON body.
    Post,
}

/// Method and path of an endpoint, written `POST /v2/reports/visibility`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestLine {
    /// The method.
    pub method: Method,
    /// The path, from its first slash; `{name}` stands for a value of the scope.
    pub path: String,
}

impl fmt::Display for RequestLine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        write!(out, "{method} {}", self.path)
    }
}

impl Serialize for RequestLine {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RequestLine {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom(format!("`{text}` is not `GET /path` or `POST /path`"));
        let (method, path) = text.split_once(' ').ok_or_else(wrong)?;
        let method = match method {
            "GET" => Method::Get,
            "POST" => Method::Post,
            _ => return Err(wrong()),
        };
        match path.starts_with('/') {
            true => Ok(Self { method, path: path.to_owned() }),
            false => Err(wrong()),
        }
    }
}

/// How a large result is asked for piece by piece.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pagination {
    /// One body holds everything.
    #[default]
    Single,
    /// `pagination: {limit, offset}` in the body; the end is `info.total_rows`.
    Offset {
        /// Rows a page.
        limit: u64,
    },
    /// `limit` and `cursor` in the body; the end is a null `info.next_cursor`.
    Cursor {
        /// Rows, or entities, a page.
        limit: u64,
    },
    /// `cursor` in the query string, where the limit stands too; the end is a null `info.next_cursor`.
    QueryCursor,
}

/// Where the next page starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// Rows read so far.
    Offset(u64),
    /// The API's own token. Belongs to one request body and is never kept across runs.
    Token(String),
}

/// What one page told about the result it belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageInfo {
    /// Rows that came before this page.
    pub offset: u64,
    /// Rows of this page.
    pub rows: u64,
    /// `info.total_rows` or `info.total_results`.
    pub total: Option<u64>,
    /// `info.next_cursor`.
    pub next_token: Option<String>,
}

impl Pagination {
    /// Where the page after `page` starts, or `None` when `page` was the last.
    ///
    /// A short offset page does not end the walk (the API's pages may be short), an empty one does.
    pub fn next(self, page: &PageInfo) -> Option<Cursor> {
        match self {
            Self::Single => None,
            Self::Offset { limit } => {
                let read = page.offset + page.rows;
                let more = page.total.map_or(limit <= page.rows, |total| read < total);
                (0 < page.rows && more).then_some(Cursor::Offset(read))
            }
            Self::Cursor { .. } | Self::QueryCursor => page.next_token.clone().map(Cursor::Token),
        }
    }
}

/// How an endpoint counts days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Days {
    /// Whose midnight.
    pub zone: DayZone,
    /// Whether `end_date` is the last day or the day after, as documented.
    pub end: WindowEnd,
    /// Days after its end during which the service still revises a day.
    pub lookback: u16,
    /// The column that says a row's day: a date, or a timestamp whose day in `zone` counts.
    #[serde(default = "default_day_column")]
    pub column: String,
}

fn default_day_column() -> String {
    "date".to_owned()
}

/// Whether an endpoint's `end_date` is itself part of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowEnd {
    /// `end_date` is the last day.
    Inclusive,
    /// `end_date` is the day after the last.
    Exclusive,
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
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn page(offset: u64, rows: u64, total: Option<u64>) -> PageInfo {
        PageInfo { offset, rows, total, next_token: None }
    }

    #[test]
    fn offset_walk_ends_at_the_total_and_not_at_a_short_page() {
        let offset = Pagination::Offset { limit: 10 };
        assert_eq!(offset.next(&page(0, 7, Some(20))), Some(Cursor::Offset(7)));
        assert_eq!(offset.next(&page(10, 10, Some(20))), None);
        assert_eq!(offset.next(&page(10, 0, Some(20))), None);
    }

    #[test]
    fn offset_walk_without_a_total_ends_at_a_short_page() {
        let offset = Pagination::Offset { limit: 10 };
        assert_eq!(offset.next(&page(0, 10, None)), Some(Cursor::Offset(10)));
        assert_eq!(offset.next(&page(10, 3, None)), None);
    }

    #[test]
    fn cursor_walk_ends_when_no_token_comes() {
        let cursor = Pagination::Cursor { limit: 50 };
        let more = PageInfo { next_token: Some("t2".into()), ..page(0, 50, Some(120)) };
        assert_eq!(cursor.next(&more), Some(Cursor::Token("t2".into())));
        assert_eq!(cursor.next(&page(100, 20, Some(120))), None);
    }
}
