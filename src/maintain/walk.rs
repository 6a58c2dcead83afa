//! The walk over the files of a table that `verify`, `forget` and `ledger rebuild` share.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::{self, try_join_all};
use futures::{Stream, StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::path::Path;
use parquet::errors::ParquetError;
use tokio::sync::Mutex;
use tokio::task::{JoinError, spawn_blocking};
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::destination::{Destination, DestinationError, Object};
use crate::error_text::error_chain;
use crate::layout::Layout;
use crate::maintain::error::MaintainError;
use crate::maintain::footer::FileFooter;
use crate::model::forgotten::Erasure;
use crate::model::history::list_of;
use crate::model::stream::Stream as CatalogStream;
use crate::write::{FileContent, FileReadError, FileSource, OpenFile, Spool, added_columns};

/// Files that are read at the same time.
const MAX_READS: usize = 4;
/// Larger files of a bucket are copied to the spool before they are read, so that none is held in memory.
const MAX_BYTES_IN_MEMORY: u64 = 4 * 1024 * 1024;
/// The problem of a [`FileReading::Unmanaged`] file.
pub const UNMANAGED_PARQUET: &str = "it is a Parquet file that this program did not write";

/// A lake, and what the commands that maintain it need.
#[derive(Debug, Clone)]
pub struct MaintainedLake {
    pub destination: Destination,
    pub layout: Layout,
    pub catalog: Arc<Catalog>,
    pub now: Timestamp,
    /// The scratch directory for large files of a bucket.
    pub spool_dir: PathBuf,
    pub spool_bytes: u64,
}

impl MaintainedLake {
    /// The stream of the table called `name`; for list snapshots, the list. `None` if this version does not know it.
    pub fn stream_of(&self, name: &str) -> Option<&Arc<CatalogStream>> {
        self.catalog.get(list_of(name).unwrap_or(name))
    }
}

/// A file in the directory of a table.
pub struct TableFile {
    pub path: Path,
    pub bytes: u64,
    pub is_forgotten: bool,
}

/// The files of `table` in chunks that can be read at the same time. A file is forgotten if one of `erasures` covers its path.
pub fn table_files(
    destination: &Destination,
    table: &str,
    erasures: &[Erasure],
) -> impl Stream<Item = Result<Vec<TableFile>, DestinationError>> {
    let files = destination.objects(&Layout::directory(table)).map_ok(|Object { path, bytes }| {
        let is_forgotten = is_any_of(erasures, &path);
        TableFile { path, bytes, is_forgotten }
    });
    files.try_chunks(MAX_READS).map_err(|error| error.1)
}

/// Whether one of `erasures` of its table covers the file at `path`, in any layout.
pub fn is_any_of(erasures: &[Erasure], path: &Path) -> bool {
    let Some(file) = Layout::ALL.into_iter().find_map(|layout| layout.parse(path)) else {
        return false;
    };
    erasures
        .iter()
        .any(|erasure| erasure.has_day(file.day) && erasure.scope.iter().all(|(part, id)| file.has_part(*part, id)))
}

/// The result of reading a file.
#[derive(Debug)]
pub enum FileReading {
    /// Deleted since it was listed.
    Gone,
    /// Not a valid Parquet file; why.
    Unreadable(String),
    /// A Parquet file without the footer of this program.
    Unmanaged,
    /// The rows, or why they cannot be read.
    Read(Box<FileFooter>, Result<FileContent, String>),
}

impl FileReading {
    fn from_result(reading: Result<Result<Self, FileReadError>, JoinError>) -> Self {
        match reading {
            Ok(Ok(reading)) => reading,
            Ok(Err(error)) => Self::Unreadable(error_chain(&error)),
            // parquet-rs panics on some damaged bytes.
            Err(_) => Self::Unreadable("the Parquet reader panicked".to_owned()),
        }
    }
}

/// Reads data files from a disk or a bucket.
pub struct FileReader<'a> {
    destination: &'a Destination,
    spool_dir: &'a std::path::Path,
    spool_bytes: u64,
    /// Opened for the first large file. Large files are copied one at a time, so the spool needs space for the largest alone.
    spool: Mutex<Option<Arc<Spool>>>,
}

impl<'a> FileReader<'a> {
    pub fn new(lake: &'a MaintainedLake) -> Self {
        let MaintainedLake { destination, spool_dir, spool_bytes, .. } = lake;
        Self { destination, spool_dir, spool_bytes: *spool_bytes, spool: Mutex::default() }
    }

