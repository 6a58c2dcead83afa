//! Uploads in parts that break at a step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::FutureExt;
use object_store::{Error, MultipartUpload, PutPayload, PutResult, Result, UploadPart};

/// The results of uploads, and their steps so far: parts and completions.
#[derive(Debug, Default)]
pub struct Uploads {
    pub steps: AtomicU64,
    pub begun: AtomicU64,
    pub completed: AtomicU64,
    pub aborted: AtomicU64,
}

/// One of them, which breaks at the step of this number, counted over all.
#[derive(Debug)]
pub struct Breaking {
    pub inner: Box<dyn MultipartUpload>,
    pub at: Option<u64>,
    pub uploads: Arc<Uploads>,
}

impl Breaking {
    fn breaks(&self) -> bool {
        self.at == Some(self.uploads.steps.fetch_add(1, Ordering::Relaxed))
    }
}

fn refused() -> Error {
    Error::PermissionDenied { path: "upload".into(), source: "403 Forbidden".into() }
}

#[async_trait]
impl MultipartUpload for Breaking {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        if self.breaks() { futures::future::ready(Err(refused())).boxed() } else { self.inner.put_part(data) }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        if self.breaks() {
            return Err(refused());
        }
        let done = self.inner.complete().await?;
        self.uploads.completed.fetch_add(1, Ordering::Relaxed);
        Ok(done)
    }

    async fn abort(&mut self) -> Result<()> {
        self.uploads.aborted.fetch_add(1, Ordering::Relaxed);
        self.inner.abort().await
    }
}
