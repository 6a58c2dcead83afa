//! The checkpoints of a lake: the newest is read, a few are kept.

use bytes::Bytes;
use object_store::path::Path;

use crate::destination::{Destination, DestinationError, OWN_DIRECTORY, retry_write};
use crate::ledger::checkpoint::Unreadable;
use crate::ledger::error::LedgerError;
use crate::ledger::state::State;

/// Checkpoints that stay. A reader may be reading the one before the last, and a damaged one must not be the only one.
const KEPT: usize = 3;
/// Times that checkpoints are listed again because the newest vanished while others wrote.
const LISTED_AT_MOST: u32 = 5;
const ENDING: &str = ".parquet";
/// What the names of checkpoints end with that `ledger rebuild` has made. No records say the same, so they stay.
const REBUILT_ENDING: &str = ".rebuilt.parquet";

/// The newest checkpoint that can be read. One that cannot is passed over, since records say the same; but not a rebuilt
/// one, since no record does.
pub async fn newest(destination: &Destination) -> Result<Option<State>, LedgerError> {
    'list: for _ in 0..LISTED_AT_MOST {
        for path in list(destination).await?.iter().rev() {
            let Some(bytes) = destination.read(path).await? else {
                // Newer ones have come, and this one has gone.
                continue 'list;
            };
            match read(path, bytes) {
                Ok(state) => return Ok(Some(state)),
                Err(source) if is_rebuilt(path) => {
                    return Err(LedgerError::Rebuilt { path: path.to_string(), source });
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(%path, error, "a checkpoint cannot be read and is passed over");
                }
            }
        }
        break;
    }
    Ok(None)
}

/// Writes a checkpoint of `state`, and removes those that are no longer needed.
pub async fn write(destination: &Destination, state: &State) -> Result<(), LedgerError> {
    let bytes = state.to_checkpoint().await.map_err(LedgerError::Checkpoint)?;
    // Another writer's checkpoint of the same number is the same fold.
    let path = Path::from_iter([OWN_DIRECTORY, "checkpoints", &State::checkpoint_name(state.number, &bytes)]);
    destination.create(&path, bytes).await?;
    if let Err(error) = remove_old(destination).await {
        let error = &error as &dyn std::error::Error;
        tracing::debug!(error, "old checkpoints stay");
    }
    Ok(())
}

/// The newest checkpoint that can be read, whatever is wrong with others, and the last number that any of them bears.
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

/// Writes `state` as the rebuilt checkpoint that takes the place of all records up to its number.
pub async fn write_rebuilt(destination: &Destination, state: &State) -> Result<(), LedgerError> {
    let bytes = state.to_checkpoint().await.map_err(LedgerError::Checkpoint)?;
    let name = State::checkpoint_name(state.number, &bytes).replace(ENDING, REBUILT_ENDING);
    let path = Path::from_iter([OWN_DIRECTORY, "checkpoints", &name]);
    // The number is this rebuild's own, so that writing it twice is the same.
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
    // Versions before this one wrote JSON, which is large to read: the records behind it say the same.
    paths.retain(|path| path.as_ref().ends_with(ENDING));
    paths.sort();
    Ok(paths)
}

fn is_rebuilt(path: &Path) -> bool {
    path.as_ref().ends_with(REBUILT_ENDING)
}

fn number_of(path: &Path) -> Option<u64> {
    path.filename()?.split(['-', '.']).next()?.parse().ok()
}

/// The state that the checkpoint at `path` holds.
fn read(path: &Path, bytes: Bytes) -> Result<State, Unreadable> {
    let name = path.filename().unwrap_or_default().replace(REBUILT_ENDING, ENDING);
    State::from_named_checkpoint(&name, bytes)
}
