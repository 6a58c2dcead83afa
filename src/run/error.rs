//! Why a run, or a slice of it, could not be done.

use std::sync::Arc;

use crate::api::ApiError;
use crate::decode::DecodeError;
use crate::destination::DestinationError;
use crate::ledger::LedgerError;
use crate::model::disk_trouble::DiskTrouble;
use crate::write::{Doubt, WriteError};

/// Why a run, or a slice of it, could not be done.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The API.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Rows that do not fit their table.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The spool.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The destination.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The ledger, told to every slice that waited for the same record.
    #[error(transparent)]
    Shared(#[from] Arc<LedgerError>),
    /// What came is not proven whole.
    #[error("{what} is not proven whole: {doubt}")]
    Doubt {
        /// Which slice.
        what: String,
        /// Why.
        doubt: Doubt,
    },
    /// An event stream whose rows do not hold what was asked for.
    #[error("no row of {what} holds {}, though the request names it", columns.join(", "))]
    Absent {
        /// Which slice.
        what: String,
        /// The columns.
        columns: Vec<String>,
    },
    /// Paging would cost more requests than the slice is worth.
    #[error("{what} would take {pages} pages, more than the {most} that are worth it")]
    TooManyPages {
        /// Which slice.
        what: String,
        /// Pages it would take.
        pages: u64,
        /// The most that are asked.
        most: u64,
    },
    /// The lake belongs to another account, is laid out otherwise, or a table means something else.
    #[error("{problem}")]
    Refused {
        /// What does not fit, in words.
        problem: String,
        /// What an operator can do.
        hint: String,
    },
    /// The organizations or categories cannot be read, so nothing is known of the account.
    #[error("nothing is known of the account: {0}")]
    Account(ApiError),
    /// The deadline passed while there was more to ask.
    #[error("the deadline has passed")]
    Late,
    /// A worker panicked; a bug.
    #[error("a worker stopped unexpectedly while it handled {what}")]
    Worker {
        /// Which slice.
        what: String,
    },
}

impl RunError {
    /// Whether the destination is to blame.
    pub fn is_of_destination(&self) -> bool {
        match self {
            Self::Destination(_) | Self::Ledger(LedgerError::Destination(_)) => true,
            Self::Shared(error) => matches!(**error, LedgerError::Destination(_)),
            _ => false,
        }
    }

    /// Whether nothing can be written to the spool, whatever it is. One that is full may hold what is smaller.
    pub fn is_spool_out_of_reach(&self) -> bool {
        matches!(self, Self::Write(error) if error.disk_trouble() == Some(DiskTrouble::NotWritable))
    }

    /// Whether the whole run must stop, because going on would be useless or wrong.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Api(error) => matches!(
                error,
                ApiError::KeyRejected { .. }
                    | ApiError::OutOfTime { .. }
                    | ApiError::Late { .. }
                    | ApiError::Cancelled
                    | ApiError::ClockSkew(_)
            ),
            Self::Ledger(_) | Self::Shared(_) | Self::Refused { .. } | Self::Account(_) => true,
            _ => false,
        }
    }

    /// Whether the response was hurt on its way, so that the same or a smaller request may succeed.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Api(error) => {
                matches!(error, ApiError::Broken { .. } | ApiError::ServerError { .. } | ApiError::Unreachable { .. })
            }
            Self::Decode(error) => error.is_damage(),
            Self::Write(error) => matches!(error, WriteError::Undated { .. }),
            _ => false,
        }
    }

    /// What an operator can do, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Api(ApiError::KeyRejected { .. }) => {
                Some("make a new key under Settings → API Keys and put it in the place of the old one; the next start continues where this one stopped".into())
            }
            Self::Late | Self::Api(ApiError::OutOfTime { .. } | ApiError::Late { .. } | ApiError::RateLimited { .. } | ApiError::RetryAfterDeadline { .. }) => {
                Some("the next run continues; a longer `deadline`, or fewer streams, let one run do it all".into())
            }
            Self::Api(ApiError::ClockSkew(_)) => Some("set the clock of this machine; days would be mistaken".into()),
            Self::Api(ApiError::Unreachable { .. }) | Self::Account(ApiError::Unreachable { .. }) => {
                Some("check the network, HTTPS_PROXY and `api.base_url`; the next start continues where this one stopped".into())
            }
            Self::Api(ApiError::Untrusted { .. }) | Self::Account(ApiError::Untrusted { .. }) => {
                Some("where a proxy or a gateway with a private CA stands in between, name its PEM file under `api.ca_file`; otherwise somebody else answers in the API's place, and the key was not sent".into())
            }
            Self::Account(ApiError::NotEntitled { .. }) => {
                Some("check `api.base_url`, proxies, and the rights of the key; nothing was changed".into())
            }
            Self::Account(_) => Some("nothing was changed; the next start continues where this one stopped".into()),
            Self::Destination(error) => Some(error.hint().into()),
            Self::Ledger(error) => Some(error.hint().into()),
            Self::Shared(error) => Some(error.hint().into()),
            Self::Refused { hint, .. } => Some(hint.clone()),
            Self::Write(WriteError::SpoolFull { .. }) => Some("raise `spool.max_bytes`, or lower `api.concurrency`".into()),
            Self::Write(WriteError::Unprotected { .. }) => {
                Some("ask fewer days at once by a later `start`, or leave the columns unprotected and the stream out of this lake".into())
            }
            Self::Write(error) if error.disk_trouble() == Some(DiskTrouble::NotWritable) => {
                Some("let the user that runs the program write in `spool.dir`, or name another directory; what was published is safe".into())
            }
            Self::Write(WriteError::Disk { .. } | WriteError::Parquet { .. } | WriteError::Spill { .. }) => {
                Some("make room in `spool.dir`, bytes, inodes (`df -i`) or quota, or name another directory; nothing half was published".into())
            }
            Self::Decode(DecodeError::Mismatch { .. }) => {
                Some("the API changed a type; what was exported stands, and this stream waits for a version that knows it".into())
            }
            _ => None,
        }
    }
}
