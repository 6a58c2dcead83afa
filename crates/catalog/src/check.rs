//! Rules for one declaration that its types cannot express.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::column::{Column, ColumnType};
use crate::model::history::{HISTORY_ENDING, SNAPSHOT_COLUMN};
use crate::model::scope::ScopePart;
use crate::model::stream::{Days, DaysKind, Method, Pagination, RowsAt, Stream};

/// Checks one declaration by itself.
///
/// # Errors
/// The problem, as text that follows the name of the stream.
pub fn check_stream(stream: &Stream) -> Result<(), String> {
    check_name(&stream.name)?;
    check_columns(stream)?;
    check_days(stream)?;
    check_key(stream)?;
    check_rows(stream)?;
    check_signal(stream)?;
    check_changes_rarely(stream)?;
    check_variables(stream)?;
    check_templates(stream)?;
    check_request(stream)
}

fn check_name(name: &str) -> Result<(), String> {
    if name.ends_with(HISTORY_ENDING) {
        return Err(format!("names that end in `{HISTORY_ENDING}` are reserved for list snapshots"));
    }
    let plain = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
    if name.starts_with(|first: char| first.is_ascii_lowercase()) && name.chars().all(plain) {
        Ok(())
    } else {
        Err("the name must consist of lower-case letters, digits and underscores, starting with a letter".into())
    }
}

fn check_columns(stream: &Stream) -> Result<(), String> {
    if stream.columns.is_empty() {
        return Err("no columns".into());
    }
    for (index, column) in stream.columns.iter().enumerate() {
        let name = &column.name;
        if stream.columns[..index].iter().any(|other| other.name == *name) {
            return Err(format!("column `{name}` is declared twice"));
        }
        if name.starts_with('_') {
            return Err(format!(
                "column `{name}` starts with an underscore, which is reserved for the exporter's columns"
            ));
        }
        if is_scope_column(stream, name) {
            return Err(format!("column `{name}` is reserved: the exporter adds it for the scope"));
        }
        if name == SNAPSHOT_COLUMN {
            return Err(format!("column `{name}` is reserved for list snapshots"));
        }
        if column.about.is_empty() {
            return Err(format!("column `{name}` has no description: set `about`"));
        }
        if matches!(column.data_type, ColumnType::Float64) && column.unit.is_none() {
            return Err(format!("column `{name}` is a number and has no `unit`"));
        }
        if has_list_of_lists(&column.data_type) {
            return Err(format!("column `{name}` is a list of lists, which some readers reject: use `json`"));
        }
    }
    Ok(())
}

/// Whether the exporter adds a column called `name` for the scope of `stream`.
fn is_scope_column(stream: &Stream, name: &str) -> bool {
    stream.scope.parts().iter().any(|part: &ScopePart| {
        let (id, label) = part.columns();
        id == Some(name) || label == name
    })
}

fn has_list_of_lists(data_type: &ColumnType) -> bool {
    match data_type {
        ColumnType::List(items) => matches!(**items, ColumnType::List(_)) || has_list_of_lists(items),
        ColumnType::Struct(fields) => fields.iter().any(|(_, field)| has_list_of_lists(field)),
        _ => false,
    }
}

fn check_days(stream: &Stream) -> Result<(), String> {
    let Some(days) = &stream.days else {
        return Ok(());
    };
    match days.kind {
        DaysKind::Dated => check_day_column(stream, days)?,
        _ if days.lookback == 0 => {
            return Err(
                "`lookback` must be 1 or more: a day, week or month without dates in its rows is extracted again \
                        `lookback` days after its end"
                    .into(),
            );
        }
        DaysKind::Window | DaysKind::Week | DaysKind::Month => {}
    }
    let has_days = stream.uses_variable("first") && stream.uses_variable("last");
    match (days.sent, stream.request.method) {
        (true, Method::Get) => {
            Err("a GET has no body for `start_date`: set `sent = false`, and use `{first}` and `{last}` in the query"
                .into())
        }
        (false, _) if days.kind == DaysKind::Dated && !has_days => {
            Err("with `sent = false` the query must contain `{first}` and `{last}`".into())
        }
        _ => Ok(()),
    }
}

