//! Groups the entries of slices that end at the same time into one ledger record.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

use crate::ledger::{Entry, Ledger, LedgerError};

/// Slices that may wait for a record at the same time.
const MAX_WAITING: usize = 64;

struct Commit {
    entries: Vec<Entry>,
    based_on: Option<u64>,
    done: oneshot::Sender<Result<(), Arc<LedgerError>>>,
}

/// Adds entries to the ledger. Cheap to clone.
#[derive(Clone)]
pub struct Committer(mpsc::Sender<Commit>);

/// Writes the records; ends when every [`Committer`] is dropped.
pub struct CommitLoop {
    commits: mpsc::Receiver<Commit>,
    ledger: Arc<Mutex<Ledger>>,
}

pub fn committer(ledger: Arc<Mutex<Ledger>>) -> (Committer, CommitLoop) {
    let (sender, commits) = mpsc::channel(MAX_WAITING);
    (Committer(sender), CommitLoop { commits, ledger })
}

impl Committer {
    /// Adds `entries`, in one record with those of other slices, and waits until they are stored. If they were derived from
    /// the ledger's state, `based_on` is the number of its last record then, so that conflicts are found.
    ///
    /// # Errors
    /// Why the record could not be written.
    pub async fn commit(&self, entries: Vec<Entry>, based_on: Option<u64>) -> Result<(), Arc<LedgerError>> {
        let (done, stored) = oneshot::channel();
        let closed = || Arc::new(LedgerError::Contended { attempts: 0 });
        self.0.send(Commit { entries, based_on, done }).await.map_err(|_| closed())?;
        stored.await.map_err(|_| closed())?
    }
}

impl CommitLoop {
    pub async fn run(mut self) {
        let mut group = Vec::with_capacity(MAX_WAITING);
        while self.commits.recv_many(&mut group, MAX_WAITING).await > 0 {
            let entries = group.iter().flat_map(|commit| commit.entries.iter().cloned()).collect();
            let based_on = group.iter().filter_map(|commit| commit.based_on).min();
            let mut ledger = self.ledger.lock().await;
            let result = ledger.append(entries, based_on).await.map_err(Arc::new);
            for commit in group.drain(..) {
                // The slice may have been cancelled; the record is stored all the same.
                commit.done.send(result.clone()).ok();
            }
            ledger.checkpoint_midway().await;
        }
    }
}
