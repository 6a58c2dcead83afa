//! Counts different hashes in bounded memory: beyond a limit they wait on disk in sorted files, which are merged at the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;

use crate::write::error::WriteError;
use crate::write::private_file::{FileDigest, HashedReader, create_file};

/// Hashes in memory: 4 MiB.
const MAX_HASHES: usize = 512 * 1024;

#[derive(Debug)]
pub struct DistinctHashes {
    /// Of the files, without their extension.
    path: PathBuf,
    hashes: Vec<u64>,
    files: Vec<SortedFile>,
    added: u64,
}

#[derive(Debug)]
struct SortedFile {
    path: PathBuf,
    bytes: u64,
    sha256: FileDigest,
}

impl DistinctHashes {
    /// Files are created at `path` with extensions of their own.
    pub fn new(path: PathBuf) -> Self {
        Self { path, hashes: Vec::new(), files: Vec::new(), added: 0 }
    }

    /// # Errors
    /// [`WriteError::Disk`].
    pub fn add(&mut self, hashes: impl Iterator<Item = u64>) -> Result<(), WriteError> {
        for hash in hashes {
            if self.hashes.len() == MAX_HASHES {
                self.make_room()?;
            }
            self.hashes.push(hash);
            self.added += 1;
        }
        Ok(())
    }

    pub fn added(&self) -> u64 {
        self.added
    }

    pub fn disk_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    fn make_room(&mut self) -> Result<(), WriteError> {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        // Few different hashes need no file, however often they repeat.
        if self.hashes.len() <= MAX_HASHES / 2 {
            return Ok(());
        }
        let path = self.path.with_extension(self.files.len().to_string());
        let mut file = create_file(&path)?;
        let written = self.hashes.iter().try_for_each(|hash| file.write_all(&hash.to_le_bytes()));
        written.and_then(|()| file.flush()).map_err(|source| WriteError::Disk { path: path.clone(), source })?;
        self.files.push(SortedFile { path, bytes: file.get_ref().bytes(), sha256: file.get_ref().digest() });
        self.hashes.clear();
        Ok(())
    }

    /// How many different hashes were added. The files are then removed.
    ///
    /// # Errors
    /// [`WriteError::Disk`], or [`WriteError::Changed`] if another program wrote to the files.
    pub fn count(mut self) -> Result<u64, WriteError> {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        let mut files = Vec::with_capacity(self.files.len());
        for file in &self.files {
            files.push((file, HashedReader::open(&file.path)?));
        }
        let mut in_memory = self.hashes.iter().copied();
        // The next hash of each file, and of those in memory behind the last file.
        let mut next = BinaryHeap::with_capacity(files.len() + 1);
        let mut advance = |source: usize, next: &mut BinaryHeap<Reverse<(u64, usize)>>| {
            let hash = match files.get_mut(source) {
                Some((file, reader)) => {
                    read_hash(reader).map_err(|source| WriteError::Disk { path: file.path.clone(), source })?
                }
                None => in_memory.next(),
            };
            next.extend(hash.map(|hash| Reverse((hash, source))));
            Ok::<_, WriteError>(())
        };
        for source in 0..=self.files.len() {
            advance(source, &mut next)?;
        }
        let (mut count, mut last) = (0, None);
        while let Some(Reverse((hash, source))) = next.pop() {
            count += u64::from(last != Some(hash));
            last = Some(hash);
            advance(source, &mut next)?;
        }
        for (file, mut reader) in files {
            reader.finish(&file.sha256)?;
            // If this fails, it is removed with the directory of the slice.
            std::fs::remove_file(&file.path).ok();
        }
        Ok(count)
    }
}

/// The next hash of a file; `None` at its end.
fn read_hash(reader: &mut impl Read) -> io::Result<Option<u64>> {
    let mut bytes = [0; size_of::<u64>()];
    match reader.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(u64::from_le_bytes(bytes))),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(root: &std::path::Path, hashes: impl Iterator<Item = u64>) -> DistinctHashes {
        let mut added = DistinctHashes::new(root.join("keys"));
        added.add(hashes).unwrap();
        added
    }

    #[test]
    fn repetition_is_found_across_any_number_of_files() {
        let root = tempfile::tempdir().unwrap();
        let many = 3 * MAX_HASHES as u64 + 5;
        let scattered = |number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        // The first, the last and one in the middle are repeated at the end.
        let hashes = added(root.path(), (0..many).chain([0, many / 2, many - 1]).map(scattered));
        assert_eq!((hashes.added(), hashes.disk_bytes()), (many + 3, 3 * 8 * MAX_HASHES as u64));
        assert_eq!(hashes.count().unwrap(), many);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn few_different_hashes_stay_in_memory() {
        let root = tempfile::tempdir().unwrap();
        let hashes = added(root.path(), (0..5 * MAX_HASHES as u64).map(|number| number % 1000));
        assert_eq!((hashes.disk_bytes(), hashes.count().unwrap()), (0, 1000));
        assert_eq!(added(root.path(), std::iter::empty()).count().unwrap(), 0);
    }

    #[test]
    fn changed_file_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let hashes = added(root.path(), 0..=MAX_HASHES as u64);
        std::fs::write(&hashes.files[0].path, 7_u64.to_le_bytes()).unwrap();
        assert!(matches!(hashes.count(), Err(WriteError::Changed { .. })));
    }
}
