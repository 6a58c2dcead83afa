//! Directories of a lake on this machine that a power cut cannot take away.
//!
//! The store syncs what it writes, and the directories that it makes itself. It trusts directories that it finds: another
//! task may have made them a moment ago, or a run that was killed before it synced them.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::spawn_blocking;

/// The directories below a root, and which of them are certain.
#[derive(Debug, Clone)]
pub struct Directories {
    root: PathBuf,
    certain: Arc<Mutex<HashSet<PathBuf>>>,
}

impl Directories {
    /// Makes the root where it is not there.
    ///
    /// # Errors
    /// What the system says.
    pub fn below(root: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        Ok(Self { root: root.canonicalize()?, certain: Arc::default() })
    }

    /// Where they begin.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the directories above `path`, which counts from the root, and makes them certain, each once in the life of
    /// this process.
    ///
    /// # Errors
    /// What the system says.
    pub async fn above(&self, path: &object_store::path::Path) -> io::Result<()> {
        let file = self.root.join(path.as_ref());
        let above = file.parent().unwrap_or(&self.root).to_owned();
        if self.certain().contains(&above) {
            return Ok(());
        }
        let directories = self.clone();
        spawn_blocking(move || directories.make_certain(&above)).await.map_err(io::Error::other)?
    }

    fn make_certain(&self, directory: &Path) -> io::Result<()> {
        if self.certain().contains(directory) {
            return Ok(());
        }
        match directory.parent() {
            Some(parent) if directory != self.root => {
                self.make_certain(parent)?;
                match std::fs::create_dir(directory) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    made => made?,
                }
                sync(parent)?;
            }
            // What lies above the root may be somebody else's, or of a kind that cannot be synced.
            _ => directory.ancestors().skip(1).for_each(|above| drop(sync(above))),
        }
        self.certain().insert(directory.to_owned());
        Ok(())
    }

    /// Removes the directories above `path` that are empty, and makes certain that what was removed stays away.
    ///
    /// # Errors
    /// What the system says.
    pub async fn erase_above(&self, path: &object_store::path::Path) -> io::Result<()> {
        let (directories, path) = (self.clone(), self.root.join(path.as_ref()));
        spawn_blocking(move || directories.erase_empty(&path)).await.map_err(io::Error::other)?
    }

    fn erase_empty(&self, path: &Path) -> io::Result<()> {
        for directory in path.ancestors().skip(1) {
            // One that holds something, or in which somebody just writes, is not removed.
            if directory == self.root || (std::fs::remove_dir(directory).is_err() && directory.exists()) {
                match sync(directory) {
                    // Another erasure has removed it meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    synced => return synced,
                }
            }
            self.certain().remove(directory);
        }
        Ok(())
    }

    fn certain(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.certain.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until the names in a directory are on the disk.
fn sync(directory: &Path) -> io::Result<()> {
    // Elsewhere a directory cannot be opened like a file.
    if cfg!(unix) { std::fs::File::open(directory)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn directories_vanish_without_an_error_when_many_files_are_erased_at_once() {
        for _ in 0..20 {
            let scratch = tempfile::tempdir().unwrap();
            let directories = Directories::below(scratch.path()).unwrap();
            let paths: Vec<_> = (0..16).map(|day| format!("a/b={}/c={day}/data", day % 2).into()).collect();
            for path in &paths {
                directories.above(path).await.unwrap();
            }
            for erased in futures::future::join_all(paths.iter().map(|path| directories.erase_above(path))).await {
                erased.unwrap();
            }
            assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "a directory is left");
        }
    }
}
