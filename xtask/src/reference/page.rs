//! docs/reference/streams.md: every stream, in Markdown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalog::model::scope::ScopeKind;
use catalog::model::stream::{Fallback, Stream, Tier};
use catalog::{Catalog, NotExported};
use profound_export::reference::{ColumnLine, added_lines, facts, kind_of_days, own_lines, requests, scope_lines};

use super::cell;
use super::group::Group;

/// Facts that the table of grains has a column for.
const OF_EACH: [&str; 10] =
    ["tier", "choose", "requests", "days", "key", "if rejected", "source", "signal", "expects", "gate"];
/// Streams that a cell names; where there are more, the section is named instead.
const NAMED: usize = 3;

/// The page about all streams of `catalog`. The same catalog always gives the same text.
pub fn page(catalog: &Catalog, not_exported: &[NotExported], grains: &BTreeMap<String, String>) -> String {
    let mut families: BTreeMap<&str, Vec<&Arc<Stream>>> = BTreeMap::new();
    for stream in catalog.streams() {
        families.entry(&stream.family).or_default().push(stream);
    }
    let families: Vec<(&str, Vec<Group>)> =
        families.into_iter().map(|(family, streams)| (family, Group::all(streams))).collect();
    let mut text = include_str!("streams.md").to_owned();
    text.push_str(&tiers(catalog));
    text.push_str(&coverage(&families));
    text.push_str(&left_out(not_exported, grains));
    text.push_str(&added());
    for (family, groups) in &families {
        text.push_str(&format!("\n## Family `{family}`\n"));
        for group in groups {
            text.push_str(&section(group));
        }
    }
    text
}

fn tiers(catalog: &Catalog) -> String {
    let mut text = String::from("\n## Tiers\n\n| tier | streams | new in this tier | content |\n|---|---|---|---|\n");
    for tier in Tier::ALL {
        let own = catalog.streams().filter(|stream| stream.tier == Some(tier)).count();
        let what = match tier {
            Tier::Minimal => "prompts, answers, visibility, citations, sentiment, bots, referrals",
            Tier::Core => "the default",
            Tier::Wide => "every product an account may have, deprecated and personal data included",
            Tier::Everything => "everything, in every useful grain",
        };
        text.push_str(&format!("| `{}` | {} | {own} | {what} |\n", tier.name(), catalog.tier(tier).count()));
    }
    let untiered = catalog.streams().filter(|stream| stream.tier.is_none()).count();
    text.push_str(&format!("| none | | {untiered} | chosen by name, or a fallback |\n"));
    text.push_str(&format!("\n{} streams in all.\n", catalog.streams().count()));
    text
}

/// The streams of each operation, by family.
fn coverage(families: &[(&str, Vec<Group>)]) -> String {
    let mut text = String::from("\n## Coverage\n\n| family | operation | streams | tier |\n|---|---|---|---|\n");
    for (family, groups) in families {
        let mut operations: BTreeMap<String, Vec<(&Group, &Arc<Stream>)>> = BTreeMap::new();
        for group in groups {
            for stream in &group.streams {
                operations.entry(stream.request.to_string()).or_default().push((group, stream));
                if let Some(path) = &stream.event_stream {
                    operations.entry(format!("POST {path}")).or_default().push((group, stream));
                }
            }
        }
        for (operation, streams) in operations {
            let tiers: BTreeSet<Option<Tier>> = streams.iter().map(|(_, stream)| stream.tier).collect();
            let tiers: Vec<&str> = tiers.into_iter().map(tier_name).collect();
            let mut named: Vec<String> = Vec::new();
            for (group, stream) in &streams {
                let name = if group.streams.len() <= NAMED {
                    link(&stream.name, group)
                } else {
                    format!("{} {}", group.streams.len(), link(&group.stem(), group))
                };
                if !named.contains(&name) {
                    named.push(name);
                }
            }
            text.push_str(&format!("| `{family}` | `{operation}` | {} | {} |\n", named.join(", "), tiers.join(", ")));
        }
    }
    text
}

