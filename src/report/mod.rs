//! The report: one HTML page of a lake, for people. Every figure is the result of one query, which the page shows.
//!
//! Rows of the day files are loaded into SQLite a section at a time, so that memory and disk are bounded by the largest category.

mod chart;
mod database;
mod error;
mod figure;
mod format;
mod page;
mod read;
mod section;
mod source;

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::destination::Destination;
use crate::ledger::CoverageRow;

pub use error::ReportError;
use figure::{CATEGORY, SITE};
use section::Sections;

/// What a report is made from.
#[derive(Debug)]
pub struct ReportRequest<'a> {
    pub lake: &'a Destination,
    /// Every day of the [`report_streams`].
    pub coverage: Vec<CoverageRow<'a>>,
    /// The last ledger record.
    pub record: u64,
    pub now: Timestamp,
    /// The longest period to show.
    pub days: u16,
    /// Ids or names of the categories to show; empty for those with the most answers.
    pub categories: &'a [String],
    /// Categories, and sites, that are shown unless they are named.
    pub most: usize,
}

/// A report.
#[derive(Debug)]
pub struct Report {
    pub html: String,
    pub categories: Vec<String>,
    pub sites: Vec<String>,
    /// Categories and sites that the page names and does not show.
    pub left_out: usize,
    /// Missing, suspect, stale and unreadable days of the figures.
    pub doubts: Vec<String>,
    /// Files that the ledger names and that could not be read.
    pub unreadable: Vec<String>,
}

/// The streams that a report shows.
pub fn report_streams() -> BTreeSet<&'static str> {
    let relations = CATEGORY.iter().chain(&SITE).flat_map(|figure| figure.relations);
    relations.map(|relation| relation.stream).collect()
}

/// Makes a report.
///
/// # Errors
/// [`ReportError`].
pub async fn report(request: ReportRequest<'_>) -> Result<Report, ReportError> {
    let sections = Sections::read(&request).await?;
    let html = page::page(&request, &sections)?.into_string();
    let names = |sections: &[section::Section]| sections.iter().map(|section| section.name.clone()).collect();
    Ok(Report {
        html,
        categories: names(&sections.categories.shown),
        sites: names(&sections.sites.shown),
        left_out: sections.categories.left_out.len() + sections.sites.left_out.len(),
        doubts: sections.doubts(),
        unreadable: sections.unreadable.iter().map(ToString::to_string).collect(),
    })
}

#[cfg(test)]
mod tests;
