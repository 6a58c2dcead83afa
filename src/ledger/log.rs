//! The log: numbered objects that are created and never changed.
//!
//! `_profound_export/ledger/000000/000000001.json` and so on, a thousand per folder. `_profound_export/checkpoints/` contains the
//! state up to a number, so that opening the ledger reads one checkpoint and replays the records after it.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::path::Path;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::destination::{Destination, OWN_DIRECTORY, WRITE_RETRIES};
use crate::layout::Layout;
use crate::ledger::checkpoints;
use crate::ledger::error::LedgerError;
use crate::ledger::record::{DayEntry, Entry, FORMAT, FileChange, Record, SliceEntry};
use crate::ledger::state::State;
use crate::ledger::table::TableMeaning;
use crate::model::day::Day;
use crate::model::history::list_of;
use crate::model::scope::{Scope, ScopeKey};
use crate::retry::RetryDecision;

const RECORDS_PER_FOLDER: u64 = 1000;
/// Attempts to create the next record.
const MAX_ATTEMPTS: u32 = 50;
/// Between attempts, after the first few.
const LONG_PAUSE: Duration = Duration::from_secs(1);
/// New records that are worth a checkpoint at the end of a run.
const CHECKPOINT_AT_END: u64 = 16;
/// New records that are worth a checkpoint during a run. Bounds what the next start replays even if a run of days is killed.
const CHECKPOINT_DURING_RUN: u64 = 256;
/// Records read at once.
pub(super) const READS: usize = 16;

/// The ledger of one lake.
#[derive(Debug)]
pub struct Ledger {
    destination: Destination,
    clock: Clock,
    state: State,
    /// The record of the last checkpoint, or of the last failed attempt to write one during a run.
    checkpoint: u64,
    /// Days that other writers have recorded since this ledger was opened.
    external: HashMap<(String, ScopeKey, Option<Day>), ExternalChange>,
    /// Stale entries of days whose files may be published although their record could not be written. The next record contains them.
    unrecorded: Vec<Entry>,
}

/// What other writers recorded of a day.
#[derive(Debug, Clone, Copy, Default)]
struct ExternalChange {
    /// The last record that committed the day, whether or not its file changed.
    extracted: Option<u64>,
    /// The last record that published its file or marked it stale.
    published: Option<u64>,
}

/// Entries, and the number of the last record that they are based on: for rows, the one before their first request.
pub type BasedEntries = (Vec<Entry>, Option<u64>);

