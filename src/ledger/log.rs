//! The log itself: numbered objects, created and never changed.
//!
//! `_profound_export/ledger/000000/000000001.json` and so on, a folder a thousand. `_profound_export/checkpoints/`
//! holds folds of the records up to a number, so that a start reads one checkpoint and the records behind it.

use std::collections::HashMap;
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
use crate::ledger::record::{DayEntry, Entry, FORMAT, Record, SliceEntry, Written};
use crate::ledger::state::State;
use crate::ledger::table::TableMeaning;
use crate::model::day::Day;
use crate::model::history::list_of;
use crate::model::scope::{Scope, ScopeKey};
use crate::retry::RetryDecision;

const RECORDS_A_FOLDER: u64 = 1000;
/// Attempts to take the next number.
const ATTEMPTS: u32 = 50;
/// Between attempts, after the first few.
const LONG_PAUSE: Duration = Duration::from_secs(1);
/// Records behind the last checkpoint that make another worth while at the end of a run.
const RECORDS_A_CHECKPOINT: u64 = 16;
/// Records behind the last checkpoint that make another worth while in the middle of one, so that no start, not even
/// after a run of days was killed, reads more than these and those of one run.
const RECORDS_A_CHECKPOINT_MIDWAY: u64 = 256;
/// Records of the tail that are read at once.
pub(super) const READS: usize = 16;

/// The log of one lake, and what it adds up to.
#[derive(Debug)]
pub struct Ledger {
    destination: Destination,
    clock: Clock,
    state: State,
    /// The record up to which the last checkpoint goes, or the last attempt to write one in the middle of a run.
    checkpoint: u64,
    /// What other writers have recorded since this ledger was opened.
    foreign: HashMap<(String, ScopeKey, Option<Day>), Foreign>,
    /// That days are stale whose record could not be written: their files may stand. The next record says so.
    unrecorded: Vec<Entry>,
}

/// What another writer has recorded of a day.
#[derive(Debug, Clone, Copy, Default)]
struct Foreign {
    /// Whether it was read.
    read: bool,
    /// The number of the last record that published its file, or said that nobody knows what stands; zero for none.
    file: u64,
}

