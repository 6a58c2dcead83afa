//! What streams say of each other: that it is there, and that it fits.

use crate::catalog::Catalog;
use crate::model::column::ColumnType;
use crate::model::stream::{DaysKind, Fallback, Parent, Stream};

/// Checks what `stream` says of other streams of `catalog`.
///
/// # Errors
/// What is wrong, in words that go after the name of the stream.
pub fn check(catalog: &Catalog, stream: &Stream) -> Result<(), String> {
    if let Some(Fallback::Stream(name)) = &stream.on_422 {
        let fallback = catalog.get(name).ok_or_else(|| missing("falls back to", name))?;
        alike(stream, fallback, "falls back to")?;
    }
    if let Some(parent) = &stream.parent {
        check_parent(catalog, stream, parent)?;
    }
    if let Some(name) = &stream.gate {
        check_gate(catalog, stream, name)?;
    }
    if let Some(name) = &stream.expects {
        let expected = catalog.get(name).ok_or_else(|| missing("expects rows when told by", name))?;
        if expected.scope != stream.scope {
            return Err(format!("expects rows when told by `{name}`, which is asked for something else"));
        }
        if expected.signal.is_none() || expected.days.is_none() || stream.days.is_none() {
            return Err(format!("expects rows when told by `{name}`: both must have days, and that one a signal"));
        }
    }
    check_no_circle(catalog, stream)
}

fn missing(does: &str, name: &str) -> String {
    format!("{does} `{name}`, which is not in the catalog")
}

fn kind(stream: &Stream) -> Option<DaysKind> {
    stream.days.as_ref().map(|days| days.kind)
}

/// Whether both are asked for the same scopes and the same days.
fn alike(stream: &Stream, other: &Stream, does: &str) -> Result<(), String> {
    if stream.scope != other.scope {
        let (own, others) = (stream.scope.describe(), other.scope.describe());
        return Err(format!("{does} `{}`, which is asked for each {others}, not each {own}", other.name));
    }
    match kind(stream) == kind(other) {
        true => Ok(()),
        false => Err(format!("{does} `{}`, whose days are of another kind", other.name)),
    }
}

fn check_parent(catalog: &Catalog, stream: &Stream, parent: &Parent) -> Result<(), String> {
    let of = catalog.get(&parent.stream).ok_or_else(|| missing("is asked for rows of", &parent.stream))?;
    alike(stream, of, "is asked for rows of")?;
    if of.changes_rarely {
        return Err(format!("is asked for rows of `{}`, which is not read by every run: it `changes_rarely`", of.name));
    }
    if kind(of) == Some(DaysKind::Dated) {
        return Err(format!("is asked for rows of `{}`, which are of many days at once", of.name));
    }
    let conditions = parent.variants.iter().flat_map(|variant| variant.when.keys());
    let paths = parent.bind.values().chain(&parent.changed).chain(conditions);
    for path in paths {
        if !holds(of, path) {
            return Err(format!("binds `{path}` of rows of `{}`, which have no such column", of.name));
        }
    }
    Ok(())
}

/// Whether rows of `stream` have something at the dotted path.
fn holds(stream: &Stream, path: &str) -> bool {
    let mut steps = path.split('.');
    let column = steps.next().and_then(|name| stream.column(name));
    let mut at = column.map(|column| &column.data_type);
    for step in steps {
        at = match at {
            Some(ColumnType::Struct(fields)) => fields.iter().find(|(name, _)| name == step).map(|(_, field)| field),
            // An open object may hold anything.
            Some(ColumnType::Json) => return true,
            _ => None,
        };
    }
    at.is_some()
}

fn check_gate(catalog: &Catalog, stream: &Stream, name: &str) -> Result<(), String> {
    let gate = catalog.get(name).ok_or_else(|| missing("waits for", name))?;
    let Some(signal) = gate.signal.as_ref().and_then(|signal| gate.column(signal)) else {
        return Err(format!("waits for `{name}`, which has no signal"));
    };
    if gate.scope != stream.scope {
        return Err(format!("waits for `{name}`, which is asked for each {}", gate.scope.describe()));
    }
    let is_number = matches!(signal.data_type, ColumnType::Int64 | ColumnType::Float64);
    match (gate.is_dated(), is_number) {
        (true, false) => Err(format!("waits for `{name}`, which has days: its signal must be a number, to be summed")),
        (false, true) => Err(format!("waits for `{name}`, which is a list: its signal must be true or false")),
        _ if gate.is_dated() && !stream.is_dated() => Err(format!("waits for days of `{name}`, but has none itself")),
        _ => Ok(()),
    }
}

/// Whether no stream waits for itself, through parents and gates.
fn check_no_circle(catalog: &Catalog, stream: &Stream) -> Result<(), String> {
    let mut ahead = waits_for(stream);
    let mut seen = Vec::new();
    while let Some(name) = ahead.pop() {
        if name == stream.name {
            return Err("waits for itself, through its parent or its gate".into());
        }
        if !seen.contains(&name) {
            ahead.extend(catalog.get(name).map(|next| waits_for(next)).unwrap_or_default());
            seen.push(name);
        }
    }
    Ok(())
}

