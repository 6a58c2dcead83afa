//! Access to the ledger for the slices of one run, which share it. Entries that wait at the same time become one record.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Mutex, mpsc, oneshot};
use uuid::Uuid;

use crate::clock::Clock;
use crate::ledger::{DayEntry, Entry, Ledger, LedgerError, Planned, State, TableMeaning};
use crate::model::coverage::ScopeCoverage;
use crate::model::day::Day;
use crate::model::history::list_of;
use crate::model::slice::Slice;
use crate::run::error::RunError;
use crate::run::slice::commit::{Commit, MAX_WAITING, write_records};

/// The ledger, as the slices of one run see it.
pub struct LedgerView {
    pub run_id: Uuid,
    ledger: Arc<Mutex<Ledger>>,
    commits: mpsc::Sender<Commit>,
}

impl LedgerView {
    /// The view, and what writes its records. That ends when the view is dropped.
    pub fn new(run_id: Uuid, ledger: Arc<Mutex<Ledger>>) -> (Self, impl Future<Output = ()>) {
        let (commits, waiting) = mpsc::channel(MAX_WAITING);
        let writing = write_records(Arc::clone(&ledger), waiting);
        (Self { run_id, ledger, commits }, writing)
    }

    pub async fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(self.ledger.lock().await.state())
    }

    /// The number of the last record.
    pub async fn number(&self) -> u64 {
        self.read(|state| state.number).await
    }

    /// The coverage of the slice's stream and scope.
    pub async fn coverage(&self, slice: &Slice) -> Option<ScopeCoverage> {
        self.read(|state| state.scope(&slice.stream.name, &slice.scope.key()).cloned()).await
    }

    /// The days of the slice, or the list, that another process committed after record `based_on`. Its rows may be newer than those of
    /// the slice, or older: neither process knows when the other sent its requests.
    pub async fn days_extracted_elsewhere(&self, slice: &Slice, based_on: u64) -> BTreeSet<Option<Day>> {
        let ledger = self.ledger.lock().await;
        let (stream, scope) = (&slice.stream.name, slice.scope.key());
        let is_newer = |day: &Option<Day>| ledger.extracted_elsewhere(stream, &scope, *day) > Some(based_on);
        slice.recorded_days().into_iter().filter(is_newer).collect()
    }

    /// Days of the slice (`None` for a list) that `forget` erased, even after the run was planned. Reads new records first, and makes sure
    /// that the days are due if this run dies between its uploads and their record.
    ///
    /// # Errors
    /// [`RunError::Ledger`].
    pub async fn forgotten_days(&self, slice: &Slice, clock: &Clock) -> Result<BTreeSet<Option<Day>>, RunError> {
        let mut ledger = self.ledger.lock().await;
        ledger.refresh().await?;
        if let Some(entry) = self.renewed_plan(ledger.state(), slice, clock.now()) {
            ledger.append(vec![entry], None).await?;
        }
        let forgotten = &ledger.state().forgotten;
        let is_forgotten = |day: &Option<Day>| forgotten.covers(&slice.stream.name, &slice.scope, *day);
        Ok(slice.recorded_days().into_iter().filter(is_forgotten).collect())
    }

    /// The entry that plans the slice once more, if no plan of this run makes its days due. Others presume a run killed, and drop what it
    /// plans, after ten minutes without a record, which it may have spent waiting for the rate limit; and the record of a slice ends its
    /// plan, though a conflict repeats it.
    fn renewed_plan(&self, state: &State, slice: &Slice, now: Timestamp) -> Option<Entry> {
        let open = state.open_runs.get(&self.run_id)?;
        // A snapshot is part of the plan for its list.
        let (stream, window, days) = match list_of(&slice.stream.name) {
            Some(list) => (list, None, vec![None]),
            None => (slice.stream.name.as_str(), slice.window, slice.recorded_days()),
        };
        let scope = slice.scope.key();
        if open.may_upload(now) && days.into_iter().all(|day| open.planned.contains(stream, &scope, day)) {
            return None;
        }
        let planned = vec![Planned { stream: stream.to_owned(), scope, window }];
        Some(Entry::RunStarted { run: self.run_id, job: open.job.clone(), planned, backfill: open.backfill })
    }

    /// Whether another process has exported the slice since this run started, or has forgotten it. Reads new records first.
    ///
    /// # Errors
    /// [`RunError::Ledger`].
    pub async fn is_done_elsewhere(&self, slice: &Slice) -> Result<bool, RunError> {
        let mut ledger = self.ledger.lock().await;
        ledger.refresh().await?;
        let (stream, scope) = (&slice.stream.name, slice.scope.key());
        let forgotten = &ledger.state().forgotten;
        if slice.recorded_days().into_iter().all(|day| forgotten.covers(stream, &slice.scope, day)) {
            return Ok(true);
        }
        let Some(coverage) = ledger.state().scope(stream, &scope) else {
            return Ok(false);
        };
        let is_fresh = |day: Option<Day>| {
            let is_sound = coverage.state(day).is_some_and(|state| !state.stale && state.suspect.is_none());
            is_sound && ledger.extracted_elsewhere(stream, &scope, day).is_some()
        };
        Ok(slice.recorded_days().into_iter().all(is_fresh))
    }

    /// Days of the slice with a published file. If no rows are left, a file without rows must replace it.
    pub async fn published_days(&self, slice: &Slice) -> BTreeSet<Option<Day>> {
        let Some(coverage) = self.coverage(slice).await else {
            return BTreeSet::new();
        };
        let has_file = |day: &Option<Day>| coverage.state(*day).is_some_and(|state| state.file);
        slice.recorded_days().into_iter().filter(has_file).collect()
    }

    /// Whether a killed run may have overwritten the file of `day` after it was recorded.
    pub async fn may_be_overwritten(&self, slice: &Slice, day: Option<Day>) -> bool {
        self.read(|state| state.is_possibly_overwritten(&slice.stream.name, &slice.scope.key(), day, Some(self.run_id)))
            .await
    }

    /// The entry that declares the slice's table: before its first row, and when it gets a column.
    pub async fn table_entry(&self, slice: &Slice) -> Option<Entry> {
        let meaning = TableMeaning::from_stream(&slice.stream);
        let is_declared = self.read(|state| state.tables.get(&slice.stream.name) == Some(&meaning)).await;
        (!is_declared).then(|| Entry::Table { stream: slice.stream.name.clone(), meaning })
    }

    /// The entry that marks a slice suspect. If the next run finds the row counts of `unconfirmed` too, they replace the published files.
    pub fn suspect_entry(&self, slice: &Slice, problem: &str, unconfirmed: Vec<DayEntry>) -> Entry {
        Entry::Suspect {
            run: self.run_id,
            stream: slice.stream.name.clone(),
            scope: slice.scope.clone(),
            window: slice.recorded_window(),
            problem: problem.to_owned(),
            unconfirmed,
        }
    }

    /// Adds `entries`, in one record with those of other slices, and waits until they are stored. For rows, `based_on` is the last
    /// record before their first request.
    ///
    /// # Errors
    /// [`RunError::SharedLedger`] if the record cannot be written.
    pub async fn commit(&self, entries: Vec<Entry>, based_on: Option<u64>) -> Result<(), RunError> {
        let (done, stored) = oneshot::channel();
        let closed = || Arc::new(LedgerError::Contended { attempts: 0 });
        self.commits.send(Commit { entries: (entries, based_on), done }).await.map_err(|_| closed())?;
        Ok(stored.await.map_err(|_| closed())??)
    }
}
