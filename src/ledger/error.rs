//! Why the ledger cannot be read or written.

use parquet::errors::ParquetError;

use crate::destination::DestinationError;

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
    /// A record is missing below one that is there.
    #[error("ledger record {number} is missing, though later ones are there")]
    Gap {
        /// Which record.
        number: u64,
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
    /// What an operator can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Destination(error) => error.hint(),
            Self::Newer { .. } => "install the version of profound-export that wrote it, or a later one",
            Self::Foreign { .. } => {
                "nothing is lost: restore that object from a backup or an earlier version in the bucket, then run again"
            }
            Self::Gap { .. } => {
                "records are never deleted by this program; restore that object from a backup or an earlier version in the bucket"
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
