//! The local scratch directory, `<spool>/<run>/<slice>/<day>.parquet`: files are completed and verified here before they are published.
//!
//! It is private to its user: a user who can write to it could put rows into the lake.
//! Its size is limited. The oldest slice may use all space and others at most half, so one slice always makes progress.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;
use uuid::Uuid;

use crate::write::error::WriteError;
use crate::write::private_file::create_private;

/// Locked as long as the run's process is alive.
const LOCK_FILE: &str = "lock";
/// Names the directory of a run before its lock is held, so that no other process removes it.
const NEW: &str = "new-";
/// A directory that has been new for so long is one of a killed run.
const NEW_EXPIRY: Duration = Duration::from_secs(3600);
/// The directory in one that belongs to the administrator, such as a mounted volume or `/var/tmp`.
const OWN_DIRECTORY: &str = "profound-export";
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
    freed: Notify,
    // The operating system releases the lock when the process dies.
    _lock: File,
}

impl Spool {
    /// Creates the directory of `run` below `root` and removes those of killed runs.
    ///
    /// No lock is shared with other processes: a stopped process that held one would stop all others.
    ///
    /// # Errors
    /// [`WriteError::Disk`] if the directory cannot be created, or [`WriteError::UnsafeDirectory`] if another user could change it.
    pub fn open(root: &Path, run: Uuid, limit_bytes: u64) -> Result<Arc<Self>, WriteError> {
        let disk = |path: &Path| {
            let path = path.to_owned();
            move |source| WriteError::Disk { path, source }
        };
        let name = format!("{NEW}{run}");
        let new = match create_in_private(root, &name)? {
            Some(new) => new,
            None => {
                let own = root.join(OWN_DIRECTORY);
                let foreign = WriteError::UnsafeDirectory { path: own.clone(), problem: FOREIGN };
                create_in_private(&own, &name)?.ok_or(foreign)?
            }
        };
        let root = new.parent().unwrap_or(root);
        let lock_path = new.join(LOCK_FILE);
        let lock = create_private(&lock_path).map_err(disk(&lock_path))?;
        // Without locks no process can see that this run is alive, so none removes its directory.
        if let Err(TryLockError::Error(error)) = lock.try_lock() {
            let error = &error as &dyn Error;
            tracing::warn!(error, spool = %root.display(), "file system without locks, spools of killed runs are not removed");
        }
        let dir = root.join(run.to_string());
        fs::rename(&new, &dir).map_err(disk(&dir))?;
        sweep(root, Some(&dir));
        Ok(Arc::new(Self { dir, limit_bytes, usage: Mutex::default(), freed: Notify::new(), _lock: lock }))
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
        create_private_dir(&dir).map_err(|source| WriteError::Disk { path: dir.clone(), source })?;
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

const FOREIGN: &str = "it belongs to another user";

/// Creates the directory `name` in `root`, which is created if it is missing and must be private. `None` if `root` belongs to the
/// administrator.
fn create_in_private(root: &Path, name: &str) -> Result<Option<PathBuf>, WriteError> {
    let disk = |source| WriteError::Disk { path: root.to_owned(), source };
    let unsafe_for = |problem| WriteError::UnsafeDirectory { path: root.to_owned(), problem };
    if let Some(parent) = root.parent() {
        fs::create_dir_all(parent).map_err(disk)?;
    }
    match create_private_dir(root) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        created => created.map_err(disk)?,
    }
    let found = fs::symlink_metadata(root).map_err(disk)?;
    if found.is_symlink() {
        return Err(unsafe_for("it is a symbolic link"));
    }
    if !found.is_dir() {
        return Err(unsafe_for("it is not a directory"));
    }
    let dir = root.join(name);
    let created = create_private_dir(&dir).and_then(|()| fs::symlink_metadata(&dir));
    let created = created.map_err(|source| WriteError::Disk { path: dir.clone(), source })?;
    if is_private(root, &found, &created).map_err(disk)? {
        return Ok(Some(dir));
    }
    fs::remove_dir(&dir).ok();
    if is_of_administrator(&found) { Ok(None) } else { Err(unsafe_for(FOREIGN)) }
}

fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Whether `root` has the owner of the directory `own`, which this process has just created. It is then closed to others.
#[cfg(unix)]
fn is_private(root: &Path, found: &fs::Metadata, own: &fs::Metadata) -> io::Result<bool> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    if found.uid() != own.uid() {
        return Ok(false);
    }
    let is_open = |found: &fs::Metadata| found.permissions().mode() & 0o077 != 0;
    if is_open(found) {
        // Older versions created it with the permissions of the umask. Some file systems have no permissions of their own.
        fs::set_permissions(root, fs::Permissions::from_mode(0o700)).ok();
        if is_open(&fs::symlink_metadata(root)?) {
            tracing::warn!(spool = %root.display(), "cannot close the spool directory to other users");
        }
    }
    Ok(true)
}

