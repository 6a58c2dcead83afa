//! Slices in progress for which other slices wait: for their signal, or for their rows.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::model::scope::ScopeKey;
use crate::model::slice::Slice;

type Key = (String, ScopeKey);

/// Slices in progress for which other slices wait.
#[derive(Debug, Default)]
pub struct InProgress {
    slices: Mutex<HashMap<Key, usize>>,
    changed: Notify,
}

/// The slice is in progress until this is dropped.
pub struct InProgressGuard<'a> {
    in_progress: &'a InProgress,
    key: Key,
}

impl InProgress {
    pub fn start(&self, slice: &Slice) -> InProgressGuard<'_> {
        let key = (slice.stream.name.clone(), slice.scope.key());
        *self.slices.lock().entry(key.clone()).or_default() += 1;
        InProgressGuard { in_progress: self, key }
    }

    /// Waits until no slice of `streams` is in progress for `scope`.
    pub async fn wait_for(&self, streams: BTreeSet<String>, scope: &ScopeKey) {
        for stream in streams {
            let key = (stream, scope.clone());
            loop {
                let changed = self.changed.notified();
                if !self.slices.lock().contains_key(&key) {
                    break;
                }
                changed.await;
            }
        }
    }
}

impl Drop for InProgressGuard<'_> {
    fn drop(&mut self) {
        let mut slices = self.in_progress.slices.lock();
        if let Some(count) = slices.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                slices.remove(&self.key);
            }
        }
        drop(slices);
        self.in_progress.changed.notify_waiters();
    }
}
