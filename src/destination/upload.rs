//! Publishing a file of the spool in place of the published one.

use std::io::{Error, ErrorKind};
use std::path::Path as FilePath;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::destination::error::DestinationError;
use crate::destination::{Destination, Published, store_error};

/// Files up to this size go up in one request.
const PART_BYTES: usize = 8 * 1024 * 1024;

impl Destination {
    /// Uploads the file at `from`, whose bytes have the digest `sha256`, and puts it at `path` atomically: a reader sees the old file
    /// or the new one. Holds at most one part of 8 MiB in memory. A power cut may undo it until [`Destination::sync`].
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
        let spool = |source| DestinationError::Spool { path: from.display().to_string(), source };
        let mut file = SpoolFile::open(from).await.map_err(spool)?;
        let bytes = file.remaining;
        let staging = self.staging();
        let at = staging.as_ref().unwrap_or(path);
        let failed = |source| store_error("write", path, source);
        let first = file.read_part().await.map_err(spool)?;
        let mut etag = if file.remaining == 0 {
            file.check(sha256).map_err(spool)?;
            self.store().put(at, PutPayload::from_bytes(first)).await.map_err(failed)?.e_tag
        } else {
            let mut upload = self.store().put_multipart(at).await.map_err(failed)?;
            let sent = send_parts(upload.as_mut(), &mut file, first, failed, spool).await;
            let completed = match sent.and_then(|()| file.check(sha256).map_err(spool)) {
                Ok(()) => upload.complete().await.map_err(failed),
                Err(error) => Err(error),
            };
            match completed {
                Ok(put) => put.e_tag,
                Err(error) => {
                    // The first error is the cause. Parts that cannot be aborted are left to the lifecycle rule of the bucket.
                    upload.abort().await.ok();
                    return Err(error);
                }
            }
        };
        if let Some(staging) = &staging {
            self.rename(staging, path).await.map_err(failed)?;
            etag = self.store().head(path).await.map_err(failed)?.e_tag;
        }
        Ok(Published { bytes, etag })
    }
}

async fn send_parts(
    upload: &mut dyn MultipartUpload,
    file: &mut SpoolFile,
    first: Bytes,
    failed: impl Fn(object_store::Error) -> DestinationError + Copy,
    spool: impl Fn(Error) -> DestinationError + Copy,
) -> Result<(), DestinationError> {
    let mut part = first;
    while !part.is_empty() {
        upload.put_part(PutPayload::from_bytes(part)).await.map_err(failed)?;
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
        let file = File::open(path).await?;
        let remaining = file.metadata().await?.len();
        Ok(Self { file, remaining, sha256: Sha256::new() })
    }

    /// The next part; empty at the end of the file.
    async fn read_part(&mut self) -> Result<Bytes, Error> {
        // Many files are uploaded at once and most are small, so a buffer is only as large as its part.
        let length = PART_BYTES.min(usize::try_from(self.remaining).unwrap_or(PART_BYTES));
        let mut part = vec![0; length];
        self.file.read_exact(&mut part).await?;
        self.remaining -= length as u64;
        self.sha256.update(&part);
        Ok(Bytes::from(part))
    }

    /// Whether the parts so far are the whole file as it was written.
    fn check(&self, sha256: &[u8; 32]) -> Result<(), Error> {
        let is_same = self.sha256.clone().finalize().as_slice() == sha256;
        if is_same { Ok(()) } else { Err(Error::new(ErrorKind::InvalidData, "it changed after it was written")) }
    }
}
