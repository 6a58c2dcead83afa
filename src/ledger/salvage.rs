//! Reading a damaged ledger, and replacing it by a rebuilt one.
//!
//! A rebuilt ledger begins with a record under an unused number and is valid once the rebuilt checkpoint of that number exists. Until
//! then the ledger cannot be opened. Records of the old ledger are kept.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
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
    let mut numbers = listed_behind(destination, salvage.state.number).await?;
    numbers.sort_unstable();
    let mut records = futures::stream::iter(numbers)
        .map(async |number| Ok::<_, LedgerError>((number, destination.read(&record_path(number)).await?)))
        .buffered(READS);
    while let Some((number, bytes)) = records.try_next().await? {
        let expected = salvage.state.number + 1;
        if number > expected {
            salvage.lost.push(LostRecords::missing(expected, number - 1));
        }
        match bytes.map(|bytes| (Record::parse(&bytes, number, record_path(number).as_ref()), bytes)) {
            Some((Ok(record), _)) => {
                salvage.unfinished |= record.entries.contains(&Entry::Rebuilding);
                salvage.state.apply(&record);
            }
            Some((Err(newer @ LedgerError::Newer { .. }), _)) => return Err(newer),
            Some((Err(error), bytes)) => salvage.lost.push(LostRecords::damaged(number, &error, &bytes)),
            None => salvage.lost.push(LostRecords::missing(number, number)),
        }
        salvage.state.number = number;
    }
    if salvage.state.number < salvage.last {
        salvage.lost.push(LostRecords::missing(salvage.state.number + 1, salvage.last));
    }
    salvage.last = salvage.last.max(salvage.state.number);
    Ok(salvage)
}

impl Salvage {
    /// Whether the ledger is complete and readable.
    pub fn is_sound(&self) -> bool {
        self.lost.is_empty() && !self.unfinished && self.state.partition.is_some()
    }
}

impl LostRecords {
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
