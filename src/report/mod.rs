//! Events of a run to people and to programs: log lines, a bar on a terminal, metrics, from the same value.

mod live;
mod log;
mod metrics;
mod progress;
mod waits;
mod way;

pub use live::{BudgetSeen, Doing, Ended, Live, RunUnderWay, Trouble};
pub use log::log_lines;
pub use metrics::{BUCKETS, FAMILIES, Family, Histogram, Kind, Metrics, Samples, TextfileError, write_textfile};
pub use progress::Progress;
