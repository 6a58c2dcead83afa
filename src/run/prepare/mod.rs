//! Before a run or a preview: discovery, filters, checks of account and tables, and the plan.

mod account;
mod categories;
mod discover;
mod filters;
mod forecast;
mod missing;
mod prepared;
mod preview;
mod recheck;
mod resume;

pub use account::{admit, check_tables};
pub use discover::{Discovered, discover};
pub use filters::{JobScopes, resolve_scopes};
pub use forecast::{BackfillForecast, Forecast, ForecastInputs, SteadyStateForecast, forecast};
pub use prepared::{PreparedRun, prepare};
pub use preview::{JobSchedule, Preview, preview};
pub use recheck::{Recheck, recheck};
pub use resume::{alive_runs, has_concurrent_run};
