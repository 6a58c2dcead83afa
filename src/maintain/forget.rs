//! Removes what must be gone for good: recorded first, then deleted, so that a kill between the two is mended by doing
//! the same once more.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use object_store::path::Path;
use serde::Serialize;

use crate::destination::{Destination, Object};
use crate::layout::Layout;
use crate::ledger::{Entry, Ledger};
use crate::maintain::error::MaintainError;
use crate::model::forgotten::Erasure;

/// Files that are deleted at once.
const DELETES: usize = 8;

/// What is deleted of one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Erased {
    pub files: u64,
    pub bytes: u64,
}

/// What lies in the lake of `erasures`, by table, whether or not the ledger knows it.
///
/// # Errors
/// [`MaintainError::Destination`].
pub async fn files_to_delete(
    lake: &Destination,
    erasures: &[(String, Erasure)],
) -> Result<BTreeMap<String, Erased>, MaintainError> {
    let mut found: BTreeMap<String, Erased> = BTreeMap::new();
    for (table, of_table) in by_table(erasures) {
        let mut objects = std::pin::pin!(lake.objects(&Layout::directory(&table)));
        let erased = found.entry(table).or_default();
        while let Some(object) = objects.try_next().await? {
            if is_of_any(&of_table, &object.path) {
                erased.files += 1;
                erased.bytes += object.bytes;
            }
        }
    }
    Ok(found)
}

/// Records that `erasures` are forgotten, and deletes their files; returns what was deleted.
///
/// # Errors
/// [`MaintainError`]; what is recorded then stays so, and the same call completes it.
pub async fn forget(
    lake: &Destination,
    ledger: &mut Ledger,
    erasures: &[(String, Erasure)],
) -> Result<BTreeMap<String, Erased>, MaintainError> {
    let forgotten = &ledger.state().forgotten;
    let is_news = |(table, erasure): &&(String, Erasure)| !forgotten.erasures(table).contains(erasure);
    let entry =
        |(stream, erasure): &(String, Erasure)| Entry::Forgotten { stream: stream.clone(), erasure: erasure.clone() };
    let entries = erasures.iter().filter(is_news).map(entry).collect();
    ledger.append(entries, None).await?;
    let mut deleted: BTreeMap<String, Erased> = BTreeMap::new();
    for (table, of_table) in by_table(erasures) {
        let objects = lake.objects(&Layout::directory(&table));
        let files_to_delete = objects.try_filter(|object| std::future::ready(is_of_any(&of_table, &object.path)));
        let deletes = files_to_delete.map_ok(async |Object { path, bytes }| lake.erase(&path).await.map(|()| bytes));
        let mut deletes = std::pin::pin!(deletes.try_buffer_unordered(DELETES));
        let erased = deleted.entry(table).or_default();
        while let Some(bytes) = deletes.try_next().await? {
            erased.files += 1;
            erased.bytes += bytes;
        }
    }
    Ok(deleted)
}

fn by_table(erasures: &[(String, Erasure)]) -> BTreeMap<String, Vec<Erasure>> {
    let mut tables: BTreeMap<String, Vec<Erasure>> = BTreeMap::new();
    for (table, erasure) in erasures {
        tables.entry(table.clone()).or_default().push(erasure.clone());
    }
    tables
}

/// Whether a file at `path` of their table is one of `erasures`, in whatever layout it lies there.
pub fn is_of_any(erasures: &[Erasure], path: &Path) -> bool {
    let Some(file) = Layout::ALL.into_iter().find_map(|layout| layout.parse(path)) else {
        return false;
    };
    erasures
        .iter()
        .any(|erasure| erasure.has_day(file.day) && erasure.scope.iter().all(|(part, id)| file.has_part(*part, id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::scope::ScopePart;
    use crate::model::window::Window;

    #[test]
    fn files_are_told_by_their_paths_in_every_layout() {
        let erasure = Erasure {
            scope: BTreeMap::from([(ScopePart::Category, "c/1".to_owned())]),
            window: Window::inclusive("2026-03-01".parse().unwrap(), "2026-03-02".parse().unwrap()),
        };
        let whole = Erasure { window: None, ..erasure.clone() };
        let is_of = |erasure: &Erasure, path: &str| is_of_any(std::slice::from_ref(erasure), &Path::from(path));
        let hashed = "t/category=h-c14cddc033f64b9dea80ea675cf280a0";
        assert!(!is_of(&erasure, &format!("{hashed}/day=2026-03-02/data.parquet")), "another id");
        let plain = Erasure { scope: BTreeMap::from([(ScopePart::Category, "c".to_owned())]), ..erasure };
        for path in [
            "t/category=c/day=2026-03-02/data.parquet",
            "t/category=c/month=2026-03/2026-03-02.parquet",
            "t/category=c/2026-03-02.parquet",
        ] {
            assert!(is_of(&plain, path), "{path}");
        }
        for path in [
            "t/category=c/day=2026-03-03/data.parquet",
            "t/category=c/data.parquet",
            "t/category=d/2026-03-02.parquet",
            "t/category=c/notes.txt",
        ] {
            assert!(!is_of(&plain, path), "{path}");
        }
        assert!(!is_of(&whole, "t/category=c/data.parquet"));
        assert!(is_of(&Erasure { window: None, ..plain }, "t/category=c/data.parquet"));
        assert!(is_of(&Erasure::default(), "t/category=d/2026-03-02.parquet"));
    }
}
