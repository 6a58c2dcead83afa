//! The unit of extraction, retry, commit and accounting.

use std::fmt;
use std::sync::Arc;

use crate::model::scope::Scope;
use crate::model::stream::Stream;
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

impl Slice {
    /// The same slice over other days.
    pub fn over(&self, window: Window) -> Self {
        Self { window: Some(window), ..self.clone() }
    }

    /// The same slice in pages of at most `rows` rows, where its endpoint takes a limit.
    pub fn with_pages_of(&self, rows: u64) -> Self {
        let pagination = self.stream.pagination.with_limit_of(rows);
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
