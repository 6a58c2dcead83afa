//! What can still be read of a ledger that is refused, and how another takes its place.
//!
//! A new ledger begins with a record that says so, under a number that was never taken, and counts from the moment in which
//! the rebuilt checkpoint of that number stands. Between the two it is refused. Whatever is of the old one stays.

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

/// What can still be read of a ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Salvage {
    /// What those of its records add up to that can be read.
    pub state: State,
    /// What cannot be read, oldest first.
    pub lost: Vec<Lost>,
    /// Whether a rebuild has begun behind all of that and was not done.
    pub unfinished: bool,
    /// The last number that any record or checkpoint bears; zero for none.
    pub last: u64,
}

/// Records that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// Where the object lies, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What is wrong, in words.
    pub problem: String,
    /// Whether the text of a damaged one speaks of something that was forgotten.
    pub tells_of_forgotten: bool,
}

/// Reads what can be read of the ledger at `destination`.
///
/// # Errors
/// [`LedgerError::Newer`], since what a newer version has said must not be passed over, or [`LedgerError::Destination`].
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
        if expected < number {
            salvage.lost.push(Lost::missing(expected, number - 1));
        }
        match bytes.map(|bytes| (Record::read(&bytes, number, record_path(number).as_ref()), bytes)) {
            Some((Ok(record), _)) => {
                salvage.unfinished |= record.entries.contains(&Entry::Rebuilding);
                salvage.state.apply(&record);
            }
            Some((Err(newer @ LedgerError::Newer { .. }), _)) => return Err(newer),
            Some((Err(error), bytes)) => salvage.lost.push(Lost::damaged(number, &error, &bytes)),
            None => salvage.lost.push(Lost::missing(number, number)),
        }
        salvage.state.number = number;
    }
    if salvage.state.number < salvage.last {
        salvage.lost.push(Lost::missing(salvage.state.number + 1, salvage.last));
    }
    salvage.last = salvage.last.max(salvage.state.number);
    Ok(salvage)
}

impl Salvage {
    /// Whether there is a ledger that can be read from its beginning to its end.
    pub fn is_sound(&self) -> bool {
        self.lost.is_empty() && !self.unfinished && self.state.partition.is_some()
    }
}

impl Lost {
    fn missing(first: u64, last: u64) -> Self {
        Self { first, last, path: None, problem: "missing".to_owned(), tells_of_forgotten: false }
    }

    fn damaged(number: u64, error: &LedgerError, bytes: &Bytes) -> Self {
        Self {
            first: number,
            last: number,
            path: Some(record_path(number).to_string()),
            problem: error_chain(error),
            tells_of_forgotten: bytes.windows(FORGOTTEN.len()).any(|text| text == FORGOTTEN),
        }
    }
}

/// How a record says that something is forgotten.
const FORGOTTEN: &[u8] = b"\"forgotten\"";

/// Takes the number behind `last`, which nobody else has taken, for a new ledger. From here on the ledger is refused, also to
/// runs that have it open, until [`finish_rebuild`].
///
/// # Errors
/// [`LedgerError::Destination`], or [`LedgerError::Contended`] where somebody else has taken the number meanwhile.
pub async fn begin_rebuild(destination: &Destination, at: Timestamp, last: u64) -> Result<u64, LedgerError> {
    let (number, id) = (last + 1, Uuid::now_v7());
    let path = record_path(number);
    let record = encode(&record_of(number, id, at, vec![Entry::Rebuilding]));
    let mut retries = WRITE_RETRIES.start();
    loop {
        // An error does not tell whether the object landed, so what stands is looked at.
        let created = destination.create(&path, record.clone()).await;
        let stands = destination.read(&path).await?;
        match (created, stands) {
            (Ok(true), _) => return Ok(number),
            (_, Some(stands)) if stands == record => return Ok(number),
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

/// Lets the ledger begin with `state`, whose number is that of [`begin_rebuild`]. One object is written.
///
/// # Errors
/// [`LedgerError`]; the ledger is then refused until it is rebuilt once more.
pub async fn finish_rebuild(destination: &Destination, state: &State) -> Result<(), LedgerError> {
    checkpoints::write_rebuilt(destination, state).await
}
