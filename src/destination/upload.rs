//! A whole file of the spool over the one that stands.

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
    /// Puts the file at `from` to `path`, over whatever stands there, by one atomic step: a reader sees the old file
    /// or the new one. At most one part of 8 MiB is held in memory.
    ///
    /// # Errors
    /// [`DestinationError`]; what stood there stands, and a multipart upload that was begun is aborted.
    pub async fn publish(&self, from: &FilePath, path: &Path) -> Result<Published, DestinationError> {
        let spool = |source| DestinationError::Spool { path: from.display().to_string(), source };
        let mut file = File::open(from).await.map_err(spool)?;
        let bytes = file.metadata().await.map_err(spool)?.len();
        let staging = self.staging();
        let at = staging.as_ref().unwrap_or(path);
        let failed = |source| store_error("write", path, source);
        let mut left = bytes;
        let first = read_part(&mut file, &mut left).await.map_err(spool)?;
        let mut etag = match first.len() as u64 == bytes {
            true => self.store().put(at, PutPayload::from_bytes(first)).await.map_err(failed)?.e_tag,
            false => {
                let mut upload = self.store().put_multipart(at).await.map_err(failed)?;
                let sent = send_parts(upload.as_mut(), &mut file, left, first, failed, spool).await;
                match sent {
                    Ok(etag) => etag,
                    Err(error) => {
                        // The error that counts is the first; a bucket's lifecycle rule removes what cannot be aborted.
                        upload.abort().await.ok();
                        return Err(error);
                    }
                }
            }
        };
        if let Some(staging) = &staging {
            self.show(staging, path).await.map_err(failed)?;
            etag = self.store().head(path).await.map_err(failed)?.e_tag;
        }
        Ok(Published { bytes, etag })
    }
}

async fn send_parts(
    upload: &mut dyn MultipartUpload,
    file: &mut File,
    mut left: u64,
    first: Bytes,
    failed: impl Fn(object_store::Error) -> DestinationError + Copy,
    spool: impl Fn(std::io::Error) -> DestinationError + Copy,
) -> Result<Option<String>, DestinationError> {
    let mut part = first;
    while !part.is_empty() {
        upload.put_part(PutPayload::from_bytes(part)).await.map_err(failed)?;
        part = read_part(file, &mut left).await.map_err(spool)?;
    }
    Ok(upload.complete().await.map_err(failed)?.e_tag)
}

/// The next part of the file, of which `left` bytes are not read yet; empty at its end.
async fn read_part(file: &mut File, left: &mut u64) -> Result<Bytes, std::io::Error> {
    // Many files are put at once, and most are small: none takes the room of a whole part.
    let length = PART_BYTES.min(usize::try_from(*left).unwrap_or(PART_BYTES));
    let mut part = vec![0; length];
    file.read_exact(&mut part).await?;
    *left -= length as u64;
    Ok(Bytes::from(part))
}
