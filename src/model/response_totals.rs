//! What the API said about a slice while it was read.

use crate::model::proof::Proof;

/// What the API told about a slice, beside its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseTotals {
    /// Rows that came over the wire.
    pub rows: u64,
    /// The total on the last page that told one.
    pub total: Option<u64>,
    /// The first and a later total, when they differ.
    pub moved: Option<(u64, u64)>,
    /// Whether a cursor came twice.
    pub repeated_cursor: bool,
    /// Pages read, at least one.
    pub pages: u64,
    /// How the end is known when no total tells it.
    pub end: Proof,
}

impl ResponseTotals {
    /// Nothing told yet; `end` is how this kind of response ends.
    pub fn new(end: Proof) -> Self {
        Self { rows: 0, total: None, moved: None, repeated_cursor: false, pages: 0, end }
    }

    /// Adds a page of `rows` rows that announced `total`.
    pub fn add_page(&mut self, rows: u64, total: Option<u64>) {
        self.rows += rows;
        self.pages += 1;
        if let (Some(before), Some(now)) = (self.total, total)
            && before != now
        {
            self.moved.get_or_insert((before, now));
        }
        self.total = total.or(self.total);
    }
}
