//! The unit of extraction, retry, commit and accounting.

use std::fmt;
use std::sync::Arc;

use crate::model::day::Day;
use crate::model::scope::Scope;
use crate::model::stream::{DaysKind, Stream};
use crate::model::window::Window;

/// One stream of one scope over one window.
#[derive(Debug, Clone)]
pub struct Slice {
    /// What is asked.
    pub stream: Arc<Stream>,
    /// For what it is asked.
    pub scope: Scope,
    /// The days asked for; `None` for lists, which are read whole.
    pub window: Option<Window>,
}

/// What a slice is called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct SliceName {
    /// The name of its stream.
    pub stream: String,
    /// The names of its scope.
    pub scope: String,
    /// Its days.
    pub window: Option<Window>,
}

impl Slice {
    /// What it is called.
    pub fn name(&self) -> SliceName {
        SliceName { stream: self.stream.name.clone(), scope: self.scope.names(), window: self.window }
    }

    /// The same slice over other days.
    pub fn with_window(&self, window: Window) -> Self {
        Self { window: Some(window), ..self.clone() }
    }

    /// Its older and its newer half; `None` for what only one request can tell: a day, a month, a list.
    pub fn halves(&self) -> Option<(Self, Self)> {
        let dated = self.stream.days.as_ref().is_some_and(|days| days.kind == DaysKind::Dated);
        let (older, newer) = self.window.filter(|_| dated)?.halves()?;
        Some((self.with_window(older), self.with_window(newer)))
    }

    /// What it is recorded under: each of its days, the first day of its month, or the list as a whole.
    pub fn recorded_days(&self) -> Vec<Option<Day>> {
        match (self.window, &self.stream.days) {
            (Some(window), Some(days)) => days.recorded_days(window).map(Some).collect(),
            (Some(window), None) => window.days().map(Some).collect(),
            (None, _) => vec![None],
        }
    }

    /// The days it is recorded under, as a window: for a month, its first day.
    pub fn recorded_window(&self) -> Option<Window> {
        match &self.stream.days {
            Some(days) if days.kind == DaysKind::Month => self.window.map(|window| Window::from_day(window.start)),
            _ => self.window,
        }
    }

    /// The same slice in pages of at most `rows` rows, where its endpoint takes a limit.
    pub fn with_page_limit(&self, rows: u64) -> Self {
        let pagination = self.stream.pagination.with_limit(rows);
        let stream = Stream { pagination, ..Stream::clone(&self.stream) };
        Self { stream: Arc::new(stream), ..self.clone() }
    }
}

impl fmt::Display for Slice {
    /// `visibility_v2 of "Acme CRM" 2026-03-01..2026-03-04`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} of {}", self.stream.name, self.scope)?;
        match self.window {
            Some(window) => write!(out, " {window}"),
            None => Ok(()),
        }
    }
}
