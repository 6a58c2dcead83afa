//! One record of the ledger. Lakes keep its JSON for years: fields are added, never changed.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ledger::error::LedgerError;
use crate::ledger::fact::LearnedFact;
use crate::ledger::table::TableMeaning;
use crate::model::content_hash::ContentHash;
use crate::model::counters::Counters;
use crate::model::day::Day;
use crate::model::forgotten::Erasure;
use crate::model::outcome::Outcome;
use crate::model::proof::Proof;
use crate::model::scope::{Scope, ScopeKey};
use crate::model::window::Window;

/// The format of all other records.
pub const FORMAT: u32 = 1;
/// The format of records that forget something, and of checkpoints of such a state. An older version must not continue: it would
/// request again what was erased.
pub const FORGETTING_FORMAT: u32 = 2;
/// The format of a record that begins a rebuilt ledger. An older version must not continue: the state from there on is in the
/// checkpoint of the same number.
pub const REBUILDING_FORMAT: u32 = 3;
pub const NEWEST_FORMAT: u32 = REBUILDING_FORMAT;

/// What one process recorded together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// A newer format than this version knows is rejected by name.
    pub format: u32,
    /// One more than that of the record before.
    pub number: u64,
    /// Distinguishes this writer's record from another's: a create whose response was lost is read back and compared.
    pub id: Uuid,
    pub at: Timestamp,
    pub version: String,
    pub entries: Vec<Entry>,
}

impl Record {
    /// Parses record `number`, read from `path`.
    ///
    /// # Errors
    /// [`LedgerError::Newer`], [`LedgerError::Unreadable`] or [`LedgerError::Misplaced`].
    pub fn parse(bytes: &[u8], number: u64, path: &str) -> Result<Self, LedgerError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let unreadable = |source| LedgerError::Unreadable { number, path: path.to_owned(), source };
        let Format { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if format > NEWEST_FORMAT {
            return Err(LedgerError::Newer { number, format });
        }
        let record: Self = serde_json::from_slice(bytes).map_err(unreadable)?;
        if record.number != number {
            return Err(LedgerError::Misplaced { number, path: path.to_owned(), found: record.number });
        }
        Ok(record)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// The account and layout of the lake: the first entry of the first record.
    Root {
        /// Ids.
        organizations: Vec<String>,
        /// `day`, `month` or `none`.
        partition: String,
        /// Where the lake was created, without credentials. Older versions did not record it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
    /// Ids of organizations that were added to the key.
    Organizations {
        added: Vec<String>,
    },
    Learned(LearnedFact),
    /// The first day of a job, pinned by its first run.
    Start {
        job: String,
        day: Day,
        /// The first day of streams whose every day costs a request, if it is another.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        single: Option<Day>,
    },
    /// The meaning of a table from here on.
    Table {
        stream: String,
        meaning: TableMeaning,
    },
    RunStarted {
        run: Uuid,
        job: String,
        /// If the run never ends, these days are stale.
        planned: Vec<Planned>,
        /// Whether the days were named on the command line instead of planned.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        backfill: bool,
    },
    Slice(SliceEntry),
    /// A slice could not be verified; the published files are kept.
    Suspect {
        run: Uuid,
        stream: String,
        scope: Scope,
        window: Option<Window>,
        problem: String,
        /// Days that lost most of their rows and are published once the next run extracts the same.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unconfirmed: Vec<DayEntry>,
    },
    /// The account is not entitled to a stream of a scope.
    NotEntitled {
        run: Uuid,
        stream: String,
        scope: Scope,
        /// The message of the API.
        detail: String,
    },
    /// The file of a day is damaged, or another writer may have overwritten it.
    Stale {
        stream: String,
        scope: Scope,
        day: Option<Day>,
    },
    /// Erased for good: the files are deleted after this is recorded, and the data is never requested again.
    Forgotten {
        stream: String,
        #[serde(flatten)]
        erasure: Erasure,
    },
    RunEnded(RunEnd),
    /// The ledger is rebuilt from the files of the lake. The rebuilt checkpoint with the number of this record replaces all records up
    /// to it; until it is written, the ledger cannot be opened.
    Rebuilding,
}

impl Entry {
    pub fn run(&self) -> Option<Uuid> {
        match self {
            Self::RunStarted { run, .. } | Self::Suspect { run, .. } | Self::NotEntitled { run, .. } => Some(*run),
            Self::Slice(slice) => Some(slice.run),
            Self::RunEnded(end) => Some(end.run),
            Self::Root { .. }
            | Self::Organizations { .. }
            | Self::Learned(_)
            | Self::Start { .. }
            | Self::Table { .. }
            | Self::Stale { .. }
            | Self::Forgotten { .. }
            | Self::Rebuilding => None,
        }
    }

    /// The format of a record with this entry.
    pub fn format(&self) -> u32 {
        match self {
            Self::Forgotten { .. } => FORGETTING_FORMAT,
            Self::Rebuilding => REBUILDING_FORMAT,
            _ => FORMAT,
        }
    }
}

/// A planned slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    pub stream: String,
    pub scope: ScopeKey,
    pub window: Option<Window>,
}

/// A published slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SliceEntry {
    pub run: Uuid,
    pub stream: String,
    pub fingerprint: String,
    pub scope: Scope,
    pub window: Option<Window>,
    /// Why the rows are known to be complete.
    pub proof: Proof,
    /// The total that the API announced.
    pub total: Option<u64>,
    /// Rows received.
    pub rows: u64,
    /// Rows outside the window, which are dropped.
    pub outside_rows: u64,
    /// Retries included.
    pub requests: u64,
    /// When the first request was sent.
    pub extracted_at: Timestamp,
    pub days: Vec<DayEntry>,
}

/// One day of a slice, or a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayEntry {
    pub day: Option<Day>,
    pub rows: u64,
    /// Of the content of the rows, in any order.
    pub hash: ContentHash,
    pub file: FileChange,
    /// Zero without a file.
    #[serde(default)]
    pub bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Whether gated streams have data on this day; `None` for streams without a signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<bool>,
}

/// What a slice did to the file of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileChange {
    Published,
    /// The rows are those of the published file, which was kept.
    Unchanged,
    /// There are no rows, so no file was needed.
    Absent,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEnd {
    pub run: Uuid,
    pub job: String,
    /// Whether the days were named on the command line instead of planned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backfill: bool,
    pub started_at: Timestamp,
    pub outcome: Outcome,
    #[serde(flatten)]
    pub counters: Counters,
    /// Deferred slices that are backfill.
    #[serde(default)]
    pub backfill_remaining: u64,
    /// Time in which no request could be sent because of the rate limit.
    #[serde(default)]
    pub waited_seconds: u64,
    /// The streams of the slices that failed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub failed_streams: BTreeSet<String>,
    /// The first few problems: the one that ended the run, then slices that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// What to do about the first problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl RunEnd {
    /// How many slices were due and are left to the next run; zero if the run ended before it had a plan. `None` if it left only
    /// backfill, or nothing.
    pub fn deferred(&self) -> Option<u64> {
        let due = self.counters.deferred.saturating_sub(self.backfill_remaining);
        (self.outcome == Outcome::Incomplete && (due > 0 || self.counters.deferred == 0)).then_some(due)
    }

    /// Whether the run ended before it exported everything due. Deferred backfill does not count.
    pub fn is_cut_short(&self) -> bool {
        self.outcome == Outcome::Incomplete && self.counters.deferred + self.counters.failed > self.backfill_remaining
    }
}
