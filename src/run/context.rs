//! What every slice of a run shares.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::api::{Client, RequestFacts, Transport};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::{Compression, OnShrink, Salt, StreamParameters};
use crate::decode::{Drift, TableSchema};
use crate::destination::Destination;
use crate::layout::Layout;
use crate::ledger::{Entry, Facts, LearnedFact, Ledger};
use crate::model::event::{Event, EventSink};
use crate::model::scope::{Scope, ScopeKey};
use crate::model::slice::Slice;
use crate::model::stream::{Fallback, Stream};
use crate::run::commit::Committer;
use crate::run::gates::Signals;
use crate::run::lengths::Lengths;
use crate::run::outages::Outages;
use crate::run::parents::ParentRows;
use crate::write::Spool;

/// Where things go, and how they lie there.
#[derive(Debug, Clone)]
pub struct Destinations {
    /// The lake.
    pub lake: Destination,
    /// How days become directories.
    pub layout: Layout,
    /// How files are compressed.
    pub compression: Compression,
    /// Whether only one process ever writes, so that a store without create-if-absent will do.
    pub single_writer: bool,
    /// The scratch directory.
    pub spool_dir: PathBuf,
    /// How large it may grow.
    pub spool_bytes: u64,
}

/// Everything a run needs from outside.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// The streams there are.
    pub catalog: Arc<Catalog>,
    /// What texts are hashed with, where a job hashes any.
    pub salt: Option<Salt>,
    /// Sends the requests.
    pub client: Arc<Client>,
    /// Tells the time.
    pub clock: Clock,
    /// Where things go.
    pub destinations: Destinations,
    /// What a user gave of streams that only a user can ask.
    pub parameters: StreamParameters,
    /// Slices at once.
    pub concurrency: usize,
    /// Whether event streams are used where there are any.
    pub event_streams: bool,
    /// The longest window of one request, in days.
    pub max_window_days: i64,
    /// Hears what happens.
    pub events: EventSink,
    /// Stops the run.
    pub cancel: CancellationToken,
}

/// What a run knows when its slices begin.
#[derive(Debug)]
pub struct RunStart {
    /// The run.
    pub run_id: Uuid,
    /// Whether files are written also where nothing changed.
    pub rewrite: bool,
    /// Whether lists leave a daily snapshot.
    pub list_snapshots: bool,
    /// What becomes of days that would lose most of their rows.
    pub on_shrink: OnShrink,
    /// Ids of the organizations that the key reads.
    pub organizations: Vec<String>,
    /// What earlier runs have learned.
    pub facts: Facts,
    /// Scratch.
    pub spool: Arc<Spool>,
    /// Names of streams whose rows others are asked for.
    pub parents: BTreeSet<String>,
    /// When nothing more is begun.
    pub deadline: Option<Instant>,
}

/// What every slice of a run shares.
pub struct RunContext<'a> {
    /// What the run needs from outside.
    pub settings: &'a RunSettings,
    /// The run.
    pub run_id: Uuid,
    /// Whether files are written also where nothing changed.
    pub rewrite: bool,
    /// Whether lists leave a daily snapshot.
    pub list_snapshots: bool,
    /// What becomes of days that would lose most of their rows.
    pub on_shrink: OnShrink,
    /// The record of what is done.
    pub ledger: Arc<tokio::sync::Mutex<Ledger>>,
    /// Adds to it.
    pub committer: Committer,
    /// Scratch.
    pub spool: Arc<Spool>,
    /// Parents that were read.
    pub parents: ParentRows,
    /// Slices that others wait for.
    pub signals: Signals,
    /// How long windows may be.
    pub lengths: Lengths,
    /// Streams that the server cannot answer in this run.
    pub outages: Outages,
    parent_streams: BTreeSet<String>,
    /// Ids of the organizations that the key reads.
    pub organizations: Vec<String>,
    /// What is known about the account, and what this run has learned.
    pub known: parking_lot::Mutex<Facts>,
    schemas: Mutex<HashMap<String, Arc<TableSchema>>>,
    drift_told: Mutex<BTreeSet<String>>,
    /// Streams and scopes that the account may not read, as this run was told.
    refused: Mutex<HashSet<(String, ScopeKey)>>,
    refusals_told: Mutex<HashSet<(ScopeKey, String)>>,
    begins_no_more: AtomicBool,
    deadline: Option<Instant>,
}

