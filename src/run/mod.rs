//! One run of one job: joins extract, decode, write, verify, publish and record.

mod account;
mod commit;
mod context;
mod coverage;
mod discover;
mod error;
mod extract;
mod job;
mod process;
mod resolve;
mod result;
mod work;

pub use context::{Destinations, RunSettings};
pub use discover::Discovered;
pub use error::RunError;
pub use job::{Goal, Preview, preview, run_job};
pub use resolve::{Resolved, resolve};
pub use result::{Outcome, RunResult, StreamTotals};
