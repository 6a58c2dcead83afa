//! Permanent deletion. It is recorded first, so that repeating the same call completes one that was killed.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use serde::Serialize;

use crate::destination::{Destination, DestinationError, LocalFile, OWN_DIRECTORY};
use crate::layout::Layout;
use crate::ledger::{Entry, Ledger};
use crate::maintain::error::MaintainError;
use crate::maintain::walk::{TableFile, forgotten_files};
use crate::model::forgotten::Erasure;
use crate::write::sweep;

/// Files that are deleted at the same time.
const MAX_DELETES: usize = 8;

/// The deleted files of one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Erased {
    pub files: u64,
    pub bytes: u64,
}

/// The files that `erasures` cover, by table, whether or not the ledger names them; and the files of killed runs, which may be copies.
///
/// # Errors
/// [`MaintainError::Destination`].
pub async fn files_to_delete(
    destination: &Destination,
    erasures: &[(String, Erasure)],
) -> Result<BTreeMap<String, Erased>, MaintainError> {
    let mut found = visit(destination, erasures, async |file| Ok(file.bytes)).await?;
    add_leftovers(&mut found, destination, |_| Ok(())).await?;
    Ok(found)
}

/// Records `erasures` as forgotten and deletes their files; returns the deleted ones.
///
/// # Errors
/// [`MaintainError`]; the record stays, and repeating the call deletes the rest.
pub async fn forget(
    destination: &Destination,
    ledger: &mut Ledger,
    erasures: &[(String, Erasure)],
) -> Result<BTreeMap<String, Erased>, MaintainError> {
    let forgotten = &ledger.state().forgotten;
    let unrecorded = erasures.iter().filter(|(table, erasure)| !forgotten.erasures(table).contains(erasure));
    let entry =
        |(stream, erasure): &(String, Erasure)| Entry::Forgotten { stream: stream.clone(), erasure: erasure.clone() };
    ledger.append(unrecorded.map(entry).collect(), None).await?;
    let delete = async |TableFile { path, bytes, .. }: TableFile| destination.erase(&path).await.map(|()| bytes);
    let mut erased = visit(destination, erasures, delete).await?;
    add_leftovers(&mut erased, destination, |file| destination.remove_leftover(file)).await?;
    // A killed run leaves directories without a file, and their names are the erased ids.
    for (table, _) in erasures {
        for directory in destination.empty_directories(&Layout::directory(table)) {
            destination.erase_directory(&directory)?;
        }
    }
    Ok(erased)
}

/// Removes what killed runs left in the spool `dir`, which may be copies.
pub fn sweep_spool(dir: &std::path::Path) {
    sweep(dir, None);
}

/// Calls `each` with the files of killed runs, and adds them as files of the program's own directory.
async fn add_leftovers(
    found: &mut BTreeMap<String, Erased>,
    destination: &Destination,
    each: impl Fn(&LocalFile) -> Result<(), DestinationError>,
) -> Result<(), MaintainError> {
    for file in destination.leftovers().await? {
        each(&file)?;
        let own = found.entry(OWN_DIRECTORY.to_owned()).or_default();
        own.files += 1;
        own.bytes += file.bytes;
    }
    Ok(())
}

/// Calls `each` with every file that `erasures` cover; it returns the bytes of the file.
async fn visit(
    destination: &Destination,
    erasures: &[(String, Erasure)],
    each: impl AsyncFn(TableFile) -> Result<u64, DestinationError>,
) -> Result<BTreeMap<String, Erased>, MaintainError> {
    let mut tables: BTreeMap<String, Vec<Erasure>> = BTreeMap::new();
    for (table, erasure) in erasures {
        tables.entry(table.clone()).or_default().push(erasure.clone());
    }
    let mut visited = BTreeMap::new();
    for (table, erasures) in tables {
        let files = forgotten_files(destination, &table, &erasures).map_ok(|file| each(file));
        let mut files = std::pin::pin!(files.try_buffer_unordered(MAX_DELETES));
        let mut erased = Erased::default();
        while let Some(bytes) = files.try_next().await? {
            erased.files += 1;
            erased.bytes += bytes;
        }
        visited.insert(table.clone(), erased);
    }
    Ok(visited)
}