fn check_day_column(stream: &Stream, days: &Days) -> Result<(), String> {
    let type_of = |name: &str| stream.column(name).map(|column| &column.data_type);
    let dated =
        matches!(type_of(&days.column), Some(ColumnType::Date | ColumnType::Timestamp | ColumnType::UnixSeconds));
    if !dated {
        return Err(format!(
            "rows must have a day: `{}` must be a column of type date, timestamp or unix_seconds",
            days.column
        ));
    }
    match &days.zone_column {
        Some(zone) if type_of(zone) != Some(&ColumnType::Utf8) => {
            Err(format!("`zone_column` must name a column of type utf8, which `{zone}` is not"))
        }
        _ => Ok(()),
    }
}

fn check_key(stream: &Stream) -> Result<(), String> {
    // A stream that may return several rows needs a key.
    let one_row = stream.rows == RowsAt::Body || stream.pagination == Pagination::Single || is_total(stream);
    let many_rows = stream.is_fan_out() || !one_row;
    if stream.key.is_empty() && many_rows {
        return Err("no key".into());
    }
    for path in &stream.key {
        let (name, field) = path.split_once('.').map_or((path.as_str(), None), |(name, field)| (name, Some(field)));
        let Some(column) = stream.column(name) else {
            return Err(format!("key `{path}` is not a column"));
        };
        let found = match (&column.data_type, field) {
            (ColumnType::Struct(fields), Some(field)) => fields.iter().any(|(name, _)| name == field),
            (ColumnType::Struct(_), None) | (_, Some(_)) => false,
            (_, None) => true,
        };
        if !found {
            return Err(format!("key `{path}` must be a column, or a field of a struct"));
        }
    }
    Ok(())
}

/// Whether the request groups by nothing, so that each scope has one row.
fn is_total(stream: &Stream) -> bool {
    stream.body.get("group_by").and_then(Value::as_array).is_some_and(Vec::is_empty)
}

fn check_rows(stream: &Stream) -> Result<(), String> {
    let column = match &stream.rows {
        RowsAt::Members { names, .. } if names.is_empty() => return Err("`rows.members` is empty".into()),
        RowsAt::Members { column, .. } | RowsAt::Texts { column } => column,
        RowsAt::Data | RowsAt::Body => return Ok(()),
    };
    match stream.column(column).map(|column| &column.data_type) {
        Some(ColumnType::Utf8) => Ok(()),
        _ => Err(format!("`rows` stores a text in `{column}`, which must be a column of type utf8")),
    }
}

fn check_signal(stream: &Stream) -> Result<(), String> {
    let Some(signal) = &stream.signal else {
        return Ok(());
    };
    match stream.column(signal).map(|column| &column.data_type) {
        Some(ColumnType::Bool | ColumnType::Int64 | ColumnType::Float64) => Ok(()),
        _ => Err(format!("signal `{signal}` must be a boolean or numeric column")),
    }
}

fn check_changes_rarely(stream: &Stream) -> Result<(), String> {
    let why = match stream {
        Stream { changes_rarely: false, .. } => return Ok(()),
        Stream { days: Some(_), .. } => "days are extracted when they are due",
        Stream { signal: Some(_), .. } => "it gates other streams",
        Stream { discovers: Some(_), .. } => "other streams are requested for its objects",
        _ if stream.scope.parts().is_empty() => "it takes one request for the whole account",
        _ => return Ok(()),
    };
    Err(format!("`changes_rarely` is for lists that a weekly refresh is enough for; here, {why}"))
}

/// Variables from a parent, its variants, or the user.
fn variables(stream: &Stream) -> BTreeSet<&str> {
    let parent = stream.parent.iter();
    let bound = parent.clone().flat_map(|parent| parent.bind.keys());
    let set = parent.flat_map(|parent| &parent.variants).flat_map(|variant| variant.set.keys());
    bound.chain(set).chain(&stream.parameters).map(String::as_str).collect()
}

/// Variables that every request with the scope and days of `stream` has.
fn scope_variables(stream: &Stream) -> BTreeSet<String> {
    let parts = stream.scope.parts().iter();
    let mut known: BTreeSet<String> =
        parts.flat_map(|part| [format!("{}_id", part.path_key()), format!("{}_name", part.path_key())]).collect();
    if stream.is_dated() {
        known.extend(["first".to_owned(), "last".to_owned()]);
    }
    known
}

fn check_variables(stream: &Stream) -> Result<(), String> {
    let (variables, known) = (variables(stream), scope_variables(stream));
    for name in &variables {
        if known.contains(*name) {
            return Err(format!("variable `{name}` is already set by its scope"));
        }
        if stream.column(name).is_none() {
            return Err(format!(
                "variable `{name}` must be a column, so that rows say what they were requested for; \
                 set `from_request = true` if the API does not return it"
            ));
        }
        if !stream.uses_variable(name) {
            return Err(format!("variable `{name}` is not used in path, query or body"));
        }
    }
    let unset = |column: &&Column| column.from_request && !variables.contains(column.name.as_str());
    match stream.columns.iter().find(unset) {
        Some(column) => Err(format!(
            "column `{}` is `from_request`, but neither a parent nor `parameters` has a variable of that name",
            column.name
        )),
        None => Ok(()),
    }
}

