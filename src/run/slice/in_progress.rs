//! Slices in progress for which other slices wait: for their signal, or for their rows.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::model::scope::ScopeKey;
use crate::model::slice::Slice;

/// Slices in progress for which other slices wait, by stream and scope. Each holds a receiver, so a channel is closed while no slice
/// is in progress.
#[derive(Debug, Default)]
pub struct InProgress(Mutex<HashMap<(String, ScopeKey), watch::Sender<()>>>);

impl InProgress {
    /// The slice is in progress until the result is dropped.
    pub fn start(&self, slice: &Slice) -> watch::Receiver<()> {
        let key = (slice.stream.name.clone(), slice.scope.key());
        self.0.lock().entry(key).or_default().subscribe()
    }

    /// Waits until no slice of `streams` is in progress for `scope`.
    pub async fn wait_for(&self, streams: BTreeSet<String>, scope: &ScopeKey) {
        for stream in streams {
            let slices = self.0.lock().get(&(stream, scope.clone())).cloned();
            if let Some(slices) = slices {
                slices.closed().await;
            }
        }
    }
}
