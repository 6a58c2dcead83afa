//! Rules for references between streams: the other stream exists and fits.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::column::ColumnType;
use crate::model::stream::{DaysKind, Fallback, Parent, Stream};

/// All streams by name.
type Streams = BTreeMap<String, Arc<Stream>>;

/// Checks the references of `stream` to other streams of a catalog.
///
/// # Errors
/// The problem, as text that follows the name of the stream.
pub fn check_links(catalog: &Streams, stream: &Stream) -> Result<(), String> {
    if let Some(Fallback::Stream(name)) = &stream.on_422 {
        let fallback = catalog.get(name).ok_or_else(|| missing("falls back to", name))?;
        check_alike(stream, fallback, "falls back to")?;
    }
    if let Some(parent) = &stream.parent {
        check_parent(catalog, stream, parent)?;
    }
    if let Some(name) = &stream.gate {
        check_gate(catalog, stream, name)?;
    }
    if let Some(name) = &stream.expects {
        let expected = catalog.get(name).ok_or_else(|| missing("expects rows according to", name))?;
        if expected.scope != stream.scope {
            return Err(format!("expects rows according to `{name}`, which has another scope"));
        }
        if expected.signal.is_none() || expected.days.is_none() || stream.days.is_none() {
            return Err(format!("expects rows according to `{name}`: both need days, and it needs a signal"));
        }
    }
    check_no_cycle(catalog, stream)
}

fn missing(does: &str, name: &str) -> String {
    format!("{does} `{name}`, which is not in the catalog")
}

fn kind(stream: &Stream) -> Option<DaysKind> {
    stream.days.as_ref().map(|days| days.kind)
}

/// Both must have the same scopes and kinds of days.
fn check_alike(stream: &Stream, other: &Stream, does: &str) -> Result<(), String> {
    if stream.scope != other.scope {
        let (own, others) = (stream.scope.describe(), other.scope.describe());
        return Err(format!("{does} `{}`, which is requested per {others}, not per {own}", other.name));
    }
    if kind(stream) != kind(other) {
        return Err(format!("{does} `{}`, whose days have another kind", other.name));
    }
    Ok(())
}

fn check_parent(catalog: &Streams, stream: &Stream, parent: &Parent) -> Result<(), String> {
    let of = catalog.get(&parent.stream).ok_or_else(|| missing("is a child of", &parent.stream))?;
    check_alike(stream, of, "is a child of")?;
    if of.changes_rarely {
        return Err(format!("is a child of `{}`, which not every run extracts (`changes_rarely`)", of.name));
    }
    if kind(of) == Some(DaysKind::Dated) {
        return Err(format!("is a child of `{}`, whose rows are of many days", of.name));
    }
    let conditions = parent.variants.iter().flat_map(|variant| variant.when.keys());
    let paths = parent.bind.values().chain(&parent.changed).chain(conditions);
    for path in paths {
        if !has_path(of, path) {
            return Err(format!("binds `{path}`, which is not a column of `{}`", of.name));
        }
    }
    Ok(())
}

/// Whether rows of `stream` have the dotted path.
fn has_path(stream: &Stream, path: &str) -> bool {
    let mut steps = path.split('.');
    let column = steps.next().and_then(|name| stream.column(name));
    let mut at = column.map(|column| &column.data_type);
    for step in steps {
        at = match at {
            Some(ColumnType::Struct(fields)) => fields.iter().find(|(name, _)| name == step).map(|(_, field)| field),
            // An open object may contain any field.
            Some(ColumnType::Json) => return true,
            _ => None,
        };
    }
    at.is_some()
}

