//! Commands that maintain a lake without requests: `verify`, `forget` and `ledger rebuild`, on one walk over the files.

mod error;
mod finding;
mod footer;
mod forget;
mod known;
mod rebuild;
mod verify;
mod walk;

pub use error::MaintainError;
pub use finding::{Finding, FindingKind, FindingRemedy};
pub use forget::{Erased, files_to_delete, forget, sweep_spool};
pub use rebuild::{RebuildOptions, Rebuilt, rebuild};
pub use verify::{Depth, Verified, VerifyOptions, verify};
pub use walk::MaintainedLake;