fn left_out(not_exported: &[NotExported], grains: &BTreeMap<String, String>) -> String {
    let mut text = String::from(
        "\n## Not exported\n\nRequests that no stream makes. Those that write are rejected in your own streams, too.\n\n\
         | request | kind | why not |\n|---|---|---|\n",
    );
    for request in not_exported {
        text.push_str(&format!("| `{}` | {} | {} |\n", request.request, request.kind, cell(&request.reason)));
    }
    text.push_str(
        "\nGrains and options of exported reports that no stream requests:\n\n| report | why not |\n|---|---|\n",
    );
    for (grain, reason) in grains {
        text.push_str(&format!("| {} | {} |\n", cell(grain), cell(reason)));
    }
    text
}

/// The columns of all tables.
fn added() -> String {
    let mut text =
        String::from("\n## Columns of every table\n\nThe columns of the scope come before those of the stream:\n\n");
    let mut scopes: Vec<ColumnLine> = Vec::new();
    for kind in [ScopeKind::Organization, ScopeKind::CategoryAsset, ScopeKind::Domain] {
        for line in scope_lines(kind) {
            if !scopes.contains(&line) {
                scopes.push(line);
            }
        }
    }
    text.push_str(&column_table(&scopes));
    text.push_str("\nThe columns of the exporter come last:\n\n");
    text.push_str(&column_table(&added_lines()));
    text
}

fn section(group: &Group) -> String {
    match group.streams.as_slice() {
        [stream] => of_stream(group, stream),
        _ => of_grains(group),
    }
}

fn of_stream(group: &Group, stream: &Arc<Stream>) -> String {
    let mut text = format!("\n### `{}`\n\n{}\n\n", stream.name, stream.about);
    for (name, fact) in facts(stream) {
        text.push_str(&format!("- **{name}**: {fact}\n"));
    }
    text.push_str(&notes(group));
    text.push('\n');
    text.push_str(&column_table(
        &stream.columns.iter().flat_map(|column| own_lines(column, false)).collect::<Vec<_>>(),
    ));
    text
}

fn of_grains(group: &Group) -> String {
    let first = group.first();
    let mut text = format!("\n### {}\n\n{} streams of one endpoint.\n\n", heading(group), group.streams.len());
    for (name, fact) in facts(first).into_iter().filter(|(name, _)| !OF_EACH.contains(name)) {
        let of = if ["as sent", "files"].contains(&name) { format!(" (`{}`)", first.name) } else { String::new() };
        text.push_str(&format!("- **{name}**{of}: {fact}\n"));
    }
    // Facts that all streams share are listed once; the others are columns of the table.
    let alike = |name: &str| {
        let of =
            |stream: &Arc<Stream>| facts(stream).into_iter().find(|(other, _)| *other == name).map(|(_, fact)| fact);
        let fact = of(first);
        group.streams.iter().all(|stream| of(stream) == fact).then_some(fact).flatten()
    };
    let shared: Vec<(&str, String)> =
        OF_EACH.iter().filter(|name| **name != "key").filter_map(|name| Some((*name, alike(name)?))).collect();
    for (name, fact) in &shared {
        text.push_str(&format!("- **{name}**: {fact}\n"));
    }
    text.push_str(&notes(group));
    text.push_str(&grains(group, &shared.iter().map(|(name, _)| *name).collect::<Vec<_>>()));
    let lines: Vec<ColumnLine> = group.columns().into_iter().flat_map(|column| own_lines(column, false)).collect();
    text.push('\n');
    text.push_str(&column_table(&lines));
    text
}