#[cfg(not(unix))]
fn is_private(_: &Path, _: &fs::Metadata, _: &fs::Metadata) -> io::Result<bool> {
    Ok(true)
}

fn is_of_administrator(found: &fs::Metadata) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::uid(found) == 0;
    #[cfg(not(unix))]
    return !found.is_dir();
}

/// Removes the directories of killed runs from the spool `root`, which may belong to another user. `own` is that of this run.
pub fn sweep(root: &Path, own: Option<&Path>) {
    let Ok(entries) = fs::read_dir(root) else {
        return;
    };
    for entry in entries.flatten() {
        let (dir, name) = (entry.path(), entry.file_name());
        let name = name.to_str().unwrap_or_default();
        let is_run = |name: &str| Uuid::parse_str(name).is_ok();
        let is_left = match name.strip_prefix(NEW) {
            Some(run) => is_run(run) && own.is_some_and(|own| is_expired(&dir, own)),
            None => is_run(name) && own != Some(&dir),
        };
        // A link is no directory of a run.
        if is_left && entry.file_type().is_ok_and(|kind| kind.is_dir()) && is_abandoned(&dir) {
            fs::remove_dir_all(&dir).ok();
        }
    }
}

/// Whether `dir` was created long before `own`, by the clock of their file system.
fn is_expired(dir: &Path, own: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    let age = modified(dir).and_then(|modified_at| Ok(modified(own)?.duration_since(modified_at).unwrap_or_default()));
    age.is_ok_and(|age| age > NEW_EXPIRY)
}

