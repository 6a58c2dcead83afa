//! The totals and cursors that responses announced.

use crate::model::proof::Proof;

/// What the responses of a slice announced, besides its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseTotals {
    /// Received.
    pub rows: u64,
    /// The latest.
    pub total: Option<u64>,
    /// The first total and a later one that differs.
    pub moved: Option<(u64, u64)>,
    pub repeated_cursor: bool,
    /// A member or header that says that rows are missing.
    pub incomplete: Option<String>,
    pub pages: u64,
    /// Half surrogates in texts, which were replaced by U+FFFD.
    pub replaced: u64,
    /// The proof if there is no total.
    pub end: Proof,
}

impl ResponseTotals {
    pub fn new(end: Proof) -> Self {
        Self { rows: 0, total: None, moved: None, repeated_cursor: false, incomplete: None, pages: 0, replaced: 0, end }
    }

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