    /// Reads `files` concurrently; evaluates the column `signal`, if there is one.
    pub async fn read_all<K>(
        &self,
        files: Vec<(TableFile, K)>,
        signal: Option<&str>,
    ) -> Result<Vec<(TableFile, K, FileReading)>, MaintainError> {
        let readings = try_join_all(files.iter().map(|(file, _)| self.read(&file.path, file.bytes, signal))).await?;
        Ok(files.into_iter().zip(readings).map(|((file, known), reading)| (file, known, reading)).collect())
    }

    /// Reads the file at `path`, which has `bytes` bytes.
    ///
    /// # Errors
    /// [`MaintainError`] if the destination fails or the spool has no space.
    pub async fn read(&self, path: &Path, bytes: u64, signal: Option<&str>) -> Result<FileReading, MaintainError> {
        let signal = signal.map(str::to_owned);
        let reading = match self.destination.local_file(path) {
            Some(file) => spawn_blocking(move || parse(FileSource::File(file), signal.as_deref())).await,
            None if bytes > MAX_BYTES_IN_MEMORY && self.destination.directory().is_none() => {
                let mut copying = self.spool.lock().await;
                let spool = match copying.take() {
                    Some(spool) => spool,
                    None => Spool::open(self.spool_dir, Uuid::now_v7(), self.spool_bytes)?,
                };
                let mut dir = copying.insert(spool).create_extra_dir()?;
                dir.occupy(bytes)?;
                let copy = dir.file("data.parquet");
                if !self.destination.fetch(path, &copy).await? {
                    return Ok(FileReading::Gone);
                }
                let read = move || {
                    let file = File::open(copy).map_err(ParquetError::from)?;
                    let reading = parse(FileSource::File(file), signal.as_deref());
                    drop(dir);
                    reading
                };
                spawn_blocking(read).await
            }
            None => match self.destination.read(path).await? {
                Some(held) => spawn_blocking(move || parse(FileSource::Bytes(held), signal.as_deref())).await,
                None => return Ok(FileReading::Gone),
            },
        };
        Ok(FileReading::from_result(reading))
    }

    /// Reads the file of this machine at `location`.
    pub async fn read_local(&self, location: &std::path::Path) -> FileReading {
        match File::open(location) {
            Ok(file) => FileReading::from_result(spawn_blocking(move || parse(FileSource::File(file), None)).await),
            Err(_) => FileReading::Gone,
        }
    }
}

/// Reads footer and rows. Rows of unmanaged files are not read.
fn parse(file: FileSource, signal: Option<&str>) -> Result<FileReading, FileReadError> {
    let opened = OpenFile::new(file)?;
    let Some(footer) = FileFooter::parse(&opened.footer) else {
        return Ok(FileReading::Unmanaged);
    };
    let added = added_columns(&footer.stream, &footer.scope);
    let content = opened.read(added, signal).map_err(|error| error_chain(&error));
    Ok(FileReading::Read(Box::new(footer), content))
}

