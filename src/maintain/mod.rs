//! What keeps a lake sound beside runs. Asks nothing of the API.

mod error;
mod file;
mod finding;
mod forget;
mod known;
mod rebuild;
mod verify;

pub use error::MaintainError;
pub use finding::{Finding, FindingKind, FindingRemedy};
pub use forget::{Erased, files_to_delete, forget};
pub use rebuild::{Rebuild, Rebuilt, rebuild};
pub use verify::{Depth, Verified, Verify, verify};
