//! From a method and a path to the streams that may be meant.

use std::sync::Arc;

use serde_json::{Map, Value};

use catalog::Catalog;
use catalog::model::column::Column;
use catalog::model::stream::{Method, Pagination, Stream};

use super::bind::{Variables, has_variables, query_pairs};
use super::question::Parameters;

/// An endpoint of the API: all streams of the catalog that ask it.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// At least one.
    pub(super) streams: Vec<Arc<Stream>>,
    /// Whether the twin that answers with events was asked.
    pub(super) event: bool,
    /// What stands in the path where the catalog has `{name}`.
    pub(super) variables: Variables,
}

impl Endpoint {
    /// The endpoint of `catalog` at `path`, if there is one.
    pub(super) fn find(catalog: &Catalog, method: &str, path: &str) -> Option<Self> {
        let mut endpoint = Self { streams: Vec::new(), event: false, variables: Variables::new() };
        // Where a path fits several templates, the one that leaves least open is meant.
        let mut open = usize::MAX;
        for stream in catalog.streams() {
            let plain = match stream.request.method {
                Method::Get => "GET",
                Method::Post => "POST",
            };
            let asked = (plain == method).then(|| matched(&stream.request.path, path)).flatten();
            let event = method == "POST" && stream.event_stream.as_deref() == Some(path);
            let Some(variables) = asked.or(event.then(Variables::new)) else {
                continue;
            };
            if open < variables.len() {
                continue;
            }
            if variables.len() < open {
                open = variables.len();
                endpoint = Self { streams: Vec::new(), event, variables: Variables::new() };
            }
            endpoint.variables.extend(variables);
            endpoint.streams.push(stream.clone());
        }
        (!endpoint.streams.is_empty()).then_some(endpoint)
    }

    /// The endpoint of `stream` alone.
    pub(super) fn of(stream: Arc<Stream>) -> Self {
        Self { streams: vec![stream], event: false, variables: Variables::new() }
    }

    /// Whether requests name their days in the body.
    pub(super) fn takes_days(&self) -> bool {
        self.streams.iter().any(|stream| stream.days.as_ref().is_some_and(|days| days.sent))
    }

    /// Whether its rows are positional.
    pub(super) fn is_positional(&self) -> bool {
        self.streams.iter().any(|stream| is_positional(stream))
    }

    /// The declaration of `name`, from whichever stream has it.
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.streams.iter().find_map(|stream| stream.column(name))
    }

    /// Whether any stream groups by `name`.
    pub(super) fn is_dimension(&self, name: &str) -> bool {
        self.streams.iter().any(|stream| dimensions(&stream.body).iter().any(|dimension| dimension == name))
    }

    /// The metrics of all streams, each once.
    pub(super) fn metrics(&self) -> Vec<String> {
        let mut metrics: Vec<String> = Vec::new();
        for name in self.streams.iter().flat_map(|stream| names(&stream.body, "metrics")) {
            if !metrics.contains(&name) {
                metrics.push(name);
            }
        }
        metrics
    }

    /// Whether any stream sends the member `name`.
    pub(super) fn sends(&self, name: &str) -> bool {
        self.streams.iter().any(|stream| stream.body.contains_key(name))
    }

    /// Rows a cursor page may have at most: the catalog always asks for as many as are allowed.
    pub(super) fn cursor_limit(&self) -> u64 {
        let limit = |stream: &Arc<Stream>| match stream.pagination {
            Pagination::Cursor { limit } => limit,
            _ => 0,
        };
        self.streams.iter().map(limit).max().unwrap_or(0)
    }

    /// The stream that asks most nearly what a request asks.
    pub(super) fn nearest(&self, parameters: &Parameters) -> &Arc<Stream> {
        if let [only] = &self.streams[..] {
            return only;
        }
        let body = &parameters.body;
        let wanted = dimensions(body);
        let likeness = |stream: &Arc<Stream>| {
            let own = dimensions(&stream.body);
            let shared = own.iter().filter(|name| wanted.contains(name)).count();
            let entity = entity(&stream.body, &own) == entity(body, &wanted);
            let same_metrics = names(&stream.body, "metrics").iter().all(|name| names(body, "metrics").contains(name));
            let exact = shared == own.len() && own.len() == wanted.len();
            (entity, exact, same_metrics, shared, std::cmp::Reverse(own.len()), agreement(stream, parameters))
        };
        // The catalog is never empty where an endpoint was found; the first wins a tie.
        self.streams.iter().rev().max_by_key(|stream| likeness(stream)).unwrap_or(&self.streams[0])
    }
}

