//! What a declaration must hold that its types do not say.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::column::{Column, ColumnType};
use crate::model::history::{HISTORY_ENDING, SNAPSHOT_COLUMN};
use crate::model::scope::ScopePart;
use crate::model::stream::{Days, DaysKind, Method, Pagination, RowsAt, Stream};

/// Checks one declaration by itself.
///
/// # Errors
/// What is wrong, in words that go after the name of the stream.
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
        return Err(format!("names that end in `{HISTORY_ENDING}` belong to the daily snapshots of lists"));
    }
    let plain = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
    match name.starts_with(|first: char| first.is_ascii_lowercase()) && name.chars().all(plain) {
        true => Ok(()),
        false => Err("the name must be lower case letters, digits and underscores, a letter first".into()),
    }
}

fn check_columns(stream: &Stream) -> Result<(), String> {
    if stream.columns.is_empty() {
        return Err("it has no columns".into());
    }
    for (index, column) in stream.columns.iter().enumerate() {
        let name = &column.name;
        if stream.columns[..index].iter().any(|other| other.name == *name) {
            return Err(format!("column `{name}` stands twice"));
        }
        if name.starts_with('_') {
            return Err(format!("column `{name}` begins with an underscore, as only the exporter's own columns do"));
        }
        if is_of_scope(stream, name) {
            return Err(format!("column `{name}` is one that the exporter adds for its scope"));
        }
        if name == SNAPSHOT_COLUMN {
            return Err(format!("column `{name}` is one that daily snapshots of lists have"));
        }
        if column.about.is_empty() {
            return Err(format!("column `{name}` does not say what it means"));
        }
        if matches!(column.data_type, ColumnType::Float64) && column.unit.is_none() {
            return Err(format!("column `{name}` is a number without a unit"));
        }
        if holds_list_of_lists(&column.data_type) {
            return Err(format!("column `{name}` has a list of lists, which not every reader knows: make it json"));
        }
    }
    Ok(())
}

/// Whether the exporter adds a column called `name` for the scope of `stream`.
fn is_of_scope(stream: &Stream, name: &str) -> bool {
    stream.scope.parts().iter().any(|part: &ScopePart| {
        let (id, label) = part.columns();
        id == Some(name) || label == name
    })
}

fn holds_list_of_lists(data_type: &ColumnType) -> bool {
    match data_type {
        ColumnType::List(items) => matches!(**items, ColumnType::List(_)) || holds_list_of_lists(items),
        ColumnType::Struct(fields) => fields.iter().any(|(_, field)| holds_list_of_lists(field)),
        _ => false,
    }
}

fn check_days(stream: &Stream) -> Result<(), String> {
    let Some(days) = &stream.days else {
        return Ok(());
    };
    match days.kind {
        DaysKind::Dated => check_day_column(stream, days)?,
        DaysKind::Window | DaysKind::Month if days.lookback == 0 => {
            return Err("a day or month without dates in its rows is read once more `lookback` days after its end, \
                        so `lookback` must be 1 or more"
                .into());
        }
        DaysKind::Window | DaysKind::Month => {}
    }
    let says_days = stream.uses_variable("first") && stream.uses_variable("last");
    match (days.sent, stream.request.method) {
        (true, Method::Get) => {
            Err("a GET has no body for `start_date`: say `sent = false`, and `{first}` and `{last}` in the query"
                .into())
        }
        (false, _) if days.kind == DaysKind::Dated && !says_days => {
            Err("with `sent = false` its query must say `{first}` and `{last}`".into())
        }
        _ => Ok(()),
    }
}

fn check_day_column(stream: &Stream, days: &Days) -> Result<(), String> {
    let of_type = |name: &str| stream.column(name).map(|column| &column.data_type);
    let dated =
        matches!(of_type(&days.column), Some(ColumnType::Date | ColumnType::Timestamp | ColumnType::UnixSeconds));
    if !dated {
        return Err(format!(
            "its rows must carry a day: `{}` must be a column of type date, timestamp or unix_seconds",
            days.column
        ));
    }
    match &days.zone_column {
        Some(zone) if of_type(zone) != Some(&ColumnType::Utf8) => {
            Err(format!("`zone_column` must name a column of type utf8, which `{zone}` is not"))
        }
        _ => Ok(()),
    }
}

