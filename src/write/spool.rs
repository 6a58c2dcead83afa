//! The local scratch directory, `<spool>/<run>/<slice>/<day>.parquet`: files are completed and verified here before they are published.
//!
//! Its size is limited. The oldest slice may use all space and others at most half, so one slice always makes progress.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use uuid::Uuid;

use crate::write::error::WriteError;

/// Locked as long as the run's process is alive.
const LOCK_FILE: &str = "lock";
/// The longest wait for space. After it the slice fails, since the slices that hold the space seem stuck.
const MAX_WAIT: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
struct SpoolUsage {
    used_bytes: u64,
    next_slice: u64,
    /// Numbers of the slices with a directory, oldest first.
    slices: BTreeSet<u64>,
}

/// The scratch directory of one run, removed when dropped.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    limit_bytes: u64,
    usage: Mutex<SpoolUsage>,
    /// Notified when space is freed or another slice becomes the oldest.
    freed: Condvar,
    // The operating system releases the lock when the process dies.
    _lock: File,
}

impl Spool {
    /// Creates the directory of `run` below `root` and removes those of killed runs.
    ///
    /// # Errors
    /// [`WriteError::Disk`] if the directory cannot be created or locked.
    pub fn open(root: &Path, run: Uuid, limit_bytes: u64) -> Result<Arc<Self>, WriteError> {
        let dir = root.join(run.to_string());
        let disk = |path: &Path| {
            let path = path.to_owned();
            move |source| WriteError::Disk { path, source }
        };
        fs::create_dir_all(root).map_err(disk(root))?;
        // Held while directories are created and swept, so that no other process removes a directory before it is locked.
        let root_lock_path = root.join(LOCK_FILE);
        let root_lock = File::create(&root_lock_path).map_err(disk(&root_lock_path))?;
        root_lock.lock().map_err(disk(&root_lock_path))?;
        fs::create_dir(&dir).map_err(disk(&dir))?;
        let lock_path = dir.join(LOCK_FILE);
        let lock = File::create(&lock_path).map_err(disk(&lock_path))?;
        lock.lock().map_err(disk(&lock_path))?;
        sweep(root, &dir);
        Ok(Arc::new(Self { dir, limit_bytes, usage: Mutex::default(), freed: Condvar::new(), _lock: lock }))
    }

    /// A directory for one slice, which waits for space while other slices occupy it.
    ///
    /// # Errors
    /// [`WriteError::Disk`] if it cannot be created.
    pub fn create_slice_dir(self: &Arc<Self>) -> Result<SliceDir, WriteError> {
        self.create(true)
    }

    /// A second directory for a slice. It never waits for space: its own slice may hold that space.
    ///
    /// # Errors
    /// [`WriteError::Disk`] if it cannot be created.
    pub fn create_extra_dir(self: &Arc<Self>) -> Result<SliceDir, WriteError> {
        self.create(false)
    }

    fn create(self: &Arc<Self>, waits: bool) -> Result<SliceDir, WriteError> {
        let mut usage = self.usage.lock();
        let number = usage.next_slice;
        usage.next_slice += 1;
        let dir = self.dir.join(number.to_string());
        fs::create_dir(&dir).map_err(|source| WriteError::Disk { path: dir.clone(), source })?;
        usage.slices.insert(number);
        Ok(SliceDir { number, dir, waits, bytes: 0, spool: Arc::clone(self) })
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // If this fails, the next run sweeps it.
        fs::remove_dir_all(&self.dir).ok();
    }
}

/// Removes the directories of killed runs. The caller holds the root lock.
fn sweep(root: &Path, own: &Path) {
    let Ok(entries) = fs::read_dir(root) else {
        return;
    };
    for entry in entries.flatten() {
        let dir = entry.path();
        let is_run = entry.file_name().to_str().is_some_and(|name| Uuid::parse_str(name).is_ok());
        if dir != own && is_run && is_abandoned(&dir) {
            fs::remove_dir_all(&dir).ok();
        }
    }
}

