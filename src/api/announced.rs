//! What a response announces besides its rows: that there are more of them, or that the result is not whole. One table of names for every
//! kind of response, since the vendor documents only some of them and a gateway or a later version may use others.

use reqwest::header::{HeaderMap, LINK};
use serde_json::{Map, Value};

use crate::api::blocks::ResponseEnvelope;

/// Members that say that there are more rows, unless they are empty. Only letters and digits count, so `nextCursor`, `next_cursor` and the
/// header `X-Next-Cursor` are one name.
const MORE: [&str; 15] = [
    "next",
    "nextcursor",
    "nextpage",
    "nexttoken",
    "nextpagetoken",
    "nexturl",
    "nextlink",
    "nextoffset",
    "continuation",
    "continuationtoken",
    "more",
    "morerows",
    "hasmore",
    "hasnext",
    "hasnextpage",
];
/// Members that count all rows.
const TOTALS: [&str; 7] =
    ["total", "totalrows", "totalresults", "totalcount", "totalitems", "totalrecords", "totalelements"];
/// Members that are true, or false, if the result is not whole.
const IF_TRUE: [&str; 8] = [
    "partial",
    "ispartial",
    "partialresults",
    "truncated",
    "istruncated",
    "incomplete",
    "isincomplete",
    "incompleteresults",
];
const IF_FALSE: [&str; 4] = ["success", "ok", "complete", "iscomplete"];
/// Words in `status` or `state` that say so.
const STATUSES: [&str; 11] = [
    "error",
    "failed",
    "failure",
    "fail",
    "partial",
    "incomplete",
    "truncated",
    "timeout",
    "timedout",
    "aborted",
    "cancelled",
];
/// Members that repeat the request.
const REQUEST: [&str; 3] = ["query", "filter", "filters"];
/// A member of the body that [`ResponseEnvelope`] has by itself.
const INFO: &str = "info";

impl ResponseEnvelope {
    /// The member that says that the result is not whole.
    pub fn partial(&self) -> Option<String> {
        let is_partial = |name: &str, value: &Value| match value {
            Value::Bool(true) => IF_TRUE.contains(&name),
            Value::Bool(false) => IF_FALSE.contains(&name),
            Value::String(word) => ["status", "state"].contains(&name) && STATUSES.contains(&&*plain(word)),
            _ => false,
        };
        self.find(is_partial)
    }

    /// The member that announces rows after the last of `rows`.
    pub fn more(&self, rows: u64) -> Option<String> {
        let counted = if self.is_single { 1 } else { rows };
        let is_more = |name: &str, value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::Number(number) if TOTALS.contains(&name) => number.as_u64().is_some_and(|total| total > counted),
            Value::Number(number) => MORE.contains(&name) && number.as_f64() != Some(0.0),
            Value::String(text) if TOTALS.contains(&name) => text.parse::<u64>().is_ok_and(|total| total > counted),
            Value::String(text) => MORE.contains(&name) && !["", "0", "false", "null"].contains(&text.as_str()),
            Value::Array(items) => MORE.contains(&name) && !items.is_empty(),
            Value::Object(members) => MORE.contains(&name) && !members.is_empty(),
            Value::Bool(true) => MORE.contains(&name),
        };
        self.find(is_more)
    }

    /// The first member, as `name: value`, for which `is_wanted` holds: of the body, of its objects and those of `info`, or a header.
    fn find(&self, is_wanted: impl Fn(&str, &Value) -> bool) -> Option<String> {
        let no_members = Map::new();
        let [body, info] = [&self.body, &self.info].map(|place| place.as_object().unwrap_or(&no_members));
        let is_place = |(name, _): &(&String, &Value)| *name != INFO && !REQUEST.contains(&&*plain(name));
        let objects = body.iter().chain(info).filter(is_place).filter_map(|(_, value)| value.as_object());
        let places = [body, info, &self.headers].into_iter().chain(objects);
        // A total that the family documents may count something else, and is compared elsewhere.
        let documented = self.documented_total();
        let mut members =
            places.flatten().filter(|(_, value)| documented.is_none_or(|total| !std::ptr::eq(total, *value)));
        let (name, value) = members.find(|(name, value)| is_wanted(&plain(name), value))?;
        let value: String = value.to_string().chars().take(80).collect();
        Some(format!("`{name}` is {value}"))
    }
}