fn check_gate(catalog: &Streams, stream: &Stream, name: &str) -> Result<(), String> {
    let gate = catalog.get(name).ok_or_else(|| missing("is gated by", name))?;
    let Some(signal) = gate.signal.as_ref().and_then(|signal| gate.column(signal)) else {
        return Err(format!("is gated by `{name}`, which has no signal"));
    };
    if gate.scope != stream.scope {
        return Err(format!("is gated by `{name}`, which is requested per {}", gate.scope.describe()));
    }
    let is_number = matches!(signal.data_type, ColumnType::Int64 | ColumnType::Float64);
    match (gate.is_dated(), is_number) {
        (true, false) => {
            Err(format!("is gated by `{name}`, which has days: its signal must be a number that can be summed"))
        }
        (false, true) => Err(format!("is gated by `{name}`, which is a list: its signal must be a boolean")),
        _ if gate.is_dated() && !stream.is_dated() => Err(format!("is gated by days of `{name}`, but has no days")),
        _ => Ok(()),
    }
}

/// A stream must not depend on itself.
fn check_no_cycle(catalog: &Streams, stream: &Stream) -> Result<(), String> {
    let mut ahead = dependencies(stream);
    let mut seen = Vec::new();
    while let Some(name) = ahead.pop() {
        if name == stream.name {
            return Err("depends on itself through `parent`, `gate` or `expects`".into());
        }
        if !seen.contains(&name) {
            ahead.extend(catalog.get(name).map(|next| dependencies(next)).unwrap_or_default());
            seen.push(name);
        }
    }
    Ok(())
}

