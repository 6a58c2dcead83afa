//! Which of its rows a page holds: limits, offsets and cursors, in the body or the query string.

use catalog::model::stream::{Pagination, Stream};
use serde_json::{Value, json};

use crate::data::rows::Rows;

use super::cursor;
use super::endpoint::Endpoint;
use super::error_response::ErrorResponse;
use super::parameters::{Parameters, query_pairs};
use super::validation::check_number;

/// Rows of an offset page, unless the request says it.
pub(crate) const OFFSET_DEFAULT: u64 = 10_000;

/// Rows of a cursor page, and of one whose `limit` is at the top of the body, unless the request says it.
const LIMIT_DEFAULT: u64 = 10;

/// Rows that a page may always have where `limit` is in the query string.
const QUERY_LIMIT: u64 = 200;

/// Cursors of lists that move have this bit once a page without rows has been answered.
pub(crate) const AFTER_A_PAUSE: u64 = 1 << 40;

/// A page of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageRange {
    /// Rows before it.
    pub(crate) offset: u64,
    /// `None` is all.
    pub(crate) limit: Option<u64>,
    /// Whether it has no rows although more follow.
    pub(crate) is_pause: bool,
}

impl PageRange {
    /// Reads the page from a request for `rows`.
    ///
    /// # Errors
    /// The API's error response to an invalid cursor or number.
    pub(crate) fn new(
        endpoint: &Endpoint,
        stream: &Stream,
        parameters: &Parameters,
        fingerprint: u64,
        rows: &Rows,
    ) -> Result<Self, ErrorResponse> {
        let at = |token: Option<&str>| match token {
            None => Ok(0),
            Some(token) => cursor::offset(fingerprint, token).ok_or_else(invalid_cursor),
        };
        let mut is_pause = false;
        let (offset, limit) = match &stream.pagination {
            Pagination::Single => (0, parameters.number("limit")),
            Pagination::BodyOffset { .. } => {
                let limit = parameters.number("limit").unwrap_or(LIMIT_DEFAULT);
                (parameters.number("offset").unwrap_or(0), Some(limit))
            }
            Pagination::QueryOffset { limit } => {
                let most = (*limit).max(QUERY_LIMIT);
                let limit = query_number(parameters, "limit", 1, most)?.unwrap_or(most.min(100));
                (query_number(parameters, "offset", 0, AFTER_A_PAUSE)?.unwrap_or(0), Some(limit))
            }
            Pagination::QueryAfter => {
                let limit = query_number(parameters, "limit", 1, 2000)?.unwrap_or(20);
                let offset = parameters.query_value("after").map_or(Some(0), |id| row_after(rows, id));
                (offset.ok_or_else(invalid_cursor)?, Some(limit))
            }
            Pagination::Offset { .. } => match parameters.body.get("pagination") {
                Some(Value::Null) => (0, None),
                None if endpoint.is_event_stream => (0, None),
                pagination => {
                    let number = |name| pagination.and_then(|pagination| pagination.get(name)).and_then(Value::as_u64);
                    (number("offset").unwrap_or(0), Some(number("limit").unwrap_or(OFFSET_DEFAULT)))
                }
            },
            Pagination::Cursor { .. } if endpoint.is_event_stream => (0, parameters.number("max_results")),
            Pagination::Cursor { .. } => {
                let token = parameters.body.get("cursor").and_then(Value::as_str);
                (at(token)?, Some(parameters.number("limit").unwrap_or(LIMIT_DEFAULT)))
            }
            Pagination::QueryCursor { parameter } => {
                // The catalog asks for as many rows as are allowed.
                let limit = query_pairs(&stream.query).find(|(name, _)| *name == "limit");
                let most = limit.and_then(|(_, limit)| limit.parse().ok()).unwrap_or(100);
                let limit = query_number(parameters, "limit", 1, most)?.unwrap_or(most);
                let read = at(parameters.query_value(parameter))?;
                // Lists that move have pages without rows while more follow.
                is_pause = parameter != "cursor" && read > 0 && read < AFTER_A_PAUSE;
                (read & !AFTER_A_PAUSE, Some(limit))
            }
        };
        Ok(Self { offset, limit, is_pause })
    }
}

fn invalid_cursor() -> ErrorResponse {
    ErrorResponse::unsupported("Invalid cursor")
}

/// The number that the query string calls `name`, if it is one from `least` to `most`.
fn query_number(parameters: &Parameters, name: &str, least: u64, most: u64) -> Result<Option<u64>, ErrorResponse> {
    let Some(text) = parameters.query_value(name) else { return Ok(None) };
    let number = text.parse().ok();
    let given = number.map_or_else(|| json!(text), |number: u64| json!(number));
    check_number(&["query", name], Some(&given), least..=most)?;
    Ok(number)
}

/// The number of the row after the one with `id`.
fn row_after(rows: &Rows, id: &str) -> Option<u64> {
    (0..rows.total()).find(|offset| rows.id(*offset) == id).map(|offset| offset + 1)
}
