//! The exact request for one page of one slice. Only streams of the catalog can be requested.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::api::response_limits::{MAX_EVENT_STREAM_BYTES, MAX_LIST_BYTES, MAX_PAGE_BYTES};
use crate::model::cost::RequestKind;
use crate::model::day::Day;
use crate::model::scope::ScopePart;
use crate::model::slice::{Slice, SliceName};
use crate::model::stream::{Cursor, Days, Method, Pagination, RowsAt, Stream, WindowEnd};
use crate::model::window::Window;

/// The characters that RFC 3986 does not escape.
pub(super) const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// How the rows of a slice are requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// As one response of server-sent events.
    Events,
    /// Page by page.
    Pages,
}

impl Transport {
    pub fn kind(self) -> RequestKind {
        match self {
            Self::Events => RequestKind::Events,
            Self::Pages => RequestKind::Page,
        }
    }

    /// The path of `stream`, as the catalog has it.
    pub fn endpoint(self, stream: &Stream) -> &str {
        match (&stream.event_stream, self) {
            (Some(path), Self::Events) => path,
            _ => &stream.request.path,
        }
    }
}

/// How the requests of one account differ from what the catalog declares, as far as was learned.
#[derive(Debug, Clone, Default)]
pub struct RequestOptions {
    /// The key reads several organizations, so a domain needs the id of its own.
    pub many_organizations: bool,
    /// How the endpoint reads `end_date`, if that was learned.
    pub window_end: Option<WindowEnd>,
    /// Members of the body that the account may not request, such as `include.citation_details`.
    pub without: BTreeSet<String>,
    /// The most rows of a page that the API answers, if it is less than the catalog's.
    pub page_limit: Option<u64>,
}

/// Values by the names of variables, from a row of a parent or from the user's parameters.
pub type Variables = BTreeMap<String, String>;

/// Makes the requests of a slice.
#[derive(Debug, Clone)]
pub struct SliceRequest<'a> {
    pub slice: &'a Slice,
    pub transport: Transport,
    pub options: &'a RequestOptions,
    pub variables: &'a Variables,
}

/// One request, ready to be sent. Its fields are private: only [`SliceRequest::page`] makes one, from a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) body: Option<Value>,
    pub(super) events: bool,
    pub(super) rows: RowsAt,
    /// Added to every row.
    pub(super) members: Vec<(String, Value)>,
    /// Stream and scope, for messages.
    pub(super) what: String,
    /// The path, as the catalog has it.
    pub(super) endpoint: String,
    pub(super) slice: SliceName,
    /// The longest response, decompressed.
    pub(super) max_bytes: u64,
}

impl Request {
    pub fn kind(&self) -> RequestKind {
        if self.events { RequestKind::Events } else { RequestKind::Page }
    }

    pub fn body(&self) -> Option<&Value> {
        self.body.as_ref()
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// Without its question mark and without a key.
    pub fn query(&self) -> &str {
        &self.query
    }
}

impl SliceRequest<'_> {
    /// The request for the page at `cursor`; the first page has none.
    pub fn page(&self, cursor: Option<&Cursor>) -> Request {
        let stream = &self.slice.stream;
        let events = self.transport == Transport::Events;
        let path = self.transport.endpoint(stream);
        let texts = self.texts();
        let body = (stream.request.method == Method::Post).then(|| Value::Object(self.body(cursor, &texts)));
        Request {
            method: stream.request.method,
            path: fill(path, &texts, |text| utf8_percent_encode(text, UNRESERVED).to_string()),
            query: self.query(cursor, &texts),
            body,
            events,
            rows: stream.rows.clone(),
            members: self.members(),
            what: self.what(),
            endpoint: path.to_owned(),
            slice: self.slice.name(),
            max_bytes: match (events, &stream.pagination, &stream.days) {
                (true, ..) => MAX_EVENT_STREAM_BYTES,
                (false, Pagination::Single, None) => MAX_LIST_BYTES,
                (false, ..) => MAX_PAGE_BYTES,
            },
        }
    }

