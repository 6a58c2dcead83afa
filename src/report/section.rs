//! The sections of a report: which categories and sites are shown, the rows of their figures, and which days are in doubt.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use object_store::path::Path;
use rusqlite::types::Value;

use super::ReportRequest;
use super::database::{Database, Rows, rows_of};
use super::error::ReportError;
use super::figure::{CATEGORY, COVERAGE, Figure, SITE};
use super::read::read;
use super::source::{ANSWERS, Extract, LoadedDays, Period, Relation, coverage_relation, duckdb_sql, with_relations};
use crate::destination::Destination;
use crate::ledger::CoverageRow;
use crate::model::day::Day;
use crate::model::day_status::DayStatus;
use crate::model::format::format_count;
use crate::model::scope::{Scope, ScopePart};

/// Everything that the page shows.
#[derive(Debug)]
pub struct Sections {
    pub categories: Group,
    pub sites: Group,
    pub coverage: Drawn,
    pub unreadable: Vec<Unreadable>,
}

/// Sections of one kind.
#[derive(Debug)]
pub struct Group {
    /// `None` if the lake has no day of them.
    pub period: Option<Period>,
    pub shown: Vec<Section>,
    /// Names.
    pub left_out: Vec<String>,
    /// Whether a person named those that are shown.
    pub is_chosen: bool,
}

/// A category or a site.
#[derive(Debug)]
pub struct Section {
    /// Part of anchors: unique on the page.
    pub anchor: String,
    pub name: String,
    /// Where others are called alike: the organization, else the id.
    pub distinction: Option<String>,
    pub figures: Vec<Drawn>,
}

/// A figure with its rows.
#[derive(Debug)]
pub struct Drawn {
    pub figure: &'static Figure,
    pub streams: Vec<&'static str>,
    /// For DuckDB.
    pub sql: String,
    /// The rows, or why there are none.
    pub rows: Result<Rows, String>,
    pub doubts: Vec<Doubt>,
    pub period: Period,
}

/// Days of a stream of which rows may be missing or outdated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    pub stream: &'static str,
    /// A word for people.
    pub status: String,
    /// None for a list.
    pub days: BTreeSet<Day>,
}

/// A file that the ledger names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    pub path: String,
    pub problem: String,
    stream: &'static str,
    scope: Scope,
    day: Option<Day>,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.path, self.problem)
    }
}

/// What a section is about, before its rows are read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    name: String,
    organization: Option<String>,
    /// The columns of the scope, with their values.
    scope: Vec<(&'static str, String)>,
    rows: u64,
}

impl Candidate {
    fn is_called(&self, wanted: &str) -> bool {
        self.name == wanted || self.scope.iter().any(|(_, id)| id == wanted)
    }
}

