//! Errors of the ledger, and what an operator can do about them.

use arrow_schema::ArrowError;
use parquet::errors::ParquetError;

use crate::destination::DestinationError;

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("cannot reach the ledger")]
    Destination(#[from] DestinationError),
    #[error("ledger record {number} has format {format}, which this version does not know")]
    Newer { number: u64, format: u32 },
    #[error("cannot read ledger record {number} at `{path}`")]
    Unreadable {
        number: u64,
        path: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("`{path}` contains ledger record {found} instead of {number}")]
    Misplaced { number: u64, path: String, found: u64 },
    /// No record replaces a rebuilt checkpoint, so a damaged one cannot be skipped.
    #[error("cannot read the rebuilt ledger at `{path}`")]
    Rebuilt {
        path: String,
        #[source]
        source: CheckpointError,
    },
    #[error("`ledger rebuild` has started with record {number} and not finished")]
    Rebuilding { number: u64 },
    #[error("ledger record {number} is missing, but later records exist")]
    Gap { number: u64 },
    #[error("the lake at `{lake}` has data files such as `{path}`, but no ledger")]
    Lost { lake: String, path: String },
    #[error("cannot write the checkpoint")]
    Checkpoint(#[source] ParquetError),
    /// Another writer changed the table after these rows were extracted.
    #[error("another process changed the meaning of table `{stream}`: {conflict}")]
    OtherMeaning { stream: String, conflict: String },
    /// Other writers took every number that was tried.
    #[error("cannot write the next ledger record after {attempts} attempts")]
    Contended { attempts: u32 },
}

impl LedgerError {
    /// Whether a later run would fail likewise.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Newer { .. }
            | Self::Unreadable { .. }
            | Self::Misplaced { .. }
            | Self::Rebuilt { .. }
            | Self::Gap { .. }
            | Self::Lost { .. }
            | Self::OtherMeaning { .. } => true,
            Self::Destination(_) | Self::Checkpoint(_) | Self::Contended { .. } | Self::Rebuilding { .. } => false,
        }
    }

    pub fn hint(&self) -> &'static str {
        match self {
            Self::Destination(error) => error.hint(),
            Self::Newer { .. } => "install the version of profound-export that wrote it, or a later one",
            Self::Unreadable { .. } | Self::Misplaced { .. } | Self::Gap { .. } => {
                "this program never changes or deletes records: restore the object from a backup or an object version; without one, \
                 `profound-export ledger rebuild` rebuilds the ledger from the files of the lake"
            }
            Self::Rebuilt { .. } => {
                "restore the object from a backup or an object version, or run `profound-export ledger rebuild` to rebuild the \
                 ledger from the files of the lake"
            }
            Self::Rebuilding { .. } => {
                "wait until it finishes; if it was interrupted, run `profound-export ledger rebuild` again"
            }
            Self::Lost { .. } => {
                "restore the ledger from a backup, rebuild it from the files with `profound-export ledger rebuild`, or set another \
                 `destination.url`"
            }
            Self::Checkpoint(_) => "this is a bug, please report it; nothing is lost, since the records are safe",
            Self::OtherMeaning { .. } => {
                "use one version and one configuration of profound-export for this lake; the next run extracts the rows again"
            }
            Self::Contended { .. } => "other processes are writing to the same lake; run again",
        }
    }
}

/// Why a checkpoint cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("its digest is not the one in its name")]
    Name,
    #[error("not a valid Parquet file")]
    Parquet(#[from] ParquetError),
    #[error("unreadable rows")]
    Rows(#[from] ArrowError),
    #[error("unreadable metadata")]
    Head(#[from] serde_json::Error),
    #[error("format {0} is newer than this version")]
    Format(u32),
    #[error("`{0}` is missing or invalid")]
    Part(&'static str),
}