    /// Stream, scope and variables, for messages.
    fn what(&self) -> String {
        let mut what = format!("stream `{}` of {}", self.slice.stream.name, self.slice.scope);
        for (name, value) in self.variables {
            // A protected value is in no message either.
            if self.slice.stream.protect.contains_key(name) {
                what.push_str(&format!(", {name} (not shown)"));
            } else {
                what.push_str(&format!(", {name} {value:?}"));
            }
        }
        what
    }

    /// Columns whose values are in the request and not in the rows.
    fn members(&self) -> Vec<(String, Value)> {
        let columns = self.slice.stream.columns.iter().filter(|column| column.from_request);
        columns.map(|column| (column.name.clone(), json!(self.variables.get(&column.name)))).collect()
    }

    /// The text of every variable of a template.
    fn texts(&self) -> Variables {
        let mut texts = self.variables.clone();
        for (part, named) in self.slice.scope.parts() {
            texts.insert(format!("{}_id", part.path_key()), named.id.clone());
            texts.insert(format!("{}_name", part.path_key()), named.name.clone());
        }
        if let (Some(window), Some(days)) = (self.slice.window, &self.slice.stream.days) {
            let window = with_margin(window, days);
            texts.insert("first".into(), window.start.to_string());
            texts.insert("last".into(), self.end_date(window, days).to_string());
        }
        texts
    }

    /// The `end_date` of a request for `window`, inclusive or exclusive as the family has it. Formed only here.
    fn end_date(&self, window: Window, days: &Days) -> Day {
        match self.options.window_end.unwrap_or(days.end) {
            WindowEnd::Inclusive | WindowEnd::Undocumented => window.last(),
            WindowEnd::Exclusive => window.end,
        }
    }

    fn query(&self, cursor: Option<&Cursor>, texts: &Variables) -> String {
        let stream = &self.slice.stream;
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for pair in stream.query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            query.append_pair(name, &fill(value, texts, str::to_owned));
        }
        match (&stream.pagination, cursor) {
            (Pagination::QueryOffset { limit }, cursor) => {
                query.append_pair("limit", &limit.to_string());
                query.append_pair("offset", &offset_of(cursor).to_string());
            }
            (Pagination::QueryCursor { parameter }, Some(Cursor::Token(token))) => {
                query.append_pair(parameter, token);
            }
            (Pagination::QueryAfter, Some(Cursor::Token(token))) => {
                query.append_pair("after", token);
            }
            _ => {}
        }
        query.finish()
    }

    fn body(&self, cursor: Option<&Cursor>, texts: &Variables) -> Map<String, Value> {
        let stream = &self.slice.stream;
        let mut body = stream.body.clone();
        body.values_mut().for_each(|value| fill_value(value, texts));
        self.options.without.iter().for_each(|member| remove(&mut body, member));
        for (part, named) in self.slice.scope.parts() {
            let is_bound = stream.uses_variable(&format!("{}_id", part.path_key()))
                || stream.uses_variable(&format!("{}_name", part.path_key()));
            if is_bound {
                continue;
            }
            match part {
                ScopePart::Category => body.insert("category_id".into(), json!(named.id)),
                // The API knows assets by name and domains by host name.
                ScopePart::Asset => body.insert("asset".into(), json!(named.name)),
                ScopePart::Domain => body.insert("domain".into(), json!(named.name)),
                ScopePart::Organization if self.options.many_organizations => {
                    body.insert("organization_id".into(), json!(named.id))
                }
                ScopePart::Organization => None,
            };
        }
        if let (Some(window), Some(days)) = (self.slice.window, stream.days.as_ref().filter(|days| days.sent)) {
            let window = with_margin(window, days);
            body.insert("start_date".into(), json!(window.start));
            body.insert("end_date".into(), json!(self.end_date(window, days)));
        }
        self.add_pagination(stream, cursor, &mut body);
        body
    }

    fn add_pagination(&self, stream: &Stream, cursor: Option<&Cursor>, body: &mut Map<String, Value>) {
        let pagination = match self.options.page_limit {
            Some(limit) => stream.pagination.with_limit(limit),
            None => stream.pagination.clone(),
        };
        match (&pagination, self.transport) {
            (Pagination::Offset { .. }, Transport::Events) => {
                body.insert("pagination".into(), Value::Null);
            }
            (Pagination::Offset { limit }, Transport::Pages) => {
                body.insert("pagination".into(), json!({"limit": limit, "offset": offset_of(cursor)}));
                if stream.event_stream.is_some() {
                    order_totally(body);
                }
            }
            (Pagination::Cursor { limit }, Transport::Pages) => {
                body.insert("limit".into(), json!(limit));
                if let Some(Cursor::Token(token)) = cursor {
                    body.insert("cursor".into(), json!(token));
                }
            }
            (Pagination::BodyOffset { limit }, _) => {
                body.insert("limit".into(), json!(limit));
                body.insert("offset".into(), json!(offset_of(cursor)));
            }
            (Pagination::Cursor { .. }, Transport::Events)
            | (
                Pagination::Single
                | Pagination::QueryCursor { .. }
                | Pagination::QueryOffset { .. }
                | Pagination::QueryAfter,
                _,
            ) => {}
        }
    }
}

