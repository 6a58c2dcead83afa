//! Whether the destination is writable and rejects the second create of an object.

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use uuid::Uuid;

use crate::destination::Destination;
use crate::destination::OWN_DIRECTORY;
use crate::destination::error::DestinationError;
use crate::destination::retry::retry_write;

impl Destination {
    /// Creates the same object twice: the second create must fail and the first object must survive. Transient errors are retried with
    /// another object.
    ///
    /// # Errors
    /// [`DestinationError::Store`] if the destination cannot be written or read, [`DestinationError::NoConditionalCreate`] if it
    /// overwrites.
    pub async fn probe(&self) -> Result<(), DestinationError> {
        retry_write(|| self.probe_once(), || true).await
    }

    async fn probe_once(&self) -> Result<(), DestinationError> {
        let path = Path::from_iter([OWN_DIRECTORY, "probe", &Uuid::now_v7().to_string()]);
        let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"second"));
        let result = self.create_twice(&path, &first, second).await;
        // Without permission to delete the probe stays: a few bytes that readers skip.
        self.store().delete(&path).await.ok();
        result
    }

    async fn create_twice(&self, path: &Path, first: &Bytes, second: Bytes) -> Result<(), DestinationError> {
        self.create(path, first.clone()).await?;
        let overwritten = self.create(path, second).await?;
        if overwritten || self.read(path).await?.as_ref() != Some(first) {
            return Err(DestinationError::NoConditionalCreate);
        }
        Ok(())
    }
}
