//! The local scratch directory: `<spool>/<run>/<slice>/<day>.parquet`.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use crate::write::error::WriteError;

/// Name of the file whose lock says that a run is alive.
const LOCK_FILE: &str = "lock";

/// The scratch directory of one run. Dropping it removes what is left there.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    limit_bytes: u64,
    used_bytes: AtomicU64,
    next_slice: AtomicU64,
    // Held for as long as the run lives: the operating system releases it when the process dies.
    _lock: File,
}

impl Spool {
    /// Makes the directory of `run` below `root`, and removes those of runs that were killed.
    ///
    /// # Errors
    /// [`WriteError::Disk`] when the directory cannot be made or locked.
    pub fn open(root: &Path, run: Uuid, limit_bytes: u64) -> Result<Arc<Self>, WriteError> {
        let dir = root.join(run.to_string());
        let disk = |path: &Path| {
            let path = path.to_owned();
            move |source| WriteError::Disk { path, source }
        };
        fs::create_dir_all(root).map_err(disk(root))?;
        // Held while directories are made and swept, so that none is swept between its making and its locking.
        let door_path = root.join(LOCK_FILE);
        let door = File::create(&door_path).map_err(disk(&door_path))?;
        door.lock().map_err(disk(&door_path))?;
        fs::create_dir(&dir).map_err(disk(&dir))?;
        let lock_path = dir.join(LOCK_FILE);
        let lock = File::create(&lock_path).map_err(disk(&lock_path))?;
        lock.lock().map_err(disk(&lock_path))?;
        sweep(root, &dir);
        let (used_bytes, next_slice) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Arc::new(Self { dir, limit_bytes, used_bytes, next_slice, _lock: lock }))
    }

    /// A directory for one slice.
    ///
    /// # Errors
    /// [`WriteError::Disk`] when it cannot be made.
    pub fn begin(self: &Arc<Self>) -> Result<SliceDir, WriteError> {
        let number = self.next_slice.fetch_add(1, Ordering::Relaxed);
        let dir = self.dir.join(number.to_string());
        fs::create_dir(&dir).map_err(|source| WriteError::Disk { path: dir.clone(), source })?;
        Ok(SliceDir { dir, bytes: 0, spool: Arc::clone(self) })
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next run.
        fs::remove_dir_all(&self.dir).ok();
    }
}

/// Removes the directories of runs that are gone. The caller holds the door.
fn sweep(root: &Path, own: &Path) {
    let Ok(entries) = fs::read_dir(root) else {
        return;
    };
    for entry in entries.flatten() {
        let dir = entry.path();
        let is_run = entry.file_name().to_str().is_some_and(|name| Uuid::parse_str(name).is_ok());
        if dir != own && is_run && is_gone(&dir) {
            fs::remove_dir_all(&dir).ok();
        }
    }
}

/// Whether the run whose directory is `dir` is over: nobody holds its lock, or it was killed before it made one, since a
/// living run makes it behind the door. A lock that cannot be tried may be held.
fn is_gone(dir: &Path) -> bool {
    // Some network file systems lock only what is open for writing.
    match File::options().write(true).open(dir.join(LOCK_FILE)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

/// The scratch directory of one slice. Dropping it removes its files, so that every early return leaves nothing behind.
#[derive(Debug)]
pub struct SliceDir {
    dir: PathBuf,
    bytes: u64,
    spool: Arc<Spool>,
}

impl SliceDir {
    /// Where the slice's file called `name` lies.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Counts the slice's files as `bytes` long in all.
    ///
    /// # Errors
    /// [`WriteError::SpoolFull`] when the spool's limit would be passed.
    pub fn occupy(&mut self, bytes: u64) -> Result<(), WriteError> {
        let more = bytes.saturating_sub(self.bytes);
        let used = self.spool.used_bytes.fetch_add(more, Ordering::Relaxed) + more;
        self.bytes += more;
        match used <= self.spool.limit_bytes {
            true => Ok(()),
            false => Err(WriteError::SpoolFull { path: self.spool.dir.clone(), limit_bytes: self.spool.limit_bytes }),
        }
    }
}

impl Drop for SliceDir {
    fn drop(&mut self) {
        self.spool.used_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        fs::remove_dir_all(&self.dir).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spool_of_a_killed_run_is_swept_and_that_of_a_living_one_never() {
        let root = tempfile::tempdir().unwrap();
        let (killed, living) = (root.path().join(Uuid::now_v7().to_string()), Uuid::now_v7());
        fs::create_dir(&killed).unwrap();
        fs::write(killed.join(LOCK_FILE), "").unwrap();
        fs::write(killed.join("day.parquet"), "half").unwrap();
        let killed_at_once = root.path().join(Uuid::now_v7().to_string());
        fs::create_dir(&killed_at_once).unwrap();
        fs::create_dir(root.path().join("somebody-elses")).unwrap();

        let neighbour = Spool::open(root.path(), living, u64::MAX).unwrap();
        let own = Spool::open(root.path(), Uuid::now_v7(), u64::MAX).unwrap();

        assert!(!killed.exists() && !killed_at_once.exists());
        assert!(neighbour.dir.exists() && own.dir.exists() && root.path().join("somebody-elses").exists());
    }

    #[test]
    fn slice_leaves_nothing_behind_when_it_is_dropped() {
        let root = tempfile::tempdir().unwrap();
        let spool = Spool::open(root.path(), Uuid::now_v7(), 100).unwrap();
        let mut slice = spool.begin().unwrap();
        let file = slice.file("2026-03-01.parquet");
        fs::write(&file, "rows").unwrap();
        assert!(slice.occupy(60).is_ok());
        assert!(matches!(slice.occupy(101), Err(WriteError::SpoolFull { limit_bytes: 100, .. })));
        drop(slice);
        assert!(!file.exists());
        assert!(spool.begin().unwrap().occupy(100).is_ok());
    }
}