fn check_key(stream: &Stream) -> Result<(), String> {
    // Whatever brings several rows needs a key to tell them apart.
    let whole = stream.rows == RowsAt::Body || stream.pagination == Pagination::Single || is_total(stream);
    let many_rows = stream.is_fan_out() || !whole;
    if stream.key.is_empty() && many_rows {
        return Err("it has no key".into());
    }
    for path in &stream.key {
        let (name, field) = path.split_once('.').map_or((path.as_str(), None), |(name, field)| (name, Some(field)));
        let Some(column) = stream.column(name) else {
            return Err(format!("key `{path}` names no column"));
        };
        let found = match (&column.data_type, field) {
            (ColumnType::Struct(fields), Some(field)) => fields.iter().any(|(name, _)| name == field),
            (ColumnType::Struct(_), None) | (_, Some(_)) => false,
            (_, None) => true,
        };
        if !found {
            return Err(format!("key `{path}` must name a column, or a field of a struct"));
        }
    }
    Ok(())
}

/// Whether nothing is grouped, so that the whole scope is one row.
fn is_total(stream: &Stream) -> bool {
    stream.body.get("group_by").and_then(Value::as_array).is_some_and(Vec::is_empty)
}

fn check_rows(stream: &Stream) -> Result<(), String> {
    let column = match &stream.rows {
        RowsAt::Members { names, .. } if names.is_empty() => return Err("`rows.members` names no member".into()),
        RowsAt::Members { column, .. } | RowsAt::Texts { column } => column,
        RowsAt::Data | RowsAt::Body => return Ok(()),
    };
    match stream.column(column).map(|column| &column.data_type) {
        Some(ColumnType::Utf8) => Ok(()),
        _ => Err(format!("`rows` puts a text into `{column}`, which must be a column of type utf8")),
    }
}

fn check_signal(stream: &Stream) -> Result<(), String> {
    let Some(signal) = &stream.signal else {
        return Ok(());
    };
    match stream.column(signal).map(|column| &column.data_type) {
        Some(ColumnType::Bool | ColumnType::Int64 | ColumnType::Float64) => Ok(()),
        _ => Err(format!("signal `{signal}` must be a column that is true or false, or a number")),
    }
}

fn check_changes_rarely(stream: &Stream) -> Result<(), String> {
    let why = match stream {
        Stream { changes_rarely: false, .. } => return Ok(()),
        Stream { days: Some(_), .. } => "days are read when they are due",
        Stream { signal: Some(_), .. } => "other streams wait for it",
        Stream { discovers: Some(_), .. } => "other streams are asked for what it holds",
        _ if stream.scope.parts().is_empty() => "one request reads it for the whole account",
        _ => return Ok(()),
    };
    Err(format!("`changes_rarely` is for lists that are read once a week, which this one cannot be: {why}"))
}

/// The names of what a request takes from a parent, its variants, or a user.
fn variables(stream: &Stream) -> BTreeSet<&str> {
    let parent = stream.parent.iter();
    let taken = parent.clone().flat_map(|parent| parent.bind.keys());
    let set = parent.flat_map(|parent| &parent.variants).flat_map(|variant| variant.set.keys());
    taken.chain(set).chain(&stream.parameters).map(String::as_str).collect()
}

/// The names of what every request of a stream like this one knows already.
fn known_to_all(stream: &Stream) -> BTreeSet<String> {
    let parts = stream.scope.parts().iter();
    let mut known: BTreeSet<String> =
        parts.flat_map(|part| [format!("{}_id", part.path_key()), format!("{}_name", part.path_key())]).collect();
    if stream.is_dated() {
        known.extend(["first".to_owned(), "last".to_owned()]);
    }
    known
}

fn check_variables(stream: &Stream) -> Result<(), String> {
    let (variables, known) = (variables(stream), known_to_all(stream));
    for name in &variables {
        if known.contains(*name) {
            return Err(format!("variable `{name}` is one that every request of its scope has already"));
        }
        if stream.column(name).is_none() {
            return Err(format!(
                "variable `{name}` must be a column, so that its rows say what they were asked for; \
                 with `from_request = true` where the API does not"
            ));
        }
        if !stream.uses_variable(name) {
            return Err(format!("variable `{name}` stands nowhere in its path, query or body"));
        }
    }
    let added = |column: &&Column| column.from_request && !variables.contains(column.name.as_str());
    match stream.columns.iter().find(added) {
        Some(column) => Err(format!(
            "column `{}` is `from_request`, but no variable of that name is taken from a parent or given by a user",
            column.name
        )),
        None => Ok(()),
    }
}

