//! Files of the spool: only their owner may read them, and they are hashed on their way in and on their way out, so that no byte is
//! published that this process did not write.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::write::error::WriteError;

/// SHA-256 of the bytes of a file.
pub type FileDigest = [u8; 32];

/// Hashes the bytes that pass through.
#[derive(Debug)]
pub struct Hashed<T> {
    inner: T,
    bytes: u64,
    sha256: Sha256,
}

impl<T> Hashed<T> {
    fn new(inner: T) -> Self {
        Self { inner, bytes: 0, sha256: Sha256::new() }
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Of the bytes so far.
    pub fn digest(&self) -> FileDigest {
        self.sha256.clone().finalize().into()
    }

    fn add(&mut self, bytes: &[u8]) -> usize {
        self.sha256.update(bytes);
        self.bytes += bytes.len() as u64;
        bytes.len()
    }
}

impl<T: Write> Write for Hashed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        Ok(self.add(&bytes[..written]))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Hashed<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        Ok(self.add(&bytes[..read]))
    }
}

pub type HashedWriter = BufWriter<Hashed<File>>;

/// Creates the file at `path`. An existing file or link is an error: another user may have prepared it.
///
/// # Errors
/// [`WriteError::Disk`].
pub fn create_file(path: &Path) -> Result<HashedWriter, WriteError> {
    create_private(path)
        .map(|file| BufWriter::new(Hashed::new(file)))
        .map_err(|source| WriteError::Disk { path: path.to_owned(), source })
}

pub(super) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A file of the spool that is read back.
pub struct HashedReader<'a> {
    path: &'a Path,
    reader: BufReader<Hashed<File>>,
}

impl<'a> HashedReader<'a> {
    /// # Errors
    /// [`WriteError::Disk`].
    pub fn open(path: &'a Path) -> Result<Self, WriteError> {
        let file = File::open(path).map_err(|source| WriteError::Disk { path: path.to_owned(), source })?;
        Ok(Self { path, reader: BufReader::new(Hashed::new(file)) })
    }

    /// Reads the rest of the file and compares all its bytes with `written`.
    ///
    /// # Errors
    /// [`WriteError::Changed`] if they differ.
    pub fn finish(&mut self, written: &FileDigest) -> Result<(), WriteError> {
        let disk = |source| WriteError::Disk { path: self.path.to_owned(), source };
        io::copy(&mut self.reader, &mut io::sink()).map_err(disk)?;
        let is_same = self.reader.get_ref().digest() == *written;
        if is_same { Ok(()) } else { Err(WriteError::Changed { path: self.path.to_owned() }) }
    }
}

impl Read for HashedReader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.reader.read(bytes)
    }
}

/// Opens the file at `path` if its bytes are the `written` ones.
///
/// # Errors
/// [`WriteError::Changed`] or [`WriteError::Disk`].
pub fn open_unchanged(path: &Path, written: &FileDigest) -> Result<File, WriteError> {
    let mut reader = HashedReader::open(path)?;
    reader.finish(written)?;
    let mut file = reader.reader.into_inner().inner;
    file.rewind().map_err(|source| WriteError::Disk { path: path.to_owned(), source })?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_private_and_opened_only_while_its_bytes_are_the_written_ones() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("day.parquet");
        let mut file = create_file(&path).unwrap();
        file.write_all(b"rows").unwrap();
        file.flush().unwrap();
        let written = file.get_ref().digest();
        assert_eq!(file.get_ref().bytes(), 4);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let mut text = String::new();
        open_unchanged(&path, &written).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "rows");
        for forged in ["lows", "rows and more", ""] {
            std::fs::write(&path, forged).unwrap();
            assert!(matches!(open_unchanged(&path, &written), Err(WriteError::Changed { .. })), "{forged}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn file_behind_a_prepared_link_is_not_written() {
        let root = tempfile::tempdir().unwrap();
        let victim = root.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        for (link, target) in [("to-a-file", victim.as_path()), ("to-nothing", &root.path().join("nothing"))] {
            let link = root.path().join(link);
            std::os::unix::fs::symlink(target, &link).unwrap();
            assert!(matches!(create_file(&link), Err(WriteError::Disk { .. })));
        }
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
        assert!(!root.path().join("nothing").exists());
    }
}
