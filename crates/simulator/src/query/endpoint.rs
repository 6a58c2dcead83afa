//! From a method and a path to the streams that may be meant.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::Catalog;
use catalog::model::column::Column;
use catalog::model::day::Day;
use catalog::model::stream::{Method, Pagination, Stream};
use serde_json::{Map, Value};

use crate::data::objects::Variables;
use crate::data::stream_shape::is_positional;

use super::parameters::{Parameters, dimensions, member, names, parse_query, query_pairs};
use super::template::has_variables;

/// An endpoint of the API: all streams of the catalog that send requests to it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// At least one.
    pub(crate) streams: Vec<Arc<Stream>>,
    /// Whether the request is for the twin that answers with an event stream.
    pub(crate) is_event_stream: bool,
    /// The values of the variables in its path.
    pub(crate) variables: Variables,
}

impl Endpoint {
    /// The endpoint of `catalog` at `path`, if there is one.
    pub(crate) fn find(catalog: &Catalog, method: &str, path: &str) -> Option<Self> {
        let mut found: Option<Self> = None;
        for stream in catalog.streams() {
            let own_method = match stream.request.method {
                Method::Get => "GET",
                Method::Post => "POST",
            };
            let matched = (own_method == method).then(|| match_path(&stream.request.path, path)).flatten();
            let is_event_stream = method == "POST" && stream.event_stream.as_deref() == Some(path);
            let Some(variables) = matched.or(is_event_stream.then(Variables::new)) else { continue };
            // If a path matches several templates, the one with the fewest variables is meant.
            let known = found.as_ref().map(|endpoint| endpoint.variables.len());
            match &mut found {
                Some(endpoint) if known == Some(variables.len()) => {
                    endpoint.variables.extend(variables);
                    endpoint.streams.push(stream.clone());
                }
                _ if known.is_none_or(|known| variables.len() < known) => {
                    found = Some(Self { streams: vec![stream.clone()], is_event_stream, variables });
                }
                _ => {}
            }
        }
        found
    }

    /// The endpoint of `stream` alone.
    pub(crate) fn from_stream(stream: Arc<Stream>) -> Self {
        Self { streams: vec![stream], is_event_stream: false, variables: Variables::new() }
    }

    pub(crate) fn path(&self) -> &str {
        &self.streams[0].request.path
    }

    /// Whether requests name their days in the body.
    pub(crate) fn sends_days(&self) -> bool {
        self.streams.iter().any(|stream| stream.days.as_ref().is_some_and(|days| days.sent))
    }

    pub(crate) fn is_positional(&self) -> bool {
        self.streams.iter().any(|stream| is_positional(stream))
    }

    /// The declaration of `name` by the first stream that has it.
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.streams.iter().find_map(|stream| stream.column(name))
    }

    /// Whether any stream groups by `name`.
    pub(crate) fn is_dimension(&self, name: &str) -> bool {
        self.streams.iter().any(|stream| dimensions(&stream.body).iter().any(|dimension| dimension == name))
    }

    /// The metrics of all streams, sorted.
    pub(crate) fn metrics(&self) -> Vec<String> {
        let metrics = self.streams.iter().flat_map(|stream| names(&stream.body, "metrics"));
        metrics.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether any stream sends the member `name`.
    pub(crate) fn sends(&self, name: &str) -> bool {
        self.streams.iter().any(|stream| stream.body.contains_key(name))
    }

    /// Rows a cursor page may have at most: the catalog always asks for as many as are allowed.
    pub(crate) fn cursor_limit(&self) -> u64 {
        let limit = |stream: &Arc<Stream>| match stream.pagination {
            Pagination::Cursor { limit } => limit,
            _ => 0,
        };
        self.streams.iter().map(limit).max().unwrap_or(0)
    }

    /// The stream whose request is most like `parameters`; the first of several.
    pub(crate) fn nearest(&self, parameters: &Parameters) -> &Arc<Stream> {
        let body = &parameters.body;
        let wanted = dimensions(body);
        let likeness = |stream: &&Arc<Stream>| {
            let own = dimensions(&stream.body);
            let shared = own.iter().filter(|name| wanted.contains(name)).count();
            let same_entity = entity(&stream.body, &own) == entity(body, &wanted);
            let same_metrics = names(&stream.body, "metrics").iter().all(|name| names(body, "metrics").contains(name));
            let is_exact = shared == own.len() && own.len() == wanted.len();
            let agreement = agreement(stream, parameters);
            (same_entity, is_exact, same_metrics, shared, Reverse(own.len()), agreement, is_whole_period(stream, body))
        };
        self.streams.iter().rev().max_by_key(likeness).unwrap_or(&self.streams[0])
    }
}

/// How many of the fixed parameters of `stream` a request has, less those it lacks.
fn agreement(stream: &Stream, parameters: &Parameters) -> i64 {
    let query = query_pairs(&stream.query).filter(|(_, template)| !has_variables(template));
    let in_query = query.map(|(name, value)| parameters.query.contains(&(name.to_owned(), value.to_owned())));
    let body = stream.body.iter().filter(|(_, value)| !has_variables(&value.to_string()));
    let in_body = body.map(|(name, value)| parameters.body.get(name) == Some(value));
    in_query.chain(in_body).map(|agrees| if agrees { 1 } else { -1 }).sum()
}

/// Whether the days of a request are a week or month of `stream`: nothing else distinguishes the two.
fn is_whole_period(stream: &Stream, body: &Map<String, Value>) -> bool {
    let day = |name: &str| member(body, name)?.parse::<Day>().ok();
    let Some((days, first, last)) =
        stream.days.as_ref().and_then(|days| Some((days, day("start_date")?, day("end_date")?)))
    else {
        return false;
    };
    let span = days.span(first);
    days.kind.is_period() && days.kind.first_of(first) == first && [span.last(), span.end].contains(&last)
}

/// What each row of a report is about, where the body says it.
fn entity<'a>(body: &'a Map<String, Value>, groups: &[String]) -> &'a str {
    let usual = if groups.iter().any(|group| group == "page") { "page" } else { "domain" };
    member(body, "entity").unwrap_or(usual)
}

/// The values of `{name}` in `template`, if `path` matches it.
fn match_path(template: &str, path: &str) -> Option<Variables> {
    let mut variables = Variables::new();
    let (wanted, given): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    if wanted.len() != given.len() {
        return None;
    }
    for (wanted, given) in wanted.into_iter().zip(given) {
        match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) if !given.is_empty() => {
                variables.insert(name.to_owned(), decode(given));
            }
            _ if wanted == given => {}
            _ => return None,
        }
    }
    Some(variables)
}

/// A segment of a path, decoded. In a path a plus is a plus.
fn decode(segment: &str) -> String {
    let escaped = segment.replace('+', "%2B").replace('&', "%26");
    parse_query(&format!("={escaped}")).into_iter().map(|(_, value)| value).collect()
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
        assert!(visibility.is_event_stream);
        assert_eq!(visibility.nearest(&body(json!({"group_by": ["date"]}))).name, "visibility_v2_by_day");
        let all = json!({"group_by": ["persona", "date", "model", "topic", "region", "prompt"]});
        assert_eq!(visibility.nearest(&body(all)).name, "visibility_v2");
        let period = |last: &str| body(json!({"group_by": [], "start_date": "2027-02-01", "end_date": last}));
        assert_eq!(visibility.nearest(&period("2027-02-07")).name, "visibility_v2_week");
        assert_eq!(visibility.nearest(&period("2027-02-28")).name, "visibility_v2_month");
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
