//! Why a run, or one of its slices, failed.

use std::sync::Arc;

use crate::api::{ApiError, Transport};
use crate::decode::DecodeError;
use crate::destination::DestinationError;
use crate::ledger::LedgerError;
use crate::model::disk_trouble::DiskTrouble;
use crate::tables::TablesError;
use crate::write::{Doubt, WorkerPanicked, WriteError};

/// Why a run, or one of its slices, failed. What a failure means is [`RunError::disposition`].
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Destination(#[from] DestinationError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The same failure of the ledger, for every slice whose entries were in the record.
    #[error(transparent)]
    SharedLedger(#[from] Arc<LedgerError>),
    /// The rows contradict what the API announced, so the slice may be incomplete.
    #[error("{slice} is not proven complete: {doubt}")]
    Unproven { slice: String, doubt: Doubt, transport: Transport },
    /// The path of the event stream rejects the request. Whether the account may read the rows is for their pages to say.
    #[error("the event stream is not available: {0}")]
    NoEvents(ApiError),
    /// The rows of an event stream lack columns that the request names or the published file has.
    #[error("no row of {slice} has a value of {}", columns.join(", "))]
    MissingColumns { slice: String, columns: Vec<String> },
    #[error("{slice} would take {pages} pages, more than the limit of {limit}")]
    TooManyPages { slice: String, pages: u64, limit: u64 },
    /// The configuration does not fit the account or the lake: another account, layout, salt or table meaning.
    #[error("{problem}")]
    ConfigMismatch { problem: String, hint: String },
    /// Organizations or categories cannot be listed. A wrong address must not look like an empty account.
    #[error("cannot list the organizations and categories of the account: {0}")]
    Discovery(ApiError),
    /// The lake is as complete without it.
    #[error(transparent)]
    Tables(#[from] Box<TablesError>),
    #[error("the deadline passed before everything was requested")]
    DeadlinePassed,
    #[error("cannot start a thread")]
    NoThread(#[source] std::io::Error),
    #[error(transparent)]
    WorkerPanicked(#[from] WorkerPanicked),
}

impl RunError {
    /// Whether an event stream is whole as far as it shows, and its pages must confirm its end.
    pub fn is_unconfirmed(&self) -> bool {
        matches!(self, Self::Unproven { doubt: Doubt::Entities { .. }, .. })
    }

    /// What an operator can do about the actual cause.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Api(error) | Self::Discovery(error) => return self.api_hint(error).map(str::to_owned),
            Self::DeadlinePassed => MORE_TIME,
            Self::NoThread(_) => {
                "let the user, container or unit have more processes or memory (`ulimit -u`, `TasksMax`, `pids.max`)"
            }
            Self::Destination(error) => error.hint(),
            Self::Tables(error) => error.hint(),
            Self::Ledger(error) => error.hint(),
            Self::SharedLedger(error) => error.hint(),
            Self::ConfigMismatch { hint, .. } => hint,
            Self::Write(WriteError::SpoolFull { .. }) => "raise `spool.max_bytes`, or lower `api.concurrency`",
            Self::Write(WriteError::UnsafeDirectory { .. }) => {
                "name a directory in `spool.dir` that belongs to the user that runs the program, or that does not exist yet"
            }
            Self::Write(WriteError::Changed { .. }) => {
                "check the disk of `spool.dir`, and which other process writes there; nothing of the slice was published, and the next run extracts it"
            }
            Self::Write(WriteError::Unprotected { .. }) => {
                "request fewer days with a later `start`, or leave the columns unprotected and the stream out of this lake"
            }
            Self::Write(error) if error.disk_trouble() == Some(DiskTrouble::NotWritable) => {
                "let the user that runs the program write in `spool.dir`, or name another directory; published files are safe"
            }
            Self::Write(WriteError::Disk { .. } | WriteError::Parquet { .. } | WriteError::Spill { .. }) => {
                "free space in `spool.dir`, bytes, inodes (`df -i`) or quota, or name another directory; no partial file was published"
            }
            Self::Decode(DecodeError::Mismatch { .. }) => {
                "the API changed a type; published files are kept, and this stream waits for a version that knows the type"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }

    fn api_hint(&self, error: &ApiError) -> Option<&'static str> {
        let hint = match error {
            ApiError::KeyRejected { .. } => {
                "make a new key under Settings → API Keys and replace the old one with it; the next run resumes where this one stopped"
            }
            ApiError::OutOfTime { .. }
            | ApiError::Late { .. }
            | ApiError::RateLimited { .. }
            | ApiError::RetryAfterDeadline { .. } => MORE_TIME,
            ApiError::ClockSkew(_) => "set the clock of this machine; days would be mistaken",
            ApiError::Outage { .. } => "nothing is wrong here; the next run resumes where this one stopped",
            ApiError::NotTheApi { .. } => {
                "a proxy, firewall or portal answers in the API's place: let this machine reach the API, or check HTTPS_PROXY and `api.base_url`"
            }
            ApiError::Unreachable { .. } => {
                "check the network, HTTPS_PROXY and `api.base_url`; the next run resumes where this one stopped"
            }
            ApiError::Untrusted { problem, .. } if problem.contains("expired") || problem.contains("not valid yet") => {
                "check the clock of this machine; if it is right, the server needs a new certificate; the key was not sent"
            }
            ApiError::Untrusted { .. } => {
                "if a proxy or a gateway with a private CA is in between, name its PEM file in `api.ca_file`; otherwise another server answers in the API's place, and the key was not sent"
            }
            ApiError::NotEntitled { .. } if self.is_discovery() => {
                "check `api.base_url`, proxies, and the rights of the key; nothing was changed"
            }
            _ if self.is_discovery() => "nothing was changed; the next run resumes where this one stopped",
            _ => return None,
        };
        Some(hint)
    }

    fn is_discovery(&self) -> bool {
        matches!(self, Self::Discovery(_))
    }
}

const MORE_TIME: &str = "the next run resumes; a longer `deadline`, or fewer streams, let one run do all of it";
