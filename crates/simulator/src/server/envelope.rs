//! What comes before and after the rows of a body: totals, cursors and echoes of the request.

use std::collections::BTreeSet;

use catalog::model::scope::ScopeKind;
use catalog::model::stream::{Pagination, RowsAt, Stream, Total};
use serde_json::{Map, Value, json};

use crate::data::lists::METADATA_PATH;
use crate::data::objects::Object;
use crate::data::stream_shape::is_single;
use crate::query::cursor;
use crate::query::page::{AFTER_A_PAUSE, OFFSET_DEFAULT};
use crate::query::parameters::names;
use crate::query::resolve::{ResolvedRequest, RowShape};

use super::active_faults::{AppliedFaults, last_fault};
use super::fault::{AnnouncedAt, FaultKind, NoInfoForm};

/// Where every endpoint of version 2 begins.
const VERSION_2: &str = "/v2/";

/// Lists with pages of more rows than this announce how many rows there are in all.
const SMALL_PAGE: u64 = 200;

/// Members of a version 2 body that its response repeats as they are.
const ECHOED: [&str; 7] =
    ["category_id", "limit", "cursor", "interval", "attribution", "include_merchants", "source_types"];

/// A page of a resolved request, as its envelope describes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyEnvelope<'a> {
    pub(crate) request: &'a ResolvedRequest,
    /// Rows of this page.
    pub(crate) rows: u64,
    pub(crate) faults: &'a AppliedFaults,
}

