//! One record of the ledger. Its JSON stands in lakes for years: fields are added, never changed.

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

/// The format of records, but for those below.
pub const FORMAT: u32 = 1;
/// The format of records that say that something is forgotten, and of checkpoints that hold it: versions that do not know
/// of it must not read on, since they would ask for it again.
pub const FORGETTING_FORMAT: u32 = 2;
/// The format of a record that begins a new ledger: versions that do not know of it must not read on, since what counts from
/// there on lies in the checkpoint of the same number.
pub const REBUILDING_FORMAT: u32 = 3;
/// The newest format that this version knows.
pub const NEWEST_FORMAT: u32 = REBUILDING_FORMAT;

/// One record: what happened within a moment in one process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The format, so that a newer one is refused by name.
    pub format: u32,
    /// Its number: one more than the record before.
    pub number: u64,
    /// Tells this attempt from another writer's: a create whose answer was lost is read back and compared.
    pub id: Uuid,
    /// When it was written.
    pub at: Timestamp,
    /// The version of the program.
    pub version: String,
    /// What happened, in order.
    pub entries: Vec<Entry>,
}

impl Record {
    /// The record number `number`, which lies at `path`.
    ///
    /// # Errors
    /// [`LedgerError::Newer`]; [`LedgerError::Foreign`] where something else lies there; [`LedgerError::Misplaced`].
    pub fn read(bytes: &[u8], number: u64, path: &str) -> Result<Self, LedgerError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let foreign = |source| LedgerError::Foreign { number, path: path.to_owned(), source };
        let Format { format } = serde_json::from_slice(bytes).map_err(foreign)?;
        if NEWEST_FORMAT < format {
            return Err(LedgerError::Newer { number, format });
        }
        let record: Self = serde_json::from_slice(bytes).map_err(foreign)?;
        match record.number {
            says if says == number => Ok(record),
            says => Err(LedgerError::Misplaced { number, path: path.to_owned(), says }),
        }
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// Whose lake this is, and how it is laid out. The first entry of the first record.
    Root {
        /// Ids of the organizations of the key.
        organizations: Vec<String>,
        /// How days become directories: `day`, `month` or `none`.
        partition: String,
    },
    /// Organizations that were added to the same key.
    Organizations {
        /// Their ids.
        added: Vec<String>,
    },
    /// Something learned of the account or the destination.
    Learned(LearnedFact),
    /// The first day a job wants.
    Start {
        /// The job.
        job: String,
        /// The day.
        day: Day,
    },
    /// What the table of a stream means from here on.
    Table {
        /// The stream.
        stream: String,
        /// Its meaning.
        meaning: TableMeaning,
    },
    /// A run began and means to write these slices.
    RunStarted {
        /// The run.
        run: Uuid,
        /// The job.
        job: String,
        /// What it means to write. Where the run never ends, these days are stale.
        planned: Vec<Planned>,
        /// Whether it reads days that someone named, and not what the job is due.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        backfill: bool,
    },
    /// A slice was published.
    Slice(SliceEntry),
    /// A slice could not be proven whole; what stood stands.
    Suspect {
        /// The run.
        run: Uuid,
        /// The stream.
        stream: String,
        /// The scope.
        scope: Scope,
        /// The days, none for lists.
        window: Option<Window>,
        /// What is doubtful.
        problem: String,
        /// What was read, when it may be confirmed by the next run: rows and hash per day.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        awaiting: Vec<DayEntry>,
    },
    /// The account may not read a stream of a scope.
    NotEntitled {
        /// The run.
        run: Uuid,
        /// The stream.
        stream: String,
        /// The scope.
        scope: Scope,
        /// The API's words.
        detail: String,
    },
    /// A day whose file another writer may have overwritten, or that was found broken.
    Stale {
        /// The stream.
        stream: String,
        /// The scope.
        scope: Scope,
        /// The day; none for lists.
        day: Option<Day>,
    },
    /// Something is removed for good: its files are deleted after this is recorded, and it is never asked for again.
    Forgotten {
        /// The table.
        stream: String,
        /// What of it.
        #[serde(flatten)]
        erasure: Erasure,
    },
    /// A run ended.
    RunEnded(RunEnd),
    /// The ledger is made again from the files of the lake. What counts from here on is the rebuilt checkpoint of this
    /// record's number; until that stands, the ledger is refused.
    Rebuilding,
}

impl Entry {
    /// The run that recorded it, where it says so.
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

    /// The format of a record that holds this.
    pub fn format(&self) -> u32 {
        match self {
            Self::Forgotten { .. } => FORGETTING_FORMAT,
            Self::Rebuilding => REBUILDING_FORMAT,
            _ => FORMAT,
        }
    }
}

/// A slice that a run means to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// The stream.
    pub stream: String,
    /// The scope.
    pub scope: ScopeKey,
    /// The days, none for lists.
    pub window: Option<Window>,
}

/// A slice that was published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SliceEntry {
    /// The run.
    pub run: Uuid,
    /// The stream.
    pub stream: String,
    /// The stream's fingerprint.
    pub fingerprint: String,
    /// The scope, with the names of that time.
    pub scope: Scope,
    /// The days asked for, none for lists.
    pub window: Option<Window>,
    /// How the end is known.
    pub proof: Proof,
    /// The total the API announced.
    pub total: Option<u64>,
    /// Rows that came over the wire.
    pub rows: u64,
    /// Rows outside the window, dropped.
    pub outside: u64,
    /// Requests spent, retries included.
    pub requests: u64,
    /// When the request was sent.
    pub extracted_at: Timestamp,
    /// Each day of the window.
    pub days: Vec<DayEntry>,
}

/// One day of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayEntry {
    /// The day; none for lists.
    pub day: Option<Day>,
    /// Rows.
    pub rows: u64,
    /// What the rows say.
    pub hash: ContentHash,
    /// What became of the file.
    pub written: Written,
    /// Length of the file; zero where there is none.
    #[serde(default)]
    pub bytes: u64,
    /// The store's version of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Whether the stream's signal says that there is something to read; none for streams without a signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<bool>,
}

/// What became of the file of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    /// A file was published.
    File,
    /// The rows are those of the file that stands, which was left alone.
    Unchanged,
    /// There are no rows, and no file was needed.
    Nothing,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEnd {
    /// The run.
    pub run: Uuid,
    /// The job.
    pub job: String,
    /// Whether it read days that someone named, and not what the job was due.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backfill: bool,
    /// When it began.
    pub started_at: Timestamp,
    pub outcome: Outcome,
    #[serde(flatten)]
    pub counters: Counters,
    /// Deferred slices that are backfill.
    #[serde(default)]
    pub backfill_remaining: u64,
    /// What went wrong, in words: what stopped it first, then what could not be exported; the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// What mends the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl RunEnd {
    /// Whether the run was ended before it exported all that was due. One that deferred nothing but backfill exported that.
    pub fn is_cut_short(&self) -> bool {
        self.outcome == Outcome::Incomplete && self.counters.deferred + self.counters.failed > self.backfill_remaining
    }
}
