//! Wakes the scheduler, by one-shot jobs of tokio-cron-scheduler. That crate computes cron with a fixed UTC offset, which is wrong
//! across daylight saving, so it only gets a duration to wait.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

pub(super) struct WakeTimer {
    timer: JobScheduler,
    sender: mpsc::Sender<()>,
    receiver: mpsc::Receiver<()>,
    set_for: Option<Timestamp>,
}

impl WakeTimer {
    pub(super) async fn start() -> Result<Self, JobSchedulerError> {
        let timer = JobScheduler::new().await?;
        timer.start().await?;
        // One pending wake-up is as good as many.
        let (sender, receiver) = mpsc::channel(1);
        Ok(Self { timer, sender, receiver, set_for: None })
    }

    /// Wakes at `at`, which is `now` or later. An earlier wake-up is not cancelled: the scheduler then finds nothing due.
    pub(super) async fn set(&mut self, at: Timestamp, now: Timestamp) -> Result<(), JobSchedulerError> {
        if self.set_for == Some(at) {
            return Ok(());
        }
        let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
        let sender = self.sender.clone();
        let job = Job::new_one_shot_async(wait, move |_, _| {
            let sender = sender.clone();
            Box::pin(async move {
                // Full or closed: a wake-up is pending, or the daemon is stopping.
                sender.try_send(()).ok();
            })
        })?;
        self.timer.add(job).await?;
        self.set_for = Some(at);
        Ok(())
    }

    pub(super) async fn wait(&mut self) {
        self.receiver.recv().await;
        // A timer that fires a moment early must be set once more.
        self.set_for = None;
    }

    pub(super) async fn stop(mut self) -> Result<(), JobSchedulerError> {
        self.timer.shutdown().await
    }
}
