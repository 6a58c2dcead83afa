//! The facts about a stream besides its columns, one line each.

use std::sync::Arc;

use super::example::{day, example, scope};
use super::requests::{requests, rows_a_page};
use crate::config::Partition;
use crate::layout::Layout;
use crate::model::day::DayZone;
use crate::model::format::{format_count, format_number};
use crate::model::stream::{
    Days, DaysKind, EndpointStatus, Fallback, Pagination, Parent, RowsAt, Stream, Tier, Total, WindowEnd,
};

/// Its label and its text.
pub type StreamFact = (&'static str, String);

/// In the order of a request's life.
pub fn facts(stream: &Arc<Stream>) -> Vec<StreamFact> {
    let mut facts: Vec<StreamFact> = vec![("tier", tier(stream))];
    let mut add = |name, text: Option<String>| facts.extend(text.map(|text| (name, text)));
    add("choose", stream.opt_in.as_ref().map(|why| format!("knowingly: {why}")));
    add("request", Some(format!("`{}`", stream.request)));
    add("events", stream.event_stream.as_ref().map(|path| format!("`POST {path}`: the whole window in one request")));
    let (line, body) = example(stream);
    add("as sent", Some(format!("`{line}`{}", body.map(|body| format!(" with `{body}`")).unwrap_or_default())));
    add("pages", pages(stream));
    add("rows are", rows(&stream.rows));
    add("requested per", Some(requested_per(stream)));
    add("requests", Some(requests(stream)));
    add("parent", stream.parent.as_ref().map(parent));
    add("parameters", parameters(stream));
    add(
        "gate",
        stream.gate.as_ref().map(|gate| format!("`{gate}` is requested first, and says whether there are rows")),
    );
    add(
        "signal",
        stream.signal.as_ref().map(|column| format!("`{column}` says whether the streams gated by it have rows")),
    );
    add(
        "expects",
        stream.expects.as_ref().map(|other| format!("rows wherever `{other}` has some; an empty day is suspect there")),
    );
    add("if rejected", stream.on_422.as_ref().map(fallback));
    add("days", Some(stream.days.as_ref().map_or_else(|| list(stream), days)));
    add("total", total(stream.total));
    add("key", Some(key(stream)));
    add("files", Some(files(stream)));
    add("source", source(stream));
    facts
}

fn key(stream: &Stream) -> String {
    let paths: Vec<String> = stream.key.iter().map(|path| format!("`{path}`")).collect();
    if paths.is_empty() { "none: there is one row".to_owned() } else { paths.join(", ") }
}

fn tier(stream: &Stream) -> String {
    stream.tier.map_or("none: chosen by name", Tier::name).to_owned()
}

fn requested_per(stream: &Stream) -> String {
    let each = match (&stream.parent, stream.parameters.is_empty()) {
        (Some(parent), _) => format!(" and row of `{}`", parent.stream),
        (None, false) => " and set of parameters".to_owned(),
        (None, true) => String::new(),
    };
    format!("{}{each}", stream.scope.describe())
}

fn pages(stream: &Stream) -> Option<String> {
    let how = match &stream.pagination {
        Pagination::Single => return None,
        Pagination::Offset { .. } => "`pagination` in the body, until the announced total is reached".to_owned(),
        Pagination::Cursor { .. } => "`limit` and `cursor` in the body, until there is no cursor".to_owned(),
        Pagination::BodyOffset { .. } => {
            "`limit` and `offset` in the body, until the announced total is reached".to_owned()
        }
        Pagination::QueryOffset { .. } => {
            "`limit` and `offset` in the query, until a page is short or the total is reached".to_owned()
        }
        Pagination::QueryAfter => "`after` in the query, while there is more".to_owned(),
        Pagination::QueryCursor { parameter } => format!("`{parameter}` in the query, until there is no cursor"),
    };
    let of = rows_a_page(stream).map_or_else(String::new, |rows| format!("of {} ", format_number(rows)));
    let alone = if stream.event_stream.is_some() { "; only if event streams are disabled or fail" } else { "" };
    Some(format!("{of}by {how}{alone}"))
}

fn rows(rows: &RowsAt) -> Option<String> {
    match rows {
        RowsAt::Data => None,
        RowsAt::Body => Some("the whole response, as one row".to_owned()),
        RowsAt::Members { names, column } => {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            Some(format!("in {} of the response; `{column}` has the name", names.join(", ")))
        }
        RowsAt::Texts { column } => Some(format!("plain texts, stored as `{column}`")),
    }
}

fn parent(parent: &Parent) -> String {
    let bind = parent.bind.iter().map(|(variable, path)| {
        if variable == path { format!("`{variable}`") } else { format!("`{variable}` from `{path}`") }
    });
    let mut text = format!(
        "one request for each row of `{}`, which supplies {}",
        parent.stream,
        bind.collect::<Vec<_>>().join(", ")
    );
    let pairs = |pairs: &std::collections::BTreeMap<String, String>| -> String {
        pairs.iter().map(|(name, value)| format!("`{name}` = `{value}`")).collect::<Vec<_>>().join(" and ")
    };
    for (index, variant) in parent.variants.iter().enumerate() {
        let lead = if index == 0 { "; requested with" } else { ", and with" };
        let when = if variant.when.is_empty() { String::new() } else { format!(" where {}", pairs(&variant.when)) };
        text.push_str(&format!("{lead} {}{when}", pairs(&variant.set)));
    }
    if let Some(changed) = &parent.changed {
        text.push_str(&format!("; skipped until `{changed}` changes"));
    }
    text
}

fn parameters(stream: &Stream) -> Option<String> {
    let names: Vec<String> = stream.parameters.iter().map(|name| format!("`{name}`")).collect();
    let place = format!("`[[parameters.{}]]` of jobs.toml", stream.name);
    (!names.is_empty()).then(|| format!("{}, set in {place}; one request for each set", names.join(", ")))
}

fn fallback(fallback: &Fallback) -> String {
    match fallback {
        Fallback::Stream(name) => format!("after HTTP 422, `{name}`, which has its own table"),
        Fallback::SmallPages { limit, without } => {
            format!(
                "after HTTP 422, pages of {limit} rows; then requested without `{without}`, and that column is null"
            )
        }
        Fallback::Without(member) => format!("after HTTP 422, requested without `{member}`; that column is null"),
    }
}

pub fn kind_of_days(stream: &Stream) -> &'static str {
    match stream.days.as_ref().map(|days| days.kind) {
        None => "list",
        Some(DaysKind::Dated) => "dated",
        Some(DaysKind::Window) => "one day",
        Some(DaysKind::Week) => "one week",
        Some(DaysKind::Month) => "one month",
    }
}

