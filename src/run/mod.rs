//! One run of one job: joins extract, decode, write, verify, publish and record.

mod account;
mod children;
mod commit;
mod context;
mod coverage;
mod discover;
mod error;
mod extract;
mod gates;
mod history;
mod job;
mod parents;
mod process;
mod publish;
mod read;
mod remedy;
mod resolve;
mod result;
mod sample;
mod work;

pub use context::{Destinations, RunSettings};
pub use coverage::day_state;
pub use discover::{Discovered, discover};
pub use error::RunError;
pub use job::{Goal, Preview, preview, run_job};
pub use resolve::{Resolved, resolve};
pub use result::{Outcome, RunResult, StreamTotals};
pub use sample::{Sample, sample};
