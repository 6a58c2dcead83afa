//! Events of a run to people: log lines, and a bar on a terminal, from the same value.

mod live;
mod log;
mod progress;

pub use live::{BudgetSeen, Doing, Ended, Live, RunUnderWay, Trouble};
pub use log::log_lines;
pub use progress::Progress;
