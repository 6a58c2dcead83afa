//! Everything that the page and its JSON show, as plain values.

use std::sync::Arc;

use jiff::Timestamp;

use crate::config::{Config, Location};
use crate::observe::Activity;
use crate::status::{ReadError, Status, StreamStatus};

/// Everything that the page shows.
#[derive(Debug)]
pub(super) struct PageData {
    /// `None` before the ledger was first read.
    pub status: Option<Arc<Status>>,
    pub activity: Activity,
    pub config: Arc<Config>,
    /// Why the last read of the lake failed.
    pub read_error: Option<ReadError>,
    pub now: Timestamp,
    pub shown_days: u16,
    /// Whether `/metrics` is served.
    pub has_metrics: bool,
    /// The id of a category that was asked for and that the lake does not have.
    pub unknown_category: Option<String>,
    /// Id of the only category to show, with its streams.
    pub category: Option<(String, Vec<StreamStatus>)>,
    pub filter: StreamFilter,
}

/// Which streams the reader of a page wants to see.
#[derive(Debug, Default)]
pub(super) struct StreamFilter {
    /// A part of the name.
    pub search: String,
    /// Only streams with missing, suspect or late days.
    pub only_problems: bool,
}

impl StreamFilter {
    pub fn is_active(&self) -> bool {
        self.only_problems || !self.search.is_empty()
    }

    pub fn matches(&self, stream: &StreamStatus) -> bool {
        (!self.only_problems || has_problem(stream)) && stream.name.contains(&self.search)
    }
}

/// Whether a stream has days that are missing, suspect or late.
pub(super) fn has_problem(stream: &StreamStatus) -> bool {
    stream.has_missing_days || stream.is_suspect || stream.lag_seconds != 0
}

impl PageData {
    /// The streams of the chosen category, or all.
    pub fn streams(&self) -> &[StreamStatus] {
        match (&self.category, &self.status) {
            (Some((_, streams)), _) => streams,
            (None, Some(status)) => &status.streams,
            (None, None) => &[],
        }
    }

    /// The destination: an absolute path, or a URL without credentials and query, which can hold secrets.
    pub fn destination(&self) -> String {
        let url = self.config.destination.url.trim();
        let Some((scheme, rest)) = url.split_once("://") else {
            return match self.config.destination.location() {
                Ok(Location::Local(path)) => std::path::absolute(&path).unwrap_or(path).display().to_string(),
                _ => url.to_owned(),
            };
        };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = authority.rsplit('@').next().unwrap_or_default();
        format!("{scheme}://{host}/{path}").trim_end_matches('/').to_owned()
    }
}
