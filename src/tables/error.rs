//! Why a table could not be published.

use crate::destination::DestinationError;
use crate::write::{WorkerPanicked, WriteError};

#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    #[error("table `{table}`")]
    Destination {
        table: String,
        #[source]
        source: Box<DestinationError>,
    },
    #[error("table `{table}`")]
    Write {
        table: String,
        #[source]
        source: Box<WriteError>,
    },
    #[error("table `{table}`")]
    NoThread {
        table: String,
        #[source]
        source: std::io::Error,
    },
    #[error("table `{table}`")]
    Panicked {
        table: String,
        #[source]
        source: WorkerPanicked,
    },
    /// The file of a day is gone, damaged, or newer than its record. The table keeps the rows that it has of that day.
    #[error("table `{table}`: {days} of the lake cannot be published; the first is {path}: {problem}")]
    DayFiles { table: String, days: u64, path: String, problem: String },
    #[error("table `{table}` has reader version {reader} and writer version {writer}, which this version cannot write")]
    NewerProtocol { table: String, reader: u32, writer: u32 },
    #[error("table `{table}` was published from another lake (`{found}`)")]
    OtherLake { table: String, found: String },
    #[error("table `{table}` has files and no log: its `_delta_log` was deleted, or it is no table")]
    LostLog { table: String },
    #[error("table `{table}`: {path}: {problem}")]
    DamagedLog { table: String, path: String, problem: String },
    #[error("table `{table}`: {problem}")]
    Foreign { table: String, problem: String },
    /// Another process has published later records than this one knows.
    #[error("table `{table}` shows record {published}, and this process knows the ledger up to record {known}")]
    Behind { table: String, published: i64, known: u64 },
    #[error("the tables at `{url}` cannot be opened")]
    Closed {
        url: String,
        #[source]
        source: Box<DestinationError>,
    },
    #[error("table `{table}`: other writers commit all the time; gave up after {attempts} attempts")]
    Contended { table: String, attempts: u32 },
    #[error("table `{table}`: the run was stopped before it was published")]
    Stopped { table: String },
}

impl TablesError {
    /// The table; `None` if it is about all of them.
    pub fn table(&self) -> Option<&str> {
        match self {
            Self::Destination { table, .. }
            | Self::Write { table, .. }
            | Self::NoThread { table, .. }
            | Self::Panicked { table, .. }
            | Self::DayFiles { table, .. }
            | Self::NewerProtocol { table, .. }
            | Self::OtherLake { table, .. }
            | Self::LostLog { table }
            | Self::DamagedLog { table, .. }
            | Self::Foreign { table, .. }
            | Self::Behind { table, .. }
            | Self::Contended { table, .. }
            | Self::Stopped { table } => Some(table),
            Self::Closed { .. } => None,
        }
    }

    /// Whether nothing changes until a person acts.
    pub fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::NewerProtocol { .. }
                | Self::OtherLake { .. }
                | Self::LostLog { .. }
                | Self::DamagedLog { .. }
                | Self::Foreign { .. }
                | Self::Closed { .. }
        )
    }

    pub fn hint(&self) -> &'static str {
        match self {
            Self::Destination { source, .. } | Self::Closed { source, .. } => source.hint(),
            Self::Write { .. } => {
                "free space in `spool.dir`, or raise `spool.max_bytes`; the next run publishes the table"
            }
            Self::NoThread { .. } => "raise `ulimit -u`, `TasksMax` or `pids.max`; the next run publishes the table",
            Self::Panicked { .. } => "a bug: report it; the lake itself is complete",
            Self::DayFiles { .. } => {
                "`profound-export verify` marks damaged days, and the next run exports them once more; until then the table keeps its rows of these days"
            }
            Self::NewerProtocol { .. } => {
                "another engine upgraded the table: move its directory away, and the next run creates a new one"
            }
            Self::OtherLake { .. } => {
                "give each lake a `tables.url` of its own; after the ledger was rebuilt elsewhere, `profound-export tables rebuild` takes the table over"
            }
            Self::LostLog { .. } | Self::DamagedLog { .. } | Self::Foreign { .. } => {
                "`profound-export tables rebuild` writes the table once more from the files of the lake, without a request"
            }
            Self::Behind { .. } => {
                "if no other process writes to the lake, its ledger lost records: `profound-export tables rebuild` writes the table once more"
            }
            Self::Contended { .. } | Self::Stopped { .. } => "the next run publishes it; the lake itself is complete",
        }
    }
}
