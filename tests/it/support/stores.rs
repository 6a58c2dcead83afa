//! Object stores that misbehave.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Notify;

use super::uploads::{Breaking, Uploads};

/// What is wrong with a store.
#[derive(Debug)]
pub enum Vice {
    /// A create overwrites the existing object.
    Overwrites,
    /// The process is killed at its write of this number, counted from zero.
    Kills { at: u64, done: bool },
    /// The write of this number waits until it is released.
    Holds { at: u64 },
    /// The write of this number arrives, but its response is lost.
    LosesAnswer { at: u64 },
    /// The write of this number leaves the first half of its object and fails, as on a file system without atomic renames;
    /// or the process dies with it.
    Tears { at: u64, dies: bool },
    /// Half of the writes, chosen by a seed, fail or arrive without a response; never more than three in a row at one path.
    Hiccups { seed: u64 },
    /// The step of this number of multipart uploads fails: a part, or the completion.
    BreaksUploads { at: u64 },
    /// Reads of missing objects, and of those below `forbidden`, are answered with 403, as S3 does if the credentials may list
    /// only a prefix.
    Forbids { forbidden: &'static str },
}

/// A store with a defect.
#[derive(Debug)]
pub struct Bad {
    inner: Arc<dyn ObjectStore>,
    vice: Vice,
    writes: AtomicU64,
    in_a_row: Mutex<HashMap<Path, u8>>,
    reached: Notify,
    released: Notify,
    /// The results of multipart uploads.
    pub uploads: Arc<Uploads>,
}

impl Bad {
    pub fn new(inner: Arc<dyn ObjectStore>, vice: Vice) -> Arc<Self> {
        let (reached, released) = (Notify::new(), Notify::new());
        let uploads = Arc::default();
        Arc::new(Self {
            inner,
            vice,
            writes: AtomicU64::new(0),
            in_a_row: Mutex::default(),
            reached,
            released,
            uploads,
        })
    }

    /// Ends when the write of its vice is begun.
    pub async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Writes that were begun.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Releases the held write.
    pub fn release(&self) {
        self.released.notify_one();
    }

    /// Waits to be dropped, like the work of a killed process.
    async fn die(&self) {
        self.reached.notify_one();
        std::future::pending::<()>().await;
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} of {}", self.vice, self.inner)
    }
}

#[async_trait]
impl ObjectStore for Bad {
    async fn put_opts(&self, path: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        match self.vice {
            Vice::Overwrites => {
                options.mode = PutMode::Overwrite;
                self.inner.put_opts(path, payload, options).await
            }
            Vice::Kills { at, done } if number == at => {
                if done {
                    self.inner.put_opts(path, payload, options).await?;
                }
                self.die().await;
                unreachable!("a killed process continues")
            }
            Vice::Holds { at } if number == at => {
                self.reached.notify_one();
                self.released.notified().await;
                self.inner.put_opts(path, payload, options).await
            }
            Vice::LosesAnswer { at } if number == at => {
                self.inner.put_opts(path, payload, options).await?;
                Err(object_store::Error::Generic { store: "bad", source: "the connection was reset".into() })
            }
            Vice::Tears { at, dies } if number == at => {
                let whole = Bytes::from(payload);
                let half = whole.slice(..whole.len() / 2);
                self.inner.put_opts(path, half.into(), options).await?;
                if dies {
                    self.die().await;
                }
                Err(object_store::Error::Generic { store: "bad", source: "the connection was reset".into() })
            }
            Vice::Hiccups { seed } => {
                let hiccup = || object_store::Error::Generic { store: "bad", source: "503 Slow Down".into() };
                let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(number));
                // A checkpoint may be lost.
                let is_file = !path.as_ref().contains("checkpoints");
                let in_a_row = self.in_a_row.lock().unwrap().get(path).copied().unwrap_or_default();
                let (fails, loses) = match random.u8(..) {
                    _ if !is_file || in_a_row == 3 => (false, false),
                    throw => (throw < 64, (64..128).contains(&throw)),
                };
                let in_a_row = if fails || loses { in_a_row + 1 } else { 0 };
                self.in_a_row.lock().unwrap().insert(path.clone(), in_a_row);
                match (fails, loses) {
                    (true, _) => Err(hiccup()),
                    (_, true) => self.inner.put_opts(path, payload, options).await.and(Err(hiccup())),
                    _ => self.inner.put_opts(path, payload, options).await,
                }
            }
            _ => self.inner.put_opts(path, payload, options).await,
        }
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(path, options).await?;
        self.uploads.begun.fetch_add(1, Ordering::Relaxed);
        let at = match self.vice {
            Vice::BreaksUploads { at } => Some(at),
            _ => None,
        };
        Ok(Box::new(Breaking { inner, at, uploads: Arc::clone(&self.uploads) }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let got = self.inner.get_opts(path, options).await;
        match (&self.vice, got) {
            (Vice::Forbids { forbidden }, got)
                if path.as_ref().starts_with(forbidden) || matches!(got, Err(object_store::Error::NotFound { .. })) =>
            {
                let source = "403 Access Denied".into();
                Err(object_store::Error::PermissionDenied { path: path.to_string(), source })
            }
            (_, got) => got,
        }
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        if let Vice::Kills { at, done } = self.vice
            && self.writes.fetch_add(1, Ordering::Relaxed) == at
        {
            self.reached.notify_one();
            let deleted = if done { self.inner.delete_stream(paths) } else { stream::empty().boxed() };
            return deleted.chain(stream::pending()).skip_while(|_| std::future::ready(true)).boxed();
        }
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