impl Ledger {
    /// Opens the ledger of `destination`. A missing one is empty.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn open(destination: Destination, clock: Clock) -> Result<Self, LedgerError> {
        let (external, unrecorded) = (HashMap::new(), Vec::new());
        let mut ledger = Self { destination, clock, state: State::default(), checkpoint: 0, external, unrecorded };
        if let Some(state) = checkpoints::newest(&ledger.destination).await? {
            ledger.checkpoint = state.number;
            ledger.state = state;
        }
        let listed = ledger.read_tail().await?;
        // Records that were added since the listing.
        ledger.refresh().await?;
        // Records are consecutive. After a gap a new record would take the number of a lost one, so a gap is an error.
        let last = record_path(ledger.state.number);
        if listed.is_some_and(|listed| last < listed) {
            return Err(LedgerError::Gap { number: ledger.state.number + 1 });
        }
        ledger.external.clear();
        Ok(ledger)
    }

    /// Opens the ledger of a lake. One without records is rejected if the lake has files of the streams of `catalog`: its ledger was
    /// deleted, and a new one would know neither whose lake this is nor which days are final.
    ///
    /// # Errors
    /// [`LedgerError::Lost`] for such a lake, and those of [`Ledger::open`].
    pub async fn open_lake(lake: Destination, clock: Clock, catalog: &Catalog) -> Result<Self, LedgerError> {
        let mut ledger = Self::open(lake, clock).await?;
        if ledger.state.partition.is_some() {
            return Ok(ledger);
        }
        let Some(path) = first_data_file(&ledger.destination, catalog).await? else {
            return Ok(ledger);
        };
        // Another process may have created the lake since: its first record is older than its files.
        ledger.refresh().await?;
        if ledger.state.partition.is_some() {
            return Ok(ledger);
        }
        Err(LedgerError::Lost { lake: ledger.destination.url().to_owned(), path: path.to_string() })
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// When the last record was written; `None` if there is none.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn last_recorded_at(&self) -> Result<Option<Timestamp>, LedgerError> {
        Ok(read(&self.destination, self.state.number).await?.map(|record| record.at))
    }

    pub fn into_state(self) -> State {
        self.state
    }

    /// The last record in which another writer committed a day, or a list, since this ledger was opened.
    pub fn extracted_elsewhere(&self, stream: &str, scope: &ScopeKey, day: Option<Day>) -> Option<u64> {
        self.external.get(&(stream.to_owned(), scope.clone(), day))?.extracted
    }

    /// The records with `numbers`, without those that do not exist.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn records(
        &self,
        numbers: RangeInclusive<u64>,
    ) -> impl Future<Output = Result<Vec<Record>, LedgerError>> + use<> {
        let destination = self.destination.clone();
        async move {
            let reads = numbers.map(|number| read(&destination, number));
            let records: Vec<Option<Record>> = futures::stream::iter(reads).buffered(READS).try_collect().await?;
            Ok(records.into_iter().flatten().collect())
        }
    }

    /// Replays the records that other writers have added.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn refresh(&mut self) -> Result<(), LedgerError> {
        while let Some(record) = read(&self.destination, self.state.number + 1).await? {
            self.apply_external(&record);
        }
        Ok(())
    }

    /// Replays the records after the checkpoint up to the first missing one. Returns the path of the last listed record.
    async fn read_tail(&mut self) -> Result<Option<Path>, LedgerError> {
        let listed = listed_behind(&self.destination, self.state.number).await?;
        let numbers = (self.state.number + 1..).take(listed.len());
        let mut records = futures::stream::iter(numbers).map(|number| read(&self.destination, number)).buffered(READS);
        while let Some(Some(record)) = records.try_next().await? {
            self.state.apply(&record);
        }
        Ok(listed.into_iter().max().map(record_path))
    }

    fn apply_external(&mut self, record: &Record) {
        for entry in &record.entries {
            let mut note = |stream: &String, scope: &Scope, day, is_extracted: bool, is_published: bool| {
                let external = self.external.entry((stream.clone(), scope.key(), day)).or_default();
                if is_extracted {
                    external.extracted = Some(record.number);
                }
                if is_published {
                    external.published = Some(record.number);
                }
            };
            match entry {
                Entry::Slice(slice) => {
                    let days = slice.days.iter();
                    days.for_each(|day| {
                        note(&slice.stream, &slice.scope, day.day, true, day.file == FileChange::Published);
                    });
                }
                Entry::Stale { stream, scope, day } => note(stream, scope, *day, false, true),
                _ => {}
            }
        }
        self.state.apply(record);
    }

    /// Appends one record of `entries`; see [`Ledger::append_all`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn append(&mut self, entries: Vec<Entry>, based_on: Option<u64>) -> Result<(), LedgerError> {
        self.append_all(vec![(entries, based_on)]).await
    }

    /// Appends one record of all `commits` after those that other writers have added meanwhile. If another writer committed one of
    /// their days after the record that it is based on, the published file may be the older one: the day is marked stale, and the next
    /// run extracts it again.
    ///
    /// # Errors
    /// [`LedgerError`]; whether the record was written is then unknown. Its files may be published, so the next record marks their
    /// days stale.
    pub async fn append_all(&mut self, mut commits: Vec<BasedEntries>) -> Result<(), LedgerError> {
        if commits.iter().all(|(entries, _)| entries.is_empty()) {
            return Ok(());
        }
        commits.push((std::mem::take(&mut self.unrecorded), None));
        let added = self.add(&commits).await;
        if added.is_err() {
            self.unrecorded = commits.iter().flat_map(|(entries, _)| entries).flat_map(stale_entries).collect();
        }
        added
    }

    /// If another writer takes the number, its record is applied and the next number is tried.
    async fn add(&mut self, commits: &[BasedEntries]) -> Result<(), LedgerError> {
        let id = Uuid::now_v7();
        let mut retries = WRITE_RETRIES.start();
        for _ in 0..MAX_ATTEMPTS {
            let overwritten = commits.iter().flat_map(|(entries, based_on)| self.overwritten(entries, *based_on));
            let entries: Vec<Entry> =
                commits.iter().flat_map(|(entries, _)| entries.iter().cloned()).chain(overwritten).collect();
            self.check_tables(&entries)?;
            let number = self.state.number + 1;
            let record = record_of(number, id, self.clock.now(), entries);
            let path = record_path(number);
            // After an error the object may exist all the same, so it is read back in every case.
            let created = self.destination.create(&path, encode(&record)).await;
            match (created, read(&self.destination, number).await?) {
                (Ok(true), _) => {
                    self.state.apply(&record);
                    return Ok(());
                }
                (_, Some(existing)) if existing.id == id => {
                    self.state.apply(&existing);
                    return Ok(());
                }
                (_, Some(other)) => self.apply_external(&other),
                (Err(error), None) => match retries.next_pause(error.retry_decision()) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(error.into()),
                },
                // The store reports a conflict, but the object of the other writer is not visible yet.
                (Ok(false), None) => match retries.next_pause(RetryDecision::Backoff) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => tokio::time::sleep(LONG_PAUSE).await,
                },
            }
        }
        Err(LedgerError::Contended { attempts: MAX_ATTEMPTS })
    }

    /// Writes a checkpoint at the end of a run if enough records have been added since the last.
    ///
    /// # Errors
    /// [`LedgerError`]; the next start then replays more records.
    pub async fn checkpoint(&mut self) -> Result<(), LedgerError> {
        if self.state.number < self.checkpoint + CHECKPOINT_AT_END {
            return Ok(());
        }
        checkpoints::write(&self.destination, &self.state).await?;
        self.checkpoint = self.state.number;
        Ok(())
    }

    /// Writes a checkpoint during a run if very many records have been added since the last. A failure is logged and retried as many
    /// records later.
    pub async fn checkpoint_midway(&mut self) {
        if self.state.number < self.checkpoint + CHECKPOINT_DURING_RUN {
            return;
        }
        if let Err(error) = self.checkpoint().await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "checkpoint failed, the next start replays more records");
            self.checkpoint = self.state.number;
        }
    }

    /// Rejects rows that do not fit their table, since another writer may have changed it.
    fn check_tables(&self, entries: &[Entry]) -> Result<(), LedgerError> {
        let declared: HashMap<&str, &TableMeaning> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Table { stream, meaning } => Some((stream.as_str(), meaning)),
                _ => None,
            })
            .collect();
        for slice in entries.iter().filter_map(slice_of) {
            let Some(table) = self.state.tables.get(&slice.stream) else {
                continue;
            };
            let conflict = match declared.get(slice.stream.as_str()) {
                Some(meaning) => table.conflict(meaning),
                None if table.fingerprint() == slice.fingerprint => None,
                None => Some("the rows were extracted for the former table".to_owned()),
            };
            if let Some(conflict) = conflict {
                return Err(LedgerError::OtherMeaning { stream: slice.stream.clone(), conflict });
            }
        }
        Ok(())
    }

    /// Stale entries for the days of `entries` that other writers have published after record `based_on`, or extracted after it while
    /// `entries` publish them.
    fn overwritten(&self, entries: &[Entry], based_on: Option<u64>) -> Vec<Entry> {
        let mut stale = Vec::new();
        for own in entries.iter().filter_map(slice_of) {
            for day in &own.days {
                let file = (own.stream.clone(), own.scope.key(), day.day);
                let external = self.external.get(&file).copied().unwrap_or_default();
                let extracted = external.extracted.filter(|_| day.file == FileChange::Published);
                let last = external.published.max(extracted);
                if based_on.is_some_and(|based_on| last > Some(based_on)) {
                    stale.push(Entry::Stale { stream: own.stream.clone(), scope: own.scope.clone(), day: day.day });
                }
            }
        }
        stale
    }
}

