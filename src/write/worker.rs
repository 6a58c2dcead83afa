//! The thread on which rows are decoded, hashed, sorted and encoded.

use std::any::Any;
use std::fmt::Display;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// One thread: it decodes far more in an hour than the rate limit admits, and each thread that allocates keeps memory of its own. A user
/// holds it for one block of rows or one file, never while it waits for a response or for space, so slow ones hold up no other.
#[derive(Debug)]
pub struct Worker {
    /// `None` once no more jobs follow.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// A bug, or bytes on which parquet-rs panics.
#[derive(Debug, thiserror::Error)]
#[error("a worker thread panicked while it handled {of}")]
pub struct WorkerPanicked {
    of: String,
}

impl Worker {
    /// # Errors
    /// If the system admits no other thread.
    pub fn start() -> io::Result<Self> {
        let (jobs, received) = channel::<Job>();
        let work = move || received.into_iter().for_each(|job| job());
        let thread = thread::Builder::new().name("rows".to_owned()).spawn(work)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `job`, a step of what `of` names.
    ///
    /// # Errors
    /// [`WorkerPanicked`]; other jobs still run.
    pub async fn run<T: Send + 'static>(
        &self,
        of: &impl Display,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, WorkerPanicked> {
        let (done, result) = oneshot::channel();
        let job = move || {
            // What the job owned is dropped with its panic, so nothing sees it half changed.
            let ended: Result<T, Box<dyn Any + Send>> = catch_unwind(AssertUnwindSafe(job));
            // Without a receiver the slice was cancelled.
            ended.map(|value| done.send(value).ok()).ok();
        };
        // If the thread is gone, the result never arrives.
        self.jobs.as_ref().map(|jobs| jobs.send(Box::new(job)).ok());
        result.await.map_err(|_| WorkerPanicked { of: of.to_string() })
    }
}

impl Drop for Worker {
    /// Waits for the job in progress: the files that it writes are removed afterwards.
    fn drop(&mut self) {
        self.jobs = None;
        self.thread.take().map(JoinHandle::join);
    }
}