/// The streams whose rows are needed before `stream` is requested.
fn dependencies(stream: &Stream) -> Vec<&str> {
    let parent = stream.parent.iter().map(|parent| parent.stream.as_str());
    parent.chain(stream.gate.as_deref()).chain(stream.expects.as_deref()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    /// The problem of the catalog after `change` to the stream `name`.
    fn problem(name: &str, change: impl FnOnce(&mut Stream)) -> String {
        let mut streams: Vec<Stream> =
            Catalog::embedded().unwrap().streams().map(|stream| Stream::clone(stream)).collect();
        change(streams.iter_mut().find(|stream| stream.name == name).unwrap());
        Catalog::new(streams).unwrap_err().to_string()
    }

    #[test]
    fn missing_streams_are_named() {
        let found = problem("visibility_v2", |stream| stream.on_422 = Some(Fallback::Stream("visibility_v3".into())));
        assert_eq!(found, "stream `visibility_v2`: falls back to `visibility_v3`, which is not in the catalog");
        let found = problem("document_contents", |stream| stream.parent.as_mut().unwrap().stream = "papers".into());
        assert_eq!(found, "stream `document_contents`: is a child of `papers`, which is not in the catalog");
        let found = problem("youtube_videos_v2", |stream| stream.gate = Some("youtube".into()));
        assert_eq!(found, "stream `youtube_videos_v2`: is gated by `youtube`, which is not in the catalog");
        let found = problem("accuracy_inaccurate_themes", |stream| stream.expects = Some("factcheck".into()));
        assert!(found.ends_with("expects rows according to `factcheck`, which is not in the catalog"), "{found}");
    }

    #[test]
    fn fallback_has_the_same_scope_and_days() {
        let found = problem("visibility_v2", |stream| stream.on_422 = Some(Fallback::Stream("bots_v2".into())));
        assert!(found.ends_with("falls back to `bots_v2`, which is requested per domain, not per category"), "{found}");
        let month = Fallback::Stream("visibility_v2_month".into());
        let found = problem("visibility_v2", |stream| stream.on_422 = Some(month));
        assert!(found.ends_with("falls back to `visibility_v2_month`, whose days have another kind"), "{found}");
    }

    #[test]
    fn bound_columns_exist_in_the_parent() {
        let take = |path: &str| {
            let path = path.to_owned();
            problem("document_contents", |stream| {
                stream.parent.as_mut().unwrap().bind.insert("document_id".into(), path);
            })
        };
        assert!(take("key").ends_with("binds `key`, which is not a column of `documents`"));
        assert!(take("id.inner").ends_with("binds `id.inner`, which is not a column of `documents`"));
    }

    #[test]
    fn parent_must_be_extracted_by_every_run() {
        let found = problem("documents", |stream| stream.changes_rarely = true);
        assert!(found.ends_with("`documents`, which not every run extracts (`changes_rarely`)"), "{found}");
    }

    #[test]
    fn parent_must_not_be_dated() {
        let found = problem("accuracy_topic_ids", |stream| {
            stream.days = Catalog::embedded().unwrap().get("accuracy_topic_ids").unwrap().days.clone();
            stream.days.as_mut().unwrap().kind = DaysKind::Dated;
            stream.columns.push(crate::model::column::Column {
                name: "date".into(),
                data_type: ColumnType::Date,
                ..stream.columns[0].clone()
            });
            stream.parent = Some(Parent {
                stream: "factcheck_scores_v2_by_theme".into(),
                bind: [("topic_id".to_owned(), "theme.id".to_owned())].into(),
                changed: None,
                variants: Vec::new(),
            });
            stream.body.insert("topic_ids".into(), serde_json::json!(["{topic_id}"]));
        });
        assert!(found.ends_with("whose rows are of many days"), "{found}");
    }

    #[test]
    fn gates_must_have_a_signal_of_the_right_kind() {
        let found = problem("shopping_brands_v2", |stream| stream.gate = Some("visibility_v2".into()));
        assert!(found.ends_with("is gated by `visibility_v2`, which has no signal"), "{found}");
        let found = problem("youtube_summary_v2", |stream| {
            let signal = stream.columns.iter_mut().find(|column| column.name == "total_youtube_citations").unwrap();
            signal.data_type = ColumnType::Bool;
        });
        assert!(found.ends_with("which has days: its signal must be a number that can be summed"), "{found}");
        let found = problem("accuracy_factcheck_setup_status", |stream| {
            stream.signal = Some("activeAccuracyPromptCount".into());
        });
        assert!(found.ends_with("which is a list: its signal must be a boolean"), "{found}");
        let found = problem("bots_v2", |stream| stream.gate = Some("youtube_summary_v2".into()));
        assert!(found.ends_with("is gated by `youtube_summary_v2`, which is requested per category"), "{found}");
        let found = problem("category_tags", |stream| stream.gate = Some("youtube_summary_v2".into()));
        assert!(found.ends_with("is gated by days of `youtube_summary_v2`, but has no days"), "{found}");
    }

    #[test]
    fn expectations_need_days_and_a_signal() {
        let found = problem("accuracy_inaccurate_themes", |stream| stream.expects = Some("visibility_v2".into()));
        assert!(found.ends_with("both need days, and it needs a signal"), "{found}");
        let found = problem("bots_v2", |stream| stream.expects = Some("youtube_summary_v2".into()));
        assert!(found.ends_with("according to `youtube_summary_v2`, which has another scope"), "{found}");
    }

    #[test]
    fn stream_must_not_depend_on_itself() {
        let found = problem("youtube_summary_v2", |stream| stream.gate = Some("youtube_summary_v2".into()));
        assert_eq!(found, "stream `youtube_summary_v2`: depends on itself through `parent`, `gate` or `expects`");
        let found = problem("accuracy_factcheck_setup_status", |stream| {
            stream.gate = Some("accuracy_factcheck_setup_status".into());
        });
        assert!(found.ends_with("depends on itself through `parent`, `gate` or `expects`"), "{found}");
    }

    #[test]
    fn streams_that_write_are_rejected() {
        let found = problem("web_search_results_v1", |stream| {
            stream.event_stream = None;
            stream.request = serde_json::from_value("POST /v1/projects".into()).unwrap();
        });
        assert_eq!(found, "stream `web_search_results_v1`: `POST /v1/projects` makes a project: streams are read-only");
        let found = problem("visibility_v2", |stream| stream.event_stream = Some("/v1/agents/6f1e/runs".into()));
        assert!(found.contains("runs an agent, which may cost credits: streams are read-only"), "{found}");
    }
}