impl BodyEnvelope<'_> {
    /// What comes before and after the rows of a JSON body.
    pub(crate) fn around_rows(&self) -> (String, String) {
        let (mut before, mut after) = self.documented();
        if let Some(form) = last_fault!(self.faults, FaultKind::NoInfo { form } => form) {
            (before, after) = match form {
                NoInfoForm::Absent => ("{\"data\":[".to_owned(), "]}".to_owned()),
                NoInfoForm::Null => ("{\"info\":null,\"data\":[".to_owned(), "]}".to_owned()),
                NoInfoForm::Bare => ("[".to_owned(), "]".to_owned()),
            };
        }
        for (member, value) in self.faults.announced(AnnouncedAt::Body) {
            if before.starts_with('{') {
                before.insert_str(1, &format!("{}:{value},", json!(member)));
            }
        }
        (before, after)
    }

    fn documented(&self) -> (String, String) {
        let stream = &*self.request.stream;
        let path = stream.request.path.as_str();
        let around = |before: &str, after: &str| (before.to_owned(), after.to_owned());
        // An answer without a row still has an object.
        let object = |before: &str, after: &str| match self.rows {
            0 => (format!("{before}{{}}{after}"), String::new()),
            _ => around(before, after),
        };
        let with_info = |announced: String| {
            if self.faults.has(&FaultKind::DataFirst) {
                return ("{\"data\":[".to_owned(), format!("],{announced}}}"));
            }
            (format!("{{{announced},\"data\":["), "]}".to_owned())
        };
        let info = || format!("\"info\":{}", self.info());
        let with_tail = |tail: Value| ("{\"data\":[".to_owned(), format!("],{}", &tail.to_string()[1..]));
        let limit = self.request.page.limit;
        match &stream.pagination {
            _ if stream.rows == RowsAt::Body => object("", ""),
            Pagination::Single if is_single(stream) && path.starts_with(VERSION_2) => {
                object(&format!("{{{},\"data\":", info()), "}")
            }
            Pagination::Single if is_single(stream) => object("{\"data\":", "}"),
            Pagination::Single if path.starts_with(VERSION_2) || path.contains("/shopping/") => with_info(info()),
            Pagination::Single if is_wrapped(stream) || self.request.dataset.account.wrap_lists => {
                around("{\"data\":[", "]}")
            }
            Pagination::Single => around("[", "]"),
            Pagination::Offset { .. } if path.starts_with("/v1/logs/") => around("[", "]"),
            Pagination::BodyOffset { .. } if self.faults.has(&FaultKind::NoTotal) => around("{\"data\":[", "]}"),
            Pagination::BodyOffset { .. } => {
                with_info(format!("\"totalCount\":{}", self.request.rows.total() + self.faults.total_shift))
            }
            Pagination::QueryOffset { limit: most } if *most <= SMALL_PAGE => {
                with_tail(json!({ "pagination": { "limit": limit, "offset": self.request.page.offset } }))
            }
            Pagination::QueryCursor { parameter } if parameter != "cursor" => {
                with_tail(json!({ "pagination": { "limit": limit, "next_cursor": self.next_cursor() } }))
            }
            Pagination::QueryAfter => with_tail(self.row_cursor()),
            _ => with_info(info()),
        }
    }

    /// The cursor of lists that continue after a row's id.
    fn row_cursor(&self) -> Value {
        let offset = self.request.page.offset;
        let id = |row: u64| self.request.rows.id(row);
        let is_repeated = self.faults.has(&FaultKind::RepeatedCursor);
        let has_more = self.rows > 0 && (is_repeated || offset + self.rows < self.request.rows.total());
        let last = if is_repeated && offset > 0 { offset - 1 } else { offset + self.rows.saturating_sub(1) };
        let (first_id, last_id) = ((self.rows > 0).then(|| id(offset)), (self.rows > 0).then(|| id(last)));
        json!({ "count": self.rows, "first_id": first_id, "last_id": last_id, "has_more": has_more })
    }

    fn next_cursor(&self) -> Value {
        let ResolvedRequest { page, fingerprint, rows, .. } = self.request;
        let read = page.offset + self.rows;
        let next = if self.faults.has(&FaultKind::RepeatedCursor) {
            Some(page.offset)
        } else if page.is_pause {
            Some(page.offset | AFTER_A_PAUSE)
        } else {
            (self.rows > 0 && read < rows.total()).then_some(read)
        };
        json!(next.map(|offset| cursor::token(*fingerprint, offset)))
    }

    /// `info` of a body, or the data of the event `summary`.
    pub(crate) fn info(&self) -> Value {
        let ResolvedRequest { endpoint, parameters, stream, page, .. } = self.request;
        let all = self.request.rows.total();
        let total = match stream.total {
            Total::AtLeast if self.faults.has(&FaultKind::EntityTotals) => self.entities(),
            Total::Rows | Total::AtLeast => all,
            // Entities, of which each has some rows.
            Total::Unrelated => all.div_ceil(3),
        };
        let is_v2_list = stream.pagination == Pagination::Single && stream.request.path.starts_with(VERSION_2);
        let is_v2_report = matches!(stream.pagination, Pagination::Cursor { .. });
        let mut info = Map::new();
        if !self.faults.has(&FaultKind::NoTotal) {
            let name = if is_v2_list || is_v2_report { "total_results" } else { "total_rows" };
            info.insert(name.into(), json!(total + self.faults.total_shift));
        }
        match stream.pagination {
            Pagination::Cursor { .. } | Pagination::Single if is_v2_list || is_v2_report => {
                let has_cursor = is_v2_report && !endpoint.is_event_stream;
                info.insert("count".into(), json!(self.rows));
                info.insert("next_cursor".into(), if has_cursor { self.next_cursor() } else { Value::Null });
                info.extend(self.echo());
            }
            Pagination::QueryOffset { .. } => {
                let mut query = json!(endpoint.variables);
                query["pagination"] = json!({ "limit": page.limit, "offset": page.offset });
                info.insert("query".into(), query);
            }
            Pagination::QueryCursor { .. } => {
                info.insert("limit".into(), json!(page.limit));
                info.insert("next_cursor".into(), self.next_cursor());
            }
            Pagination::Offset { .. } => {
                let query = match (endpoint.is_positional(), endpoint.sends("metrics")) {
                    (true, _) if self.faults.has(&FaultKind::NullQuery) => Value::Null,
                    (true, _) => self.positional_query(),
                    (false, true) => json!(parameters.body),
                    (false, false) => Value::Null,
                };
                info.insert("query".into(), query);
            }
            _ => {}
        }
        info.extend(self.faults.announced(AnnouncedAt::Info));
        Value::Object(info)
    }

    /// How many different keys the rows have, without their days.
    fn entities(&self) -> u64 {
        let stream = &self.request.stream;
        let day = stream.days.as_ref().map(|days| days.column.as_str());
        let key = |row: Object| -> Vec<String> {
            let columns = stream.key.iter().filter(|column| Some(column.as_str()) != day);
            let row = Value::Object(row);
            columns
                .map(|path| {
                    row.pointer(&format!("/{}", path.replace('.', "/"))).cloned().unwrap_or_default().to_string()
                })
                .collect()
        };
        self.request.rows.oldest_first().into_iter().map(key).collect::<BTreeSet<_>>().len() as u64
    }

    /// `info.query` of version 1: the query as the API understood it. Its lists give positional values their names.
    fn positional_query(&self) -> Value {
        let body = &self.request.parameters.body;
        let (dimensions, metrics) = match &self.request.shape {
            RowShape::Positional { dimensions, metrics } => (dimensions.clone(), metrics.clone()),
            RowShape::Named => (names(body, "dimensions"), names(body, "metrics")),
        };
        let given = |name: &str, default: Value| body.get(name).cloned().unwrap_or(default);
        json!({
            "date_interval": given("date_interval", json!("day")),
            "dimensions": dimensions,
            "metrics": metrics,
            "order_by": given("order_by", json!({})),
            "filters": given("filters", json!([])),
            "pagination": given("pagination", json!({ "limit": OFFSET_DEFAULT, "offset": 0 })),
        })
    }

    /// What version 2 repeats of the request.
    fn echo(&self) -> Map<String, Value> {
        let ResolvedRequest { endpoint, parameters, stream, dataset, .. } = self.request;
        let body = &parameters.body;
        let path = stream.request.path.as_str();
        let given = |name: &str, default: Value| body.get(name).cloned().unwrap_or(default);
        let mut echo = Map::new();
        let mut add = |name: &str, value: Value| echo.insert(name.to_owned(), value);
        add("models", dataset.objects.models.iter().map(|model| model["name"].clone()).collect());
        if let Some((first, last)) = self.request.window {
            add("start_date", given("start_date", json!(first)));
            add("end_date", given("end_date", json!(last)));
        }
        add("filter", given("filter", Value::Null));
        if endpoint.sends("scope") {
            add("scope", given("scope", json!("owned")));
            add("asset_filter", given("assets", Value::Null));
        }
        let has_metrics = endpoint.sends("metrics");
        if has_metrics {
            let metrics = names(body, "metrics");
            add("metrics", json!(if metrics.is_empty() { endpoint.metrics() } else { metrics }));
            add("analysis_types", json!(["visibility"]));
            add("coverage_note", json!("Only runs with data are counted."));
        }
        if endpoint.sends("include") {
            let own = stream.body.get("include").cloned().unwrap_or_default();
            add("include", body.get("include").filter(|given| !given.is_null()).cloned().unwrap_or(own));
        }
        let groups = names(body, "group_by");
        if path.contains("/factcheck") || (endpoint.sends("group_by") && !has_metrics) {
            add("group_by", json!(groups));
        }
        if path.contains("/social/") {
            add("source_types", json!(["video", "short", "channel", "playlist"]));
        }
        for name in ECHOED {
            if let Some(value) = body.get(name) {
                add(name, value.clone());
            }
        }
        if path.ends_with("/shopping/merchants") {
            let view = groups.into_iter().find(|group| group != "date");
            add("view", json!(view.unwrap_or_else(|| "distribution".to_owned())));
            let figures = stream.columns.iter().filter(|column| column.unit.is_some());
            add("metrics", figures.map(|column| json!(column.name)).collect());
        }
        if stream.scope == ScopeKind::CategoryAsset {
            for name in ["asset", "comparison_start_date", "comparison_end_date"] {
                add(name, given(name, Value::Null));
            }
        }
        echo
    }
}

/// Whether a list is in `data`. The published schema wraps some lists of metadata and not others, by no rule.
fn is_wrapped(stream: &Stream) -> bool {
    let path = stream.request.path.as_str();
    if !path.starts_with(METADATA_PATH) {
        return !matches!(stream.rows, RowsAt::Texts { .. });
    }
    let segment = path.rsplit('/').next().unwrap_or_default();
    // Of the assets, only the list of all is.
    ["assets", "personas", "citation-categories", "citation-tags"].contains(&segment) && !path.ends_with("}/assets")
}
