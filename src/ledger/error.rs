//! Why the ledger cannot be read or written.

use parquet::errors::ParquetError;

use crate::destination::DestinationError;
use crate::ledger::checkpoint::Unreadable;

/// Why the ledger cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The destination refused.
    #[error("the ledger cannot be reached")]
    Destination(#[from] DestinationError),
    /// A record of a newer program.
    #[error("ledger record {number} has format {format}, which this version does not know")]
    Newer {
        /// Which record.
        number: u64,
        /// Its format.
        format: u32,
    },
    /// Something that is not a record lies where one should.
    #[error("ledger record {number} at `{path}` cannot be read")]
    Foreign {
        /// Which record.
        number: u64,
        /// Where it lies.
        path: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A record lies where another should.
    #[error("`{path}` should hold ledger record {number}, and says that it is record {says}")]
    Misplaced {
        /// Which record should lie there.
        number: u64,
        /// Where it lies.
        path: String,
        /// Which it says that it is.
        says: u64,
    },
    /// A rebuilt checkpoint, without which nothing before it is known, cannot be read.
    #[error("the rebuilt ledger at `{path}` cannot be read")]
    Rebuilt {
        /// Where it lies.
        path: String,
        /// What is wrong with it.
        #[source]
        source: Unreadable,
    },
    /// The ledger is being made again, or this was broken off.
    #[error("a `ledger rebuild` has begun with record {number} and is not done")]
    Rebuilding {
        /// The record that says so.
        number: u64,
    },
    /// A record is missing below one that is there.
    #[error("ledger record {number} is missing, though later ones are there")]
    Gap {
        /// Which record.
        number: u64,
    },
    /// There is no record, and there are files that only a record explains.
    #[error("the lake at `{lake}` has no ledger, and files of its streams, such as `{path}`")]
    Lost {
        /// Where the lake lies.
        lake: String,
        /// One of the files.
        path: String,
    },
    /// The records cannot be added up in a file.
    #[error("the checkpoint cannot be made")]
    Checkpoint(#[source] ParquetError),
    /// Rows were read for a table that another writer declared otherwise meanwhile.
    #[error("another process gave the table of `{stream}` another meaning meanwhile: {conflict}")]
    OtherMeaning {
        /// The stream.
        stream: String,
        /// What does not fit.
        conflict: String,
    },
    /// The place of the next record could not be taken.
    #[error("the next ledger record could not be written in {attempts} attempts")]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
}

impl LedgerError {
    /// Whether running again does not mend it.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Newer { .. }
            | Self::Foreign { .. }
            | Self::Misplaced { .. }
            | Self::Rebuilt { .. }
            | Self::Gap { .. }
            | Self::Lost { .. }
            | Self::OtherMeaning { .. } => true,
            Self::Destination(_) | Self::Checkpoint(_) | Self::Contended { .. } | Self::Rebuilding { .. } => false,
        }
    }

    /// What an operator can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Destination(error) => error.hint(),
            Self::Newer { .. } => "install the version of profound-export that wrote it, or a later one",
            Self::Foreign { .. } | Self::Misplaced { .. } | Self::Gap { .. } => {
                "records are never changed or deleted by this program: restore that object from a backup or an earlier version \
                 in the bucket; where there is none, `profound-export ledger rebuild` makes the ledger again from the files of the lake"
            }
            Self::Rebuilt { .. } => {
                "restore that object from a backup or an earlier version in the bucket, or let `profound-export ledger rebuild` \
                 make it again from the files of the lake"
            }
            Self::Rebuilding { .. } => {
                "wait until it is done; where it was broken off, `profound-export ledger rebuild` once more completes it"
            }
            Self::Lost { .. } => {
                "`profound-export ledger rebuild` makes the ledger again from the files; or restore it from a backup, or choose \
                 another `destination.url`"
            }
            Self::Checkpoint(_) => {
                "nothing is lost, since the records are safe; this is a fault of the program, please report it"
            }
            Self::OtherMeaning { .. } => {
                "let one version and one configuration of profound-export write this lake; what it wrote is read again"
            }
            Self::Contended { .. } => "other writers are busy on the same destination; run again",
        }
    }
}
