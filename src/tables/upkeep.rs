//! What follows some commits: a checkpoint, and the deletion of files that no reader can still need.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::path::Path;
use percent_encoding::percent_decode_str;
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::destination::retry_write;
use crate::layout::Layout;
use crate::tables::action::{Action, Add, Remove, Txn};
use crate::tables::checkpoint;
use crate::tables::error::TablesError;
use crate::tables::log::{LOG_DIRECTORY, Log, Snapshot};

/// Commits between two checkpoints, as other writers have them.
const CHECKPOINT_INTERVAL: u64 = 10;

/// Whether it is time for a checkpoint of `snapshot`.
pub fn is_due(snapshot: &Snapshot) -> bool {
    snapshot.version >= snapshot.checkpoint.unwrap_or(0) + CHECKPOINT_INTERVAL
}

/// Deletes the files that were removed before `expiry`, or all removed ones, and those that no commit names and none can name any more.
/// Then writes a checkpoint of `snapshot` without them.
///
/// # Errors
/// [`TablesError::Destination`]; the next commit that is due does the rest.
pub async fn keep(log: Log<'_>, snapshot: &mut Snapshot, expiry: Option<Timestamp>) -> Result<(), TablesError> {
    delete_unnamed(log, snapshot, Some(snapshot.version)).await?;
    let is_expired =
        |remove: &Remove| expiry.is_none_or(|expiry| remove.deletion_timestamp.unwrap_or(0) < expiry.as_millisecond());
    for remove in snapshot.removed.values().filter(|remove| is_expired(remove)) {
        // A path of its own kind, such as that of a cloned table, is not ours.
        let Ok(decoded) = percent_decode_str(&remove.path).decode_utf8() else { continue };
        if !decoded.contains("://") && !decoded.starts_with('/') {
            let path = Path::from(format!("{}/{decoded}", log.table));
            log.destination.erase(&path).await.map_err(|source| log.failed(source))?;
        }
    }
    snapshot.removed.retain(|_, remove| !is_expired(remove));
    write_checkpoint(log, snapshot).await
}

/// Deletes all files that `snapshot` does not name and all versions before it.
///
/// # Errors
/// [`TablesError::Destination`].
pub async fn purge(log: Log<'_>, snapshot: &mut Snapshot) -> Result<(), TablesError> {
    keep(log, snapshot, None).await?;
    let logs = Path::from_iter([log.table, LOG_DIRECTORY]);
    let version = |path: &Path| path.filename()?.split('.').next()?.parse::<u64>().ok();
    for path in log.destination.list(&logs, None).await.map_err(|source| log.failed(source))? {
        if version(&path).is_some_and(|version| version < snapshot.version) {
            log.destination.delete(&path).await.map_err(|source| log.failed(source))?;
        }
    }
    // Files on their way into a directory, which may be copies.
    for file in log.destination.leftovers().await.map_err(|source| log.failed(source))? {
        log.destination.remove_leftover(&file).map_err(|source| log.failed(source))?;
    }
    Ok(())
}

/// Deletes the log of a table that cannot be read.
///
/// # Errors
/// [`TablesError::Destination`].
pub async fn delete_log(log: Log<'_>) -> Result<(), TablesError> {
    let logs = Path::from_iter([log.table, LOG_DIRECTORY]);
    let mut listed = log.destination.list(&logs, None).await.map_err(|source| log.failed(source))?;
    // The oldest first: if this is interrupted, a log without its first commits is still unreadable, one without its last ones an old table.
    listed.sort_unstable();
    for path in listed {
        log.destination.delete(&path).await.map_err(|source| log.failed(source))?;
    }
    Ok(())
}

/// Deletes files of commits up to `version`, or of any, that were never made: of killed processes, and of attempts that another writer's
/// commit overtook.
///
/// # Errors
/// [`TablesError::Destination`].
pub async fn delete_unnamed(log: Log<'_>, snapshot: &Snapshot, version: Option<u64>) -> Result<(), TablesError> {
    let named: BTreeSet<Path> = snapshot
        .files
        .keys()
        .chain(snapshot.removed.keys())
        .map(|path| Path::from(format!("{}/{path}", log.table)))
        .collect();
    let logs = Path::from_iter([log.table, LOG_DIRECTORY]);
    // The commit of that version exists, so it will never name the file; one of a later version may still do.
    let is_past = |path: &Path| version_of(path).is_some_and(|of| version.is_none_or(|version| of <= version));
    let mut objects = log.destination.objects(&Layout::directory(log.table));
    let mut unnamed = Vec::new();
    while let Some(object) = objects.try_next().await.map_err(|source| log.failed(source))? {
        if !named.contains(&object.path) && !object.path.prefix_matches(&logs) && is_past(&object.path) {
            unnamed.push(object.path);
        }
    }
    for path in unnamed {
        log.destination.erase(&path).await.map_err(|source| log.failed(source))?;
    }
    Ok(())
}

/// The version whose commit may name the file, if this program wrote it.
pub fn version_of(path: &Path) -> Option<u64> {
    path.filename()?.strip_prefix('v')?.split_once('-')?.0.parse().ok()
}

async fn write_checkpoint(log: Log<'_>, snapshot: &Snapshot) -> Result<(), TablesError> {
    let txn = |(app_id, version): (&String, &i64)| {
        Txn { app_id: app_id.clone(), version: *version, last_updated: None }.into()
    };
    let removed = snapshot.removed.values().map(|remove| Remove { data_change: false, ..remove.clone() }.into());
    let added = snapshot.files.values().map(|add| Add { data_change: false, ..add.clone() }.into());
    let actions: Vec<Action> = snapshot
        .protocol
        .map(Action::from)
        .into_iter()
        .chain(snapshot.metadata.clone().map(Action::from))
        .chain(snapshot.txns.iter().map(txn))
        .chain(removed)
        .chain(added)
        .collect();
    let (version, size) = (snapshot.version, actions.len());
    let encoded = spawn_blocking(move || checkpoint::write(&actions)).await;
    let encoded = encoded.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    let path = log.path(&format!("{version:020}.checkpoint.parquet"));
    let bytes = encoded.map_err(|error| log.damaged(&path, error))?;
    let hint = Bytes::from(json!({"version": version, "size": size}).to_string());
    for (path, bytes) in [(path, bytes), (log.path("_last_checkpoint"), hint)] {
        let written = retry_write(|| log.destination.overwrite(&path, bytes.clone()), || true).await;
        written.map_err(|source| log.failed(source))?;
    }
    Ok(())
}
