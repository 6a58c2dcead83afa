//! When jobs run: a cron expression in a time zone gives the next run, and the daemon's scheduler runs what is due.

mod cron;
mod scheduled_jobs;
mod scheduler;
mod systemd;
mod wake_timer;

pub use cron::{Schedule, ScheduleError};
pub use scheduled_jobs::{DueRun, PreviousRun, ScheduledJobs, Trigger};
pub use scheduler::{JobRunner, serve};
pub use systemd::SystemdNotifier;
