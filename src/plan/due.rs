//! How many days are due, by reason.

use std::ops::Add;

use serde::Serialize;

/// Why a day is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Never extracted.
    Missing,
    /// Extracted before it was final.
    Lookback,
    /// Before all extracted days.
    Backfill,
    /// Stale or suspect, or possibly overwritten by a killed run.
    Retry,
}

/// How many days are due, by reason. A list counts as one day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Due {
    /// Never extracted.
    pub missing: u32,
    /// Extracted before they were final.
    pub lookback: u32,
    /// Before all extracted days: the start of the job is earlier than it was, or has not been reached yet.
    pub backfill: u32,
    /// Stale, suspect, or possibly overwritten by a killed run.
    pub retry: u32,
}

impl Due {
    pub(super) fn one(reason: Reason) -> Self {
        let mut due = Self::default();
        match reason {
            Reason::Missing => due.missing = 1,
            Reason::Lookback => due.lookback = 1,
            Reason::Backfill => due.backfill = 1,
            Reason::Retry => due.retry = 1,
        }
        due
    }

    pub fn days(self) -> u32 {
        self.missing + self.lookback + self.backfill + self.retry
    }

    /// Whether all due days are backfill.
    pub(super) fn is_backfill(self) -> bool {
        self.backfill > 0 && self.backfill == self.days()
    }

    /// The same days, with missing ones as backfill.
    pub(super) fn as_backfill(self) -> Self {
        Self { missing: 0, backfill: self.backfill + self.missing, ..self }
    }
}

impl Add for Due {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            missing: self.missing + other.missing,
            lookback: self.lookback + other.lookback,
            backfill: self.backfill + other.backfill,
            retry: self.retry + other.retry,
        }
    }
}
