//! The checkpoints of a lake: the newest is read, the last few are kept.

use std::collections::BTreeMap;
use std::error::Error;

use bytes::Bytes;
use object_store::path::Path;

use crate::destination::{Destination, DestinationError, OWN_DIRECTORY, retry_write};
use crate::ledger::error::{CheckpointError, LedgerError};
use crate::ledger::state::State;

/// Checkpoints kept. A reader may still be reading an older one, and a damaged one must not be the only one.
const KEPT: usize = 3;
/// Listings before giving up, if other writers delete the checkpoints that were listed.
const MAX_LISTINGS: u32 = 5;
const SUFFIX: &str = ".parquet";
/// Checkpoints of `ledger rebuild`. No record replaces them, so they are never deleted.
const REBUILT_SUFFIX: &str = ".rebuilt.parquet";

/// The newest readable checkpoint. A damaged one is skipped, since the records replace it; a damaged rebuilt one is an error.
pub async fn newest(destination: &Destination) -> Result<Option<State>, LedgerError> {
    'list: for _ in 0..MAX_LISTINGS {
        for path in list(destination).await?.iter().rev() {
            let Some(bytes) = destination.read(path).await? else {
                // Deleted by a writer of newer ones.
                continue 'list;
            };
            match read(path, bytes) {
                Ok(state) => return Ok(Some(state)),
                Err(source) if is_rebuilt(path) => {
                    return Err(LedgerError::Rebuilt { path: path.to_string(), source });
                }
                Err(error) => {
                    tracing::warn!(%path, error = &error as &dyn Error, "checkpoint unreadable, using an older one");
                }
            }
        }
        break;
    }
    Ok(None)
}

/// Writes a checkpoint of `state` and deletes old ones.
pub async fn write(destination: &Destination, state: &State) -> Result<(), LedgerError> {
    let bytes = state.to_checkpoint().await.map_err(LedgerError::Checkpoint)?;
    // A checkpoint of the same number by another writer is the same state.
    let path = Path::from_iter([OWN_DIRECTORY, "checkpoints", &State::checkpoint_name(state.number, &bytes)]);
    destination.create(&path, bytes).await?;
    if let Err(error) = remove_old(destination).await {
        tracing::debug!(error = &error as &dyn Error, "cannot delete old checkpoints");
    }
    Ok(())
}

/// The newest readable checkpoint of a damaged ledger, and the last number of any checkpoint.
pub async fn salvaged(destination: &Destination) -> Result<(Option<State>, u64), LedgerError> {
    let paths = list(destination).await?;
    let last = paths.iter().filter_map(number_of).max().unwrap_or_default();
    for path in paths.iter().rev() {
        let bytes = destination.read(path).await?;
        if let Some(state) = bytes.and_then(|bytes| read(path, bytes).ok()) {
            return Ok((Some(state), last));
        }
    }
    Ok((None, last))
}

/// The state of the newest rebuilt checkpoint, which replaces all records up to its number, and the paths of later checkpoints by
/// number.
pub async fn since_rebuild(
    destination: &Destination,
) -> Result<(Option<State>, BTreeMap<u64, Vec<Path>>), LedgerError> {
    let paths = list(destination).await?;
    let base = match paths.iter().rev().find(|path| is_rebuilt(path)) {
        Some(path) => match read_at(destination, path).await? {
            Some(state) => Some(state.map_err(|source| LedgerError::Rebuilt { path: path.to_string(), source })?),
            None => None,
        },
        None => None,
    };
    let first = base.as_ref().map_or(0, |state| state.number);
    let mut later: BTreeMap<u64, Vec<Path>> = BTreeMap::new();
    for path in paths {
        if let Some(number) = number_of(&path).filter(|number| *number > first) {
            later.entry(number).or_default().push(path);
        }
    }
    Ok((base, later))
}

/// The checkpoint at `path`, if it still exists.
pub async fn read_at(
    destination: &Destination,
    path: &Path,
) -> Result<Option<Result<State, CheckpointError>>, DestinationError> {
    Ok(destination.read(path).await?.map(|bytes| read(path, bytes)))
}

/// Writes `state`, whose number is that of `begin_rebuild`, as the checkpoint that replaces all records up to that number.
///
/// # Errors
/// [`LedgerError`]; the ledger then stays unusable until a rebuild succeeds.
pub async fn finish_rebuild(destination: &Destination, state: &State) -> Result<(), LedgerError> {
    let bytes = state.to_checkpoint().await.map_err(LedgerError::Checkpoint)?;
    let name = State::checkpoint_name(state.number, &bytes).replace(SUFFIX, REBUILT_SUFFIX);
    let path = Path::from_iter([OWN_DIRECTORY, "checkpoints", &name]);
    // Idempotent: no other process uses this number.
    Ok(retry_write(|| destination.create(&path, bytes.clone()), || true).await.map(drop)?)
}

async fn remove_old(destination: &Destination) -> Result<(), DestinationError> {
    let mut paths = list(destination).await?;
    paths.retain(|path| !is_rebuilt(path));
    for path in paths.iter().rev().skip(KEPT) {
        destination.delete(path).await?;
    }
    Ok(())
}

/// The checkpoints, oldest first.
async fn list(destination: &Destination) -> Result<Vec<Path>, DestinationError> {
    let mut paths = destination.list(&Path::from_iter([OWN_DIRECTORY, "checkpoints"]), None).await?;
    // A name with an escaped byte is no checkpoint, and cannot be read under its path.
    let is_plain = |path: &Path| number_of(path).is_some() && !path.as_ref().contains('%');
    paths.retain(|path| path.as_ref().ends_with(SUFFIX) && is_plain(path));
    paths.sort();
    Ok(paths)
}

fn is_rebuilt(path: &Path) -> bool {
    path.as_ref().ends_with(REBUILT_SUFFIX)
}

fn number_of(path: &Path) -> Option<u64> {
    path.filename()?.split(['-', '.']).next()?.parse().ok()
}

fn read(path: &Path, bytes: Bytes) -> Result<State, CheckpointError> {
    let name = path.filename().unwrap_or_default().replace(REBUILT_SUFFIX, SUFFIX);
    State::from_named_checkpoint(&name, bytes)
}