impl Ledger {
    /// Reads the ledger of `destination`; one that is not there yet is empty.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn open(destination: Destination, clock: Clock) -> Result<Self, LedgerError> {
        let (foreign, unrecorded) = (HashMap::new(), Vec::new());
        let mut ledger = Self { destination, clock, state: State::default(), checkpoint: 0, foreign, unrecorded };
        if let Some(state) = checkpoints::newest(&ledger.destination).await? {
            ledger.checkpoint = state.number;
            ledger.state = state;
        }
        let listed = ledger.read_tail().await?;
        // What was added since, one by one.
        ledger.refresh().await?;
        // A number that vanished could be taken twice, so records behind the last one that can be reached are refused.
        let last = record_path(ledger.state.number);
        if listed.is_some_and(|listed| last < listed) {
            return Err(LedgerError::Gap { number: ledger.state.number + 1 });
        }
        ledger.foreign.clear();
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
        // Another process may have begun the lake since: its first record stands before its files.
        ledger.refresh().await?;
        if ledger.state.partition.is_some() {
            return Ok(ledger);
        }
        Err(LedgerError::Lost { lake: ledger.destination.url().to_owned(), path: path.to_string() })
    }

    /// What the records add up to.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The same, for those who only look.
    pub fn into_state(self) -> State {
        self.state
    }

    /// Whether another writer has recorded a reading of a day, or of a list, since this ledger was opened.
    pub fn was_read_elsewhere(&self, stream: &str, scope: &ScopeKey, day: Option<Day>) -> bool {
        self.foreign.get(&(stream.to_owned(), scope.clone(), day)).is_some_and(|foreign| foreign.read)
    }

    /// Reads records that other writers have added.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn refresh(&mut self) -> Result<(), LedgerError> {
        while let Some(record) = read(&self.destination, self.state.number + 1).await? {
            self.take_foreign(&record);
        }
        Ok(())
    }

    /// Reads the records behind the checkpoint, several at once, up to the first that is missing. The last object that is
    /// listed behind the checkpoint; none when there is nothing.
    async fn read_tail(&mut self) -> Result<Option<Path>, LedgerError> {
        let listed = listed_behind(&self.destination, self.state.number).await?;
        let numbers = (self.state.number + 1..).take(listed.len());
        let mut records = futures::stream::iter(numbers).map(|number| read(&self.destination, number)).buffered(READS);
        while let Some(Some(record)) = records.try_next().await? {
            self.state.apply(&record);
        }
        Ok(listed.into_iter().max().map(record_path))
    }

    fn take_foreign(&mut self, record: &Record) {
        for entry in &record.entries {
            let mut note = |stream: &String, scope: &Scope, day, read: bool, file: bool| {
                let foreign = self.foreign.entry((stream.clone(), scope.key(), day)).or_default();
                foreign.read |= read;
                if file {
                    foreign.file = record.number;
                }
            };
            match entry {
                Entry::Slice(slice) => {
                    let days = slice.days.iter();
                    days.for_each(|day| {
                        note(&slice.stream, &slice.scope, day.day, true, day.written == Written::File);
                    });
                }
                Entry::Stale { stream, scope, day } => note(stream, scope, *day, false, true),
                _ => {}
            }
        }
        self.state.apply(record);
    }

    /// Adds a record of `entries`, behind whatever others have added meanwhile. Where another writer published the file
    /// of a day that these entries speak of, in a record after number `based_on`, nobody knows whose file stands: such
    /// a day is marked stale, so that the next run settles it.
    ///
    /// # Errors
    /// [`LedgerError`]; whether the record was added is then unknown. The files that it names may stand, so the next record
    /// that is added marks their days stale.
    pub async fn append(&mut self, entries: Vec<Entry>, based_on: u64) -> Result<(), LedgerError> {
        if entries.is_empty() {
            return Ok(());
        }
        let entries = [std::mem::take(&mut self.unrecorded), entries].concat();
        let added = self.add(&entries, based_on).await;
        if added.is_err() {
            self.unrecorded = entries.iter().flat_map(in_doubt).collect();
        }
        added
    }

    async fn add(&mut self, entries: &[Entry], based_on: u64) -> Result<(), LedgerError> {
        let id = Uuid::now_v7();
        let mut retries = WRITE_RETRIES.start();
        for _ in 0..ATTEMPTS {
            self.check_tables(entries)?;
            let number = self.state.number + 1;
            let record = self.record(number, id, &[entries, &self.overwritten(entries, based_on)].concat());
            let path = record_path(number);
            // An error does not tell whether the object landed, so what stands is looked at in every case.
            let created = self.destination.create(&path, encode(&record)).await;
            match (created, read(&self.destination, number).await?) {
                (Ok(true), _) => {
                    self.state.apply(&record);
                    return Ok(());
                }
                (_, Some(stands)) if stands.id == id => {
                    self.state.apply(&stands);
                    return Ok(());
                }
                (_, Some(other)) => self.take_foreign(&other),
                (Err(error), None) => match retries.next_pause(error.retry_decision()) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(error.into()),
                },
                // "Try again": the store refused without another object being there. One that is about to land takes its time.
                (Ok(false), None) => match retries.next_pause(RetryDecision::Backoff) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => tokio::time::sleep(LONG_PAUSE).await,
                },
            }
        }
        Err(LedgerError::Contended { attempts: ATTEMPTS })
    }

    /// Writes a checkpoint at the end of a run, when enough records have come since the last.
    ///
    /// # Errors
    /// [`LedgerError`]; the records alone are enough, so that a failure costs only the next start.
    pub async fn checkpoint(&mut self) -> Result<(), LedgerError> {
        if self.state.number < self.checkpoint + RECORDS_A_CHECKPOINT {
            return Ok(());
        }
        checkpoints::write(&self.destination, &self.state).await?;
        self.checkpoint = self.state.number;
        Ok(())
    }

    /// Writes a checkpoint in the middle of a run, when very many records have come since the last. One that cannot be
    /// written is no reason to stop: it is told, and tried again as many records later.
    pub async fn checkpoint_midway(&mut self) {
        if self.state.number < self.checkpoint + RECORDS_A_CHECKPOINT_MIDWAY {
            return;
        }
        if let Err(error) = self.checkpoint().await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "a checkpoint cannot be written; the next start reads the records instead");
            self.checkpoint = self.state.number;
        }
    }

    /// Refuses rows that would not fit their table, as another writer may have declared it meanwhile.
    fn check_tables(&self, entries: &[Entry]) -> Result<(), LedgerError> {
        let declared: HashMap<&str, &TableMeaning> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Table { stream, meaning } => Some((stream.as_str(), meaning)),
                _ => None,
            })
            .collect();
        for slice in entries.iter().filter_map(slice_of) {
            let Some(stands) = self.state.tables.get(&slice.stream) else {
                continue;
            };
            let conflict = match declared.get(slice.stream.as_str()) {
                Some(meaning) => stands.conflict(meaning),
                // They fitted when they were read.
                None if stands.fingerprint() == slice.fingerprint => None,
                None => Some("the rows were read for the table as it was".to_owned()),
            };
            if let Some(conflict) = conflict {
                return Err(LedgerError::OtherMeaning { stream: slice.stream.clone(), conflict });
            }
        }
        Ok(())
    }

    /// The days of `entries` whose files others have published after record `based_on`.
    fn overwritten(&self, entries: &[Entry], based_on: u64) -> Vec<Entry> {
        let mut stale = Vec::new();
        for own in entries.iter().filter_map(slice_of) {
            for day in &own.days {
                let file = (own.stream.clone(), own.scope.key(), day.day);
                if self.foreign.get(&file).is_some_and(|foreign| based_on < foreign.file) {
                    stale.push(Entry::Stale { stream: own.stream.clone(), scope: own.scope.clone(), day: day.day });
                }
            }
        }
        stale
    }

    fn record(&self, number: u64, id: Uuid, entries: &[Entry]) -> Record {
        record_of(number, id, self.clock.now(), entries.to_vec())
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

/// Numbers of records that lie behind record `number`, in any order. What else lies there is nobody's.
pub(super) async fn listed_behind(destination: &Destination, number: u64) -> Result<Vec<u64>, LedgerError> {
    let root = Path::from_iter([OWN_DIRECTORY, "ledger"]);
    let listed = destination.list(&root, Some(&record_path(number))).await?;
    let mut numbers = Vec::with_capacity(listed.len());
    for path in listed {
        match number_of(&path) {
            Some(number) => numbers.push(number),
            None => tracing::warn!(%path, "this is no record of the ledger, and is passed over"),
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
    let record = Record::read(&bytes, number, path.as_ref())?;
    match record.entries.contains(&Entry::Rebuilding) {
        // Whoever may read on begins with the checkpoint of this number.
        true => Err(LedgerError::Rebuilding { number }),
        false => Ok(Some(record)),
    }
}

/// The number of the record that lies at `path`, where one may.
fn number_of(path: &Path) -> Option<u64> {
    let number = path.filename()?.strip_suffix(".json")?.parse().ok()?;
    (record_path(number) == *path).then_some(number)
}

pub(super) fn record_path(number: u64) -> Path {
    let folder = format!("{:06}", number / RECORDS_A_FOLDER);
    Path::from_iter([OWN_DIRECTORY, "ledger", &folder, &format!("{number:09}.json")])
}

pub(super) fn encode(record: &Record) -> Bytes {
    // Plain data with text keys: it always serializes.
    Bytes::from(serde_json::to_vec(record).unwrap_or_default())
}

/// That the days are stale whose files may stand though `entry` is not recorded.
fn in_doubt(entry: &Entry) -> Vec<Entry> {
    match entry {
        Entry::Stale { .. } => vec![entry.clone()],
        Entry::Slice(slice) => {
            let written = slice.days.iter().filter(|day| day.written == Written::File);
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
