//! Wakes the daemon, by one-shot jobs of tokio-cron-scheduler: it keeps a fixed offset across daylight-saving changes, so
//! it is told how long to wait and nothing of schedules.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// Rings that wait to be heard. One that waits stands for all.
const UNHEARD: usize = 1;

/// Wakes the daemon.
pub(super) struct Alarm {
    timer: JobScheduler,
    ring: mpsc::Sender<()>,
    rings: mpsc::Receiver<()>,
    set_for: Option<Timestamp>,
}

impl Alarm {
    pub(super) async fn start() -> Result<Self, JobSchedulerError> {
        let timer = JobScheduler::new().await?;
        timer.start().await?;
        let (ring, rings) = mpsc::channel(UNHEARD);
        Ok(Self { timer, ring, rings, set_for: None })
    }

    /// Rings at `at`, which is `now` or later. An alarm for an earlier time rings all the same, for nothing.
    pub(super) async fn set(&mut self, at: Timestamp, now: Timestamp) -> Result<(), JobSchedulerError> {
        if self.set_for == Some(at) {
            return Ok(());
        }
        let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
        let ring = self.ring.clone();
        let job = Job::new_one_shot_async(wait, move |_, _| {
            let ring = ring.clone();
            Box::pin(async move {
                // Full, or the daemon is gone: nobody needs to be woken once more.
                ring.try_send(()).ok();
            })
        })?;
        self.timer.add(job).await?;
        self.set_for = Some(at);
        Ok(())
    }

    /// Waits for the next ring.
    pub(super) async fn heard(&mut self) {
        self.rings.recv().await;
        // Rung a moment early, it must be set again.
        self.set_for = None;
    }

    pub(super) async fn stop(mut self) -> Result<(), JobSchedulerError> {
        self.timer.shutdown().await
    }
}