/// Whether no process holds the lock of `dir`, or the run was killed before it created one. A lock that cannot be tried may be held.
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

    /// The part of `total` that each slice with a directory gets: slices share the memory of one process.
    pub fn share(&self, total: usize) -> usize {
        total / self.spool.usage.lock().slices.len().max(1)
    }

    /// Waits until the files of the slice may have `bytes` in total, which frees what was reserved beyond that: until other slices are
    /// published. Half of the spool is reserved for the oldest slice, which never waits, so one slice always makes progress. `bytes` is
    /// an estimate, so the oldest slice does not fail here but in [`Self::occupy`].
    ///
    /// # Errors
    /// [`WriteError::SpoolFull`] if the other slices do not finish.
    pub async fn reserve(&mut self, bytes: u64) -> Result<(), WriteError> {
        let spool = Arc::clone(&self.spool);
        loop {
            let mut freed = pin!(spool.freed.notified());
            // Before the look at the usage: else what is freed in between is missed.
            freed.as_mut().enable();
            if self.try_reserve(bytes) {
                return Ok(());
            }
            timeout(MAX_WAIT, freed).await.map_err(|_| spool.full())?;
        }
    }

    fn try_reserve(&mut self, bytes: u64) -> bool {
        let spool = Arc::clone(&self.spool);
        let mut usage = spool.usage.lock();
        let is_free = self.may_use_all(&usage) || self.fits(&usage, bytes);
        if is_free {
            self.set(&mut usage, bytes);
        }
        is_free
    }

    /// Sets the size of the files of the slice to `bytes`, which are on disk. It never waits: a slice whose estimate was too low waits
    /// before its next rows.
    ///
    /// # Errors
    /// [`WriteError::SpoolFull`] if the oldest slice, or one that does not wait, has no space.
    pub fn occupy(&mut self, bytes: u64) -> Result<(), WriteError> {
        let spool = Arc::clone(&self.spool);
        let mut usage = spool.usage.lock();
        if self.may_use_all(&usage) && !self.fits(&usage, bytes) {
            return Err(spool.full());
        }
        self.set(&mut usage, bytes);
        Ok(())
    }

    /// Whether this slice may use the whole spool and so waits for no other.
    fn may_use_all(&self, usage: &SpoolUsage) -> bool {
        !self.waits || usage.slices.first() == Some(&self.number)
    }

    fn fits(&self, usage: &SpoolUsage, bytes: u64) -> bool {
        let limit_bytes = if self.may_use_all(usage) { self.spool.limit_bytes } else { self.spool.limit_bytes / 2 };
        // What is occupied already needs no other space.
        bytes <= self.bytes || (usage.used_bytes - self.bytes).saturating_add(bytes) <= limit_bytes
    }

    fn set(&mut self, usage: &mut SpoolUsage, bytes: u64) {
        usage.used_bytes = (usage.used_bytes - self.bytes).saturating_add(bytes);
        if bytes < self.bytes {
            self.spool.freed.notify_waiters();
        }
        self.bytes = bytes;
    }
}

impl Spool {
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
        self.spool.freed.notify_waiters();
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

    #[cfg(unix)]
    fn mode(path: &Path) -> u32 {
        std::os::unix::fs::MetadataExt::mode(&fs::metadata(path).unwrap()) & 0o777
    }