/// The table of grains.
fn grains(group: &Group, shared: &[&str]) -> String {
    type Cell = fn(&Group, &Stream) -> String;
    let cells: [(&str, &str, Cell); 8] = [
        ("tier", "tier", |_, stream| tier_name(stream.tier).to_owned()),
        ("", "request", |group, stream| code(&group.own_request(stream))),
        ("", "key", |_, stream| code(&stream.key.join(", "))),
        ("days", "days", |_, stream| days_in_short(stream)),
        ("requests", "requests", |_, stream| requests(stream)),
        ("source", "status", |_, stream| stream.status.name().to_owned()),
        ("choose", "deliberate choice", |_, stream| stream.opt_in.clone().unwrap_or_default()),
        ("if rejected", "if rejected", |_, stream| match &stream.on_422 {
            Some(Fallback::Stream(name)) => code(name),
            Some(Fallback::SmallPages { without, .. }) => format!("without `{without}`"),
            Some(Fallback::Without(member)) => format!("without `{member}`"),
            None => String::new(),
        }),
    ];
    let shown: Vec<_> = cells
        .into_iter()
        .filter(|(name, _, cell)| {
            !shared.contains(name) && group.streams.iter().any(|stream| !cell(group, stream).is_empty())
        })
        .collect();
    let mut text = String::from("\n| stream | one row per |");
    shown.iter().for_each(|(_, heading, _)| text.push_str(&format!(" {heading} |")));
    text.push_str(&format!("\n|---|---|{}\n", "---|".repeat(shown.len())));
    for stream in &group.streams {
        text.push_str(&format!("| `{}` | {} |", stream.name, cell(&grain(stream))));
        shown.iter().for_each(|(_, _, tell)| text.push_str(&format!(" {} |", cell(&tell(group, stream)))));
        text.push('\n');
    }
    text
}

/// The grain of a row, without the text that all grains share.
fn grain(stream: &Stream) -> String {
    let about = stream.about.split_once("one row per ").map_or(stream.about.as_str(), |(_, grain)| grain);
    about.trim_end_matches('.').to_owned()
}

fn days_in_short(stream: &Stream) -> String {
    match &stream.days {
        Some(days) => format!("{}, restated {} days", kind_of_days(stream), days.lookback),
        None => kind_of_days(stream).to_owned(),
    }
}

fn notes(group: &Group) -> String {
    let line = |(note, streams): (&str, Option<String>)| match streams {
        None => format!("- **note**: {note}\n"),
        Some(streams) => format!("- **note** on {streams}: {note}\n"),
    };
    group.notes().into_iter().map(line).collect()
}

fn column_table(lines: &[ColumnLine]) -> String {
    let mut text = String::from("| column | type | unit | range | meaning |\n|---|---|---|---|---|\n");
    for line in lines {
        let data_type = code(&line.data_type);
        text.push_str(&format!(
            "| `{}` | {} | {} | {} | {} |\n",
            line.name,
            cell(&data_type),
            cell(&line.unit),
            line.range,
            cell(&line.about)
        ));
    }
    text
}

fn heading(group: &Group) -> String {
    code(&group.stem())
}

/// A link to the section of a group.
fn link(name: &str, group: &Group) -> String {
    // As GitHub makes anchors: lower case, without signs, and the sections have no spaces.
    let anchor: String =
        group.stem().chars().filter(|character| character.is_alphanumeric() || *character == '_').collect();
    format!("[`{name}`](#{anchor})")
}

fn tier_name(tier: Option<Tier>) -> &'static str {
    tier.map_or("none", Tier::name)
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_names_every_stream_and_column() {
        let catalog = Catalog::embedded().unwrap();
        let page = page(&catalog, &NotExported::all().unwrap(), &NotExported::grains().unwrap());
        for stream in catalog.streams() {
            assert!(page.contains(&format!("`{}`", stream.name)), "{}", stream.name);
            for column in &stream.columns {
                assert!(page.contains(&format!("| `{}` |", column.name)), "{}.{}", stream.name, column.name);
            }
        }
    }

    #[test]
    fn links_lead_to_sections() {
        let page = page(&Catalog::embedded().unwrap(), &NotExported::all().unwrap(), &BTreeMap::new());
        let anchor = |heading: &str| -> String {
            heading.chars().filter(|character| character.is_alphanumeric() || *character == '_').collect()
        };
        let anchors: Vec<String> = page.lines().filter_map(|line| line.strip_prefix("### ")).map(anchor).collect();
        let unique: BTreeSet<&String> = anchors.iter().collect();
        assert_eq!(unique.len(), anchors.len(), "two sections share an anchor");
        for link in page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(anchors.iter().any(|anchor| anchor == link), "{link}");
        }
    }
}