pub(super) fn record_of(number: u64, id: Uuid, at: Timestamp, entries: Vec<Entry>) -> Record {
    Record {
        format: entries.iter().map(Entry::format).max().unwrap_or(FORMAT),
        number,
        id,
        at,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        entries,
    }
}

/// Numbers of the records after `number`, in any order.
pub(super) async fn listed_behind(destination: &Destination, number: u64) -> Result<Vec<u64>, LedgerError> {
    let root = Path::from_iter([OWN_DIRECTORY, "ledger"]);
    let listed = destination.list(&root, Some(&record_path(number))).await?;
    let mut numbers = Vec::with_capacity(listed.len());
    for path in listed {
        match number_of(&path) {
            Some(number) => numbers.push(number),
            None => tracing::warn!(%path, "unmanaged file in the ledger directory, ignoring it"),
        }
    }
    Ok(numbers)
}

/// Any file of a stream of `catalog`.
async fn first_data_file(lake: &Destination, catalog: &Catalog) -> Result<Option<Path>, LedgerError> {
    let is_table = |name: &String| catalog.get(list_of(name).unwrap_or(name)).is_some();
    for name in lake.directories().await?.into_iter().filter(is_table) {
        let objects = lake.objects(&Path::from_iter([name]));
        let mut files =
            std::pin::pin!(objects.try_filter(|object| std::future::ready(Layout::is_data_file(&object.path))));
        if let Some(object) = files.try_next().await? {
            return Ok(Some(object.path));
        }
    }
    Ok(None)
}

