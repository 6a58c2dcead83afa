//! One file, compared with what the ledger says of it.

use std::fs::File;
use std::sync::Arc;

use object_store::path::Path;
use tokio::sync::Mutex;

use crate::destination::Destination;
use crate::error_text::error_chain;
use crate::maintain::error::MaintainError;
use crate::maintain::finding::FindingKind;
use crate::model::coverage::DayState;
use crate::model::day::Day;
use crate::model::history::list_of;
use crate::model::scope::Scope;
use crate::write::{FileContent, FileReadError, FileSource, Footer, Spool, read_content};

/// Longer files are copied to this machine before they are read, so that none is held in memory.
const HELD_BYTES: u64 = 4 * 1024 * 1024;

/// Where copies of large files lie while they are read, one at a time: so the spool needs room for the largest alone.
#[derive(Debug)]
pub struct LocalCopies {
    spool: Arc<Spool>,
    turn: Mutex<()>,
}

impl LocalCopies {
    /// LocalCopies in `spool`, which nobody else uses.
    pub fn new(spool: Arc<Spool>) -> Self {
        Self { spool, turn: Mutex::new(()) }
    }
}

/// What a file should be.
#[derive(Debug, Clone)]
pub struct Expected {
    pub stream: String,
    pub scope: Scope,
    pub day: Option<Day>,
    pub state: DayState,
}

/// What came of looking into a file.
pub enum Look<T> {
    /// It is not there.
    Gone,
    /// It cannot be read, in words.
    Broken(String),
    /// It was read.
    Read(T),
}

/// Lets `read` read the file at `path`, which is `bytes` long, on a blocking thread.
pub async fn look_into<T: Send + 'static>(
    lake: &Destination,
    copies: &LocalCopies,
    path: &Path,
    bytes: u64,
    read: impl FnOnce(FileSource) -> Result<T, FileReadError> + Send + 'static,
) -> Result<Look<T>, MaintainError> {
    let here = lake.directory().and_then(|directory| File::open(directory.join(path.as_ref())).ok());
    let read = match (here, lake.directory()) {
        (Some(file), _) => aside(move || read(FileSource::File(file))).await,
        // Gone since it was listed, or not to be read: the store says which.
        (None, Some(_)) => match lake.read(path).await? {
            Some(held) => aside(move || read(FileSource::Bytes(held))).await,
            None => return Ok(Look::Gone),
        },
        (None, None) if bytes <= HELD_BYTES => match lake.read(path).await? {
            Some(held) => aside(move || read(FileSource::Bytes(held))).await,
            None => return Ok(Look::Gone),
        },
        (None, None) => {
            let _turn = copies.turn.lock().await;
            let mut dir = copies.spool.create_extra_dir()?;
            dir.occupy(bytes)?;
            let copy = dir.file("data.parquet");
            if !lake.fetch(path, &copy).await? {
                return Ok(Look::Gone);
            }
            aside(move || {
                let file = File::open(copy).map_err(parquet::errors::ParquetError::from)?;
                let read = read(FileSource::File(file));
                drop(dir);
                read
            })
            .await
        }
    };
    Ok(match read {
        Some(Ok(read)) => Look::Read(read),
        Some(Err(error)) => Look::Broken(error_chain(&error)),
        None => Look::Broken("its reader broke down on it".to_owned()),
    })
}

/// Reads the file at `path`, which is `bytes` long; says what is wrong with it, if anything is.
pub async fn examine(
    lake: &Destination,
    copies: &LocalCopies,
    path: &Path,
    bytes: u64,
    expected: &Expected,
) -> Result<Option<(FindingKind, String)>, MaintainError> {
    let added = added_columns(&expected.stream, &expected.scope);
    Ok(match look_into(lake, copies, path, bytes, move |file| read_content(file, added)).await? {
        Look::Gone => Some(gone()),
        Look::Broken(problem) => Some((FindingKind::Damaged, problem)),
        Look::Read(read) => compare(&read, expected),
    })
}

fn gone() -> (FindingKind, String) {
    (FindingKind::Missing, "it is not there".to_owned())
}

/// Reads on a blocking thread; none when the reader panics, as some do on bytes that are no longer what they were.
async fn aside<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, FileReadError> + Send + 'static,
) -> Option<Result<T, FileReadError>> {
    tokio::task::spawn_blocking(read).await.ok()
}

/// How many columns stand before those of the API: the names of the scope, and the day of a snapshot.
pub fn added_columns(stream: &str, scope: &Scope) -> usize {
    let of_scope: usize = scope.parts().map(|(part, _)| 1 + usize::from(part.columns().0.is_some())).sum();
    of_scope + usize::from(list_of(stream).is_some())
}

/// What differs between a file and what the ledger says of it.
fn compare(read: &FileContent, expected: &Expected) -> Option<(FindingKind, String)> {
    if let Some(other) = misplaced(&read.footer, expected) {
        return Some((FindingKind::Misplaced, other));
    }
    let damaged = |problem: String| Some((FindingKind::Damaged, problem));
    let state = &expected.state;
    if read.rows != state.rows {
        return damaged(format!("it holds {} rows, and {} were written", read.rows, state.rows));
    }
    if read.hash == state.hash {
        None
    } else {
        damaged("its rows say something else than those that were written".to_owned())
    }
}