/// Whether rows of `stream` come by position: only where all they hold was asked for by name.
pub(super) fn is_positional(stream: &Stream) -> bool {
    // Reports on shopping have named rows in either version.
    !stream.request.path.contains("/shopping/")
        && stream.positional_names().is_some_and(|(dimensions, metrics)| {
            let asked = |name: &String| dimensions.contains(name) || metrics.contains(name);
            stream.columns.iter().filter(|column| !column.from_request).all(|column| asked(&column.name))
        })
}

/// How many of the fixed parts of `stream` a request has, less those it has not.
fn agreement(stream: &Stream, parameters: &Parameters) -> i64 {
    let sent = |name: &str, value: &str| parameters.query.iter().any(|(other, given)| other == name && given == value);
    let in_query = query_pairs(&stream.query)
        .filter(|(_, template)| !has_variables(template))
        .map(|(name, value)| sent(name, value));
    let in_body = stream
        .body
        .iter()
        .filter(|(_, value)| !has_variables(&value.to_string()))
        .map(|(name, value)| parameters.body.get(name) == Some(value));
    in_query.chain(in_body).map(|agrees| if agrees { 1 } else { -1 }).sum()
}

/// The strings of the list `name`; absent and null are empty.
pub(super) fn names(body: &Map<String, Value>, name: &str) -> Vec<String> {
    let items = body.get(name).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What a body groups by.
pub(super) fn dimensions(body: &Map<String, Value>) -> Vec<String> {
    [names(body, "group_by"), names(body, "dimensions")].concat()
}

/// What each row of a body's answer is about, where the body says it.
fn entity(body: &Map<String, Value>, groups: &[String]) -> String {
    match body.get("entity").and_then(Value::as_str) {
        Some(entity) => entity.to_owned(),
        None if groups.iter().any(|group| group == "page") => "page".to_owned(),
        None => "domain".to_owned(),
    }
}

/// The values of `{name}` in `template`, when `path` fits it.
fn matched(template: &str, path: &str) -> Option<Variables> {
    let mut variables = Variables::new();
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(variables),
            (Some(wanted), Some(given)) => match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) if !given.is_empty() => {
                    variables.insert(name.to_owned(), decoded(given));
                }
                _ if wanted == given => {}
                _ => return None,
            },
            _ => return None,
        }
    }
}

/// A step of a path, decoded; a plus is a plus.
fn decoded(step: &str) -> String {
    let pair = format!("={}", step.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(pair.as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn endpoint(method: &str, path: &str) -> Option<Endpoint> {
        Endpoint::find(&Catalog::embedded().unwrap(), method, path)
    }

    #[test]
    fn request_is_matched_to_the_stream_of_its_grain() {
        let body = |value: Value| Parameters { body: value.as_object().unwrap().clone(), query: Vec::new() };
        let visibility = endpoint("POST", "/v2/reports/visibility/stream").unwrap();
        assert!(visibility.event);
        assert_eq!(visibility.nearest(&body(json!({"group_by": ["date"]}))).name, "visibility_v2_by_day");
        let all = json!({"group_by": ["persona", "date", "model", "topic", "region", "prompt"]});
        assert_eq!(visibility.nearest(&body(all)).name, "visibility_v2");
        let citations = endpoint("POST", "/v2/reports/citations").unwrap();
        let page = json!({"entity": "page", "group_by": ["date", "prompt"]});
        assert_eq!(citations.nearest(&body(page)).name, "citations_v2_page_by_prompt");
        let insights = endpoint("GET", "/v1/ads/openai-ads/ad-account/insights").unwrap();
        let query = vec![("aggregation_level".to_owned(), "ad".to_owned())];
        assert_eq!(insights.nearest(&Parameters { query, ..Parameters::default() }).name, "openai_ads_insights_ad");
    }

    #[test]
    fn paths_outside_the_catalog_are_unknown() {
        assert!(endpoint("GET", "/v1/org/categories/abc/prompts").is_some());
        assert!(endpoint("GET", "/v1/org/categories//prompts").is_none());
        assert!(endpoint("POST", "/v1/org/categories/abc/prompts").is_none());
        assert!(endpoint("GET", "/v2/reports/visibility").is_none());
        let list = endpoint("GET", "/v1/projects/generations").unwrap();
        assert_eq!(list.streams[0].name, "project_generations");
    }
}