/// The files of `table` that one of `erasures` covers.
pub fn forgotten_files(
    destination: &Destination,
    table: &str,
    erasures: &[Erasure],
) -> impl Stream<Item = Result<TableFile, DestinationError>> {
    let files = table_files(destination, table, erasures).map_ok(|files| futures::stream::iter(files).map(Ok));
    files.try_flatten().try_filter(|file| future::ready(file.is_forgotten))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow_array::{ArrayRef, RecordBatch, StringArray};
    use bytes::Bytes;
    use object_store::memory::InMemory;
    use parquet::arrow::ArrowWriter;
    use parquet::file::metadata::KeyValue;

    use super::*;
    use crate::model::scope::ScopePart;
    use crate::model::window::Window;
    use crate::write::OWN_COLUMNS;

    /// A bucket with one file of one text column of `bytes` bytes.
    async fn bucket(bytes: usize) -> (Destination, Path, u64) {
        let text = |text: String| Arc::new(StringArray::from(vec![text])) as ArrayRef;
        let own = OWN_COLUMNS.iter().map(|(name, _)| (*name, text("x".into())));
        let columns = [
            ("category_id", text("c".into())),
            ("category_name", text("Tea".into())),
            ("text", text("a".repeat(bytes))),
        ];
        let batch = RecordBatch::try_from_iter(columns.into_iter().chain(own)).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        for (key, value) in [
            ("stream", "visibility_v2"),
            ("scope", r#"{"category":{"id":"c","name":"Tea"}}"#),
            ("extracted_at", "2026-03-10T00:00:00Z"),
            ("request", "1"),
        ] {
            writer.append_key_value_metadata(KeyValue::new(format!("profound_export.{key}"), value.to_owned()));
        }
        writer.write(&batch).unwrap();
        let file = Bytes::from(writer.into_inner().unwrap());
        let (path, length) = (Path::from("visibility_v2/data.parquet"), file.len() as u64);
        let destination = Destination::new(Arc::new(InMemory::new()), "memory:///");
        destination.overwrite(&path, file).await.unwrap();
        (destination, path, length)
    }

    fn reader<'a>(destination: &'a Destination, root: &'a std::path::Path) -> FileReader<'a> {
        FileReader { destination, spool_dir: root, spool_bytes: 6 * 1024 * 1024, spool: Mutex::default() }
    }

    fn has_one_row(reading: &FileReading) -> bool {
        matches!(reading, FileReading::Read(_, Ok(content)) if content.rows == 1)
    }

    #[tokio::test]
    async fn concurrent_large_files_need_space_for_one() {
        let root = tempfile::tempdir().unwrap();
        let (destination, path, length) = bucket(5 * 1024 * 1024).await;
        let reader = reader(&destination, root.path());
        let readings = try_join_all((0..4).map(|_| reader.read(&path, length, None))).await.unwrap();
        assert!(readings.iter().all(has_one_row), "{readings:?}");
    }

    #[tokio::test]
    async fn large_files_of_a_bucket_leave_nothing_in_the_spool() {
        let root = tempfile::tempdir().unwrap();
        // A small file needs no spool.
        for (bytes, locks) in [(100, 0), (5 * 1024 * 1024, 1)] {
            let (destination, path, length) = bucket(bytes).await;
            let reader = reader(&destination, root.path());
            assert!(has_one_row(&reader.read(&path, length, None).await.unwrap()), "{bytes}");
            destination.delete(&path).await.unwrap();
            assert!(matches!(reader.read(&path, length, None).await.unwrap(), FileReading::Gone), "{bytes}");
            let dirs = std::fs::read_dir(root.path()).unwrap().flatten().filter(|entry| entry.path().is_dir());
            let files: Vec<_> = dirs.flat_map(|run| std::fs::read_dir(run.path()).unwrap().flatten()).collect();
            assert_eq!(files.len(), locks, "only the lock: {files:?}");
        }
        let (destination, path, length) = bucket(7 * 1024 * 1024).await;
        let full = reader(&destination, root.path()).read(&path, length, None).await;
        assert!(matches!(full, Err(MaintainError::Spool(_))), "{full:?}");
    }

    #[test]
    fn erasures_cover_files_in_every_layout() {
        let erasure = Erasure {
            scope: BTreeMap::from([(ScopePart::Category, "c/1".to_owned())]),
            window: Window::inclusive("2026-03-01".parse().unwrap(), "2026-03-02".parse().unwrap()),
        };
        let whole = Erasure { window: None, ..erasure.clone() };
        let covers = |erasure: &Erasure, path: &str| is_any_of(std::slice::from_ref(erasure), &Path::from(path));
        let hashed = "t/category=h-c14cddc033f64b9dea80ea675cf280a0";
        assert!(!covers(&erasure, &format!("{hashed}/day=2026-03-02/data.parquet")), "another id");
        let plain = Erasure { scope: BTreeMap::from([(ScopePart::Category, "c".to_owned())]), ..erasure };
        for path in [
            "t/category=c/day=2026-03-02/data.parquet",
            "t/category=c/month=2026-03/2026-03-02.parquet",
            "t/category=c/2026-03-02.parquet",
        ] {
            assert!(covers(&plain, path), "{path}");
        }
        for path in [
            "t/category=c/day=2026-03-03/data.parquet",
            "t/category=c/data.parquet",
            "t/category=d/2026-03-02.parquet",
            "t/category=c/notes.txt",
        ] {
            assert!(!covers(&plain, path), "{path}");
        }
        assert!(!covers(&whole, "t/category=c/data.parquet"));
        assert!(covers(&Erasure { window: None, ..plain }, "t/category=c/data.parquet"));
        assert!(covers(&Erasure::default(), "t/category=d/2026-03-02.parquet"));
    }
}
