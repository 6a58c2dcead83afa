//! What reading and writing files needs: the spool, and the thread for their rows.

use std::fs::File;
use std::sync::Arc;

use object_store::path::Path;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::destination::{Destination, DestinationError};
use crate::tables::error::TablesError;
use crate::write::{FileSource, SliceDir, Spool, Worker, WriteError};

/// Partitions that are read or written at the same time.
pub const CONCURRENT_PARTITIONS: usize = 4;
/// Larger files of a bucket are copied to the spool.
const MAX_BYTES_IN_MEMORY: u64 = 4 * 1024 * 1024;

/// Made once a file is read: most runs of an hour change few tables.
pub struct Scratch {
    pub spool: Arc<Spool>,
    pub worker: Worker,
    /// A permit for each partition that may be written at the same time.
    pub writing: Semaphore,
}

impl Scratch {
    /// For `table` and others.
    ///
    /// # Errors
    /// [`TablesError::Write`] or [`TablesError::NoThread`].
    pub fn open(table: &str, spool_dir: &std::path::Path, spool_bytes: u64) -> Result<Self, TablesError> {
        let table = || table.to_owned();
        let not_written = |source: WriteError| TablesError::Write { table: table(), source: source.into() };
        let spool = Spool::open(spool_dir, Uuid::now_v7(), spool_bytes).map_err(not_written)?;
        let worker = Worker::start().map_err(|source| TablesError::NoThread { table: table(), source })?;
        Ok(Self { spool, worker, writing: Semaphore::new(CONCURRENT_PARTITIONS) })
    }

    /// Opens a file of `bytes` bytes; a large one of a bucket by way of a copy, which is removed with its directory. `None` if it does not
    /// exist.
    ///
    /// # Errors
    /// [`TablesError::Destination`] or [`TablesError::Write`], about `table`.
    pub async fn file(
        &self,
        table: &str,
        from: &Destination,
        path: &Path,
        bytes: u64,
    ) -> Result<Option<(FileSource, Option<SliceDir>)>, TablesError> {
        let failed =
            |source: DestinationError| TablesError::Destination { table: table.to_owned(), source: source.into() };
        let not_written = |source: WriteError| TablesError::Write { table: table.to_owned(), source: source.into() };
        if let Some(root) = from.directory() {
            return Ok(File::open(root.join(path.as_ref())).ok().map(|file| (FileSource::File(file), None)));
        }
        if bytes <= MAX_BYTES_IN_MEMORY {
            let held = from.read(path).await.map_err(failed)?;
            return Ok(held.map(|held| (FileSource::Bytes(held), None)));
        }
        let mut dir = self.spool.create_extra_dir().map_err(not_written)?;
        dir.occupy(bytes).map_err(not_written)?;
        let to = dir.file("copy.parquet");
        if !from.fetch(path, &to).await.map_err(failed)? {
            return Ok(None);
        }
        Ok(File::open(to).ok().map(|file| (FileSource::File(file), Some(dir))))
    }
}