fn offset_of(cursor: Option<&Cursor>) -> u64 {
    match cursor {
        Some(Cursor::Offset(offset)) => *offset,
        _ => 0,
    }
}

/// The days to request, so that none of `window` is missing.
fn with_margin(window: Window, days: &Days) -> Window {
    let margin = i64::from(days.margin);
    Window { start: window.start.plus(-margin), end: window.end.plus(margin) }
}

/// `template` with the values of `{name}` filled in.
fn fill(template: &str, texts: &Variables, encode: impl Fn(&str) -> String) -> String {
    let (mut filled, mut rest) = (String::with_capacity(template.len()), template);
    // In one pass, so that a value that looks like a variable stays a value.
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        filled.push_str(before);
        let name = from[1..].split_once('}').map(|(name, _)| name);
        rest = match name.and_then(|name| Some((name, texts.get(name)?))) {
            Some((name, text)) => {
                filled.push_str(&encode(text));
                &from[name.len() + 2..]
            }
            None => {
                filled.push('{');
                &from[1..]
            }
        };
    }
    filled.push_str(rest);
    filled
}

fn fill_value(value: &mut Value, texts: &Variables) {
    match value {
        Value::String(text) => *text = fill(text, texts, str::to_owned),
        Value::Array(items) => items.iter_mut().for_each(|item| fill_value(item, texts)),
        Value::Object(members) => members.values_mut().for_each(|member| fill_value(member, texts)),
        _ => {}
    }
}

/// Adds every dimension to `order_by`, after those already in it: offsets need a total order.
fn order_totally(body: &mut Map<String, Value>) {
    let dimensions = body.get("dimensions").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(order) = body.get_mut("order_by").and_then(Value::as_object_mut) else {
        return;
    };
    for dimension in dimensions.iter().filter_map(Value::as_str) {
        if !order.contains_key(dimension) {
            order.insert(dimension.to_owned(), json!("asc"));
        }
    }
}