/// Whether no process holds the lock of `dir`, or the run was killed before it created one: a living run creates it under the root lock.
/// A lock that cannot be tried may be held.
fn is_abandoned(dir: &Path) -> bool {
    // Some network file systems lock only files that are open for writing.
    match File::options().write(true).open(dir.join(LOCK_FILE)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

/// The scratch directory of one slice. Dropping it removes its files, so that no early return leaks them.
#[derive(Debug)]
pub struct SliceDir {
    number: u64,
    dir: PathBuf,
    waits: bool,
    bytes: u64,
    spool: Arc<Spool>,
}

impl SliceDir {
    /// The path of the file `name` in this directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Waits until the files of the slice may have `bytes` in total; blocks the thread until other slices are published. Half of the spool
    /// is reserved for the oldest slice, which never waits, so one slice always makes progress. `bytes` is an estimate, so the oldest
    /// slice does not fail here but in [`Self::occupy`].
    ///
    /// # Errors
    /// [`WriteError::SpoolFull`] if the other slices do not finish.
    pub fn reserve(&mut self, bytes: u64) -> Result<(), WriteError> {
        let spool = Arc::clone(&self.spool);
        let mut usage = spool.usage.lock();
        while !self.grow(&mut usage, bytes) && !self.may_use_all(&usage) {
            spool.wait(&mut usage)?;
        }
        Ok(())
    }

    /// Sets the size of the files of the slice to `bytes`, once there is space, and frees what was reserved beyond that.
    ///
    /// # Errors
    /// [`WriteError::SpoolFull`] if the oldest slice, or one that does not wait, has no space.
    pub fn occupy(&mut self, bytes: u64) -> Result<(), WriteError> {
        let spool = Arc::clone(&self.spool);
        let mut usage = spool.usage.lock();
        while !self.grow(&mut usage, bytes) {
            if self.may_use_all(&usage) {
                return Err(spool.full());
            }
            spool.wait(&mut usage)?;
        }
        usage.used_bytes -= self.bytes - bytes;
        self.bytes = bytes;
        spool.freed.notify_all();
        Ok(())
    }

    /// Whether this slice may use the whole spool and so waits for no other.
    fn may_use_all(&self, usage: &SpoolUsage) -> bool {
        !self.waits || usage.slices.first() == Some(&self.number)
    }

    fn grow(&mut self, usage: &mut SpoolUsage, bytes: u64) -> bool {
        let limit_bytes = if self.may_use_all(usage) { self.spool.limit_bytes } else { self.spool.limit_bytes / 2 };
        let more = bytes.saturating_sub(self.bytes);
        let fits = more == 0 || usage.used_bytes.saturating_add(more) <= limit_bytes;
        if fits {
            usage.used_bytes += more;
            self.bytes += more;
        }
        fits
    }
}

impl Spool {
    /// Waits until space is freed.
    fn wait(&self, usage: &mut MutexGuard<'_, SpoolUsage>) -> Result<(), WriteError> {
        if self.freed.wait_for(usage, MAX_WAIT).timed_out() { Err(self.full()) } else { Ok(()) }
    }

    fn full(&self) -> WriteError {
        WriteError::SpoolFull { path: self.dir.clone(), limit_bytes: self.limit_bytes }
    }
}

impl Drop for SliceDir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.dir).ok();
        let mut usage = self.spool.usage.lock();
        usage.used_bytes -= self.bytes;
        usage.slices.remove(&self.number);
        self.spool.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spool_of_a_killed_run_is_swept_and_a_living_one_kept() {
        let root = tempfile::tempdir().unwrap();
        let (killed, living) = (root.path().join(Uuid::now_v7().to_string()), Uuid::now_v7());
        fs::create_dir(&killed).unwrap();
        fs::write(killed.join(LOCK_FILE), "").unwrap();
        fs::write(killed.join("day.parquet"), "half").unwrap();
        let killed_at_once = root.path().join(Uuid::now_v7().to_string());
        fs::create_dir(&killed_at_once).unwrap();
        fs::create_dir(root.path().join("unmanaged")).unwrap();

        let neighbour = Spool::open(root.path(), living, 100).unwrap();
        let own = Spool::open(root.path(), Uuid::now_v7(), 100).unwrap();

        assert!(!killed.exists() && !killed_at_once.exists());
        assert!(neighbour.dir.exists() && own.dir.exists() && root.path().join("unmanaged").exists());
    }

    #[test]
    fn dropped_slice_frees_its_space_and_files() {
        let root = tempfile::tempdir().unwrap();
        let spool = Spool::open(root.path(), Uuid::now_v7(), 100).unwrap();
        let mut slice = spool.create_slice_dir().unwrap();
        let file = slice.file("2026-03-01.parquet");
        fs::write(&file, "rows").unwrap();
        assert!(slice.occupy(60).is_ok());
        assert!(matches!(slice.occupy(101), Err(WriteError::SpoolFull { limit_bytes: 100, .. })));
        drop(slice);
        assert!(!file.exists());
        assert!(spool.create_slice_dir().unwrap().occupy(100).is_ok());
    }

    #[test]
    fn slices_wait_for_the_oldest_when_the_spool_is_full() {
        let root = tempfile::tempdir().unwrap();
        let spool = Spool::open(root.path(), Uuid::now_v7(), 100).unwrap();
        let (mut first, mut second) = (spool.create_slice_dir().unwrap(), spool.create_slice_dir().unwrap());
        assert!(second.occupy(40).is_ok());
        assert!(first.occupy(60).is_ok());
        let (done, is_done) = std::sync::mpsc::channel();
        let waiting = std::thread::spawn(move || {
            let more = second.occupy(90).is_ok();
            done.send(()).unwrap();
            (more, second.occupy(101))
        });
        // The oldest slice has no space either, and no other to wait for.
        assert!(matches!(first.occupy(61), Err(WriteError::SpoolFull { limit_bytes: 100, .. })));
        assert!(is_done.try_recv().is_err(), "it did not wait");
        drop(first);
        let (more, too_much) = waiting.join().unwrap();
        assert!(more && too_much.is_err());
    }

    #[test]
    fn second_directory_does_not_wait_for_its_own_slice() {
        let root = tempfile::tempdir().unwrap();
        let spool = Spool::open(root.path(), Uuid::now_v7(), 100).unwrap();
        let mut slice = spool.create_slice_dir().unwrap();
        slice.occupy(80).unwrap();
        let mut more = spool.create_extra_dir().unwrap();
        assert!(more.occupy(20).is_ok());
        assert!(matches!(more.occupy(21), Err(WriteError::SpoolFull { .. })));
    }

    #[test]
    fn all_slices_finish_when_only_two_fit_at_once() {
        let root = tempfile::tempdir().unwrap();
        let spool = Spool::open(root.path(), Uuid::now_v7(), 100).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut slice = spool.create_slice_dir().unwrap();
                    (1..=50).for_each(|bytes| slice.occupy(bytes).unwrap());
                });
            }
        });
        assert_eq!(spool.usage.lock().used_bytes, 0);
    }
}
