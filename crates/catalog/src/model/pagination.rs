//! How a large result is requested page by page.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Pagination {
    /// One response.
    #[default]
    Single,
    /// `pagination: {limit, offset}` in the body; the end is `info.total_rows`.
    Offset { limit: u64 },
    /// `limit` and `cursor` in the body; the end is a null `info.next_cursor`.
    Cursor {
        /// Rows, or entities, per page.
        limit: u64,
    },
    /// `limit` and `offset` at the top of the body; the end is `totalCount`.
    BodyOffset { limit: u64 },
    /// A cursor in the query string, next to the limit; the end is a null `next_cursor`.
    QueryCursor {
        /// The parameter that takes the cursor.
        parameter: String,
    },
    /// `limit` and `offset` in the query string; the end is a short page, or a total.
    QueryOffset { limit: u64 },
    /// `after` in the query string, which takes `last_id` while `has_more` is true; the limit is in the query, too.
    QueryAfter,
}

/// Where the next page starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// Rows so far.
    Offset(u64),
    /// Valid for one request body, so it is never stored across runs.
    Token(String),
}

/// What one page announced about its result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageInfo {
    /// Rows before this page.
    pub offset: u64,
    pub rows: u64,
    pub total: Option<u64>,
    pub next_token: Option<String>,
}

impl Pagination {
    /// The cursor after `page`, or `None` if it was the last.
    ///
    /// A short page is not the end: servers cap pages. Only the total, an empty page or a missing cursor ends the walk.
    pub fn next(&self, page: &PageInfo) -> Option<Cursor> {
        match self {
            Self::Single => None,
            Self::Offset { .. } | Self::BodyOffset { .. } | Self::QueryOffset { .. } => {
                let next = page.offset + page.rows;
                let more = page.total.is_none_or(|total| next < total);
                (page.rows > 0 && more).then_some(Cursor::Offset(next))
            }
            Self::Cursor { .. } | Self::QueryCursor { .. } | Self::QueryAfter => {
                page.next_token.clone().map(Cursor::Token)
            }
        }
    }

    /// Rows, or entities, per page, unless the limit is part of the fixed query.
    pub fn limit(&self) -> Option<u64> {
        match self {
            Self::Offset { limit }
            | Self::Cursor { limit }
            | Self::BodyOffset { limit }
            | Self::QueryOffset { limit } => Some(*limit),
            Self::Single | Self::QueryCursor { .. } | Self::QueryAfter => None,
        }
    }

    /// Caps the limit at `rows`, unless it is part of the fixed query.
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

    /// Whether pages are counted by rows, so that the order of rows must be total.
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
    fn offset_ends_at_the_total_not_at_a_short_page() {
        let offset = Pagination::Offset { limit: 10 };
        assert_eq!(offset.next(&page(0, 7, Some(20))), Some(Cursor::Offset(7)));
        assert_eq!(offset.next(&page(10, 10, Some(20))), None);
        assert_eq!(offset.next(&page(10, 0, Some(20))), None);
    }

    #[test]
    fn offset_without_a_total_ends_at_an_empty_page() {
        let offset = Pagination::Offset { limit: 10 };
        assert_eq!(offset.next(&page(0, 10, None)), Some(Cursor::Offset(10)));
        assert_eq!(offset.next(&page(10, 3, None)), Some(Cursor::Offset(13)));
        assert_eq!(offset.next(&page(13, 0, None)), None);
    }

    #[test]
    fn cursor_ends_without_a_next_token() {
        let cursor = Pagination::Cursor { limit: 50 };
        let more = PageInfo { next_token: Some("t2".into()), ..page(0, 50, Some(120)) };
        assert_eq!(cursor.next(&more), Some(Cursor::Token("t2".into())));
        assert_eq!(cursor.next(&page(100, 20, Some(120))), None);
    }
}
