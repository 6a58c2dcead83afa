//! Errors of the commands that maintain a lake.

use crate::destination::DestinationError;
use crate::ledger::LedgerError;
use crate::write::WriteError;

#[derive(Debug, thiserror::Error)]
pub enum MaintainError {
    #[error(transparent)]
    Destination(#[from] DestinationError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The command would do harm, or nothing.
    #[error("{problem}")]
    Rejected { problem: String, hint: String },
    /// The spool has no space for a large file.
    #[error(transparent)]
    Spool(#[from] WriteError),
}
