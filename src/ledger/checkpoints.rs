//! The checkpoints of a lake: the newest is read, a few are kept.

use object_store::path::Path;

use crate::destination::{Destination, DestinationError, OWN_DIRECTORY};
use crate::ledger::error::LedgerError;
use crate::ledger::state::State;

/// Checkpoints that stay. A reader may be reading the one before the last, and a damaged one must not be the only one.
const KEPT: usize = 3;
/// Times that checkpoints are listed again because the newest vanished while others wrote.
const LISTED_AT_MOST: u32 = 5;
const ENDING: &str = ".parquet";

/// The newest checkpoint that can be read. One that cannot is passed over: records are the truth.
pub async fn newest(destination: &Destination) -> Result<Option<State>, LedgerError> {
    'list: for _ in 0..LISTED_AT_MOST {
        for path in list(destination).await?.iter().rev() {
            let Some(bytes) = destination.read(path).await? else {
                // Newer ones have come, and this one has gone.
                continue 'list;
            };
            match State::from_named_checkpoint(path.filename().unwrap_or_default(), bytes) {
                Ok(state) => return Ok(Some(state)),
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

async fn remove_old(destination: &Destination) -> Result<(), DestinationError> {
    let paths = list(destination).await?;
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
