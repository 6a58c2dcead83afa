//! Reading a damaged ledger, and replacing it by a rebuilt one.
//!
//! A rebuilt ledger begins with a record under an unused number and is valid once the rebuilt checkpoint of that number exists. Until
//! then the ledger cannot be opened. Records of the old ledger are kept.

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::path::Path;
use serde::Serialize;
use uuid::Uuid;

use crate::destination::{Destination, WRITE_RETRIES};
use crate::error_text::error_chain;
use crate::ledger::checkpoints;
use crate::ledger::error::LedgerError;
use crate::ledger::log::{READS, encode, listed_behind, record_of, record_path};
use crate::ledger::record::{Entry, Record};
use crate::ledger::state::State;
use crate::retry::RetryDecision;

#[derive(Debug, Clone, PartialEq)]
pub struct Salvage {
    /// The state of the readable records.
    pub state: State,
    /// Oldest first.
    pub lost: Vec<LostRecords>,
    /// Whether a rebuild was started and not finished.
    pub unfinished: bool,
    /// The last number of any record or checkpoint; zero for none.
    pub last: u64,
}

/// Records that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LostRecords {
    pub first: u64,
    pub last: u64,
    /// Of a damaged record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    pub problem: String,
    /// Whether the damaged text contains a `forgotten` entry.
    pub mentions_forgotten: bool,
}

/// Reads the ledger at `destination` as far as possible.
///
/// # Errors
/// [`LedgerError::Newer`], since records of a newer version must not be skipped, or [`LedgerError::Destination`].
pub async fn salvage(destination: &Destination) -> Result<Salvage, LedgerError> {
    let (state, last) = checkpoints::salvaged(destination).await?;
    let mut salvage = Salvage { state: state.unwrap_or_default(), lost: Vec::new(), unfinished: false, last };
    let numbers = listed_behind(destination, salvage.state.number).await?;
    let mut records = std::pin::pin!(read_records(destination, numbers));
    while let Some((number, record)) = records.try_next().await? {
        salvage.lost.extend(LostRecords::between(salvage.state.number, number));
        match record {
            Ok(record) => {
                salvage.unfinished |= record.entries.contains(&Entry::Rebuilding);
                salvage.state.apply(&record);
            }
            Err(lost) => salvage.lost.push(lost),
        }
        salvage.state.number = number;
    }
    salvage.lost.extend(LostRecords::between(salvage.state.number, salvage.last + 1));
    salvage.last = salvage.last.max(salvage.state.number);
    Ok(salvage)
}

/// The records with these `numbers` in order, and what is wrong with those that cannot be read.
fn read_records(
    destination: &Destination,
    mut numbers: Vec<u64>,
) -> impl Stream<Item = Result<(u64, Result<Record, LostRecords>), LedgerError>> {
    numbers.sort_unstable();
    let read = async |number| {
        let record = match destination.read(&record_path(number)).await? {
            None => Err(LostRecords::missing(number, number)),
            Some(bytes) => match Record::parse(&bytes, number, record_path(number).as_ref()) {
                Err(newer @ LedgerError::Newer { .. }) => return Err(newer),
                parsed => parsed.map_err(|error| LostRecords::damaged(number, &error, &bytes)),
            },
        };
        Ok::<_, LedgerError>((number, record))
    };
    futures::stream::iter(numbers).map(read).buffered(READS)
}

/// What is wrong with the log, although the checkpoints may hide it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogDamage {
    /// Oldest first.
    pub lost: Vec<LostRecords>,
    /// Checkpoints that cannot be read or differ from the records, and how.
    pub checkpoints: Vec<(Path, String)>,
}

/// Reads every record from the first one, or from the one that began a rebuilt ledger, and compares the state that they add up to with
/// each checkpoint. Other commands read only the newest checkpoint and the records after it.
///
/// # Errors
/// [`LedgerError::Newer`] or [`LedgerError::Destination`].
pub async fn check_log(destination: &Destination) -> Result<LogDamage, LedgerError> {
    let mut damage = LogDamage::default();
    let (base, mut later) = checkpoints::since_rebuild(destination).await?;
    let mut state = base.unwrap_or_default();
    let numbers = listed_behind(destination, state.number).await?;
    let last = later.keys().next_back().copied().unwrap_or_default();
    let mut records = std::pin::pin!(read_records(destination, numbers));
    while let Some((number, record)) = records.try_next().await? {
        damage.lost.extend(LostRecords::between(state.number, number));
        match record {
            Ok(record) => state.apply(&record),
            Err(lost) => damage.lost.push(lost),
        }
        state.number = number;
        for path in later.remove(&number).into_iter().flatten() {
            let problem = match checkpoints::read_at(destination, &path).await? {
                Some(Ok(checkpoint)) if damage.lost.is_empty() => checkpoint.difference(&state),
                Some(Err(error)) => Some(error_chain(&error)),
                _ => None,
            };
            damage.checkpoints.extend(problem.map(|problem| (path, problem)));
        }
    }
    damage.lost.extend(LostRecords::between(state.number, last + 1));
    Ok(damage)
}

impl Salvage {
    /// Whether the ledger is complete and readable.
    pub fn is_sound(&self) -> bool {
        self.lost.is_empty() && !self.unfinished && self.state.partition.is_some()
    }
}

impl LostRecords {
    /// The records between two readable ones, which have consecutive numbers.
    fn between(before: u64, after: u64) -> Option<Self> {
        (before + 1 < after).then(|| Self::missing(before + 1, after - 1))
    }

    fn missing(first: u64, last: u64) -> Self {
        Self { first, last, path: None, problem: "missing".to_owned(), mentions_forgotten: false }
    }

    fn damaged(number: u64, error: &LedgerError, bytes: &Bytes) -> Self {
        Self {
            first: number,
            last: number,
            path: Some(record_path(number).to_string()),
            problem: error_chain(error),
            mentions_forgotten: bytes.windows(FORGOTTEN.len()).any(|text| text == FORGOTTEN),
        }
    }
}

/// How `forgotten` entries appear in the JSON of a record.
const FORGOTTEN: &[u8] = b"\"forgotten\"";

/// Reserves the number after `last` for the rebuilt ledger. From here to [`finish_rebuild`](checkpoints::finish_rebuild) the ledger
/// cannot be used, not even by runs that have it open.
///
/// # Errors
/// [`LedgerError::Destination`], or [`LedgerError::Contended`] if another process has taken the number.
pub async fn begin_rebuild(destination: &Destination, at: Timestamp, last: u64) -> Result<u64, LedgerError> {
    let (number, id) = (last + 1, Uuid::now_v7());
    let path = record_path(number);
    let record = encode(&record_of(number, id, at, vec![Entry::Rebuilding]));
    let mut retries = WRITE_RETRIES.start();
    loop {
        // After an error the object may exist all the same, so it is read back.
        let created = destination.create(&path, record.clone()).await;
        let existing = destination.read(&path).await?;
        match (created, existing) {
            (Ok(true), _) => return Ok(number),
            (_, Some(existing)) if existing == record => return Ok(number),
            (_, Some(_)) => return Err(LedgerError::Contended { attempts: 1 }),
            (Err(error), None) => match retries.next_pause(error.retry_decision()) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error.into()),
            },
            (Ok(false), None) => match retries.next_pause(RetryDecision::Backoff) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(LedgerError::Contended { attempts: 1 }),
            },
        }
    }
}
