//! From a method and a path to the streams that may be meant.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::catalog::Catalog;
use crate::model::column::Column;
use crate::model::stream::{Method, Pagination, Stream};

/// An endpoint of the API: all streams of the catalog that ask it.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// At least one.
    pub(super) streams: Vec<Arc<Stream>>,
    /// Whether the twin that answers with events was asked.
    pub(super) event: bool,
    /// What stands in the path where the catalog has `{name}`.
    pub(super) variables: BTreeMap<String, String>,
}

impl Endpoint {
    /// The endpoint of `catalog` at `path`, if there is one.
    pub(super) fn find(catalog: &Catalog, method: &str, path: &str) -> Option<Self> {
        let mut endpoint = Self { streams: Vec::new(), event: false, variables: BTreeMap::new() };
        for stream in catalog.streams() {
            let plain = match stream.request.method {
                Method::Get => "GET",
                Method::Post => "POST",
            };
            if plain == method
                && let Some(variables) = matched(&stream.request.path, path)
            {
                endpoint.variables = variables;
                endpoint.streams.push(stream.clone());
            } else if method == "POST" && stream.event_stream.as_deref() == Some(path) {
                endpoint.event = true;
                endpoint.streams.push(stream.clone());
            }
        }
        (!endpoint.streams.is_empty()).then_some(endpoint)
    }

    /// The endpoint of `stream` alone.
    pub(super) fn of(stream: Arc<Stream>) -> Self {
        Self { streams: vec![stream], event: false, variables: BTreeMap::new() }
    }

    /// Whether its rows belong to days.
    pub(super) fn is_dated(&self) -> bool {
        self.streams.iter().any(|stream| stream.is_dated())
    }

    /// Whether its rows are positional.
    pub(super) fn is_positional(&self) -> bool {
        self.streams.iter().any(|stream| stream.positional_names().is_some())
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

    /// The stream that asks most nearly what `body` asks.
    pub(super) fn nearest(&self, body: &Map<String, Value>) -> &Arc<Stream> {
        let wanted = dimensions(body);
        let likeness = |stream: &Arc<Stream>| {
            let own = dimensions(&stream.body);
            let shared = own.iter().filter(|name| wanted.contains(name)).count();
            let entity = entity(&stream.body, &own) == entity(body, &wanted);
            let same_metrics = names(&stream.body, "metrics").iter().all(|name| names(body, "metrics").contains(name));
            let exact = shared == own.len() && own.len() == wanted.len();
            (entity, exact, same_metrics, shared, std::cmp::Reverse(own.len()))
        };
        // The catalog is never empty where an endpoint was found; the first wins a tie.
        self.streams.iter().rev().max_by_key(|stream| likeness(stream)).unwrap_or(&self.streams[0])
    }
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
fn matched(template: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(variables),
            (Some(wanted), Some(given)) => match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) if !given.is_empty() => {
                    variables.insert(name.to_owned(), given.to_owned());
                }
                _ if wanted == given => {}
                _ => return None,
            },
            _ => return None,
        }
    }
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
        let body = |value: Value| value.as_object().unwrap().clone();
        let visibility = endpoint("POST", "/v2/reports/visibility/stream").unwrap();
        assert!(visibility.event);
        assert_eq!(visibility.nearest(&body(json!({"group_by": ["date"]}))).name, "visibility_v2_by_day");
        let all = json!({"group_by": ["persona", "date", "model", "topic", "region", "prompt"]});
        assert_eq!(visibility.nearest(&body(all)).name, "visibility_v2");
        let citations = endpoint("POST", "/v2/reports/citations").unwrap();
        let page = json!({"entity": "page", "group_by": ["date", "topic"]});
        assert_eq!(citations.nearest(&body(page)).name, "citations_v2_page_by_prompt");
    }

    #[test]
    fn paths_outside_the_catalog_are_unknown() {
        assert!(endpoint("GET", "/v1/org/categories/abc/prompts").is_some());
        assert!(endpoint("GET", "/v1/org/categories//prompts").is_none());
        assert!(endpoint("POST", "/v1/org/categories/abc/prompts").is_none());
        assert!(endpoint("GET", "/v2/reports/visibility").is_none());
    }
}
