//! Whether the destination can be written, and creates without overwriting.

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use uuid::Uuid;

use crate::destination::Destination;
use crate::destination::OWN_DIRECTORY;
use crate::destination::error::DestinationError;
use crate::destination::retry::retry_write;

impl Destination {
    /// Creates the same object twice; the second must fail, and the first must stand. Where the store has a hiccup, another
    /// one is tried.
    ///
    /// # Errors
    /// [`DestinationError::Store`] when the destination cannot be written or read, [`DestinationError::NoConditionalCreate`]
    /// when it overwrites.
    pub async fn probe(&self) -> Result<(), DestinationError> {
        retry_write(|| self.probe_once(), || true).await
    }

    async fn probe_once(&self) -> Result<(), DestinationError> {
        let path = Path::from_iter([OWN_DIRECTORY, "probe", &Uuid::now_v7().to_string()]);
        let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"second"));
        let result = self.create_twice(&path, &first, second).await;
        // Where deleting is not permitted the probe stays: a few bytes that readers skip.
        self.store().delete(&path).await.ok();
        result
    }

    async fn create_twice(&self, path: &Path, first: &Bytes, second: Bytes) -> Result<(), DestinationError> {
        self.create(path, first.clone()).await?;
        let overwrote = self.create(path, second).await?;
        let stands = self.read(path).await?;
        match !overwrote && stands.as_ref() == Some(first) {
            true => Ok(()),
            false => Err(DestinationError::NoConditionalCreate),
        }
    }
}
