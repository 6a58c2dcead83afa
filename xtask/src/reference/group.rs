//! Streams that differ only in their grain share a section.

use std::sync::Arc;

use serde_json::{Map, Value};

use catalog::model::column::Column;
use catalog::model::stream::Stream;

/// Streams that a note names one by one.
const LISTED: usize = 4;

/// Streams of one endpoint that share the meaning of their columns.
#[derive(Debug)]
pub struct Group {
    /// The streams, at least one.
    pub streams: Vec<Arc<Stream>>,
}

impl Group {
    /// All `streams` in groups, in the order of the first of each.
    pub fn all<'a>(streams: impl IntoIterator<Item = &'a Arc<Stream>>) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for stream in streams {
            match groups.iter_mut().find(|group| group.accepts(stream)) {
                Some(group) => group.streams.push(Arc::clone(stream)),
                None => groups.push(Self { streams: vec![Arc::clone(stream)] }),
            }
        }
        groups
    }

    /// Its first stream.
    pub fn first(&self) -> &Arc<Stream> {
        &self.streams[0]
    }

    /// Whether `stream` is another grain of the same endpoint.
    fn accepts(&self, stream: &Stream) -> bool {
        let first = self.first();
        let same_request = first.request == stream.request
            && first.event_stream == stream.event_stream
            && first.pagination == stream.pagination
            && first.rows == stream.rows
            && first.scope == stream.scope
            && first.parent == stream.parent
            && first.parameters == stream.parameters
            && first.days.is_some() == stream.days.is_some();
        let same_meaning = |column: &Column| {
            self.streams.iter().all(|other| other.column(&column.name).is_none_or(|known| known == column))
        };
        same_request && stream.columns.iter().all(same_meaning)
    }

    /// The columns of all its streams, in the order of their first stream.
    pub fn columns(&self) -> Vec<&Column> {
        let mut columns: Vec<&Column> = Vec::new();
        for column in self.streams.iter().flat_map(|stream| &stream.columns) {
            if !columns.iter().any(|other| other.name == column.name) {
                columns.push(column);
            }
        }
        columns
    }

    /// The members of the body that are equal in all its streams.
    pub fn common_body(&self) -> Map<String, Value> {
        let alike = |name: &str, value: &Value| self.streams.iter().all(|stream| stream.body.get(name) == Some(value));
        let members = self.first().body.iter().filter(|(name, value)| alike(name, value));
        members.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// The members of the body of `stream` that are its own, and its query where that is.
    pub fn own_request(&self, stream: &Stream) -> String {
        let common = self.common_body();
        let own = stream.body.iter().filter(|(name, _)| !common.contains_key(*name));
        let mut parts: Vec<String> = own.map(|(name, value)| format!("{name}: {value}")).collect();
        if stream.query != self.first().query || self.streams.iter().any(|other| other.query != stream.query) {
            parts.push(stream.query.clone());
        }
        parts.join(", ")
    }

    /// The common beginning of its names.
    pub fn stem(&self) -> String {
        let beginning = beginning(self.streams.iter().map(|stream| stream.name.as_str()));
        if self.streams.len() == 1 { beginning } else { format!("{beginning}*") }
    }

    /// The notes, each with the names of its streams; `None` means all.
    pub fn notes(&self) -> Vec<(&str, Option<String>)> {
        let mut notes: Vec<&str> = Vec::new();
        for note in self.streams.iter().flat_map(|stream| &stream.notes) {
            if !notes.contains(&note.as_str()) {
                notes.push(note);
            }
        }
        let holds = |stream: &Stream, note: &str| stream.notes.iter().any(|other| other == note);
        notes.into_iter().map(|note| (note, self.named(|stream| holds(stream, note)))).collect()
    }

    /// The names of the streams for which `is_so`, as short as possible; `None` if it holds for all.
    fn named(&self, is_so: impl Fn(&Stream) -> bool) -> Option<String> {
        let (these, others): (Vec<_>, Vec<_>) = self.streams.iter().partition(|stream| is_so(stream));
        let list = |streams: &[&Arc<Stream>]| {
            let names: Vec<String> = streams.iter().map(|stream| format!("`{}`", stream.name)).collect();
            names.join(", ")
        };
        let these_begin = beginning(these.iter().map(|stream| stream.name.as_str()));
        let alone = others.iter().all(|stream| !stream.name.starts_with(&these_begin));
        match (these.len(), others.len()) {
            (_, 0) => None,
            (few, _) if few <= LISTED => Some(list(&these)),
            _ if alone => Some(format!("`{these_begin}*`")),
            (_, few) if few <= LISTED => Some(format!("all but {}", list(&others))),
            _ => Some(list(&these)),
        }
    }
}

/// The longest common beginning of `names`.
fn beginning<'a>(names: impl Iterator<Item = &'a str> + Clone) -> String {
    let Some(first) = names.clone().next() else {
        return String::new();
    };
    let begins = |length: &usize| names.clone().all(|name| name.starts_with(&first[..*length]));
    let length = (0..=first.len()).rev().find(begins).unwrap_or_default();
    first[..length].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalog::Catalog;

    #[test]
    fn grains_of_one_endpoint_share_a_group() {
        let catalog = Catalog::embedded().unwrap();
        let groups = Group::all(catalog.streams());
        assert_eq!(groups.iter().map(|group| group.streams.len()).sum::<usize>(), catalog.streams().count());
        let group = groups.iter().find(|group| group.stem().starts_with("citations_v2_")).unwrap();
        assert!(group.streams.len() > 1);
        assert!(group.columns().iter().any(|column| column.name == "citation_share"));
        assert!(!group.common_body().contains_key("group_by"));
        assert!(group.own_request(group.first()).contains("group_by"));
    }
}
