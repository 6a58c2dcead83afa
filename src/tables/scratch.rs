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
        if let Some(file) = from.local_file(path) {
            return Ok(Some((FileSource::File(file), None)));
        }
        if bytes <= MAX_BYTES_IN_MEMORY || from.directory().is_some() {
            let held = from.read(path).await.map_err(failed)?;
            return Ok(held.map(|held| (FileSource::Bytes(held), None)));
        }
        let mut dir = self.spool.create_extra_dir().map_err(not_written)?;
        dir.occupy(bytes).map_err(not_written)?;
        let to = dir.file("copy.parquet");
        if !from.fetch(path, &to).await.map_err(failed)? {
            return Ok(None);
        }
        let copy = File::open(&to).map_err(|source| not_written(WriteError::Disk { path: to, source }))?;
        Ok(Some((FileSource::File(copy), Some(dir))))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::config::DestinationConfig;

    #[tokio::test]
    async fn file_that_cannot_be_opened_is_an_error_and_not_gone() {
        let place = tempfile::tempdir().unwrap();
        let url = place.path().join("lake").display().to_string();
        let lake = Destination::open(&DestinationConfig { url, ..DestinationConfig::default() }).unwrap();
        lake.overwrite(&Path::from("models/data.parquet"), "rows".into()).await.unwrap();
        let scratch = Scratch::open("models", &place.path().join("spool"), 1 << 20).unwrap();
        let open = async |name: &str| scratch.file("models", &lake, &Path::from(format!("models/{name}")), 4).await;
        std::os::unix::fs::symlink("loop.parquet", place.path().join("lake/models/loop.parquet")).unwrap();
        assert!(matches!(open("data.parquet").await, Ok(Some((FileSource::File(_), None)))));
        assert!(matches!(open("gone.parquet").await, Ok(None)));
        assert!(matches!(open("loop.parquet").await, Err(TablesError::Destination { .. })));
    }
}
