//! Which of its rows an answer holds: limits, offsets and cursors, wherever a request says them.

use serde_json::{Value, json};

use catalog::model::stream::{Pagination, Stream};

use super::bind::query_pairs;
use super::cursor;
use super::endpoint::Endpoint;
use super::question::{Parameters, Rows};
use super::refusal::Refusal;
use super::rules::{BODY_OFFSET_LIMITS, CURSOR_DEFAULT, OFFSET_LIMITS, QUERY_OFFSET_LEAST};
use super::world::{Place, World};

/// A part of an answer.
pub(super) struct Page {
    /// Rows before it.
    pub(super) offset: u64,
    /// Rows of it at most; `None` is all.
    pub(super) limit: Option<u64>,
    /// Whether it has no rows although more follow.
    pub(super) is_pause: bool,
}

/// What cursors add to the rows that came before, once a page without rows has come between.
pub(super) const AFTER_A_PAUSE: u64 = 1 << 40;

/// Where the page begins, and how many rows it may hold.
pub(super) fn page(
    endpoint: &Endpoint,
    stream: &Stream,
    parameters: &Parameters,
    fingerprint: u64,
    rows: &Rows,
    world: &World,
    place: &Place,
) -> Result<Page, Refusal> {
    let body = &parameters.body;
    let at = |token: Option<&str>| match token {
        None => Ok(0),
        Some(token) => cursor::offset(fingerprint, token).ok_or_else(|| Refusal::unsupported("Invalid cursor")),
    };
    let page = |offset, limit| Page { offset, limit, is_pause: false };
    match &stream.pagination {
        // Lists of the greatest have an end and no pages.
        Pagination::Single => Ok(page(0, body.get("limit").and_then(Value::as_u64))),
        Pagination::BodyOffset { .. } => {
            let number = |name, usual| body.get(name).and_then(Value::as_u64).unwrap_or(usual);
            Ok(page(number("offset", 0), Some(number("limit", BODY_OFFSET_LIMITS.1))))
        }
        Pagination::QueryOffset { limit } => {
            let most = (*limit).max(QUERY_OFFSET_LEAST);
            let given = query_limit(parameters, "limit", 1, most)?.unwrap_or(most.min(100));
            Ok(page(query_limit(parameters, "offset", 0, u64::MAX)?.unwrap_or(0), Some(given)))
        }
        Pagination::QueryAfter => {
            let limit = query_limit(parameters, "limit", 1, 2000)?.unwrap_or(20);
            let after = match parameters.query_value("after") {
                None => 0,
                Some(id) => row_after(rows, id, world, place).ok_or_else(|| Refusal::unsupported("Invalid cursor"))?,
            };
            Ok(page(after, Some(limit)))
        }
        Pagination::Offset { .. } => match body.get("pagination") {
            Some(Value::Null) => Ok(page(0, None)),
            None if endpoint.event => Ok(page(0, None)),
            pagination => {
                let number = |name| pagination.and_then(|pagination| pagination.get(name)).and_then(Value::as_u64);
                Ok(page(number("offset").unwrap_or(0), Some(number("limit").unwrap_or(OFFSET_LIMITS.1))))
            }
        },
        Pagination::Cursor { .. } if endpoint.event => Ok(page(0, body.get("max_results").and_then(Value::as_u64))),
        Pagination::Cursor { .. } => {
            let limit = body.get("limit").and_then(Value::as_u64).unwrap_or(CURSOR_DEFAULT);
            Ok(page(at(body.get("cursor").and_then(Value::as_str))?, Some(limit)))
        }
        Pagination::QueryCursor { parameter } => {
            let most = query_cursor_limit(stream);
            let limit = query_limit(parameters, "limit", 1, most)?.unwrap_or(most);
            let read = at(parameters.query_value(parameter))?;
            let offset = read & !AFTER_A_PAUSE;
            // Lists that move have pages without rows while more follow.
            let is_pause = parameter != "cursor" && 0 < read && read == offset;
            Ok(Page { offset, limit: Some(limit), is_pause })
        }
    }
}

/// Rows a page may have at most where a cursor stands in the query: as many as the catalog asks for.
fn query_cursor_limit(stream: &Stream) -> u64 {
    query_pairs(&stream.query)
        .find(|(name, _)| *name == "limit")
        .and_then(|(_, limit)| limit.parse().ok())
        .unwrap_or(100)
}

/// The number that the query calls `name`, if it is one from `least` to `most`.
fn query_limit(parameters: &Parameters, name: &str, least: u64, most: u64) -> Result<Option<u64>, Refusal> {
    let Some(text) = parameters.query_value(name) else {
        return Ok(None);
    };
    match text.parse::<u64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
        _ => {
            let message = format!("Input should be greater than or equal to {least} and less than or equal to {most}");
            Err(Refusal::invalid(&["query", name], &message, "less_than_equal", &json!(text)))
        }
    }
}

/// The number of the row behind the one with `id`.
fn row_after(rows: &Rows, id: &str, world: &World, place: &Place) -> Option<u64> {
    (0..rows.total()).find(|number| rows.text(*number, "id", world, place).as_deref() == Some(id)).map(|row| row + 1)
}