/// The `{names}` in `template`; JSON braces do not count.
fn names_in(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|rest| {
        let name = rest.split_once('}')?.0;
        let plain = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
        (!name.is_empty() && name.chars().all(plain)).then_some(name)
    })
}

/// All texts in `value`, recursively.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(members) => members.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

fn check_templates(stream: &Stream) -> Result<(), String> {
    let (variables, known) = (variables(stream), scope_variables(stream));
    let paths = [stream.request.path.as_str()].into_iter().chain(stream.event_stream.as_deref());
    let body = stream.body.values().flat_map(texts);
    let unknown = paths
        .chain([stream.query.as_str()])
        .chain(body)
        .flat_map(names_in)
        .find(|name| !variables.contains(name) && !known.contains(*name));
    match unknown {
        Some(name) => Err(format!(
            "`{{{name}}}` is unknown: neither the scope ({}), nor a parent, nor `parameters` has it",
            stream.scope.describe()
        )),
        None => Ok(()),
    }
}

fn check_request(stream: &Stream) -> Result<(), String> {
    let is_get = stream.request.method == Method::Get;
    if is_get && !stream.body.is_empty() {
        return Err("a GET has no body".into());
    }
    if stream.event_stream.as_ref().is_some_and(|path| !path.starts_with('/')) {
        return Err("`event_stream` must be a path that starts with a slash".into());
    }
    for path in [&stream.request.path].into_iter().chain(&stream.event_stream) {
        let odd = |step: &str| ["", ".", ".."].contains(&step) || step.contains(['?', '#', '%']);
        if path[1..].split('/').any(odd) {
            return Err(format!("`{path}` is not a plain path: no empty steps, dots or escapes, and no query"));
        }
    }
    let in_body = matches!(
        stream.pagination,
        Pagination::Offset { .. } | Pagination::Cursor { .. } | Pagination::BodyOffset { .. }
    );
    if in_body && is_get {
        return Err("offset and cursor pagination need a body, which a GET does not have".into());
    }
    if let Some((dimensions, metrics)) = stream.positional_names() {
        let sorted = |names: &[String]| names.is_sorted();
        if !sorted(&dimensions) || !sorted(&metrics) {
            return Err("`dimensions` and `metrics` must be sorted: the API may return values in either order".into());
        }
        // If no metric is a column, rows nest them under names that the request does not contain.
        let is_column = |name: &String| stream.column(name).is_some();
        let missing = dimensions.iter().chain(&metrics).find(|name| !is_column(name));
        if let Some(missing) = missing.filter(|_| metrics.iter().any(is_column)) {
            return Err(format!("it requests `{missing}`, which is not a column"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    /// The problem of the stream `name` after `change`.
    fn problem(name: &str, change: impl FnOnce(&mut Stream)) -> String {
        let mut stream = Stream::clone(Catalog::embedded().unwrap().get(name).unwrap());
        change(&mut stream);
        check_stream(&stream).unwrap_err()
    }

    fn retype(stream: &mut Stream, column: &str, data_type: &str) {
        let column = stream.columns.iter_mut().find(|other| other.name == column).unwrap();
        column.data_type = data_type.parse().unwrap();
    }

    #[test]
    fn dated_stream_needs_a_day_column() {
        let found = problem("visibility_v2", |stream| retype(stream, "date", "utf8"));
        assert_eq!(found, "rows must have a day: `date` must be a column of type date, timestamp or unix_seconds");
    }

    #[test]
    fn zone_column_must_be_text() {
        let found = problem("openai_ads_insights_ad", |stream| retype(stream, "timezone", "int64"));
        assert_eq!(found, "`zone_column` must name a column of type utf8, which `timezone` is not");
    }

    #[test]
    fn windows_need_a_lookback() {
        let found = problem("youtube_videos_v2", |stream| stream.days.as_mut().unwrap().lookback = 0);
        assert!(found.starts_with("`lookback` must be 1 or more"), "{found}");
    }

    #[test]
    fn get_sends_days_in_its_query() {
        let found = problem("openai_ads_insights_ad", |stream| stream.days.as_mut().unwrap().sent = true);
        assert!(found.starts_with("a GET has no body for `start_date`"), "{found}");
        let found = problem("openai_ads_insights_ad", |stream| stream.query = "limit=2000".into());
        assert_eq!(found, "with `sent = false` the query must contain `{first}` and `{last}`");
    }

    #[test]
    fn only_a_stream_of_one_row_may_lack_a_key() {
        assert_eq!(problem("citations_v2_domain_by_day", |stream| stream.key.clear()), "no key");
        assert_eq!(problem("agent_details", |stream| stream.key.clear()), "no key");
        let catalog = Catalog::embedded().unwrap();
        assert!(catalog.get("youtube_summary_v2").unwrap().key.is_empty());
        assert!(catalog.get("accuracy_factcheck_setup_status").unwrap().key.is_empty());
    }

    #[test]
    fn rows_of_several_members_name_theirs_in_a_column() {
        let found = problem("accuracy_claim_breakdown", |stream| {
            stream.rows = RowsAt::Members { names: vec!["platform".into()], column: "member".into() };
        });
        assert_eq!(found, "`rows` stores a text in `member`, which must be a column of type utf8");
        let found = problem("accuracy_claim_breakdown", |stream| {
            stream.rows = RowsAt::Members { names: Vec::new(), column: "breakdown".into() };
        });
        assert_eq!(found, "`rows.members` is empty");
    }

    #[test]
    fn texts_need_a_text_column() {
        let found = problem("accuracy_topic_ids", |stream| retype(stream, "topic_id", "int64"));
        assert_eq!(found, "`rows` stores a text in `topic_id`, which must be a column of type utf8");
    }

    #[test]
    fn signal_is_boolean_or_numeric() {
        let found = problem("youtube_summary_v2", |stream| stream.signal = Some("total".into()));
        assert_eq!(found, "signal `total` must be a boolean or numeric column");
    }

    #[test]
    fn only_lists_that_nothing_depends_on_may_change_rarely() {
        for (name, why) in [
            ("visibility_v2", "days are extracted when they are due"),
            ("accuracy_factcheck_setup_status", "it gates other streams"),
            ("categories", "other streams are requested for its objects"),
            ("regions", "it takes one request for the whole account"),
        ] {
            let found = problem(name, |stream| stream.changes_rarely = true);
            assert!(found.ends_with(why), "{name}: {found}");
        }
    }

    #[test]
    fn variable_must_be_a_column() {
        let found = problem("agent_details", |stream| {
            stream.key.retain(|path| path != "version");
            stream.columns.retain(|column| column.name != "version");
        });
        assert!(found.starts_with("variable `version` must be a column"), "{found}");
    }

    #[test]
    fn variable_must_be_used() {
        let found = problem("agent_details", |stream| stream.query.clear());
        assert_eq!(found, "variable `version` is not used in path, query or body");
    }

    #[test]
    fn variable_must_not_hide_one_of_the_scope() {
        let found = problem("knowledge_base_search", |stream| stream.parameters.push("organization_id".into()));
        assert_eq!(found, "variable `organization_id` is already set by its scope");
    }

    #[test]
    fn column_from_request_must_be_a_variable() {
        let found = problem("documents", |stream| stream.columns[0].from_request = true);
        assert!(found.starts_with("column `id` is `from_request`, but neither"), "{found}");
    }

    #[test]
    fn templates_use_known_variables() {
        let found = problem("integrations", |stream| stream.query = "category={category_id}".into());
        assert_eq!(
            found,
            "`{category_id}` is unknown: neither the scope (organization), nor a parent, nor `parameters` has it"
        );
        let found = problem("knowledge_base_search", |stream| {
            stream.body.insert("filters".into(), serde_json::json!([{"path": "{folder}"}]));
        });
        assert!(found.starts_with("`{folder}` is unknown"), "{found}");
    }

    #[test]
    fn paths_are_plain() {
        for path in ["/v1/projects/", "/v1//agents", "/v1/x/../agents", "/v1/agents?x=1", "/v1/%61gents"] {
            let found = problem("regions", |stream| stream.request.path = path.into());
            assert!(found.ends_with("no empty steps, dots or escapes, and no query"), "{found}");
        }
    }

    #[test]
    fn nested_lists_are_rejected() {
        let found = problem("prompts", |stream| retype(stream, "tags", "list<struct<id: list<list<utf8>>>>"));
        assert_eq!(found, "column `tags` is a list of lists, which some readers reject: use `json`");
    }
}
