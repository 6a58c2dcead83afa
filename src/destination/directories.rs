//! Directories of a local lake that survive a power cut.
//!
//! `LocalFileSystem` could sync what it writes. But it trusts directories that exist already, although another task may have created
//! them a moment ago, or a run that was killed before it synced them; and it fails on file systems that cannot sync directories. So it
//! writes without syncing, and every file that is renamed or linked into the lake is synced here, before its name; the names of many files
//! are synced together.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use parking_lot::Mutex;
use tokio::task::spawn_blocking;

/// The directories below a root.
#[derive(Debug, Clone)]
pub struct Directories {
    root: PathBuf,
    /// Directories that this process has created or found, and synced.
    durable: Arc<Mutex<HashSet<PathBuf>>>,
}

impl Directories {
    /// Creates the root if it is missing.
    pub fn new(root: &Path) -> io::Result<Self> {
        fs_err::create_dir_all(root)?;
        Ok(Self { root: fs_err::canonicalize(root)?, durable: Arc::default() })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Moves the complete file at `from` to `to`, in place of an existing one. A power cut may undo that until [`Self::sync`].
    pub async fn rename(&self, from: &object_store::path::Path, to: &object_store::path::Path) -> io::Result<()> {
        self.place(from, to, |from, to| fs_err::rename(from, to)).await
    }

    /// Makes the complete file at `from` the file at `to`; an existing one is an error of kind `AlreadyExists`. A power cut may undo that
    /// until [`Self::sync`].
    pub async fn link(&self, from: &object_store::path::Path, to: &object_store::path::Path) -> io::Result<()> {
        self.place(from, to, |from, to| fs_err::hard_link(from, to)).await
    }

    /// Syncs the file at `from` before any directory names it as `to`: a name without its bytes would survive a power cut.
    async fn place(
        &self,
        from: &object_store::path::Path,
        to: &object_store::path::Path,
        publish: impl Fn(&Path, &Path) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let (from, to, directories) = (self.root.join(from.as_ref()), self.root.join(to.as_ref()), self.clone());
        let published = move || {
            fs_err::File::open(&from)?.sync_all()?;
            let parent = to.parent().unwrap_or(&directories.root);
            let create = || {
                // One thread at a time, so that the calls of all are in an order that `test_power.py` can replay.
                let _locked = directories.durable.lock();
                if parent.is_dir() { Ok(()) } else { fs_err::create_dir_all(parent) }
            };
            create()?;
            match publish(&from, &to) {
                // Another process has removed the directory while it was empty.
                Err(error) if error.kind() == ErrorKind::NotFound && from.exists() => {
                    directories.durable.lock().retain(|directory| !to.starts_with(directory));
                    create()?;
                    publish(&from, &to)
                }
                published => published,
            }
        };
        spawn_blocking(published).await.map_err(io::Error::other)?
    }

    /// Waits until the names of `files` are on disk. Each of their directories is synced once, however many of the files it has, and those
    /// above it once in the life of this process.
    pub async fn sync(&self, files: &[object_store::path::Path]) -> io::Result<()> {
        let (files, directories) = (files.iter().map(|file| self.root.join(file.as_ref())).collect(), self.clone());
        spawn_blocking(move || directories.sync_all(files)).await.map_err(io::Error::other)?
    }

    fn sync_all(&self, files: Vec<PathBuf>) -> io::Result<()> {
        let (mut unsynced, mut new) = (BTreeSet::new(), BTreeSet::new());
        for parent in files.iter().filter_map(|file| file.parent()) {
            unsynced.insert(parent);
            let durable = self.durable.lock();
            let below_root = parent.ancestors().take_while(|directory| directory.starts_with(&self.root));
            for directory in below_root.take_while(|directory| !durable.contains(*directory)) {
                new.insert(directory);
                unsynced.extend(directory.parent().filter(|_| directory != self.root));
            }
        }
        unsynced.into_iter().try_for_each(sync)?;
        if new.contains(&*self.root) {
            // Directories above the root may belong to another user, or be of a kind that cannot be synced.
            self.root.ancestors().skip(1).for_each(|ancestor| drop(sync(ancestor)));
        }
        self.durable.lock().extend(new.into_iter().map(Path::to_owned));
        Ok(())
    }

    /// Whether a file can be created where `path` is.
    pub async fn is_writable(&self, path: &object_store::path::Path) -> bool {
        let file = self.root.join(path.as_ref()).with_extension("probe");
        let created = move || File::create_new(&file).and_then(|_| std::fs::remove_file(&file));
        spawn_blocking(created).await.is_ok_and(|created| created.is_ok())
    }

    /// Removes a directory, unless a file has been created in it, and syncs the removal.
    pub fn remove_empty_directory(&self, path: &object_store::path::Path) -> io::Result<()> {
        self.remove_empty(&self.root.join(path.as_ref()).join("any"))
    }

    /// Removes the empty directories above `path` and syncs the removal.
    pub async fn remove_empty_parents(&self, path: &object_store::path::Path) -> io::Result<()> {
        let (directories, path) = (self.clone(), self.root.join(path.as_ref()));
        spawn_blocking(move || directories.remove_empty(&path)).await.map_err(io::Error::other)?
    }

    fn remove_empty(&self, path: &Path) -> io::Result<()> {
        for directory in path.ancestors().skip(1) {
            // The first directory that is not empty ends the walk; another task may just have created a file in it.
            if directory == self.root || (std::fs::remove_dir(directory).is_err() && directory.exists()) {
                match sync(directory) {
                    // A concurrent call has removed it.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    synced => return synced,
                }
            }
            self.durable.lock().remove(directory);
        }
        Ok(())
    }
}

/// Waits until the entries of a directory are on disk, where the file system can say so.
fn sync(directory: &Path) -> io::Result<()> {
    static WARNED: Once = Once::new();
    // Windows cannot open a directory like a file.
    let synced = if cfg!(unix) {
        fs_err::File::open(directory).and_then(|directory| directory.file().sync_all())
    } else {
        Ok(())
    };
    match synced {
        Err(error) if is_unsupported(&error) => {
            let error = &error as &dyn std::error::Error;
            WARNED.call_once(|| {
                tracing::warn!(error, "file system cannot sync directories, a power cut may lose the last files");
            });
            Ok(())
        }
        synced => synced,
    }
}

/// Whether an error of `fsync` means that the file system has no such operation for directories.
fn is_unsupported(error: &io::Error) -> bool {
    /// The number of the same error on every Unix: the file is not open for writing.
    const EBADF: i32 = 9;
    let kinds = [ErrorKind::InvalidInput, ErrorKind::Unsupported, ErrorKind::IsADirectory];
    kinds.contains(&error.kind()) || error.raw_os_error() == Some(EBADF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn only_missing_operations_are_passed_over_when_syncing_a_directory() {
        // EINVAL, EOPNOTSUPP, ENOSYS, EBADF; and EIO, ENOSPC, EROFS, EACCES of Linux.
        assert!([22, 95, 38, 9].into_iter().all(|number| is_unsupported(&io::Error::from_raw_os_error(number))));
        assert!(![5, 28, 30, 13].into_iter().any(|number| is_unsupported(&io::Error::from_raw_os_error(number))));
    }

    #[tokio::test]
    async fn error_names_the_file_in_the_lake() {
        let scratch = tempfile::tempdir().unwrap();
        let directories = Directories::new(scratch.path()).unwrap();
        let root = directories.root().display().to_string();
        std::fs::write(directories.root.join("staged"), "x").unwrap();
        std::fs::create_dir_all(directories.root.join("table/occupied")).unwrap();
        for (from, to) in [("staged", "staged/day/data"), ("staged", "table/occupied"), ("missing", "table/data")] {
            let (from, to) = (from.into(), to.into());
            for result in [directories.rename(&from, &to).await, directories.link(&from, &to).await] {
                let error = result.unwrap_err();
                assert!(error.to_string().contains(&root), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn concurrent_removals_leave_no_directory_and_no_error() {
        for _ in 0..20 {
            let scratch = tempfile::tempdir().unwrap();
            let directories = Directories::new(scratch.path()).unwrap();
            let paths: Vec<object_store::path::Path> =
                (0..16).map(|day| format!("a/b={}/c={day}/data", day % 2).into()).collect();
            for path in &paths {
                std::fs::create_dir_all(directories.root.join(path.as_ref()).parent().unwrap()).unwrap();
            }
            for removed in
                futures::future::join_all(paths.iter().map(|path| directories.remove_empty_parents(path))).await
            {
                removed.unwrap();
            }
            assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "a directory is left");
        }
    }
}
