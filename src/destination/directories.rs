//! Directories of a local lake that survive a power cut.
//!
//! `LocalFileSystem` syncs the files that it writes and the directories that it creates. It trusts directories that exist already,
//! although another task may have created them a moment ago, or a run that was killed before it synced them.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
        std::fs::create_dir_all(root)?;
        Ok(Self { root: root.canonicalize()?, durable: Arc::default() })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Creates and syncs the directories above `path`, each once in the life of this process.
    pub async fn ensure_parents(&self, path: &object_store::path::Path) -> io::Result<()> {
        let file = self.root.join(path.as_ref());
        let parent = file.parent().unwrap_or(&self.root).to_owned();
        if self.durable.lock().contains(&parent) {
            return Ok(());
        }
        let directories = self.clone();
        spawn_blocking(move || directories.make_durable(&parent)).await.map_err(io::Error::other)?
    }

    fn make_durable(&self, directory: &Path) -> io::Result<()> {
        if self.durable.lock().contains(directory) {
            return Ok(());
        }
        match directory.parent() {
            Some(parent) if directory != self.root => {
                self.make_durable(parent)?;
                match std::fs::create_dir(directory) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    made => made?,
                }
                sync(parent)?;
            }
            // Directories above the root may belong to another user, or be of a kind that cannot be synced.
            _ => directory.ancestors().skip(1).for_each(|ancestor| drop(sync(ancestor))),
        }
        self.durable.lock().insert(directory.to_owned());
        Ok(())
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

/// Waits until the entries of a directory are on disk.
fn sync(directory: &Path) -> io::Result<()> {
    // Windows cannot open a directory like a file.
    if cfg!(unix) { std::fs::File::open(directory)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn concurrent_removals_leave_no_directory_and_no_error() {
        for _ in 0..20 {
            let scratch = tempfile::tempdir().unwrap();
            let directories = Directories::new(scratch.path()).unwrap();
            let paths: Vec<_> = (0..16).map(|day| format!("a/b={}/c={day}/data", day % 2).into()).collect();
            for path in &paths {
                directories.ensure_parents(path).await.unwrap();
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
