//! The local scratch directory: `<spool>/<run>/<slice>/<day>.parquet`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use crate::write::error::WriteError;

/// Name of the file whose lock says that a run is alive.
const LOCK_FILE: &str = "lock";
/// Nobody freed anything for so long: whoever holds the room does not come to its end.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Who is in the spool, and how much of it is taken.
#[derive(Debug, Default)]
struct Room {
    used_bytes: u64,
    next_slice: u64,
    /// The numbers of the slices that have a directory.
    slices: BTreeSet<u64>,
}

/// The scratch directory of one run. Dropping it removes what is left there.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    limit_bytes: u64,
    room: Mutex<Room>,
    /// Told whenever there is more room, or another slice is the eldest.
    freed: Condvar,
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
        Ok(Arc::new(Self { dir, limit_bytes, room: Mutex::default(), freed: Condvar::new(), _lock: lock }))
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A directory for one slice, which waits for room while others hold it.
    ///
    /// # Errors
    /// [`WriteError::Disk`] when it cannot be made.
    pub fn begin(self: &Arc<Self>) -> Result<SliceDir, WriteError> {
        self.make(true)
    }

    /// A directory for more of a slice that holds one already, and would wait for itself: it never waits.
    ///
    /// # Errors
    /// [`WriteError::Disk`] when it cannot be made.
    pub fn begin_beside(self: &Arc<Self>) -> Result<SliceDir, WriteError> {
        self.make(false)
    }

    fn make(self: &Arc<Self>, waits: bool) -> Result<SliceDir, WriteError> {
        let mut room = self.room();
        let number = room.next_slice;
        room.next_slice += 1;
        let dir = self.dir.join(number.to_string());
        fs::create_dir(&dir).map_err(|source| WriteError::Disk { path: dir.clone(), source })?;
        room.slices.insert(number);
        Ok(SliceDir { number, dir, waits, bytes: 0, spool: Arc::clone(self) })
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
    number: u64,
    dir: PathBuf,
    waits: bool,
    bytes: u64,
    spool: Arc<Spool>,
}

impl SliceDir {
    /// Where the slice's file called `name` lies.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Waits until the slice's files may be `bytes` long in all: this blocks the thread until others are published. Half of the
    /// spool is for the slice that began first, which never waits, so that one always goes on. What is to be written is only
    /// guessed, so that nothing fails before it is.
    ///
    /// # Errors
    /// [`WriteError::SpoolFull`] when others do not come to their end.
    pub fn reserve(&mut self, bytes: u64) -> Result<(), WriteError> {
        let spool = Arc::clone(&self.spool);
        let mut room = spool.room();
        while !self.take(&mut room, bytes) && !self.may_fill(&room) {
            room = spool.wait(room)?;
        }
        Ok(())
    }

    /// Counts the slice's files as `bytes` long in all, once there is room, as [`Self::reserve`] waits for it; what was
    /// reserved beyond that is free again.
    ///
    /// # Errors
    /// [`WriteError::SpoolFull`] when even the first, or one that does not wait, has no room.
    pub fn occupy(&mut self, bytes: u64) -> Result<(), WriteError> {
        let spool = Arc::clone(&self.spool);
        let mut room = spool.room();
        while !self.take(&mut room, bytes) {
            if self.may_fill(&room) {
                return Err(spool.full());
            }
            room = spool.wait(room)?;
        }
        room.used_bytes -= self.bytes - bytes;
        self.bytes = bytes;
        spool.freed.notify_all();
        Ok(())
    }

    /// Whether all of the spool is for this slice, so that it has nobody to wait for.
    fn may_fill(&self, room: &Room) -> bool {
        !self.waits || room.slices.first() == Some(&self.number)
    }

    fn take(&mut self, room: &mut Room, bytes: u64) -> bool {
        let limit_bytes = if self.may_fill(room) { self.spool.limit_bytes } else { self.spool.limit_bytes / 2 };
        let more = bytes.saturating_sub(self.bytes);
        let has_room = more == 0 || room.used_bytes.saturating_add(more) <= limit_bytes;
        if has_room {
            room.used_bytes += more;
            self.bytes += more;
        }
        has_room
    }
}

impl Spool {
    /// Waits until there is more room.
    fn wait<'a>(&'a self, room: MutexGuard<'a, Room>) -> Result<MutexGuard<'a, Room>, WriteError> {
        match self.freed.wait_timeout(room, LONGEST_WAIT).unwrap_or_else(PoisonError::into_inner) {
            (_, waited) if waited.timed_out() => Err(self.full()),
            (room, _) => Ok(room),
        }
    }

    fn full(&self) -> WriteError {
        WriteError::SpoolFull { path: self.dir.clone(), limit_bytes: self.limit_bytes }
    }
}

impl Drop for SliceDir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.dir).ok();
        let mut room = self.spool.room();
        room.used_bytes -= self.bytes;
        room.slices.remove(&self.number);
        self.spool.freed.notify_all();
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

    #[test]
    fn slices_wait_for_the_first_when_the_spool_is_full() {
        let root = tempfile::tempdir().unwrap();
        let spool = Spool::open(root.path(), Uuid::now_v7(), 100).unwrap();
        let (mut first, mut second) = (spool.begin().unwrap(), spool.begin().unwrap());
        assert!(second.occupy(40).is_ok());
        assert!(first.occupy(60).is_ok());
        let (done, is_done) = std::sync::mpsc::channel();
        let waiting = std::thread::spawn(move || {
            let more = second.occupy(90).is_ok();
            done.send(()).unwrap();
            (more, second.occupy(101))
        });
        // The first has no room either, and nobody to wait for.
        assert!(matches!(first.occupy(61), Err(WriteError::SpoolFull { limit_bytes: 100, .. })));
        assert!(is_done.try_recv().is_err(), "it did not wait");
        drop(first);
        let (more, too_much) = waiting.join().unwrap();
        assert!(more && too_much.is_err());
    }

    #[test]
    fn more_of_a_slice_does_not_wait_for_the_slice_itself() {
        let root = tempfile::tempdir().unwrap();
        let spool = Spool::open(root.path(), Uuid::now_v7(), 100).unwrap();
        let mut slice = spool.begin().unwrap();
        slice.occupy(80).unwrap();
        let mut more = spool.begin_beside().unwrap();
        assert!(more.occupy(20).is_ok());
        assert!(matches!(more.occupy(21), Err(WriteError::SpoolFull { .. })));
    }

    #[test]
    fn many_slices_all_come_through_when_only_one_fits_beside_another() {
        let root = tempfile::tempdir().unwrap();
        let spool = Spool::open(root.path(), Uuid::now_v7(), 100).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut slice = spool.begin().unwrap();
                    (1..=50).for_each(|bytes| slice.occupy(bytes).unwrap());
                });
            }
        });
        assert_eq!(spool.room().used_bytes, 0);
    }
}