/// The streams whose rows must be known before `stream` is asked.
fn waits_for(stream: &Stream) -> Vec<&str> {
    let parent = stream.parent.iter().map(|parent| parent.stream.as_str());
    parent.chain(stream.gate.as_deref()).chain(stream.expects.as_deref()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the catalog says after `change` was made to the stream `name`.
    fn refused(name: &str, change: impl FnOnce(&mut Stream)) -> String {
        let mut streams: Vec<Stream> =
            Catalog::embedded().unwrap().streams().map(|stream| Stream::clone(stream)).collect();
        change(streams.iter_mut().find(|stream| stream.name == name).unwrap());
        Catalog::new(streams).unwrap_err().to_string()
    }

    #[test]
    fn streams_that_are_not_there_are_named() {
        let told = refused("visibility_v2", |stream| stream.on_422 = Some(Fallback::Stream("visibility_v3".into())));
        assert_eq!(told, "stream `visibility_v2`: falls back to `visibility_v3`, which is not in the catalog");
        let told = refused("document_contents", |stream| stream.parent.as_mut().unwrap().stream = "papers".into());
        assert_eq!(told, "stream `document_contents`: is asked for rows of `papers`, which is not in the catalog");
        let told = refused("youtube_videos_v2", |stream| stream.gate = Some("youtube".into()));
        assert_eq!(told, "stream `youtube_videos_v2`: waits for `youtube`, which is not in the catalog");
        let told = refused("accuracy_inaccurate_themes", |stream| stream.expects = Some("factcheck".into()));
        assert!(told.ends_with("expects rows when told by `factcheck`, which is not in the catalog"), "{told}");
    }

    #[test]
    fn fallbacks_of_other_scopes_or_days_are_refused() {
        let told = refused("visibility_v2", |stream| stream.on_422 = Some(Fallback::Stream("bots_v2".into())));
        assert!(told.ends_with("falls back to `bots_v2`, which is asked for each domain, not each category"), "{told}");
        let month = Fallback::Stream("visibility_v2_month".into());
        let told = refused("visibility_v2", |stream| stream.on_422 = Some(month));
        assert!(told.ends_with("falls back to `visibility_v2_month`, whose days are of another kind"), "{told}");
    }

    #[test]
    fn parents_must_have_what_is_taken_from_their_rows() {
        let take = |path: &str| {
            let path = path.to_owned();
            refused("document_contents", |stream| {
                stream.parent.as_mut().unwrap().bind.insert("document_id".into(), path);
            })
        };
        assert!(take("key").ends_with("binds `key` of rows of `documents`, which have no such column"));
        assert!(take("id.inner").ends_with("binds `id.inner` of rows of `documents`, which have no such column"));
    }

    #[test]
    fn parents_that_are_not_read_by_every_run_are_refused() {
        let told = refused("documents", |stream| stream.changes_rarely = true);
        assert!(told.ends_with("`documents`, which is not read by every run: it `changes_rarely`"), "{told}");
    }

    #[test]
    fn parents_of_many_days_at_once_are_refused() {
        let told = refused("accuracy_topic_ids", |stream| {
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
        assert!(told.ends_with("which are of many days at once"), "{told}");
    }

    #[test]
    fn gates_must_have_a_signal_of_the_right_kind() {
        let told = refused("shopping_brands_v2", |stream| stream.gate = Some("visibility_v2".into()));
        assert!(told.ends_with("waits for `visibility_v2`, which has no signal"), "{told}");
        let told = refused("youtube_summary_v2", |stream| {
            let signal = stream.columns.iter_mut().find(|column| column.name == "total_youtube_citations").unwrap();
            signal.data_type = ColumnType::Bool;
        });
        assert!(told.ends_with("which has days: its signal must be a number, to be summed"), "{told}");
        let told = refused("accuracy_factcheck_setup_status", |stream| {
            stream.signal = Some("activeAccuracyPromptCount".into());
        });
        assert!(told.ends_with("which is a list: its signal must be true or false"), "{told}");
        let told = refused("bots_v2", |stream| stream.gate = Some("youtube_summary_v2".into()));
        assert!(told.ends_with("waits for `youtube_summary_v2`, which is asked for each category"), "{told}");
        let told = refused("category_tags", |stream| stream.gate = Some("youtube_summary_v2".into()));
        assert!(told.ends_with("waits for days of `youtube_summary_v2`, but has none itself"), "{told}");
    }

    #[test]
    fn expectations_need_days_and_a_signal() {
        let told = refused("accuracy_inaccurate_themes", |stream| stream.expects = Some("visibility_v2".into()));
        assert!(told.ends_with("both must have days, and that one a signal"), "{told}");
        let told = refused("bots_v2", |stream| stream.expects = Some("youtube_summary_v2".into()));
        assert!(told.ends_with("told by `youtube_summary_v2`, which is asked for something else"), "{told}");
    }

    #[test]
    fn streams_that_wait_for_themselves_are_refused() {
        let told = refused("youtube_summary_v2", |stream| stream.gate = Some("youtube_summary_v2".into()));
        assert_eq!(told, "stream `youtube_summary_v2`: waits for itself, through its parent or its gate");
        let told = refused("accuracy_factcheck_setup_status", |stream| {
            stream.gate = Some("accuracy_factcheck_setup_status".into());
        });
        assert!(told.ends_with("waits for itself, through its parent or its gate"), "{told}");
    }

    #[test]
    fn streams_that_would_write_are_refused() {
        let told = refused("web_search_results_v1", |stream| {
            stream.event_stream = None;
            stream.request = serde_json::from_value("POST /v1/projects".into()).unwrap();
        });
        assert_eq!(told, "stream `web_search_results_v1`: `POST /v1/projects` makes a project: streams only read");
        let told = refused("visibility_v2", |stream| stream.event_stream = Some("/v1/agents/6f1e/runs".into()));
        assert!(told.contains("runs an agent, which may cost credits: streams only read"), "{told}");
    }
}