impl<'a> RunContext<'a> {
    /// A context for the slices of a run that begins with `start`.
    pub fn new(
        settings: &'a RunSettings,
        start: RunStart,
        ledger: Arc<tokio::sync::Mutex<Ledger>>,
        committer: Committer,
    ) -> Self {
        Self {
            settings,
            run_id: start.run_id,
            rewrite: start.rewrite,
            list_snapshots: start.list_snapshots,
            on_shrink: start.on_shrink,
            ledger,
            committer,
            spool: start.spool,
            parents: ParentRows::default(),
            signals: Signals::default(),
            lengths: Lengths::default(),
            outages: Outages::default(),
            parent_streams: start.parents,
            organizations: start.organizations,
            known: parking_lot::Mutex::new(start.facts),
            schemas: Mutex::new(HashMap::new()),
            drift_told: Mutex::new(BTreeSet::new()),
            refused: Mutex::new(HashSet::new()),
            refusals_told: Mutex::new(HashSet::new()),
            begins_no_more: AtomicBool::new(false),
            deadline: start.deadline,
        }
    }

    /// Lets no further slice begin; those that have may end. Whether this was not so before.
    pub fn stop_beginning(&self) -> bool {
        !self.begins_no_more.swap(true, Ordering::Relaxed)
    }

    /// Whether the deadline has passed.
    pub fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Whether a slice may still begin.
    pub fn may_begin(&self) -> bool {
        !self.begins_no_more.load(Ordering::Relaxed) && !self.is_late() && !self.settings.cancel.is_cancelled()
    }

    /// Whether other streams of this run are asked for the rows of `stream`.
    pub fn is_parent(&self, stream: &Stream) -> bool {
        self.parent_streams.contains(&stream.name)
    }

    /// Whether other streams wait for the slices of `stream`.
    pub fn is_waited_for(&self, stream: &Stream) -> bool {
        stream.signal.is_some() || self.is_parent(stream)
    }

    /// Whether `detail` has not been told of `scope` yet in this run.
    pub fn is_news(&self, scope: &Scope, detail: &str) -> bool {
        let key = (scope.key(), detail.to_owned());
        self.refusals_told.lock().unwrap_or_else(PoisonError::into_inner).insert(key)
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.settings.clock.now()
    }

    /// The schema of `stream`, made once.
    pub fn schema(&self, stream: &Stream) -> Arc<TableSchema> {
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(schemas.entry(stream.name.clone()).or_insert_with(|| Arc::new(TableSchema::new(stream))))
    }

    /// How the rows of `stream` are asked for first.
    pub fn transport(&self, stream: &Stream) -> Transport {
        let lack = self.known.lock().events_incomplete(&stream.name);
        match self.settings.event_streams && stream.event_stream.is_some() && !lack {
            true => Transport::Events,
            false => Transport::Pages,
        }
    }

    /// Uses `learned` from here on in this run, unless it is known. The entry records it for later runs.
    pub fn learn(&self, learned: LearnedFact) -> Option<Entry> {
        let mut known = self.known.lock();
        if known.contains(&learned.fact) {
            return None;
        }
        known.learn(learned.clone());
        Some(Entry::Learned(learned))
    }

    /// What requests of `stream` depend on.
    pub fn facts(&self, stream: &Stream) -> RequestFacts {
        let known = self.known.lock();
        let window_end = known.window_end(&stream.family);
        let without = match &stream.on_422 {
            Some(Fallback::Without(member)) if known.rejected_member(&stream.name).is_some() => [member.clone()].into(),
            _ => BTreeSet::new(),
        };
        RequestFacts { many_organizations: 1 < self.organizations.len(), window_end, without }
    }

    /// Remembers that the account may not read the stream and scope of `slice`.
    pub fn refuse(&self, slice: &Slice) {
        let key = (slice.stream.name.clone(), slice.scope.key());
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
    }

    /// Whether this run was told that the account may not read the stream and scope of `slice`.
    pub fn is_refused(&self, slice: &Slice) -> bool {
        let key = (slice.stream.name.clone(), slice.scope.key());
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).contains(&key)
    }

    /// Tells of members the catalog does not know, each once a run and stream.
    pub fn tell_drift(&self, stream: &str, drift: &Drift) {
        for (member, example) in drift {
            let first = {
                let mut told = self.drift_told.lock().unwrap_or_else(PoisonError::into_inner);
                told.insert(format!("{stream}\n{member}"))
            };
            if first {
                let (stream, field, example) = (stream.to_owned(), member.clone(), example.clone());
                self.settings.events.emit(&Event::SchemaDrift { stream, field, example });
            }
        }
    }
}
