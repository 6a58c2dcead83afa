//! How many requests a stream costs.

use crate::model::format::format_number;
use crate::model::stream::{DaysKind, Pagination, Stream};

/// The requests for one scope and window: `1`, `1 a day`, `pages of 50,000`, `1 per row of projects`.
pub fn requests(stream: &Stream) -> String {
    let each = match (&stream.parent, stream.parameters.is_empty()) {
        (Some(parent), _) => {
            let changed = if parent.changed.is_some() { "changed " } else { "" };
            let version = if parent.variants.is_empty() { "" } else { " and variant" };
            Some(format!("per {changed}row of {}{version}", parent.stream))
        }
        (None, false) => Some("per set of parameters".to_owned()),
        (None, true) => None,
    };
    let every = stream.days.as_ref().and_then(|days| match days.kind {
        DaysKind::Dated => None,
        DaysKind::Window => Some("a day"),
        DaysKind::Week => Some("a week"),
        DaysKind::Month => Some("a month"),
    });
    let what = match rows_a_page(stream).filter(|_| stream.event_stream.is_none()) {
        Some(rows) => format!("pages of {}", format_number(rows)),
        None if stream.pagination != Pagination::Single && stream.event_stream.is_none() => "pages".to_owned(),
        None => "1".to_owned(),
    };
    [Some(what), every.map(str::to_owned), each].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Rows, or entities, per page: from the pagination, or from `limit` in the query.
pub fn rows_a_page(stream: &Stream) -> Option<u64> {
    let in_query = || {
        let mut pairs = stream.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(name, _)| *name == "limit").and_then(|(_, limit)| limit.parse().ok())
    };
    match stream.pagination {
        Pagination::Single => None,
        _ => stream.pagination.limit().or_else(in_query),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::catalog::Catalog;
    use crate::model::stream::Parent;

    fn stream(name: &str) -> Stream {
        Stream::clone(Catalog::embedded().unwrap().get(name).unwrap())
    }

    fn with_days(name: &str, kind: DaysKind) -> Stream {
        let mut stream = stream(name);
        stream.days.as_mut().unwrap().kind = kind;
        stream
    }

    #[test]
    fn requests_depend_on_days_and_pages() {
        assert_eq!(requests(&stream("organizations")), "1");
        assert_eq!(requests(&stream("visibility_v2")), "1");
        assert_eq!(requests(&stream("bots_v2")), "pages of 50,000");
        assert_eq!(requests(&stream("prompts")), "pages of 10,000");
        assert_eq!(requests(&with_days("visibility_v2", DaysKind::Month)), "1 a month");
        assert_eq!(requests(&with_days("bots_v2", DaysKind::Window)), "pages of 50,000 a day");
    }

    #[test]
    fn requests_of_children_depend_on_their_parents() {
        let parent = |changed: Option<&str>| Parent {
            stream: "prompts".into(),
            bind: BTreeMap::new(),
            changed: changed.map(str::to_owned),
            variants: Vec::new(),
        };
        let child = |parent| Stream { parent: Some(parent), ..stream("organizations") };
        assert_eq!(requests(&child(parent(None))), "1 per row of prompts");
        assert_eq!(requests(&child(parent(Some("updated_at")))), "1 per changed row of prompts");
        let parameters = Stream { parameters: vec!["agent_id".into()], ..stream("organizations") };
        assert_eq!(requests(&parameters), "1 per set of parameters");
    }
}
