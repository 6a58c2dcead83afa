//! Whether a run still starts slices.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Whether a run still starts slices.
#[derive(Debug)]
pub struct SliceAdmission {
    draining: AtomicBool,
    deadline: Option<Instant>,
    cancel: CancellationToken,
}

impl SliceAdmission {
    pub fn new(deadline: Option<Instant>, cancel: CancellationToken) -> Self {
        Self { draining: AtomicBool::new(false), deadline, cancel }
    }

    /// Lets slices in progress finish and starts no other. Returns whether the run was not draining before.
    pub fn drain(&self) -> bool {
        !self.draining.swap(true, Ordering::Relaxed)
    }

    pub fn is_past_deadline(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    pub fn accepts_slices(&self) -> bool {
        !self.draining.load(Ordering::Relaxed) && !self.is_past_deadline() && !self.cancel.is_cancelled()
    }
}
