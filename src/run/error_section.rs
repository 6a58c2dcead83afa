//! The sections of docs/errors.md: each error prints the address of the one that lists it.

use crate::api::ApiError;
use crate::run::error::RunError;
use crate::write::WriteError;

/// A section of the page about errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorSection {
    CommandLine,
    Configuration,
    Key,
    Api,
    Time,
    Responses,
    Spool,
    Destination,
    Ledger,
    Tables,
    Commands,
    Program,
}

impl ErrorSection {
    pub fn address(self) -> &'static str {
        match self {
            Self::CommandLine => "docs/errors.md#command-line",
            Self::Configuration => "docs/errors.md#configuration",
            Self::Key => "docs/errors.md#key-and-access",
            Self::Api => "docs/errors.md#api-and-network",
            Self::Time => "docs/errors.md#time-and-rate-limit",
            Self::Responses => "docs/errors.md#responses",
            Self::Spool => "docs/errors.md#spool",
            Self::Destination => "docs/errors.md#destination",
            Self::Ledger => "docs/errors.md#ledger",
            Self::Tables => "docs/errors.md#tables",
            Self::Commands => "docs/errors.md#commands",
            Self::Program => "docs/errors.md#program",
        }
    }
}

impl From<&RunError> for ErrorSection {
    fn from(error: &RunError) -> Self {
        match error {
            RunError::Api(error) => error.into(),
            // The reason says more, unless it only says that there was none.
            RunError::Discovery(error) => match error.into() {
                Self::Responses => Self::Api,
                section => section,
            },
            RunError::Write(WriteError::Undated { .. } | WriteError::Shape { .. } | WriteError::Unprotected { .. })
            | RunError::Decode(_)
            | RunError::Unproven { .. }
            | RunError::NoEvents(_)
            | RunError::MissingColumns { .. }
            | RunError::TooManyPages { .. } => Self::Responses,
            RunError::Write(_) => Self::Spool,
            RunError::Destination(_) => Self::Destination,
            RunError::Ledger(_) | RunError::SharedLedger(_) => Self::Ledger,
            RunError::Tables(_) => Self::Tables,
            RunError::ConfigMismatch { .. } => Self::Configuration,
            RunError::DeadlinePassed => Self::Time,
            RunError::NoThread(_) | RunError::WorkerPanicked(_) => Self::Program,
        }
    }
}

impl From<&ApiError> for ErrorSection {
    fn from(error: &ApiError) -> Self {
        match error {
            ApiError::KeyRejected { .. } | ApiError::NotEntitled { .. } => Self::Key,
            ApiError::Client(_) => Self::Configuration,
            ApiError::Unreachable { .. }
            | ApiError::Untrusted { .. }
            | ApiError::NotTheApi { .. }
            | ApiError::Redirected { .. }
            | ApiError::ServerError { .. }
            | ApiError::Outage { .. }
            | ApiError::ClockSkew(_) => Self::Api,
            ApiError::RateLimited { .. }
            | ApiError::RetryAfterDeadline { .. }
            | ApiError::Late { .. }
            | ApiError::OutOfTime { .. }
            | ApiError::Cancelled => Self::Time,
            ApiError::RequestRejected { .. }
            | ApiError::KeyLeaked { .. }
            | ApiError::Broken { .. }
            | ApiError::UnknownEvents { .. } => Self::Responses,
        }
    }
}
