//! `report`: one HTML page with the figures of the lake.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::cli::failure::Failure;
use crate::cli::setup::{configuration, existing_lake, lake_name};
use crate::cli::{GlobalOptions, exit, logging, print_error_line};
use crate::clock::Clock;
use crate::ledger::State;
use crate::model::format::{format_bytes, format_count, format_number};
use crate::report::{Report, ReportError, ReportRequest, report, report_streams};
use crate::run::{Destinations, ErrorSection, coverage_rows};

/// Categories, and sites, that a page shows unless they are named: two hundred would make it too large to open.
const MOST: usize = 10;
/// Days that a page shows if no number is given.
const DAYS: u16 = 90;

/// Warnings of a kind; the page and `--output json` have all.
const WARNINGS: usize = 3;

#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// The page; an existing one is replaced
    #[arg(long, default_value = "report.html", value_name = "FILE")]
    out: PathBuf,
    /// Days to show, 1 to 366, up to the newest in the lake
    #[arg(long, default_value_t = DAYS, value_parser = clap::value_parser!(u16).range(1..=366))]
    days: u16,
    /// Only this category, by name or id; may be repeated [default: those with the most answers]
    #[arg(long = "category", value_name = "NAME")]
    categories: Vec<String>,
    /// Most categories, and most sites, to show
    #[arg(long, default_value_t = MOST, value_name = "NUMBER", value_parser = most, conflicts_with = "categories")]
    most: usize,
}

fn most(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|most| *most > 0).ok_or_else(|| "this is not a number from 1 on".to_owned())
}

pub async fn execute(options: &GlobalOptions, args: ReportArgs) -> Result<u8, Failure> {
    logging::start(options, "report");
    let (_, config) = configuration(options)?;
    let clock = Clock::system();
    let nothing = || {
        Failure::new(exit::FAILED, format!("nothing is exported to {} yet", lake_name(&config)))
            .hint("`profound-export run` exports; `profound-export demo` shows a report without a key")
    };
    let (ledger, destinations) = existing_lake(&config, &clock).await?.ok_or_else(nothing)?;
    let lake = ReportedLake { state: ledger.state(), catalog: config.catalog(), destinations: &destinations };
    let report = lake.report(args.days, &args.categories, args.most, clock.now()).await?;
    write_page(&args.out, &report.html)?;
    warn(&report);
    let shown = || {
        let bytes = format_bytes(report.html.len() as u64);
        let mut text = format!(
            "{}: {}, {}, {bytes}\n",
            absolute(&args.out),
            format_count(report.categories.len() as u64, "category").replace("categorys", "categories"),
            format_count(report.sites.len() as u64, "site"),
        );
        if report.left_out > 0 {
            let others = format_number(report.left_out as u64);
            text.push_str(&format!("categories and sites left out: {others}; --most and --category show others\n"));
        }
        text
    };
    let to_json = || {
        json!({
            "file": absolute(&args.out), "bytes": report.html.len(), "categories": report.categories,
            "sites": report.sites, "left_out": report.left_out, "doubts": report.doubts, "unreadable": report.unreadable,
        })
    };
    options.show(shown, to_json)?;
    // Days that a run has yet to extract are no failure, as for `status`; rows that were exported and cannot be read are.
    Ok(if report.unreadable.is_empty() { exit::COMPLETE } else { exit::FAILED })
}

/// A lake, as a report reads it.
pub struct ReportedLake<'a> {
    pub state: &'a State,
    pub catalog: &'a Catalog,
    pub destinations: &'a Destinations,
}

impl ReportedLake<'_> {
    /// The report of at most `days` days.
    pub async fn report(
        &self,
        days: u16,
        categories: &[String],
        most: usize,
        now: Timestamp,
    ) -> Result<Report, ReportError> {
        let streams = report_streams();
        let all = || {
            let rows = coverage_rows(self.state, self.catalog, self.destinations.layout, now);
            rows.filter(|row| streams.contains(row.stream))
        };
        // Days that no figure shows take no memory. A site's newest day may be a day later than that of a category.
        let newest = all().filter(|row| row.extracted_at.is_some()).filter_map(|row| row.day).max();
        let oldest = newest.map(|newest| newest.plus(-i64::from(days) - 1));
        let request = ReportRequest {
            lake: &self.destinations.lake,
            coverage: all().filter(|row| row.day.zip(oldest).is_none_or(|(day, oldest)| day >= oldest)).collect(),
            record: self.state.number,
            now,
            days,
            categories,
            most,
        };
        report(request).await
    }

    /// The report that needs no choice.
    pub async fn default_report(&self, now: Timestamp) -> Result<Report, ReportError> {
        self.report(DAYS, &[], MOST, now).await
    }
}

/// Replaces the page as a whole: a browser that reloads it sees the old one or the new one.
pub fn write_page(out: &Path, html: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(exit::FAILED, format!("cannot write the report to `{}`: {error}", out.display()))
            .hint("name a file in a directory that you may write to with --out")
    };
    // A link stays, and what it points to is replaced. A pipe or a terminal has nothing to replace.
    let out = &out.canonicalize().unwrap_or_else(|_| out.to_owned());
    if out.metadata().is_ok_and(|existing| !existing.is_file() && !existing.is_dir()) {
        return std::fs::write(out, html).map_err(failed);
    }
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", Uuid::now_v7().simple()));
    let part = out.with_file_name(name);
    let written = std::fs::File::create_new(&part).and_then(|mut file| {
        file.write_all(html.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&part, out)
    });
    written.map_err(|error| {
        std::fs::remove_file(&part).ok();
        failed(error)
    })
}

/// What the page states at its foot, for those who only see the terminal.
fn warn(report: &Report) {
    for doubt in report.doubts.iter().take(WARNINGS) {
        print_error_line(format!("warning: days in doubt, {doubt}"));
    }
    if report.doubts.len() > WARNINGS {
        print_error_line(format!("warning: and {} more; the page names all", report.doubts.len() - WARNINGS));
    }
    for file in report.unreadable.iter().take(WARNINGS) {
        print_error_line(format!("warning: not in the report: {file}"));
    }
    if !report.unreadable.is_empty() {
        print_error_line(
            "help: `profound-export verify` marks damaged and missing files, and the next run writes them",
        );
    }
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        let hint = error.hint();
        match error {
            ReportError::Destination(error) => error.into(),
            ReportError::NoCategory { .. } => Self::new(exit::USAGE, error.to_string()).hint(hint),
            error => {
                let failure = Self::new(exit::FAILED, crate::error_text::error_chain(&error)).hint(hint);
                Self { section: ErrorSection::Commands, ..failure }
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::FileTypeExt;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn page_replaces_a_file_but_no_link_and_nothing_else() {
        let scratch = tempfile::tempdir().unwrap();
        let [page, link, socket] = ["page.html", "link", "socket"].map(|name| scratch.path().join(name));
        std::fs::write(&page, "old").unwrap();
        std::os::unix::fs::symlink(&page, &link).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();

        write_page(&link, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&page).unwrap(), "new");
        assert!(link.is_symlink());
        // As a device would be, which the tests must not risk.
        assert!(write_page(&socket, "new").unwrap_err().message.contains("cannot write the report"));
        assert!(socket.metadata().unwrap().file_type().is_socket());
    }
}