/// What a footer says that belongs to another file.
fn misplaced(footer: &Footer, expected: &Expected) -> Option<String> {
    let told = |name: &str| footer.get(name).map(String::as_str);
    if let Some(stream) = told("stream").filter(|stream| *stream != expected.stream) {
        return Some(format!("it says that it is of stream `{stream}`"));
    }
    let scope = told("scope").and_then(|scope| serde_json::from_str::<Scope>(scope).ok());
    if let Some(scope) = scope.filter(|scope| scope.key() != expected.scope.key()) {
        return Some(format!("it says that it is of {scope}"));
    }
    let day = |name: &str| told(name).and_then(|day| day.parse::<Day>().ok());
    match (expected.day, day("window_start"), day("window_end")) {
        (Some(wanted), Some(start), Some(end)) if wanted < start || end <= wanted => {
            Some(format!("it says that it is of {start} to {}", end.plus(-1)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, RecordBatch, StringArray};
    use bytes::Bytes;
    use object_store::memory::InMemory;
    use parquet::arrow::ArrowWriter;
    use uuid::Uuid;

    use super::*;
    use crate::model::scope::Named;
    use crate::write::OWN_COLUMNS;

    fn category(id: &str, name: &str) -> Scope {
        Scope { category: Some(Named { id: id.into(), name: name.into() }), ..Scope::default() }
    }

    fn expected() -> Expected {
        let state = DayState { rows: 2, hash: 7_u128.into(), ..DayState::unknown() };
        let day = Some("2026-03-08".parse().unwrap());
        Expected { stream: "visibility_v2".into(), scope: category("c", "Tea"), day, state }
    }

    fn read(rows: u64, hash: u128, footer: &[(&str, &str)]) -> FileContent {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let footer = footer.iter().map(pair).collect();
        FileContent { rows, hash: hash.into(), footer, columns: Vec::new(), signal: None }
    }

    #[test]
    fn file_is_sound_when_its_category_was_renamed_and_its_window_was_longer() {
        let scope = serde_json::json!(category("c", "Coffee")).to_string();
        let footer = [("scope", scope.as_str()), ("window_start", "2026-03-01"), ("window_end", "2026-03-09")];
        assert_eq!(compare(&read(2, 7, &footer), &expected()), None);
    }

    #[test]
    fn what_differs_is_said_in_words() {
        let said = |read: FileContent| compare(&read, &expected()).unwrap();
        assert_eq!(said(read(1, 7, &[])).1, "it holds 1 rows, and 2 were written");
        assert_eq!(said(read(2, 8, &[])).0, FindingKind::Damaged);
        let other = serde_json::json!(category("d", "Tea")).to_string();
        for footer in [
            vec![("stream", "other")],
            vec![("scope", other.as_str())],
            vec![("window_start", "2026-03-01"), ("window_end", "2026-03-08")],
        ] {
            assert_eq!(said(read(2, 7, &footer)).0, FindingKind::Misplaced, "{footer:?}");
        }
    }

    /// A file of a bucket with one text column of `bytes` bytes, and what it should be.
    async fn large(bytes: usize) -> (Destination, Path, u64, Expected) {
        let text = |text: String| Arc::new(StringArray::from(vec![text])) as ArrayRef;
        let own = OWN_COLUMNS.iter().map(|(name, _)| (*name, text("x".into())));
        let columns = [
            ("category_id", text("c".into())),
            ("category_name", text("Tea".into())),
            ("text", text("a".repeat(bytes))),
        ];
        let batch = RecordBatch::try_from_iter(columns.into_iter().chain(own)).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        let file = Bytes::from(writer.into_inner().unwrap());
        let read = read_content(file.clone(), 2).unwrap();
        let state = DayState { rows: read.rows, hash: read.hash, ..DayState::unknown() };
        let (path, length) = (Path::from("visibility_v2/data.parquet"), file.len() as u64);
        let lake = Destination::new(Arc::new(InMemory::new()), "memory:///");
        lake.overwrite(&path, file).await.unwrap();
        (lake, path, length, Expected { state, ..expected() })
    }

    #[tokio::test]
    async fn several_large_files_at_once_need_no_more_room_than_one() {
        let root = tempfile::tempdir().unwrap();
        let copies = LocalCopies::new(Spool::open(root.path(), Uuid::now_v7(), 6 * 1024 * 1024).unwrap());
        let (lake, path, length, expected) = large(5 * 1024 * 1024).await;
        let all = (0..4).map(|_| examine(&lake, &copies, &path, length, &expected));
        let found = futures::future::try_join_all(all).await.unwrap();
        assert!(found.iter().all(Option::is_none), "{found:?}");
    }

    #[tokio::test]
    async fn large_file_of_a_bucket_goes_through_the_spool_and_leaves_nothing_there() {
        let root = tempfile::tempdir().unwrap();
        let copies = LocalCopies::new(Spool::open(root.path(), Uuid::now_v7(), 6 * 1024 * 1024).unwrap());
        for bytes in [100, 5 * 1024 * 1024] {
            let (lake, path, length, expected) = large(bytes).await;
            let found = examine(&lake, &copies, &path, length, &expected).await.unwrap();
            assert_eq!(found, None, "{bytes}");
            lake.delete(&path).await.unwrap();
            let found = examine(&lake, &copies, &path, length, &expected).await.unwrap();
            assert_eq!(found, Some(gone()), "{bytes}");
        }
        let left = std::fs::read_dir(root.path()).unwrap().flatten().filter(|entry| entry.path().is_dir());
        let left: Vec<_> = left.flat_map(|run| std::fs::read_dir(run.path()).unwrap().flatten()).collect();
        assert_eq!(left.len(), 1, "the lock alone: {left:?}");
        let (lake, path, length, expected) = large(7 * 1024 * 1024).await;
        let full = examine(&lake, &copies, &path, length, &expected).await;
        assert!(matches!(full, Err(MaintainError::Spool(_))), "{full:?}");
    }
}
