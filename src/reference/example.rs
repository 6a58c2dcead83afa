//! A request with placeholders, exactly as it is sent.

use std::sync::Arc;

use crate::api::{RequestOptions, SliceRequest, Transport, Variables};
use crate::model::day::Day;
use crate::model::scope::{Named, Scope, ScopePart};
use crate::model::slice::Slice;
use crate::model::stream::{DaysKind, Stream};
use crate::model::window::Window;

/// The first request of `stream` for one window: path and query, and the body. Values of the account are placeholders such as
/// `CATEGORY_ID`.
pub fn example(stream: &Arc<Stream>) -> (String, Option<String>) {
    let slice = Slice { stream: Arc::clone(stream), scope: scope(stream), window: window(stream) };
    let options = RequestOptions::default();
    let transport = if stream.event_stream.is_some() { Transport::Events } else { Transport::Pages };
    let variables = variables(stream);
    let request = SliceRequest { slice: &slice, transport, options: &options, variables: &variables }.page(None);
    let mut line = request.path().to_owned();
    for (index, (name, value)) in url::form_urlencoded::parse(request.query().as_bytes()).enumerate() {
        line.push_str(&format!("{}{name}={value}", if index == 0 { '?' } else { '&' }));
    }
    (line, request.body().map(ToString::to_string))
}

/// A scope of placeholders.
pub fn scope(stream: &Stream) -> Scope {
    let named = |part: ScopePart| {
        let name = |suffix: &str| format!("{}_{suffix}", part.path_key().to_uppercase());
        let id = if part == ScopePart::Domain { name("NAME") } else { name("ID") };
        stream.scope.parts().contains(&part).then(|| Named { id, name: name("NAME") })
    };
    Scope {
        organization: named(ScopePart::Organization),
        category: named(ScopePart::Category),
        asset: named(ScopePart::Asset),
        domain: named(ScopePart::Domain),
    }
}

pub fn day(kind: DaysKind) -> Day {
    let (month, day) = match kind {
        DaysKind::Dated | DaysKind::Window => (11, 21),
        DaysKind::Week => (11, 16),
        DaysKind::Month => (10, 1),
    };
    Day::new(2026, month, day).unwrap_or_else(|| Day::from_epoch_days(0))
}

fn window(stream: &Stream) -> Option<Window> {
    let days = stream.days.as_ref()?;
    let last = day(days.kind);
    match days.kind {
        DaysKind::Dated => Window::inclusive(last.plus(-1), last),
        DaysKind::Window | DaysKind::Week | DaysKind::Month => Some(days.span(last)),
    }
}

fn variables(stream: &Stream) -> Variables {
    let bound = stream.parent.iter().flat_map(|parent| parent.bind.keys());
    let mut variables: Variables =
        bound.chain(&stream.parameters).map(|name| (name.clone(), name.to_uppercase())).collect();
    if let Some(variant) = stream.parent.iter().flat_map(|parent| &parent.variants).next() {
        variables.extend(variant.set.clone());
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn example_is_the_request_that_is_sent() {
        let catalog = Catalog::embedded().unwrap();
        let (line, body) = example(catalog.get("category_topics").unwrap());
        assert_eq!((line.as_str(), body), ("/v1/org/categories/CATEGORY_ID/topics", None));
        let (line, body) = example(catalog.get("visibility_v2_by_day").unwrap());
        assert_eq!(line, "/v2/reports/visibility/stream");
        let body = body.unwrap();
        for part in [r#""category_id":"CATEGORY_ID""#, r#""start_date":"2026-11-20","end_date":"2026-11-21""#] {
            assert!(body.contains(part), "{body}");
        }
    }
}
