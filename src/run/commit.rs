//! Groups what slices have to say within a moment into one record.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

use crate::ledger::{Entry, Ledger, LedgerError};

/// Slices that may wait for a record at once.
const WAITING: usize = 64;

/// One slice's entries, and who waits for them to be safe.
struct Commit {
    entries: Vec<Entry>,
    based_on: u64,
    done: oneshot::Sender<Result<(), Arc<LedgerError>>>,
}

/// Adds entries to the ledger. Cheap to clone.
#[derive(Clone)]
pub struct Committer(mpsc::Sender<Commit>);

/// The other end: runs beside the slices, and ends when every [`Committer`] is gone.
pub struct CommitLoop {
    commits: mpsc::Receiver<Commit>,
    ledger: Arc<Mutex<Ledger>>,
}

/// A committer and its loop.
pub fn committer(ledger: Arc<Mutex<Ledger>>) -> (Committer, CommitLoop) {
    let (sender, commits) = mpsc::channel(WAITING);
    (Committer(sender), CommitLoop { commits, ledger })
}

impl Committer {
    /// Adds `entries`, together with whatever else comes in this moment, and waits until they are safe. They were made
    /// with what the ledger said at record `based_on`.
    ///
    /// # Errors
    /// Why the record could not be written.
    pub async fn commit(&self, entries: Vec<Entry>, based_on: u64) -> Result<(), Arc<LedgerError>> {
        let (done, safe) = oneshot::channel();
        let gone = || Arc::new(LedgerError::Contended { attempts: 0 });
        self.0.send(Commit { entries, based_on, done }).await.map_err(|_| gone())?;
        safe.await.map_err(|_| gone())?
    }
}

impl CommitLoop {
    /// Writes records until every committer is gone.
    pub async fn run(mut self) {
        let mut group = Vec::with_capacity(WAITING);
        while 0 < self.commits.recv_many(&mut group, WAITING).await {
            let entries = group.iter().flat_map(|commit| commit.entries.iter().cloned()).collect();
            let based_on = group.iter().map(|commit| commit.based_on).min().unwrap_or(u64::MAX);
            let mut ledger = self.ledger.lock().await;
            let result = ledger.append(entries, based_on).await.map_err(Arc::new);
            for commit in group.drain(..) {
                // Whoever waited may have been cancelled; the record stands all the same.
                commit.done.send(result.clone()).ok();
            }
            ledger.checkpoint_midway().await;
        }
    }
}
