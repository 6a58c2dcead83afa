//! What keeps a lake sound beside runs. Asks nothing of the API.

mod error;
mod file;
mod finding;
mod forget;
mod known;
mod rebuild;
mod verify;

pub use error::MaintainError;
pub use finding::{Finding, FindingKind, Remedy};
pub use forget::{Erased, doomed, forget};
pub use rebuild::{Rebuild, Rebuilt, rebuild};
pub use verify::{Depth, Verified, Verify, verify};