/// The part whose objects have sections, and the figures of each.
type Kind = (ScopePart, &'static [Figure]);
const KINDS: [Kind; 2] = [(ScopePart::Category, &CATEGORY), (ScopePart::Domain, &SITE)];

impl Sections {
    pub async fn read(request: &ReportRequest<'_>) -> Result<Self, ReportError> {
        let mut unreadable = Vec::new();
        let mut groups = Vec::new();
        for kind in KINDS {
            groups.push(Group::read(request, kind, &mut unreadable).await?);
        }
        let (Some(sites), Some(categories)) = (groups.pop(), groups.pop()) else {
            return Err(ReportError::NoDays);
        };
        let periods: Vec<Period> = [categories.period, sites.period].into_iter().flatten().collect();
        let (Some(first), Some(last)) =
            (periods.iter().map(|period| period.first).min(), periods.iter().map(|period| period.last).max())
        else {
            return Err(ReportError::NoDays);
        };
        let coverage = coverage(request, Period { first, last })?;
        Ok(Self { categories, sites, coverage, unreadable })
    }

    /// A line for each section and stream with days in doubt.
    pub fn doubts(&self) -> Vec<String> {
        let sections = self.categories.shown.iter().chain(&self.sites.shown);
        let lines = sections.flat_map(|section| {
            let doubts = section.figures.iter().flat_map(|figure| &figure.doubts);
            doubts.map(|doubt| format!("{}, {doubt}", section.name))
        });
        // Figures share streams.
        let mut seen = BTreeSet::new();
        lines.filter(|line| seen.insert(line.clone())).collect()
    }
}

impl Group {
    async fn read(
        request: &ReportRequest<'_>,
        (part, figures): Kind,
        unreadable: &mut Vec<Unreadable>,
    ) -> Result<Self, ReportError> {
        let in_kind = |row: &&CoverageRow<'_>| row.scope.part(part).is_some();
        let days = || {
            let read = request.coverage.iter().filter(in_kind).filter(|row| row.extracted_at.is_some());
            read.filter_map(|row| row.day)
        };
        let (Some(oldest), Some(last)) = (days().min(), days().max()) else {
            return Ok(Self { period: None, shown: Vec::new(), left_out: Vec::new(), is_chosen: false });
        };
        let period = Period { first: oldest.max(last.plus(1 - i64::from(request.days))), last };
        let mut candidates = candidates(request, part, period);
        let is_named = |candidate: &Candidate| request.categories.iter().any(|wanted| candidate.is_called(wanted));
        let is_chosen = part == ScopePart::Category && !request.categories.is_empty();
        let left_out = if is_chosen {
            let known = candidates.clone();
            let is_known = |wanted: &&String| known.iter().any(|candidate| candidate.is_called(wanted));
            if let Some(wanted) = request.categories.iter().find(|wanted| !is_known(wanted)) {
                let names = known.into_iter().map(|candidate| candidate.name).collect();
                return Err(ReportError::NoCategory { wanted: wanted.clone(), known: names });
            }
            candidates.retain(is_named);
            known.into_iter().filter(|candidate| !is_named(candidate)).collect()
        } else {
            candidates.split_off(request.most.min(candidates.len()))
        };
        let mut shown = Vec::new();
        for (index, candidate) in candidates.iter().enumerate() {
            let is_ambiguous = candidates.iter().filter(|other| other.name == candidate.name).count() > 1;
            let id = candidate.scope.first().map(|(_, id)| id.clone());
            let distinction = candidate.organization.clone().or(id).filter(|_| is_ambiguous);
            shown.push(Section {
                anchor: format!("{}-{}", part.path_key(), index + 1),
                name: candidate.name.clone(),
                distinction,
                figures: drawn(request, part, figures, candidate, period, unreadable).await?,
            });
        }
        let left_out = left_out.into_iter().map(|candidate| candidate.name).collect();
        Ok(Self { period: Some(period), shown, left_out, is_chosen })
    }
}

/// All objects of `part`, those with the most rows first: of answers, where there are some.
fn candidates(request: &ReportRequest<'_>, part: ScopePart, period: Period) -> Vec<Candidate> {
    let mut found: BTreeMap<Vec<(&'static str, String)>, (Candidate, u64)> = BTreeMap::new();
    for row in &request.coverage {
        let Some(named) = row.scope.part(part) else { continue };
        let organization = row.scope.organization.as_ref().filter(|_| part == ScopePart::Domain);
        let (id, name) = part.columns();
        let mut scope: Vec<(&'static str, String)> =
            organization.map(|named| ("organization_id", named.id.clone())).into_iter().collect();
        scope.push((id.unwrap_or(name), named.id.clone()));
        let (candidate, others) = found.entry(scope.clone()).or_insert_with(|| {
            let organization = organization.map(|named| named.name.clone());
            (Candidate { name: named.name.clone(), organization, scope, rows: 0 }, 0)
        });
        let is_shown = row.day.is_some_and(|day| (period.first..=period.last).contains(&day));
        let rows = row.rows.filter(|_| is_shown).unwrap_or_default();
        *if row.stream == ANSWERS.stream { &mut candidate.rows } else { others } += rows;
    }
    let mut found: Vec<(Candidate, u64)> = found.into_values().collect();
    found.sort_by(|(one, one_others), (two, two_others)| {
        (two.rows, *two_others, &one.name, &one.scope).cmp(&(one.rows, *one_others, &two.name, &two.scope))
    });
    found.into_iter().map(|(candidate, _)| candidate).collect()
}

/// The figures of one object.
async fn drawn(
    request: &ReportRequest<'_>,
    part: ScopePart,
    figures: &'static [Figure],
    candidate: &Candidate,
    period: Period,
    unreadable: &mut Vec<Unreadable>,
) -> Result<Vec<Drawn>, ReportError> {
    let extract = Extract { scope: candidate.scope.clone(), period };
    let covers = |scope: &Scope| {
        candidate.scope.iter().all(|(column, id)| {
            let of = ScopePart::ALL.into_iter().find(|part| {
                let (id, name) = part.columns();
                id.unwrap_or(name) == *column
            });
            of.and_then(|part| scope.part(part)).is_some_and(|named| named.id == *id)
        })
    };
    let own: Vec<&CoverageRow<'_>> =
        request.coverage.iter().filter(|row| row.scope.parts().next().is_none() || covers(row.scope)).collect();
    let mut database = Database::new(&extract)?;
    let mut loaded: BTreeMap<&'static str, bool> = BTreeMap::new();
    for relation in figures.iter().flat_map(|figure| figure.relations) {
        if loaded.contains_key(relation.name) {
            continue;
        }
        let columns: Vec<&str> = relation.columns.iter().map(|column| column.name).collect();
        database.create(relation.name, &columns)?;
        let days = period.days(relation.days);
        let is_wanted = |row: &&&CoverageRow<'_>| {
            row.stream == relation.stream
                && match (days, row.day) {
                    (Some((first, last)), Some(day)) => (first..=last).contains(&day),
                    (None, None) => true,
                    _ => false,
                }
        };
        let mut has_files = false;
        for row in own.iter().filter(is_wanted) {
            let Some(path) = &row.path else { continue };
            has_files = true;
            load(request.lake, &mut database, relation, path, row, unreadable).await?;
        }
        if let (LoadedDays::List, Some((_, id))) = (relation.days, candidate.scope.first()) {
            database.keep_category(relation, id)?;
        }
        loaded.insert(relation.name, has_files);
    }
    let mut result = Vec::new();
    for figure in figures {
        let lacking = figure.relations.iter().find(|relation| !loaded[relation.name]);
        let rows = match lacking {
            Some(relation) => Err(reason(request, &own, relation, period, part)),
            None => Ok(database.query(figure.sql)?),
        };
        let rows = match rows {
            Ok(rows) if rows.rows.is_empty() => Err(nothing(figure, period)),
            rows => rows,
        };
        result.push(Drawn {
            figure,
            streams: figure.relations.iter().fold(Vec::new(), |mut streams, relation| {
                if !streams.contains(&relation.stream) {
                    streams.push(relation.stream);
                }
                streams
            }),
            sql: duckdb_sql(figure.relations, &extract, figure.sql),
            rows,
            doubts: doubts(&own, figure, period, covers, unreadable),
            period,
        });
    }
    Ok(result)
}

async fn load(
    lake: &Destination,
    database: &mut Database,
    relation: &'static Relation,
    path: &str,
    row: &CoverageRow<'_>,
    unreadable: &mut Vec<Unreadable>,
) -> Result<(), ReportError> {
    match read(lake, &Path::from(path), relation).await? {
        Ok(batches) => {
            let rows = batches.iter().flat_map(|batch| rows_of(relation, batch));
            database.insert(relation.name, rows)?;
        }
        Err(problem) => {
            let (path, stream, scope, day) = (path.to_owned(), relation.stream, row.scope.clone(), row.day);
            let found = Unreadable { path, problem, stream, scope, day };
            if !unreadable.contains(&found) {
                unreadable.push(found);
            }
        }
    }
    Ok(())
}

/// Why a figure has no rows of `relation`.
fn reason(
    request: &ReportRequest<'_>,
    own: &[&CoverageRow<'_>],
    relation: &Relation,
    period: Period,
    part: ScopePart,
) -> String {
    let stream = relation.stream;
    if !request.coverage.iter().any(|row| row.stream == stream) {
        return format!(
            "The lake has no `{stream}`. Add \"{stream}\" to `streams` of a job in jobs.toml, and the next run exports it."
        );
    }
    if own.iter().any(|row| row.stream == stream && row.status == DayStatus::NotEntitled) {
        let what = if part == ScopePart::Category { "category" } else { "site" };
        return format!("The account may not read `{stream}` of this {what}.");
    }
    match period.days(relation.days) {
        Some((first, last)) => format!("`{stream}` has no rows from {} to {}.", first.short(), last.short()),
        None => format!("`{stream}` has no rows."),
    }
}

fn nothing(figure: &Figure, period: Period) -> String {
    let days = figure.relations.iter().filter_map(|relation| period.days(relation.days)).max();
    let (first, last) = days.unwrap_or((period.first, period.last));
    format!("Nothing to show from {} to {}.", first.short(), last.short())
}

/// The days of the figure's streams of which rows may be missing or outdated.
fn doubts(
    own: &[&CoverageRow<'_>],
    figure: &Figure,
    period: Period,
    covers: impl Fn(&Scope) -> bool,
    unreadable: &[Unreadable],
) -> Vec<Doubt> {
    let mut found: BTreeMap<(&'static str, String), BTreeSet<Day>> = BTreeMap::new();
    for relation in figure.relations {
        let days = period.days(relation.days);
        let is_shown = |day: &Day| days.is_some_and(|(first, last)| (first..=last).contains(day));
        for row in own.iter().filter(|row| row.stream == relation.stream) {
            let is_doubtful = matches!(row.status, DayStatus::Missing | DayStatus::Suspect | DayStatus::Stale);
            // A list has no days.
            if is_doubtful && row.day.as_ref().is_none_or(is_shown) {
                found.entry((relation.stream, row.status.to_string())).or_default().extend(row.day);
            }
        }
        for file in unreadable.iter().filter(|file| file.stream == relation.stream && covers(&file.scope)) {
            if file.day.as_ref().is_none_or(is_shown) {
                found.entry((relation.stream, "unreadable".to_owned())).or_default().extend(file.day);
            }
        }
    }
    found.into_iter().map(|((stream, status), days)| Doubt { stream, status, days }).collect()
}

impl fmt::Display for Doubt {
    /// `visibility_v2_by_day: missing on Tue 3 Nov, Wed 4 Nov`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMED: usize = 4;
        let named: Vec<String> = self.days.iter().take(NAMED).map(|day| day.short()).collect();
        write!(out, "{}: {}", self.stream, self.status)?;
        if !named.is_empty() {
            write!(out, " on {}", named.join(", "))?;
        }
        match self.days.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(out, " and {}", format_count(more as u64, "more day")),
        }
    }
}

/// The table at the foot of the page.
fn coverage(request: &ReportRequest<'_>, period: Period) -> Result<Drawn, ReportError> {
    let extract = Extract { scope: Vec::new(), period };
    let mut database = Database::new(&extract)?;
    database.create("coverage", &["stream", "day", "status", "row_count", "extracted"])?;
    let is_shown = |row: &&CoverageRow<'_>| row.day.is_none_or(|day| day >= period.first);
    let rows = request.coverage.iter().filter(is_shown).map(|row| {
        let text = |text: Option<String>| text.map_or(Value::Null, Value::Text);
        let extracted = row.extracted_at.map(|at| at.to_timestamp().strftime("%Y-%m-%d %H:%M").to_string());
        vec![
            Value::Text(row.stream.to_owned()),
            text(row.day.map(|day| day.to_string())),
            Value::Text(row.status.to_string()),
            row.rows.and_then(|rows| i64::try_from(rows).ok()).map_or(Value::Null, Value::Integer),
            text(extracted),
        ]
    });
    database.insert("coverage", rows)?;
    let relation = coverage_relation(request.lake.url(), super::report_streams(), period);
    Ok(Drawn {
        figure: &COVERAGE,
        streams: vec!["_profound_export/coverage.parquet"],
        sql: with_relations(&[relation], COVERAGE.sql),
        rows: Ok(database.query(COVERAGE.sql)?),
        doubts: Vec::new(),
        period,
    })
}
