//! What the slices of a run share.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::config::OnShrink;
use crate::model::slice::Slice;
use crate::model::stream::Stream;
use crate::run::settings::RunSettings;
use crate::run::slice::account_facts::AccountFacts;
use crate::run::slice::admission::SliceAdmission;
use crate::run::slice::breaker::CircuitBreaker;
use crate::run::slice::in_progress::InProgress;
use crate::run::slice::ledger_view::LedgerView;
use crate::run::slice::parent_cache::ParentCache;
use crate::run::slice::window_sizing::WindowLimits;
use crate::write::{Spool, Worker};

/// How the slices of a run are published.
#[derive(Debug)]
pub struct SliceOptions {
    /// Whether files are written although their rows are unchanged.
    pub rewrite: bool,
    /// Whether lists leave a daily snapshot.
    pub list_snapshots: bool,
    /// What happens to days that would lose most of their rows.
    pub on_shrink: OnShrink,
    /// Streams of whose rows other streams of the run make requests.
    pub parents: BTreeSet<String>,
}

/// What the slices of a run share.
pub struct SliceContext<'a> {
    pub settings: &'a RunSettings,
    pub options: SliceOptions,
    pub ledger: LedgerView,
    pub account: AccountFacts,
    pub admission: SliceAdmission,
    pub breaker: CircuitBreaker,
    pub limits: WindowLimits,
    pub worker: Worker,
    pub spool: Arc<Spool>,
    pub parents: ParentCache,
    pub in_progress: InProgress,
}

impl SliceContext<'_> {
    pub fn now(&self) -> Timestamp {
        self.settings.clock.now()
    }

    /// Whether other streams of this run make requests of the rows of `stream`.
    pub fn is_parent(&self, stream: &Stream) -> bool {
        self.options.parents.contains(&stream.name)
    }

    /// Whether other streams wait for the slices of `stream`.
    pub fn has_dependents(&self, stream: &Stream) -> bool {
        stream.signal.is_some() || self.is_parent(stream)
    }

    /// Waits until no slice is in progress on whose signal or rows `slice` depends, itself or through its parents.
    pub async fn wait_for_dependencies(&self, slice: &Slice) {
        let mut streams = BTreeSet::new();
        let mut stream = Some(&slice.stream);
        while let Some(current) = stream {
            streams.extend([&current.gate, &current.expects].into_iter().flatten().cloned());
            let parent = current.parent.as_ref().filter(|parent| streams.insert(parent.stream.clone()));
            stream = parent.and_then(|parent| self.settings.catalog.get(&parent.stream));
        }
        let scope = slice.scope.key();
        tokio::select! {
            () = self.in_progress.wait_for(streams, &scope) => {}
            () = self.settings.cancel.cancelled() => {}
        }
    }
}
