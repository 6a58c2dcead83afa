//! Why a lake cannot be looked after.

use crate::destination::DestinationError;
use crate::ledger::LedgerError;
use crate::write::WriteError;

/// Why a lake cannot be looked after.
#[derive(Debug, thiserror::Error)]
pub enum MaintainError {
    /// The lake cannot be read or written.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// The ledger cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What was asked for would do harm, or nothing.
    #[error("{problem}")]
    Refused { problem: String, hint: String },
    /// A large file has no room in the spool.
    #[error(transparent)]
    Spool(#[from] WriteError),
}
