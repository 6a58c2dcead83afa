//! The parameters of a request.

use serde_json::{Map, Value};

/// The parameters of a request, in the query string or the body.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parameters {
    pub(crate) body: Map<String, Value>,
    /// Names and values, decoded, without the key.
    pub(crate) query: Vec<(String, String)>,
}

impl Parameters {
    pub(crate) fn query_value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.body.get(name).and_then(Value::as_u64)
    }
}

/// Names and values of a query string, decoded.
pub(crate) fn parse_query(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// Names and values of a query string as the catalog writes it.
pub(crate) fn query_pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The text of the member `name`.
pub(crate) fn member<'a>(body: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    body.get(name).and_then(Value::as_str)
}

/// The strings of the list `name`; absent and null are empty.
pub(crate) fn names(body: &Map<String, Value>, name: &str) -> Vec<String> {
    let items = body.get(name).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What a body groups by.
pub(crate) fn dimensions(body: &Map<String, Value>) -> Vec<String> {
    [names(body, "group_by"), names(body, "dimensions")].concat()
}