fn list(stream: &Stream) -> String {
    match (stream.parent.is_some(), stream.changes_rarely) {
        (true, _) => "none: a list with the rows of all its requests".to_owned(),
        (false, false) => "none: a list, extracted by every run".to_owned(),
        (false, true) => "none: a list that rarely changes, extracted by every run; once a week if a job has \
                          `weekly_refresh_min_categories` or more"
            .to_owned(),
    }
}

fn days(days: &Days) -> String {
    let zone = match &days.zone_column {
        Some(zone) => format!("in the zone in `{zone}`"),
        None => match days.zone {
            DayZone::Eastern => "in Eastern time".to_owned(),
            DayZone::Utc => "in UTC".to_owned(),
        },
    };
    let mut parts = vec![match days.kind {
        DaysKind::Dated => format!("`{}` is the day of a row, {zone}; any number of days in one request", days.column),
        DaysKind::Window => format!("rows have no date and cover the requested day, {zone}"),
        DaysKind::Week => {
            format!("rows have no date and cover the requested week from Monday to Sunday, {zone}, once it is over")
        }
        DaysKind::Month => format!("rows have no date and cover the requested month, {zone}, once it is over"),
    }];
    if days.sent {
        parts.push(
            match days.end {
                WindowEnd::Inclusive => "`end_date` is the last day",
                WindowEnd::Exclusive => "`end_date` is the day after the last",
                WindowEnd::Undocumented => "`end_date` is undocumented: tried as the last day first",
            }
            .to_owned(),
        );
    }
    if days.margin != 0 {
        parts.push(format!(
            "requested with {} more at both ends, which are dropped",
            format_count(u64::from(days.margin), "day")
        ));
    }
    parts.push(match days.lookback {
        0 => "final once it is over".to_owned(),
        lookback => format!("restated by the API for {}, then final", format_count(u64::from(lookback), "day")),
    });
    parts.join("; ")
}

fn total(total: Total) -> Option<String> {
    match total {
        Total::Rows => None,
        Total::AtLeast => Some("the announced total counts entities, each with one row or more".to_owned()),
        Total::Unrelated => Some("the announced total proves nothing about rows".to_owned()),
    }
}

/// The path of a file under each partition; `…` where it is the same.
fn files(stream: &Stream) -> String {
    let day = stream.days.as_ref().map(|days| day(days.kind));
    // An id with capital letters has a hash in its path, so the example's ids have small ones.
    let mut scope = scope(stream);
    for named in
        [&mut scope.organization, &mut scope.category, &mut scope.asset, &mut scope.domain].into_iter().flatten()
    {
        named.id = named.id.to_lowercase();
    }
    let path = |partition| Layout { partition }.data_path(&stream.name, &scope, day).to_string();
    let by_day = path(Partition::Day);
    match day {
        None => format!("`{by_day}`"),
        Some(_) => {
            let tail = |path: String| {
                let same = by_day.rfind("/day=").map_or(0, |at| at + 1);
                path.get(same..).unwrap_or_default().to_owned()
            };
            let (month, none) = (tail(path(Partition::Month)), tail(path(Partition::None)));
            format!("`{by_day}`; with `partition = \"month\"` `…/{month}`, with `\"none\"` `…/{none}`")
        }
    }
}

fn source(stream: &Stream) -> Option<String> {
    match stream.status {
        EndpointStatus::Current => Some("current".to_owned()),
        EndpointStatus::Beta => Some("documented as beta".to_owned()),
        EndpointStatus::Deprecated => Some("deprecated".to_owned()),
        EndpointStatus::Undocumented => Some("not in the published document".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn fact(stream: &str, name: &str) -> String {
        let catalog = Catalog::embedded().unwrap();
        let facts = facts(catalog.get(stream).unwrap());
        facts.into_iter().find(|(other, _)| *other == name).unwrap().1
    }

    #[test]
    fn files_are_shown_for_every_partition() {
        assert_eq!(
            fact("bots_v2", "files"),
            "`bots_v2/organization=organization_id/domain=domain_name/day=2026-11-21/data.parquet`; \
             with `partition = \"month\"` `…/month=2026-11/2026-11-21.parquet`, with `\"none\"` `…/2026-11-21.parquet`"
        );
        assert_eq!(fact("regions", "files"), "`regions/data.parquet`");
    }

    #[test]
    fn days_are_described() {
        assert_eq!(
            fact("visibility_v2_by_day", "days"),
            "`date` is the day of a row, in Eastern time; any number of days in one request; `end_date` is the last day; \
             restated by the API for 3 days, then final"
        );
        assert_eq!(fact("regions", "days"), "none: a list, extracted by every run");
        assert_eq!(
            fact("category_tags", "days"),
            "none: a list that rarely changes, extracted by every run; once a week if a job has \
             `weekly_refresh_min_categories` or more"
        );
    }
}