async fn read(destination: &Destination, number: u64) -> Result<Option<Record>, LedgerError> {
    let path = record_path(number);
    let Some(bytes) = destination.read(&path).await? else {
        return Ok(None);
    };
    let record = Record::parse(&bytes, number, path.as_ref())?;
    if record.entries.contains(&Entry::Rebuilding) {
        // A reader that may continue starts from the checkpoint with this number, and never reads the record.
        return Err(LedgerError::Rebuilding { number });
    }
    Ok(Some(record))
}

/// The number of the record at `path`, if it is the path of one.
fn number_of(path: &Path) -> Option<u64> {
    let number = path.filename()?.strip_suffix(".json")?.parse().ok()?;
    (record_path(number) == *path).then_some(number)
}

/// The path of record `number`.
pub fn record_path(number: u64) -> Path {
    let folder = format!("{:06}", number / RECORDS_PER_FOLDER);
    Path::from_iter([OWN_DIRECTORY, "ledger", &folder, &format!("{number:09}.json")])
}

pub(super) fn encode(record: &Record) -> Bytes {
    Bytes::from(serde_json::to_vec(record).expect("plain data with text keys serializes"))
}

/// Stale entries for the files that may be published although `entry` could not be recorded.
fn stale_entries(entry: &Entry) -> Vec<Entry> {
    match entry {
        Entry::Stale { .. } => vec![entry.clone()],
        Entry::Slice(slice) => {
            let written = slice.days.iter().filter(|day| day.file == FileChange::Published);
            let stale = |day: &DayEntry| {
                let (stream, scope) = (slice.stream.clone(), slice.scope.clone());
                Entry::Stale { stream, scope, day: day.day }
            };
            written.map(stale).collect()
        }
        _ => Vec::new(),
    }
}

fn slice_of(entry: &Entry) -> Option<&SliceEntry> {
    match entry {
        Entry::Slice(slice) => Some(slice),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