/// The headers that announce something. A link to the next page is `next`.
pub(super) fn announcements(headers: &HeaderMap) -> Map<String, Value> {
    let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap_or_default().trim().to_owned();
    let named = headers.iter().filter_map(|(name, value)| {
        let name = name.as_str();
        let name = name.strip_prefix("x-").unwrap_or(name);
        let known = plain(name);
        let is_known = MORE.contains(&&*known) || TOTALS.contains(&&*known) || IF_TRUE.contains(&&*known);
        let value = text(value);
        is_known.then(|| (name.to_owned(), serde_json::from_str(&value).unwrap_or(Value::String(value))))
    });
    let links = headers.get_all(LINK).iter().map(text).flat_map(|links| {
        let next = |link: &str| plain(link).contains("relnext");
        links.split(',').filter(|link| next(link)).map(str::to_owned).collect::<Vec<_>>()
    });
    named.chain(links.map(|link| ("next".to_owned(), Value::String(link)))).collect()
}

/// The letters and digits of a name, in lower case.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|character| character.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(body: Value) -> ResponseEnvelope {
        ResponseEnvelope { info: body["info"].clone(), body, ..ResponseEnvelope::default() }
    }

    #[test]
    fn more_rows_are_found_under_every_name_and_place() {
        for announced in [
            json!({"next_cursor": "c2"}),
            json!({"nextCursor": 7}),
            json!({"has_more": true}),
            json!({"count": 500, "next": "https://api.example/?page=2"}),
            json!({"total": 500}),
            json!({"total_results": 500}),
            json!({"info": {"total_rows": 2, "has_more": true}}),
            json!({"info": {"total_rows": 2, "total_results": 500}}),
            json!({"pagination": {"total": 500}}),
            json!({"meta": {"hasNextPage": true}}),
            json!({"_links": {"next": {"href": "/2"}}}),
        ] {
            assert!(body(announced.clone()).more(2).is_some(), "{announced}");
        }
        for (name, value) in [
            ("link", "</x?page=1>; rel=\"prev\", </x?page=2>; rel=\"next\""),
            ("x-total-count", "500"),
            ("x-next-page", "2"),
        ] {
            let headers = [(name.parse().unwrap(), value.parse().unwrap())].into_iter().collect();
            let envelope = ResponseEnvelope { headers: announcements(&headers), ..ResponseEnvelope::default() };
            assert!(envelope.more(2).is_some(), "{name}: {value}");
        }
    }

    #[test]
    fn last_page_and_a_repeated_request_announce_nothing() {
        for silent in [
            json!({"info": {"total_rows": 2, "next_cursor": null, "limit": 10_000, "query": {"next": "x", "total": 9}}}),
            json!({"info": {"total_results": 500, "count": 2, "next_cursor": ""}}),
            json!({"totalCount": 500}),
            json!({"has_more": false, "count": 2, "last_id": "x", "next": null, "total": 2}),
            json!({"pagination": {"limit": 100, "offset": 200, "next_cursor": null}}),
            json!({"success": true, "partial": false, "status": "ok", "info": {"truncated": false}}),
        ] {
            assert_eq!((body(silent.clone()).more(2), body(silent.clone()).partial()), (None, None), "{silent}");
        }
        let headers = [("link", "</x>; rel=\"prev\""), ("x-ratelimit-remaining", "7"), ("content-length", "9")];
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        assert!(announcements(&headers.into_iter().collect()).is_empty());
    }

    #[test]
    fn partial_result_is_found_under_every_name() {
        for partial in [
            json!({"partial": true}),
            json!({"success": false}),
            json!({"status": "error"}),
            json!({"info": {"status": "timed_out"}}),
            json!({"meta": {"isTruncated": true}}),
        ] {
            assert!(body(partial.clone()).partial().is_some(), "{partial}");
        }
    }
}
