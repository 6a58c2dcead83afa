//! Events of a run to people and to programs: log lines, a bar on a terminal, metrics, from the same value.

mod activity;
mod log_lines;
mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
mod otlp_variables;
mod progress;
mod rate_limit_waits;
mod run_progress;

pub use activity::{ActiveRun, Activity, ActivityMonitor, LatestRun, Problem, RateLimitView};
pub use log_lines::log_lines;
pub use metrics::{BUCKETS, FAMILIES, MetricFamily, MetricKind, Metrics, TextfileError, write_textfile};
pub use otlp_variables::{SIGNALS, is_exported};
pub use progress::Progress;
