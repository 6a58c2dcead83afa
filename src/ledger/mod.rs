//! What has been exported: an append-only log of numbered records, and what they add up to.

mod error;
mod log;
mod record;
mod state;
mod table;

pub use error::LedgerError;
pub use log::Ledger;
pub use record::{DayEntry, Entry, Planned, Record, RunEnd, SliceEntry, Written};
pub use state::{OpenRun, RunSummary, State};
pub use table::TableMeaning;
