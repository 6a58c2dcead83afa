//! Publishing a file of the spool in place of the published one.

use std::path::Path as FilePath;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::destination::error::DestinationError;
use crate::destination::{Destination, Published, store_error};

/// Files up to this size go up in one request.
const PART_BYTES: usize = 8 * 1024 * 1024;

impl Destination {
    /// Uploads the file at `from` and puts it at `path` atomically: a reader sees the old file or the new one. Holds at most one part
    /// of 8 MiB in memory.
    ///
    /// # Errors
    /// [`DestinationError`]; the published file is kept, and a multipart upload is aborted.
    pub async fn publish(&self, from: &FilePath, path: &Path) -> Result<Published, DestinationError> {
        let spool = |source| DestinationError::Spool { path: from.display().to_string(), source };
        let mut file = File::open(from).await.map_err(spool)?;
        let bytes = file.metadata().await.map_err(spool)?.len();
        let staging = self.staging();
        let at = staging.as_ref().unwrap_or(path);
        let failed = |source| store_error("write", path, source);
        let mut remaining = bytes;
        let first = read_part(&mut file, &mut remaining).await.map_err(spool)?;
        let mut etag = if first.len() as u64 == bytes {
            self.store().put(at, PutPayload::from_bytes(first)).await.map_err(failed)?.e_tag
        } else {
            let mut upload = self.store().put_multipart(at).await.map_err(failed)?;
            match send_parts(upload.as_mut(), &mut file, remaining, first, failed, spool).await {
                Ok(etag) => etag,
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
    file: &mut File,
    mut remaining: u64,
    first: Bytes,
    failed: impl Fn(object_store::Error) -> DestinationError + Copy,
    spool: impl Fn(std::io::Error) -> DestinationError + Copy,
) -> Result<Option<String>, DestinationError> {
    let mut part = first;
    while !part.is_empty() {
        upload.put_part(PutPayload::from_bytes(part)).await.map_err(failed)?;
        part = read_part(file, &mut remaining).await.map_err(spool)?;
    }
    Ok(upload.complete().await.map_err(failed)?.e_tag)
}

/// The next part of a file of which `remaining` bytes are unread; empty at its end.
async fn read_part(file: &mut File, remaining: &mut u64) -> Result<Bytes, std::io::Error> {
    // Many files are uploaded at once and most are small, so a buffer is only as large as its part.
    let length = PART_BYTES.min(usize::try_from(*remaining).unwrap_or(PART_BYTES));
    let mut part = vec![0; length];
    file.read_exact(&mut part).await?;
    *remaining -= length as u64;
    Ok(Bytes::from(part))
}
