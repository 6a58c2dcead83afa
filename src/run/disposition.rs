//! What a failure means: decided here and nowhere else.

use crate::api::{ApiError, Transport};
use crate::decode::DecodeError;
use crate::destination::DestinationError;
use crate::ledger::LedgerError;
use crate::model::disk_trouble::DiskTrouble;
use crate::model::outcome::Outcome;
use crate::run::error::RunError;
use crate::tables::TablesError;
use crate::write::{Doubt, WriteError};

/// What a failure means for the run. The slice loop, the fan-out, discovery, the run's outcome, the exit code and the
/// alerts all read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disposition {
    pub scope: FailureScope,
    pub retry: Retry,
    /// What the run ends as if nothing more serious happens.
    pub outcome: Outcome,
    pub origin: Origin,
}

/// How far a failure reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureScope {
    /// Other slices may succeed.
    Slice,
    /// Other slices of the stream would fail in the same way.
    Stream,
    /// Every request that follows would fail, or be wrong.
    Run,
}

/// What may still succeed after a failure. HTTP itself has been retried before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Nothing: a person must act.
    Never,
    /// The same request, in a later run.
    NextRun,
    /// The same request once more, in this run.
    Once,
    /// The response was damaged on its way: half the window, the same once more, or pages instead of an event stream.
    Smaller,
    /// The same days page by page, because the event stream is not available, not understood or no proof.
    Pages,
    /// Another form of the request, because the API rejects this one: another end date, fewer fields, another stream.
    Fallback,
    /// The same request a day later: the account has no access now.
    OnceEntitled,
}

/// Which part of the installation a failure is attributed to, so that an alert names it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Destination,
    Elsewhere,
}

impl Disposition {
    fn new(scope: FailureScope, retry: Retry, outcome: Outcome) -> Self {
        Self { scope, retry, outcome, origin: Origin::Elsewhere }
    }

    fn slice(retry: Retry) -> Self {
        Self::new(FailureScope::Slice, retry, Outcome::Failed)
    }

    fn run(retry: Retry, outcome: Outcome) -> Self {
        Self::new(FailureScope::Run, retry, outcome)
    }
}

impl RunError {
    /// What this failure means for the run. Exhaustive on purpose: a new variant must be decided here before it compiles.
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Api(error) => of_api(error),
            // Without its organizations and categories nothing can be planned, whichever request failed.
            Self::Discovery(error) => match of_api(error).outcome {
                outcome @ (Outcome::Incomplete | Outcome::KeyRejected) => Disposition::run(Retry::NextRun, outcome),
                _ => Disposition::run(Retry::NextRun, Outcome::Unavailable),
            },
            Self::Decode(DecodeError::Damaged { .. }) => Disposition::slice(Retry::Smaller),
            // The coverage shows it, and the next run sees whether the API was repaired.
            Self::Decode(DecodeError::Mismatch { .. } | DecodeError::Length { .. } | DecodeError::Unbound { .. }) => {
                Disposition::slice(Retry::NextRun)
            }
            // Nothing can be written to such a spool. One that is full may still have room for a smaller slice.
            Self::Write(error) if error.disk_trouble() == Some(DiskTrouble::NotWritable) => {
                Disposition::run(Retry::NextRun, Outcome::Unavailable)
            }
            Self::Write(WriteError::UnsafeDirectory { .. }) => Disposition::run(Retry::NextRun, Outcome::Unavailable),
            // Rows without a date can be stored if the window has one day only.
            Self::Write(WriteError::Undated { .. }) => Disposition::slice(Retry::Smaller),
            Self::Write(
                WriteError::Disk { .. }
                | WriteError::Parquet { .. }
                | WriteError::Spill { .. }
                | WriteError::Changed { .. }
                | WriteError::Shape { .. }
                | WriteError::Unprotected { .. }
                | WriteError::SpoolFull { .. },
            ) => Disposition::slice(Retry::Never),
            Self::Destination(error) => of_destination(error),
            Self::Ledger(error) => of_ledger(error),
            Self::SharedLedger(error) => of_ledger(error),
            // An event stream may be cut without an error. A shorter one may arrive whole.
            Self::Unproven { doubt: Doubt::Total { rows, total }, transport: Transport::Events, .. }
                if rows < total =>
            {
                Disposition::slice(Retry::Smaller)
            }
            // Pages have a cursor or a total, so their end is proven, and may hold what an event stream lacks.
            Self::Unproven {
                doubt: Doubt::NoTotal { .. } | Doubt::Entities { .. } | Doubt::Incomplete { .. },
                transport: Transport::Events,
                ..
            } => Disposition::slice(Retry::Pages),
            Self::Unproven { .. } => Disposition::slice(Retry::Once),
            Self::NoEvents(_) => Disposition::slice(Retry::Pages),
            // The document's examples show named rows with fewer values than requested; positional rows hold them all.
            Self::MissingColumns { .. } => Disposition::slice(Retry::Pages),
            Self::TooManyPages { .. } => Disposition::slice(Retry::NextRun),
            Self::ConfigMismatch { .. } => Disposition::run(Retry::Never, Outcome::ConfigMismatch),
            Self::Tables(error) => of_tables(error),
            Self::DeadlinePassed => Disposition::run(Retry::NextRun, Outcome::Incomplete),
            Self::NoThread(_) => Disposition::run(Retry::NextRun, Outcome::Unavailable),
            Self::WorkerPanicked(_) => Disposition::slice(Retry::Never),
        }
    }
}

