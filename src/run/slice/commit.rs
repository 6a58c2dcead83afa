//! Groups the entries of slices that end at the same time into one ledger record.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

use crate::ledger::{BasedEntries, Ledger, LedgerError};

/// Slices that may wait for a record at the same time.
pub const MAX_WAITING: usize = 64;

/// Entries that wait for a record.
pub struct Commit {
    pub entries: BasedEntries,
    pub done: oneshot::Sender<Result<(), Arc<LedgerError>>>,
}

/// Writes the records of `commits`; ends when no sender is left.
pub async fn write_records(ledger: Arc<Mutex<Ledger>>, mut commits: mpsc::Receiver<Commit>) {
    let mut group = Vec::with_capacity(MAX_WAITING);
    while commits.recv_many(&mut group, MAX_WAITING).await > 0 {
        let (entries, waiting): (Vec<BasedEntries>, Vec<_>) =
            group.drain(..).map(|commit| (commit.entries, commit.done)).unzip();
        let mut ledger = ledger.lock().await;
        let result = ledger.append_all(entries).await.map_err(Arc::new);
        for done in waiting {
            // The slice may have been cancelled; the record is stored all the same.
            done.send(result.clone()).ok();
        }
        ledger.checkpoint_midway().await;
    }
}
