//! How a large result is asked for piece by piece.

use serde::{Deserialize, Serialize};

/// How a large result is asked for piece by piece.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
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
    /// `limit` and `offset` at the top of the body; the end is `totalCount`.
    BodyOffset {
        /// Rows a page.
        limit: u64,
    },
    /// A cursor in the query string, where the limit stands too; the end is a null `next_cursor`.
    QueryCursor {
        /// The name of the parameter that takes the cursor.
        parameter: String,
    },
    /// `limit` and `offset` in the query string; the end is a short page, or a total.
    QueryOffset {
        /// Rows a page.
        limit: u64,
    },
    /// `after` in the query string, which takes `last_id` while `has_more` is true; the limit stands there too.
    QueryAfter,
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
    /// The announced total, whatever the family calls it.
    pub total: Option<u64>,
    /// The token of the next page.
    pub next_token: Option<String>,
}

impl Pagination {
    /// Where the page after `page` starts, or `None` when `page` was the last.
    ///
    /// A short offset page does not end the walk (the API's pages may be short), an empty one does.
    pub fn next(&self, page: &PageInfo) -> Option<Cursor> {
        match self {
            Self::Single => None,
            Self::Offset { limit } | Self::BodyOffset { limit } | Self::QueryOffset { limit } => {
                let read = page.offset + page.rows;
                let more = page.total.map_or(*limit <= page.rows, |total| read < total);
                (0 < page.rows && more).then_some(Cursor::Offset(read))
            }
            Self::Cursor { .. } | Self::QueryCursor { .. } | Self::QueryAfter => {
                page.next_token.clone().map(Cursor::Token)
            }
        }
    }

    /// Rows, or entities, of a page, where the request says it apart from its fixed query.
    pub fn limit(&self) -> Option<u64> {
        match self {
            Self::Offset { limit }
            | Self::Cursor { limit }
            | Self::BodyOffset { limit }
            | Self::QueryOffset { limit } => Some(*limit),
            Self::Single | Self::QueryCursor { .. } | Self::QueryAfter => None,
        }
    }

    /// The same in pages of at most `rows` rows, where the request says the limit apart from its fixed query.
    pub fn with_limit(&self, rows: u64) -> Self {
        let mut smaller = self.clone();
        match &mut smaller {
            Self::Offset { limit }
            | Self::Cursor { limit }
            | Self::BodyOffset { limit }
            | Self::QueryOffset { limit } => *limit = rows.min(*limit),
            Self::Single | Self::QueryCursor { .. } | Self::QueryAfter => {}
        }
        smaller
    }

    /// Whether the pages of a walk are counted by their rows, so that their order must be total.
    pub fn is_offset(&self) -> bool {
        matches!(self, Self::Offset { .. } | Self::BodyOffset { .. } | Self::QueryOffset { .. })
    }
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
