//! The parameters that requests of a stream send, named as in a surface.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::model::scope::ScopePart;
use crate::model::stream::{Method, Pagination, Stream};

/// The parameters of `stream`, each with its values where they are fixed.
pub fn sent(stream: &Stream) -> BTreeMap<String, BTreeSet<String>> {
    let mut sent = SentParameters::default();
    for pair in stream.query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        sent.add(&format!("query {name}"), value);
        // A list is one comma-separated text, or the same name several times.
        value.split(',').for_each(|one| sent.add(&format!("query {name}[]"), one));
    }
    for name in variables(&stream.request.path) {
        sent.add(&format!("path {name}"), "");
    }
    for (name, value) in &stream.body {
        sent.add_value(&format!("body {name}"), value);
    }
    sent.add_pagination(&stream.pagination);
    if stream.request.method == Method::Post {
        for part in stream.scope.parts() {
            let key = part.path_key();
            let in_template =
                stream.uses_variable(&format!("{key}_id")) || stream.uses_variable(&format!("{key}_name"));
            let name = match part {
                ScopePart::Organization | ScopePart::Category => format!("body {key}_id"),
                ScopePart::Asset | ScopePart::Domain => format!("body {key}"),
            };
            if !in_template {
                sent.add(&name, "");
            }
        }
        if stream.days.as_ref().is_some_and(|days| days.sent) {
            ["body start_date", "body end_date"].iter().for_each(|name| sent.add(name, ""));
        }
    }
    sent.parameters
}

#[derive(Default)]
struct SentParameters {
    parameters: BTreeMap<String, BTreeSet<String>>,
}

impl SentParameters {
    fn add(&mut self, name: &str, value: &str) {
        let values = self.parameters.entry(name.to_owned()).or_default();
        if !value.is_empty() && !value.contains('{') {
            values.insert(value.to_owned());
        }
    }

    fn add_value(&mut self, name: &str, value: &Value) {
        match value {
            Value::Object(members) => {
                self.add(name, "");
                for (member, value) in members {
                    self.add_value(&format!("{name}.{member}"), value);
                    // The document may name the members, or allow any.
                    self.add_value(&format!("{name}.*"), value);
                }
            }
            Value::Array(items) => {
                self.add(name, "");
                items.iter().for_each(|item| self.add_value(&format!("{name}[]"), item));
            }
            Value::String(text) => self.add(name, text),
            other => self.add(name, &other.to_string()),
        }
    }

    fn add_pagination(&mut self, pagination: &Pagination) {
        let names: &[&str] = match pagination {
            Pagination::Single => &[],
            Pagination::Offset { .. } => &["body pagination", "body pagination.limit", "body pagination.offset"],
            Pagination::Cursor { .. } => &["body limit", "body cursor"],
            Pagination::BodyOffset { .. } => &["body limit", "body offset"],
            Pagination::QueryOffset { .. } => &["query limit", "query offset"],
            Pagination::QueryAfter => &["query after"],
            Pagination::QueryCursor { parameter } => {
                self.add(&format!("query {parameter}"), "");
                &[]
            }
        };
        names.iter().for_each(|name| self.add(name, ""));
    }
}

/// The names of the variables in a template.
fn variables(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
}
