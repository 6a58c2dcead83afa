//! Publishing a file of the spool in place of the published one.

use std::io::{Error, ErrorKind, Read, Write};
use std::path::Path as FilePath;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::task::spawn_blocking;

use crate::destination::error::DestinationError;
use crate::destination::{Destination, Published, local_error, new_staging, store_error};

/// Files up to this size go up in one request.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of a file that are read at once. The C library keeps what it can use again up to twice the largest buffer that was ever freed, in
/// every thread that allocates: with pieces of 4 MiB a run of large files needed half as much memory again.
const PIECE_BYTES: usize = 64 * 1024;

impl Destination {
    /// Copies the file at `from`, whose bytes have the digest `sha256`, and puts it at `path` atomically: a reader sees the old file or the
    /// new one. Holds at most one part of 8 MiB in memory, and on a local disk 64 KiB. A power cut may undo it until [`Destination::sync`].
    ///
    /// # Errors
    /// [`DestinationError`], also if the file is not the one that was written; the published file is kept, and a multipart upload is
    /// aborted.
    pub async fn publish(
        &self,
        from: &FilePath,
        sha256: &[u8; 32],
        path: &Path,
    ) -> Result<Published, DestinationError> {
        match self.directory() {
            Some(root) => self.publish_local(root, from, *sha256, path).await,
            None => self.upload(from, sha256, path).await,
        }
    }

    async fn publish_local(
        &self,
        root: &FilePath,
        from: &FilePath,
        sha256: [u8; 32],
        path: &Path,
    ) -> Result<Published, DestinationError> {
        let failed = |source| store_error("write", path, source);
        let staging = new_staging();
        let (from, to, at) = (from.to_owned(), root.join(staging.as_ref()), path.clone());
        let copied = spawn_blocking(move || copy(&from, &to, &sha256, &at)).await;
        let copied = copied.unwrap_or_else(|panic| Err(failed(local_error(Error::other(panic)))));
        if copied.is_err() {
            self.store().delete(&staging).await.ok();
        }
        let bytes = copied?;
        self.rename(&staging, path).await.map_err(failed)?;
        let etag = self.store().head(path).await.map_err(failed)?.e_tag;
        Ok(Published { bytes, etag })
    }

    async fn upload(&self, from: &FilePath, sha256: &[u8; 32], path: &Path) -> Result<Published, DestinationError> {
        let spool = |source| spool_error(from, source);
        let mut file = SpoolFile::open(from).await.map_err(spool)?;
        let bytes = file.remaining;
        let failed = |source| store_error("write", path, source);
        let first = file.read_part().await.map_err(spool)?;
        if file.remaining == 0 {
            check(&file.sha256, sha256).map_err(spool)?;
            let put = self.store().put(path, first).await.map_err(failed)?;
            return Ok(Published { bytes, etag: put.e_tag });
        }
        let mut upload = self.store().put_multipart(path).await.map_err(failed)?;
        let sent = send_parts(upload.as_mut(), &mut file, first, failed, spool).await;
        let completed = match sent.and_then(|()| check(&file.sha256, sha256).map_err(spool)) {
            Ok(()) => upload.complete().await.map_err(failed),
            Err(error) => Err(error),
        };
        match completed {
            Ok(put) => Ok(Published { bytes, etag: put.e_tag }),
            Err(error) => {
                // The first error is the cause. Parts that cannot be aborted are left to the lifecycle rule of the bucket.
                upload.abort().await.ok();
                Err(error)
            }
        }
    }
}

/// Copies the file of the spool at `from`, which is for `path`, to a new file at `to`, and returns its length.
fn copy(from: &FilePath, to: &FilePath, sha256: &[u8; 32], path: &Path) -> Result<u64, DestinationError> {
    let spool = |source| spool_error(from, source);
    let failed = |source| store_error("write", path, local_error(source));
    let mut source = std::fs::File::open(from).map_err(spool)?;
    to.parent().map_or(Ok(()), fs_err::create_dir_all).map_err(failed)?;
    let mut target = fs_err::File::create_new(to).map_err(failed)?;
    let (mut buffer, mut digest, mut bytes) = (vec![0; PIECE_BYTES], Sha256::new(), 0);
    loop {
        let piece = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => &buffer[..read],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(spool(error)),
        };
        digest.update(piece);
        target.write_all(piece).map_err(failed)?;
        bytes += piece.len() as u64;
    }
    check(&digest, sha256).map_err(spool)?;
    Ok(bytes)
}

fn spool_error(from: &FilePath, source: Error) -> DestinationError {
    DestinationError::Spool { path: from.display().to_string(), source }
}

/// Whether the bytes that were read are the file as it was written.
fn check(read: &Sha256, written: &[u8; 32]) -> Result<(), Error> {
    let is_same = read.clone().finalize().as_slice() == written;
    if is_same { Ok(()) } else { Err(Error::new(ErrorKind::InvalidData, "it changed after it was written")) }
}

async fn send_parts(
    upload: &mut dyn MultipartUpload,
    file: &mut SpoolFile,
    first: PutPayload,
    failed: impl Fn(object_store::Error) -> DestinationError + Copy,
    spool: impl Fn(Error) -> DestinationError + Copy,
) -> Result<(), DestinationError> {
    let mut part = first;
    while part.content_length() > 0 {
        upload.put_part(part).await.map_err(failed)?;
        part = file.read_part().await.map_err(spool)?;
    }
    Ok(())
}

/// A file of the spool that is read in parts and hashed.
struct SpoolFile {
    file: File,
    /// Bytes that are unread.
    remaining: u64,
    sha256: Sha256,
}

impl SpoolFile {
    async fn open(path: &FilePath) -> Result<Self, Error> {
        let mut file = File::open(path).await?;
        file.set_max_buf_size(PIECE_BYTES);
        let remaining = file.metadata().await?.len();
        Ok(Self { file, remaining, sha256: Sha256::new() })
    }

    /// The next part; empty at the end of the file.
    async fn read_part(&mut self) -> Result<PutPayload, Error> {
        let mut pieces = Vec::new();
        let mut length = PART_BYTES.min(usize::try_from(self.remaining).unwrap_or(PART_BYTES));
        while length > 0 {
            let mut piece = vec![0; PIECE_BYTES.min(length)];
            self.file.read_exact(&mut piece).await?;
            self.sha256.update(&piece);
            (length, self.remaining) = (length - piece.len(), self.remaining - piece.len() as u64);
            pieces.push(Bytes::from(piece));
        }
        Ok(pieces.into_iter().collect())
    }
}
