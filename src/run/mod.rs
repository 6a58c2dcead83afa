//! One run of one job: joins extract, decode, write, verify, publish and record.

mod account;
mod categories;
mod children;
mod commit;
mod context;
mod coverage;
mod discover;
mod error;
mod extract;
mod forecast;
mod gates;
mod history;
mod job;
mod lengths;
mod opening;
mod outages;
mod parents;
mod preview;
mod process;
mod publish;
mod read;
mod remedy;
mod resolve;
mod result;
mod sample;
mod work;

pub use context::{Destinations, RunSettings};
pub use coverage::{coverage_rows, write_coverage};
pub use discover::{Discovered, discover};
pub use error::RunError;
pub use forecast::{Circumstances, Forecast, HistoryForecast, NightForecast, forecast};
pub use job::{Goal, run_job};
pub use preview::{Preview, Starts, preview};
pub use resolve::{Resolved, resolve};
pub use result::{Outcome, RunResult, StreamTotals};
pub use sample::{Sample, sample};
