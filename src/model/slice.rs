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
    pub stream: Arc<Stream>,
    pub scope: Scope,
    /// `None` for lists.
    pub window: Option<Window>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct SliceName {
    pub stream: String,
    pub scope: String,
    pub window: Option<Window>,
}

impl Slice {
    pub fn name(&self) -> SliceName {
        SliceName { stream: self.stream.name.clone(), scope: self.scope.names(), window: self.window }
    }

    pub fn with_window(&self, window: Window) -> Self {
        Self { window: Some(window), ..self.clone() }
    }

    /// The older and the newer half; `None` for a day, a month or a list.
    pub fn halves(&self) -> Option<(Self, Self)> {
        let dated = self.stream.days.as_ref().is_some_and(|days| days.kind == DaysKind::Dated);
        let (older, newer) = self.window.filter(|_| dated)?.halves()?;
        Some((self.with_window(older), self.with_window(newer)))
    }

    /// The days it is recorded under: each day, the first day of a month, or none for a list.
    pub fn recorded_days(&self) -> Vec<Option<Day>> {
        match (self.window, &self.stream.days) {
            (Some(window), Some(days)) => days.recorded_days(window).map(Some).collect(),
            (Some(window), None) => window.days().map(Some).collect(),
            (None, _) => vec![None],
        }
    }

    /// The recorded days as a window.
    pub fn recorded_window(&self) -> Option<Window> {
        match &self.stream.days {
            Some(days) if days.kind.is_period() => self.window.map(|window| Window::from_day(window.start)),
            _ => self.window,
        }
    }

    /// Caps the page size, if the endpoint takes a limit.
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