/// The `{names}` that stand in `template`. Braces of JSON are none.
fn names_in(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|rest| {
        let name = rest.split_once('}')?.0;
        let plain = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
        (!name.is_empty() && name.chars().all(plain)).then_some(name)
    })
}

/// Every text of `value`, however deep.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(members) => members.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

fn check_templates(stream: &Stream) -> Result<(), String> {
    let (variables, known) = (variables(stream), known_to_all(stream));
    let paths = [stream.request.path.as_str()].into_iter().chain(stream.event_stream.as_deref());
    let body = stream.body.values().flat_map(texts);
    let unknown = paths
        .chain([stream.query.as_str()])
        .chain(body)
        .flat_map(names_in)
        .find(|name| !variables.contains(name) && !known.contains(*name));
    match unknown {
        Some(name) => Err(format!(
            "`{{{name}}}` is no variable: neither its scope ({}) has it, nor a parent, nor a user gives it",
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
        return Err("`event_stream` must be a path from its first slash".into());
    }
    for path in [&stream.request.path].into_iter().chain(&stream.event_stream) {
        let odd = |step: &str| ["", ".", ".."].contains(&step) || step.contains(['?', '#', '%']);
        if path[1..].split('/').any(odd) {
            return Err(format!("`{path}` is no plain path: every step must have a name, and the query stands apart"));
        }
    }
    let in_body = matches!(
        stream.pagination,
        Pagination::Offset { .. } | Pagination::Cursor { .. } | Pagination::BodyOffset { .. }
    );
    if in_body && is_get {
        return Err("offset and cursor pagination stand in a body, which a GET has not".into());
    }
    if let Some((dimensions, metrics)) = stream.positional_names() {
        let sorted = |names: &[String]| names.is_sorted();
        if !sorted(&dimensions) || !sorted(&metrics) {
            return Err("`dimensions` and `metrics` must be sorted, so that both readings of the order agree".into());
        }
        // Rows without any metric of their own hold them deeper, under names the request does not know.
        let is_column = |name: &String| stream.column(name).is_some();
        let missing = dimensions.iter().chain(&metrics).find(|name| !is_column(name));
        if let Some(missing) = missing.filter(|_| metrics.iter().any(is_column)) {
            return Err(format!("it asks for `{missing}`, which is not a column"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    /// What the check says of the stream `name` after `change`.
    fn refused(name: &str, change: impl FnOnce(&mut Stream)) -> String {
        let mut stream = Stream::clone(Catalog::embedded().unwrap().get(name).unwrap());
        change(&mut stream);
        check_stream(&stream).unwrap_err()
    }

    fn retype(stream: &mut Stream, column: &str, data_type: &str) {
        let column = stream.columns.iter_mut().find(|other| other.name == column).unwrap();
        column.data_type = data_type.parse().unwrap();
    }

    #[test]
    fn dated_streams_without_a_day_in_their_rows_are_refused() {
        let told = refused("visibility_v2", |stream| retype(stream, "date", "utf8"));
        assert_eq!(told, "its rows must carry a day: `date` must be a column of type date, timestamp or unix_seconds");
    }

    #[test]
    fn zones_that_no_column_tells_are_refused() {
        let told = refused("openai_ads_insights_ad", |stream| retype(stream, "timezone", "int64"));
        assert_eq!(told, "`zone_column` must name a column of type utf8, which `timezone` is not");
    }

    #[test]
    fn windows_that_are_never_read_again_are_refused() {
        let told = refused("youtube_videos_v2", |stream| stream.days.as_mut().unwrap().lookback = 0);
        assert!(told.ends_with("so `lookback` must be 1 or more"), "{told}");
    }

    #[test]
    fn days_that_no_request_says_are_refused() {
        let told = refused("openai_ads_insights_ad", |stream| stream.days.as_mut().unwrap().sent = true);
        assert!(told.starts_with("a GET has no body for `start_date`"), "{told}");
        let told = refused("openai_ads_insights_ad", |stream| stream.query = "limit=2000".into());
        assert_eq!(told, "with `sent = false` its query must say `{first}` and `{last}`");
    }

    #[test]
    fn only_what_is_one_row_may_lack_a_key() {
        assert_eq!(refused("citations_v2_domain_by_day", |stream| stream.key.clear()), "it has no key");
        assert_eq!(refused("agent_details", |stream| stream.key.clear()), "it has no key");
        let catalog = Catalog::embedded().unwrap();
        assert!(catalog.get("youtube_summary_v2").unwrap().key.is_empty());
        assert!(catalog.get("accuracy_factcheck_setup_status").unwrap().key.is_empty());
    }

    #[test]
    fn rows_of_several_members_must_say_which_in_a_column() {
        let told = refused("accuracy_claim_breakdown", |stream| {
            stream.rows = RowsAt::Members { names: vec!["platform".into()], column: "member".into() };
        });
        assert_eq!(told, "`rows` puts a text into `member`, which must be a column of type utf8");
        let told = refused("accuracy_claim_breakdown", |stream| {
            stream.rows = RowsAt::Members { names: Vec::new(), column: "breakdown".into() };
        });
        assert_eq!(told, "`rows.members` names no member");
    }

    #[test]
    fn texts_without_a_column_are_refused() {
        let told = refused("accuracy_topic_ids", |stream| retype(stream, "topic_id", "int64"));
        assert_eq!(told, "`rows` puts a text into `topic_id`, which must be a column of type utf8");
    }

    #[test]
    fn signals_must_be_true_or_false_or_a_number() {
        let told = refused("youtube_summary_v2", |stream| stream.signal = Some("total".into()));
        assert_eq!(told, "signal `total` must be a column that is true or false, or a number");
    }

    #[test]
    fn only_lists_that_nothing_waits_for_may_change_rarely() {
        for (name, why) in [
            ("visibility_v2", "days are read when they are due"),
            ("accuracy_factcheck_setup_status", "other streams wait for it"),
            ("categories", "other streams are asked for what it holds"),
            ("regions", "one request reads it for the whole account"),
        ] {
            let told = refused(name, |stream| stream.changes_rarely = true);
            assert!(told.ends_with(why), "{name}: {told}");
        }
    }

    #[test]
    fn variables_that_no_column_keeps_are_refused() {
        let told = refused("agent_details", |stream| {
            stream.key.retain(|path| path != "version");
            stream.columns.retain(|column| column.name != "version");
        });
        assert!(told.starts_with("variable `version` must be a column"), "{told}");
    }

    #[test]
    fn variables_that_nothing_asks_with_are_refused() {
        let told = refused("agent_details", |stream| stream.query.clear());
        assert_eq!(told, "variable `version` stands nowhere in its path, query or body");
    }

    #[test]
    fn variables_of_the_scope_cannot_be_taken_again() {
        let told = refused("knowledge_base_search", |stream| stream.parameters.push("organization_id".into()));
        assert_eq!(told, "variable `organization_id` is one that every request of its scope has already");
    }

    #[test]
    fn columns_of_a_request_must_be_variables_of_it() {
        let told = refused("documents", |stream| stream.columns[0].from_request = true);
        assert!(told.starts_with("column `id` is `from_request`, but no variable"), "{told}");
    }

    #[test]
    fn templates_with_unknown_variables_are_refused() {
        let told = refused("integrations", |stream| stream.query = "category={category_id}".into());
        assert_eq!(
            told,
            "`{category_id}` is no variable: neither its scope (organization) has it, nor a parent, nor a user gives it"
        );
        let told = refused("knowledge_base_search", |stream| {
            stream.body.insert("filters".into(), serde_json::json!([{"path": "{folder}"}]));
        });
        assert!(told.starts_with("`{folder}` is no variable"), "{told}");
    }

    #[test]
    fn paths_that_are_not_plain_are_refused() {
        for path in ["/v1/projects/", "/v1//agents", "/v1/x/../agents", "/v1/agents?x=1", "/v1/%61gents"] {
            let told = refused("regions", |stream| stream.request.path = path.into());
            assert!(told.ends_with("every step must have a name, and the query stands apart"), "{told}");
        }
    }

    #[test]
    fn lists_of_lists_are_refused_however_deep() {
        let told = refused("prompts", |stream| retype(stream, "tags", "list<struct<id: list<list<utf8>>>>"));
        assert_eq!(told, "column `tags` has a list of lists, which not every reader knows: make it json");
    }
}
