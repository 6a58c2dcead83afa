//! One run of one job: joins plan, extract, decode, write, verify, publish and commit.

mod coverage_table;
mod disposition;
mod error;
mod error_section;
mod prepare;
mod result;
mod sample;
mod session;
mod settings;
mod slice;

pub use crate::model::outcome::Outcome;
pub use coverage_table::{coverage_rows, write_coverage};
pub use disposition::{Disposition, FailureScope, Origin, Retry};
pub use error::RunError;
pub use error_section::ErrorSection;
pub use prepare::{
    BackfillForecast, Discovered, Forecast, ForecastInputs, JobSchedule, JobScopes, Preview, Recheck,
    SteadyStateForecast, alive_runs, discover, forecast, preview, recheck, resolve_scopes,
};
pub use result::RunResult;
pub use sample::{Sample, sample};
pub use session::run_job;
pub use settings::{Destinations, OUTAGE_RETRIES, RunRequest, RunSettings};
pub use slice::AccountFacts;