    #[cfg(unix)]
    #[test]
    fn spool_is_closed_to_other_users() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("spool");
        fs::create_dir(&root).unwrap();
        // As older versions left it.
        fs::set_permissions(&root, fs::Permissions::from_mode(0o777)).unwrap();
        for root in [root, scratch.path().join("missing/spool")] {
            let spool = Spool::open(&root, Uuid::now_v7(), 100).unwrap();
            let slice = spool.create_slice_dir().unwrap();
            assert_eq!((mode(&root), mode(&spool.dir), mode(&slice.dir)), (0o700, 0o700, 0o700));
            assert_eq!(mode(&spool.dir.join(LOCK_FILE)), 0o600);
        }
    }

    #[cfg(unix)]
    #[test]
    fn spool_that_is_a_link_or_a_file_is_rejected() {
        let scratch = tempfile::tempdir().unwrap();
        let (elsewhere, link, file) =
            (scratch.path().join("elsewhere"), scratch.path().join("link"), scratch.path().join("file"));
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        fs::write(&file, "").unwrap();
        for (root, problem) in [(&link, "it is a symbolic link"), (&file, "it is not a directory")] {
            let error = Spool::open(root, Uuid::now_v7(), 100).unwrap_err();
            assert!(error.to_string().ends_with(problem), "{error}");
        }
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn spool_of_another_user_is_rejected() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("spool");
        fs::create_dir(&root).unwrap();
        // Only root can give a directory away.
        if std::os::unix::fs::chown(&root, Some(12_345), None).is_err() {
            return;
        }
        let error = Spool::open(&root, Uuid::now_v7(), 100).unwrap_err();
        assert!(error.to_string().ends_with(FOREIGN), "{error}");
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn prepared_lock_neither_stops_a_run_nor_leads_it_to_another_file() {
        let root = tempfile::tempdir().unwrap();
        let victim = tempfile::NamedTempFile::new().unwrap();
        fs::write(victim.path(), "precious").unwrap();
        std::os::unix::fs::symlink(victim.path(), root.path().join(LOCK_FILE)).unwrap();
        victim.as_file().lock().unwrap();
        Spool::open(root.path(), Uuid::now_v7(), 100).unwrap();
        assert_eq!(fs::read_to_string(victim.path()).unwrap(), "precious");
    }

    #[test]
    fn directory_of_a_run_that_is_starting_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let starting = root.path().join(format!("{NEW}{}", Uuid::now_v7()));
        fs::create_dir(&starting).unwrap();
        Spool::open(root.path(), Uuid::now_v7(), 100).unwrap();
        assert!(starting.exists());
        let hours_ago = fs::metadata(&starting).unwrap().modified().unwrap() - 3 * NEW_EXPIRY;
        File::open(&starting).unwrap().set_modified(hours_ago).unwrap();
        Spool::open(root.path(), Uuid::now_v7(), 100).unwrap();
        assert!(!starting.exists());
    }

    #[test]
    fn sweep_without_a_run_removes_only_what_killed_runs_left() {
        let root = tempfile::tempdir().unwrap();
        let killed = root.path().join(Uuid::now_v7().to_string());
        fs::create_dir(&killed).unwrap();
        fs::write(killed.join("day.parquet"), "rows").unwrap();
        let living = Spool::open(&root.path().join("unmanaged"), Uuid::now_v7(), 100).unwrap();
        let neighbour = Spool::open(root.path(), Uuid::now_v7(), 100).unwrap();
        fs::create_dir(&killed).unwrap();
        sweep(root.path(), None);
        sweep(&root.path().join("missing"), None);
        assert!(!killed.exists() && living.dir.exists() && neighbour.dir.exists());
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

    #[tokio::test]
    async fn slices_wait_for_the_oldest_when_the_spool_is_full() {
        let root = tempfile::tempdir().unwrap();
        let spool = Spool::open(root.path(), Uuid::now_v7(), 100).unwrap();
        let (mut first, mut second) = (spool.create_slice_dir().unwrap(), spool.create_slice_dir().unwrap());
        second.reserve(40).await.unwrap();
        first.reserve(60).await.unwrap();
        let mut waiting = Box::pin(async {
            second.reserve(90).await.unwrap();
            second.occupy(101)
        });
        let mut has_ended = async || {
            tokio::select! {
                biased;
                _ = &mut waiting => true,
                () = std::future::ready(()) => false,
            }
        };
        assert!(!has_ended().await);
        // The oldest slice has no space either, and no other to wait for.
        assert!(matches!(first.occupy(61), Err(WriteError::SpoolFull { limit_bytes: 100, .. })));
        assert!(!has_ended().await);
        drop(first);
        assert!(waiting.await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn slice_fails_if_the_others_hold_the_spool_for_an_hour() {
        let root = tempfile::tempdir().unwrap();
        let spool = Spool::open(root.path(), Uuid::now_v7(), 100).unwrap();
        let (mut first, mut second) = (spool.create_slice_dir().unwrap(), spool.create_slice_dir().unwrap());
        first.occupy(60).unwrap();
        assert!(matches!(second.reserve(1).await, Err(WriteError::SpoolFull { .. })));
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

    #[tokio::test]
    async fn all_slices_finish_when_only_two_fit_at_once() {
        let root = tempfile::tempdir().unwrap();
        let spool = Spool::open(root.path(), Uuid::now_v7(), 100).unwrap();
        let slices = (0..8).map(|_| async {
            let mut slice = spool.create_slice_dir().unwrap();
            for bytes in 1..=50 {
                slice.reserve(bytes).await.unwrap();
                tokio::task::yield_now().await;
                slice.occupy(bytes).unwrap();
            }
        });
        futures::future::join_all(slices).await;
        assert_eq!(spool.usage.lock().used_bytes, 0);
    }
}