/// Removes the member or list entry at the dotted path `member`.
fn remove(body: &mut Map<String, Value>, member: &str) {
    let Some((outer, inner)) = member.split_once('.') else {
        body.shift_remove(member);
        return;
    };
    match body.get_mut(outer) {
        Some(Value::Array(entries)) => entries.retain(|entry| entry.as_str() != Some(inner)),
        Some(Value::Object(members)) => {
            members.shift_remove(inner);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::model::scope::{Named, Scope};
    use crate::model::window::Window;

    fn named(id: &str) -> Named {
        Named { id: id.into(), name: format!("{id} name") }
    }

    fn slice(stream: &str) -> Slice {
        let stream = std::sync::Arc::clone(Catalog::embedded().unwrap().get(stream).unwrap());
        let window = Window::inclusive("2026-03-01".parse().unwrap(), "2026-03-04".parse().unwrap());
        let all = Scope {
            organization: Some(named("o1")),
            category: Some(named("c 1/x")),
            asset: Some(named("a1")),
            domain: Some(named("d1")),
        };
        let keep = |part| stream.scope.parts().contains(&part).then(|| all.part(part).cloned()).flatten();
        let scope = Scope {
            organization: keep(ScopePart::Organization),
            category: keep(ScopePart::Category),
            asset: keep(ScopePart::Asset),
            domain: keep(ScopePart::Domain),
        };
        Slice { window: window.filter(|_| stream.is_dated()), stream, scope }
    }

    fn request(stream: &str, transport: Transport, options: &RequestOptions, cursor: Option<&Cursor>) -> Request {
        SliceRequest { slice: &slice(stream), transport, options, variables: &Variables::new() }.page(cursor)
    }

    fn member(request: &Request, pointer: &str) -> Value {
        request.body().unwrap().pointer(pointer).cloned().unwrap_or(json!("absent"))
    }

    #[test]
    fn end_date_has_the_form_of_the_family() {
        let options = RequestOptions::default();
        for (stream, end) in
            [("visibility_v1", "2026-03-05"), ("visibility_v2", "2026-03-04"), ("bots_v2", "2026-03-05")]
        {
            let request = request(stream, Transport::Events, &options, None);
            assert_eq!(
                (member(&request, "/start_date"), member(&request, "/end_date")),
                (json!("2026-03-01"), json!(end))
            );
        }
        let learned = RequestOptions { window_end: Some(WindowEnd::Exclusive), ..RequestOptions::default() };
        assert_eq!(
            member(&request("visibility_v2", Transport::Events, &learned, None), "/end_date"),
            json!("2026-03-05")
        );
    }

    #[test]
    fn offset_pages_have_a_total_order_with_the_day_first() {
        let options = RequestOptions::default();
        let page = request("visibility_v1", Transport::Pages, &options, Some(&Cursor::Offset(50_000)));
        assert_eq!(page.path(), "/v1/reports/visibility");
        assert_eq!(member(&page, "/pagination"), json!({"limit": 50_000, "offset": 50_000}));
        let order: Vec<String> = member(&page, "/order_by").as_object().unwrap().keys().cloned().collect();
        assert_eq!(order[0], "date");
        assert_eq!(order.len(), 9);
        let events = request("visibility_v1", Transport::Events, &options, None);
        assert_eq!(events.path(), "/v1/reports/visibility/stream");
        assert_eq!(
            (member(&events, "/pagination"), member(&events, "/order_by")),
            (Value::Null, json!({"date": "asc"}))
        );
    }

    #[test]
    fn cursor_is_added_to_an_unchanged_body() {
        let options = RequestOptions::default();
        let token = Cursor::Token("t+1".into());
        let page = request("visibility_v2", Transport::Pages, &options, Some(&token));
        assert_eq!((member(&page, "/limit"), member(&page, "/cursor")), (json!(50), json!("t+1")));
        let events = request("visibility_v2", Transport::Events, &options, None);
        assert_eq!((member(&events, "/limit"), member(&events, "/cursor")), (json!("absent"), json!("absent")));
        let prompts = request("prompts", Transport::Pages, &options, Some(&token));
        assert!(prompts.query().ends_with("limit=10000&cursor=t%2B1"), "{}", prompts.query());
        assert_eq!(prompts.path(), "/v1/org/categories/c%201%2Fx/prompts");
    }

    #[test]
    fn domain_names_its_organization_only_if_there_are_several() {
        let alone = request("bots_v2", Transport::Pages, &RequestOptions::default(), None);
        assert_eq!(
            (member(&alone, "/domain"), member(&alone, "/organization_id")),
            (json!("d1 name"), json!("absent"))
        );
        let options = RequestOptions { many_organizations: true, ..RequestOptions::default() };
        assert_eq!(member(&request("bots_v2", Transport::Pages, &options, None), "/organization_id"), json!("o1"));
    }

    fn declared(text: &str) -> std::sync::Arc<Stream> {
        let common = "name = 's'\nabout = 'rows'\nkey = ['id']\n\
            columns = [{ name = 'id', type = 'utf8', about = 'id', from_request = true }]\n";
        std::sync::Arc::new(toml::from_str(&format!("{common}{text}")).unwrap())
    }

    #[test]
    fn variables_are_filled_once_and_encoded_for_their_place() {
        let stream = declared(
            "request = 'POST /v1/things/{id}/{asset_id}'\nscope = 'category_asset'\nquery = 'c={category_id}&q={id}'\n\
            body = { name = '{asset_name}', list = ['{id}', '{unknown}'] }",
        );
        let named = |id: &str, name: &str| Some(Named { id: id.into(), name: name.into() });
        let scope = Scope { category: named("c1", "C"), asset: named("a/1", "{id} & co"), ..Scope::default() };
        let slice = Slice { stream, scope, window: None };
        let variables = Variables::from([("id".to_owned(), "x y".to_owned())]);
        let requests = SliceRequest {
            slice: &slice,
            transport: Transport::Pages,
            options: &RequestOptions::default(),
            variables: &variables,
        };
        let request = requests.page(None);
        assert_eq!(request.path(), "/v1/things/x%20y/a%2F1");
        assert_eq!(request.query(), "c=c1&q=x+y");
        // Nothing is added that path, query or body contain already.
        assert_eq!(request.body(), Some(&json!({"name": "{id} & co", "list": ["x y", "{unknown}"]})));
        assert_eq!(request.members, [("id".to_owned(), json!("x y"))]);
    }

    #[test]
    fn days_in_a_query_include_the_margin() {
        let stream = declared(
            "request = 'GET /v1/ads'\nscope = 'account'\n\
            query = 'time_ranges[]={\"since\":\"{first}\",\"until\":\"{last}\"}&limit=2000'\npagination = 'query_after'\n\
            days = { zone = 'utc', end = 'inclusive', lookback = 3, margin = 1, sent = false }",
        );
        let window = Window::inclusive("2026-03-01".parse().unwrap(), "2026-03-04".parse().unwrap());
        let slice = Slice { stream, scope: Scope::default(), window };
        let (options, variables) = (RequestOptions::default(), Variables::new());
        let requests =
            SliceRequest { slice: &slice, transport: Transport::Pages, options: &options, variables: &variables };
        let request = requests.page(Some(&Cursor::Token("i 9".into())));
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(request.query().as_bytes()).into_owned().collect();
        let expected =
            [("time_ranges[]", r#"{"since":"2026-02-28","until":"2026-03-05"}"#), ("limit", "2000"), ("after", "i 9")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(request.body(), None);
    }

    #[test]
    fn offset_is_at_the_top_of_a_body_or_in_a_query() {
        let (options, variables) = (RequestOptions::default(), Variables::new());
        let page = |text: &str, cursor| {
            let slice = Slice { stream: declared(text), scope: Scope::default(), window: None };
            SliceRequest { slice: &slice, transport: Transport::Pages, options: &options, variables: &variables }
                .page(cursor)
        };
        let of_body = "request = 'POST /v1/x'\nscope = 'account'\npagination = { body_offset = { limit = 100 } }";
        assert_eq!(page(of_body, Some(&Cursor::Offset(200))).body(), Some(&json!({"limit": 100, "offset": 200})));
        let of_query = "request = 'GET /v1/x'\nscope = 'account'\nquery = 'status=a,b'\npagination = { query_offset = { limit = 200 } }";
        assert_eq!(page(of_query, None).query(), "status=a%2Cb&limit=200&offset=0");
    }

    #[test]
    fn rejected_members_are_left_out() {
        let without =
            |member: &str| RequestOptions { without: [member.to_owned()].into(), ..RequestOptions::default() };
        let answers = request("answers_v2", Transport::Events, &without("include.citation_details"), None);
        assert_eq!(member(&answers, "/include").as_array().unwrap().len(), 16);
        let bots = request("bots_v2", Transport::Pages, &without("metrics.agents"), None);
        assert!(!member(&bots, "/metrics").as_array().unwrap().contains(&json!("agents")));
        let sentiment = request("sentiment_v2_by_theme", Transport::Events, &without("include_cited_websites"), None);
        assert_eq!(member(&sentiment, "/include_cited_websites"), json!("absent"));
        assert_eq!(member(&sentiment, "/asset"), json!("a1 name"));
    }
}