fn of_api(error: &ApiError) -> Disposition {
    match error {
        ApiError::KeyRejected { .. } => Disposition::run(Retry::Never, Outcome::KeyRejected),
        ApiError::NotEntitled { .. } => Disposition::slice(Retry::OnceEntitled),
        ApiError::RequestRejected { status: 422, .. } => Disposition::slice(Retry::Fallback),
        ApiError::RequestRejected { .. } | ApiError::Redirected { .. } | ApiError::KeyLeaked { .. } => {
            Disposition::slice(Retry::Never)
        }
        ApiError::NotTheApi { .. } => Disposition::slice(Retry::NextRun),
        ApiError::UnknownEvents { .. } => Disposition::slice(Retry::Pages),
        // The API's client has retried both already.
        ApiError::ServerError { .. } | ApiError::Broken { .. } => Disposition::slice(Retry::Smaller),
        ApiError::RateLimited { .. } | ApiError::RetryAfterDeadline { .. } => {
            Disposition::new(FailureScope::Stream, Retry::NextRun, Outcome::Incomplete)
        }
        ApiError::Outage { .. } => Disposition::new(FailureScope::Stream, Retry::NextRun, Outcome::Unavailable),
        ApiError::Unreachable { .. } | ApiError::Untrusted { .. } | ApiError::Client(_) => {
            Disposition::run(Retry::NextRun, Outcome::Unavailable)
        }
        ApiError::OutOfTime { .. } | ApiError::Late { .. } | ApiError::Cancelled => {
            Disposition::run(Retry::NextRun, Outcome::Incomplete)
        }
        ApiError::ClockSkew(_) => Disposition::run(Retry::Never, Outcome::ConfigMismatch),
    }
}

/// A destination that failed once fails for every slice, and a wrong address stays wrong.
fn of_destination(error: &DestinationError) -> Disposition {
    let disposition = match error {
        DestinationError::Open { .. } => Disposition::run(Retry::Never, Outcome::ConfigMismatch),
        DestinationError::Directory { .. }
        | DestinationError::Store { .. }
        | DestinationError::Spool { .. }
        | DestinationError::NoHardLinks { .. }
        | DestinationError::NoConditionalCreate => Disposition::run(Retry::NextRun, Outcome::Unavailable),
    };
    Disposition { origin: Origin::Destination, ..disposition }
}

/// The slices are exported whatever happens to the tables, and the next run publishes them. So the run is never one that must not be repeated.
fn of_tables(error: &TablesError) -> Disposition {
    let (outcome, origin) = match error {
        TablesError::Destination { source, .. } | TablesError::Closed { source, .. } => {
            let Disposition { outcome, origin, .. } = of_destination(source);
            (outcome.min(Outcome::Unavailable), origin)
        }
        TablesError::Stopped { .. } | TablesError::Contended { .. } | TablesError::Behind { .. } => {
            (Outcome::Incomplete, Origin::Elsewhere)
        }
        TablesError::NoThread { .. } => (Outcome::Unavailable, Origin::Elsewhere),
        TablesError::Write { .. }
        | TablesError::Panicked { .. }
        | TablesError::DayFiles { .. }
        | TablesError::NewerProtocol { .. }
        | TablesError::OtherLake { .. }
        | TablesError::LostLog { .. }
        | TablesError::DamagedLog { .. }
        | TablesError::Foreign { .. } => (Outcome::Failed, Origin::Elsewhere),
    };
    Disposition { origin, ..Disposition::run(Retry::NextRun, outcome) }
}

fn of_ledger(error: &LedgerError) -> Disposition {
    let outcome = if error.is_lasting() { Outcome::ConfigMismatch } else { Outcome::Unavailable };
    let is_destination = matches!(error, LedgerError::Destination(_));
    let origin = if is_destination { Origin::Destination } else { Origin::Elsewhere };
    Disposition { origin, ..Disposition::run(Retry::NextRun, outcome) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(error: impl Into<RunError>) -> Disposition {
        error.into().disposition()
    }

    #[test]
    fn cut_event_stream_is_retried_smaller_and_a_cut_page_once() {
        let unproven = |rows, transport| RunError::Unproven {
            slice: "models".into(),
            doubt: Doubt::Total { rows, total: 3 },
            transport,
        };
        assert_eq!(of(unproven(2, Transport::Events)).retry, Retry::Smaller);
        assert_eq!(of(unproven(2, Transport::Pages)).retry, Retry::Once);
        assert_eq!(of(unproven(4, Transport::Events)).retry, Retry::Once);
    }

    #[test]
    fn failed_discovery_ends_the_run_with_its_outcome() {
        let detail = String::new;
        for (error, outcome) in [
            (ApiError::KeyRejected { detail: detail() }, Outcome::KeyRejected),
            (ApiError::OutOfTime { wait: std::time::Duration::ZERO }, Outcome::Incomplete),
            (ApiError::NotEntitled { what: "models".into(), status: 403, detail: detail() }, Outcome::Unavailable),
        ] {
            let disposition = of(RunError::Discovery(error));
            assert_eq!((disposition.scope, disposition.outcome), (FailureScope::Run, outcome));
        }
    }

    #[test]
    fn unreachable_ledger_is_attributed_to_the_destination() {
        let disposition = of(LedgerError::Destination(DestinationError::NoConditionalCreate));
        assert_eq!((disposition.origin, disposition.outcome), (Origin::Destination, Outcome::Unavailable));
        assert_eq!(of(LedgerError::Gap { number: 7 }).outcome, Outcome::ConfigMismatch);
    }
}
