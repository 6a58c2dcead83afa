//! Two processes on one store that take turns, step by step, in an order that a test chooses.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use profound_export::run::RunResult;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// What happens to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It is done.
    Done,
    /// A create is not done and fails as if the object existed, as a conflict. Other steps are done.
    TryAgain,
    /// It is done, and the response of a write is lost.
    Lost,
    /// It is done, retried by the store's client, and the response to the retry counts: a create finds that the object
    /// exists. Other steps are done.
    Twice,
    /// It is not done, and its process is killed.
    KilledBefore,
    /// It is done, and its process is killed before the response.
    KilledAfter,
}

impl How {
    /// Whether it ends its process.
    fn kills(self) -> bool {
        matches!(self, Self::KilledBefore | Self::KilledAfter)
    }
}

/// A step that waits for its turn, and the channel that closes when it is over.
struct Waiting {
    writes: bool,
    go: oneshot::Sender<How>,
    over: oneshot::Receiver<()>,
}

/// The side of a process: its store, each step of which waits for its turn.
#[derive(Debug, Clone)]
pub struct Taking {
    inner: Arc<dyn ObjectStore>,
    steps: mpsc::UnboundedSender<Waiting>,
}

/// The side of the test: lets a process take its next step.
pub struct Turns {
    next: Option<Waiting>,
    steps: mpsc::UnboundedReceiver<Waiting>,
    killed: CancellationToken,
    ended: CancellationToken,
}

/// A store for one process, and its turns.
pub fn turns(inner: Arc<dyn ObjectStore>) -> (Arc<Taking>, Turns) {
    let (sender, steps) = mpsc::unbounded_channel();
    let turns = Turns { next: None, steps, killed: CancellationToken::new(), ended: CancellationToken::new() };
    (Arc::new(Taking { inner, steps: sender }), turns)
}

impl Turns {
    /// Runs `run` until it ends, or is killed at one of its steps.
    pub fn process<Run: Future<Output = RunResult>>(
        &self,
        run: Run,
    ) -> impl Future<Output = Option<RunResult>> + use<Run> {
        let (killed, ended) = (self.killed.clone(), self.ended.clone());
        async move {
            let result = tokio::select! {
                result = run => Some(result),
                () = killed.cancelled() => None,
            };
            ended.cancel();
            result
        }
    }

    /// Waits until the process wants to take a step, or has ended.
    async fn wait(&mut self) -> Option<&Waiting> {
        if self.next.is_none() {
            self.next = tokio::select! {
                biased;
                next = self.steps.recv() => next,
                () = self.ended.cancelled() => None,
            };
        }
        self.next.as_ref()
    }

    /// Lets the process take steps up to its next write, which then waits; returns whether there is one.
    pub async fn take_to_write(&mut self) -> bool {
        loop {
            match self.wait().await {
                Some(Waiting { writes: true, .. }) => return true,
                Some(_) => self.take(How::Done).await,
                None => return false,
            };
        }
    }

    /// Whether the next step of the process is a write.
    pub async fn is_at_write(&mut self) -> bool {
        self.wait().await.is_some_and(|next| next.writes)
    }

    /// Lets the process take its next step; returns whether there was one.
    pub async fn take(&mut self, how: How) -> bool {
        self.wait().await;
        let Some(Waiting { go, over, .. }) = self.next.take() else {
            return false;
        };
        if go.send(how).is_err() {
            // The step was cancelled.
            return true;
        }
        over.await.ok();
        if how.kills() {
            self.killed.cancel();
            self.ended.cancelled().await;
        }
        true
    }
}

/// An admitted step; dropped when it is over.
struct Turn {
    how: How,
    _over: oneshot::Sender<()>,
}

impl Taking {
    async fn turn(&self, writes: bool) -> Turn {
        let (go, may_go) = oneshot::channel();
        let (over, is_over) = oneshot::channel();
        self.steps.send(Waiting { writes, go, over: is_over }).ok();
        match may_go.await {
            Ok(how) => Turn { how, _over: over },
            // The test has ended.
            Err(_) => std::future::pending().await,
        }
    }

    /// Does `step` when it is its turn.
    async fn step<T>(&self, step: impl Future<Output = Result<T>>) -> Result<T> {
        let turn = self.turn(false).await;
        if turn.how == How::KilledBefore {
            return die(turn).await;
        }
        let done = step.await;
        if turn.how == How::KilledAfter {
            return die(turn).await;
        }
        done
    }
}

/// Waits to be dropped, like the work of a killed process.
async fn die<T>(turn: Turn) -> T {
    drop(turn);
    std::future::pending().await
}

impl fmt::Display for Taking {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "turns at {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Taking {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let turn = self.turn(true).await;
        let exists = || Error::AlreadyExists { path: path.to_string(), source: "409".into() };
        let creates = options.mode == PutMode::Create;
        match turn.how {
            How::KilledBefore => return die(turn).await,
            How::TryAgain if creates => return Err(exists()),
            _ => {}
        }
        let put = self.inner.put_opts(path, payload, options).await;
        match turn.how {
            How::KilledAfter => die(turn).await,
            How::Lost => put.and(Err(Error::Generic { store: "turns", source: "the connection was reset".into() })),
            How::Twice if creates => put.and(Err(exists())),
            _ => put,
        }
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.step(self.inner.put_multipart_opts(path, options)).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.step(self.inner.get_opts(path, options)).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (this, inner) = (self.clone(), Arc::clone(&self.inner));
        let deleted =
            async move { this.step(async { Ok(inner.delete_stream(paths).collect::<Vec<_>>().await) }).await };
        futures::stream::once(deleted).flat_map(|deleted| futures::stream::iter(deleted.unwrap_or_default())).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (this, inner, prefix) = (self.clone(), Arc::clone(&self.inner), prefix.cloned());
        let listed =
            async move { this.step(async { Ok(inner.list(prefix.as_ref()).collect::<Vec<_>>().await) }).await };
        futures::stream::once(listed).flat_map(|listed| futures::stream::iter(listed.unwrap_or_default())).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.step(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.step(self.inner.copy_opts(from, to, options)).await
    }
}
