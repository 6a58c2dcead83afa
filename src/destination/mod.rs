//! The object store of a lake: one root, and the few operations that are atomic on every kind of store.

mod credentials;
mod directories;
mod endpoint;
mod error;
mod local_files;
mod policy;
mod probe;
mod retry;
mod store_denial;
mod upload;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use uuid::Uuid;

use crate::config::{DestinationConfig, Location};
use crate::destination::directories::Directories;
use crate::http::install_tls;
use crate::model::disk_trouble::DiskTrouble;
use crate::retry::Attempts;

pub use crate::model::OWN_DIRECTORY;
pub use error::DestinationError;
pub use local_files::LocalFile;
pub use policy::{Permissions, RoleGrant, least_permissions};
pub use retry::{WRITE_RETRIES, retry_write};

/// Timeout of one request. Uploads are sent in parts of 8 MiB, so a slow line needs no longer one.
const STORE_TIMEOUT: &str = "120s";

/// No living run is still writing a staging file of this age.
const STAGING_EXPIRY: Duration = Duration::from_secs(24 * 3600);

/// The store of a lake. Paths are relative to the root of the lake.
#[derive(Debug, Clone)]
pub struct Destination {
    store: Arc<dyn ObjectStore>,
    /// For messages.
    url: String,
    /// `None` for object stores. Where there are directories, files are written to a staging directory and then renamed: a
    /// directory shows a file while it grows.
    directories: Option<Directories>,
    /// Whether no other process writes here, so that a file system without hard links will do.
    single_writer: bool,
}

/// A published object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub bytes: u64,
    pub etag: Option<String>,
}

/// A listed object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub path: Path,
    pub bytes: u64,
}

impl Destination {
    /// Opens the configured destination and creates a local directory if it is missing.
    ///
    /// # Errors
    /// [`DestinationError::Open`] or [`DestinationError::Directory`]. A missing bucket is noticed only by the first request.
    pub fn open(config: &DestinationConfig) -> Result<Self, DestinationError> {
        let url = match location(config)? {
            Location::Local(path) => return Self::local(path, config.single_writer),
            Location::Store(url) => url,
        };
        let opened = |source| DestinationError::Open { url: url.to_string(), source };
        let (store, prefix) = remote(&url, config).map_err(opened)?;
        let store: Arc<dyn ObjectStore> = match prefix.as_ref() {
            "" => store.into(),
            _ => Arc::new(PrefixStore::new(store, prefix)),
        };
        Ok(Self::new(store, url.as_str().trim_end_matches('/')))
    }

    fn local(path: PathBuf, single_writer: bool) -> Result<Self, DestinationError> {
        let directory = |source| DestinationError::Directory { path: path.display().to_string(), source };
        let directories = Directories::new(&path).map_err(directory)?;
        let url = directories.root().display().to_string();
        let store = LocalFileSystem::new_with_prefix(directories.root())
            .map_err(|source| DestinationError::Open { url: url.clone(), source })?;
        Ok(Self { store: Arc::new(store), url, directories: Some(directories), single_writer })
    }

    /// A destination in `store`, whose puts must be atomic.
    pub fn new(store: Arc<dyn ObjectStore>, url: &str) -> Self {
        Self { store, url: url.to_owned(), directories: None, single_writer: false }
    }

    /// The absolute path, or the URL without credentials and without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The root directory of a local destination.
    pub fn directory(&self) -> Option<&std::path::Path> {
        self.directories.as_ref().map(Directories::root)
    }

    /// The store, with paths relative to the root.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// A new path in the staging directory; `None` for object stores.
    fn staging(&self) -> Option<Path> {
        self.directories.as_ref().map(|_| new_staging())
    }

    /// Removes staging files of killed runs: those older than a day, which no living run is still writing. Files that cannot be
    /// removed are left for the next run.
    pub async fn sweep_staging(&self, now: Timestamp) {
        let expired = SystemTime::from(now) - STAGING_EXPIRY;
        let leftovers = self.leftovers().await.unwrap_or_default();
        for file in leftovers.into_iter().filter(|file| file.modified_at < expired) {
            std::fs::remove_file(&file.location).ok();
        }
    }

    /// Files on their way into a local lake: of runs in progress and of killed ones. An object store has none that can be listed.
    ///
    /// # Errors
    /// [`DestinationError::Store`].
    pub async fn leftovers(&self) -> Result<Vec<LocalFile>, DestinationError> {
        let Some(directories) = &self.directories else {
            return Ok(Vec::new());
        };
        let (staging, own) = (Path::from_iter([OWN_DIRECTORY, "staging"]), Path::from(OWN_DIRECTORY));
        let spool = Path::from_iter([OWN_DIRECTORY, "spool"]);
        let is_leftover = move |path: &Path| {
            path.prefix_matches(&staging) || (local_files::is_incomplete(path) && !path.prefix_matches(&spool))
        };
        let files = local_files::stream_files(directories.root(), &own, is_leftover).try_collect().await;
        files.map_err(|source| store_error("list", &own, local_error(source)))
    }

    /// Deletes a file that [`Self::leftovers`] found. A run in progress that was writing it writes another one.
    ///
    /// # Errors
    /// [`DestinationError::Store`].
    pub fn remove_leftover(&self, file: &LocalFile) -> Result<(), DestinationError> {
        match std::fs::remove_file(&file.location) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(store_error("delete", &file.path, local_error(error)))
            }
            _ => Ok(()),
        }
    }

    /// Removes a directory that [`Self::empty_directories`] found, unless a run has created a file in it since.
    ///
    /// # Errors
    /// [`DestinationError::Store`].
    pub fn erase_directory(&self, directory: &Path) -> Result<(), DestinationError> {
        let Some(directories) = &self.directories else {
            return Ok(());
        };
        let removed = directories.remove_empty_directory(directory);
        removed.map_err(|source| store_error("delete", directory, local_error(source)))
    }

    /// The directories below `prefix`, and itself, that contain no file, innermost first. An object store has none.
    pub fn empty_directories(&self, prefix: &Path) -> Vec<Path> {
        let Some(root) = self.directory() else {
            return Vec::new();
        };
        local_files::empty_directories(root, prefix).iter().map(|path| local_files::escaped(root, path)).collect()
    }

    /// Puts `bytes` at `path`, in place of an existing object.
    ///
    /// # Errors
    /// [`DestinationError::Store`]; the existing object is kept.
    pub async fn overwrite(&self, path: &Path, bytes: Bytes) -> Result<(), DestinationError> {
        let failed = |source| store_error("write", path, source);
        let staging = self.staging();
        let at = staging.as_ref().unwrap_or(path);
        self.store.put(at, PutPayload::from_bytes(bytes)).await.map_err(failed)?;
        match &staging {
            Some(staging) => self.rename(staging, path).await.map_err(failed)?,
            None => return Ok(()),
        }
        self.sync(std::slice::from_ref(path)).await
    }

    /// Waits until a power cut can no longer undo that the files at `paths` were published. Object stores need no such step.
    ///
    /// # Errors
    /// [`DestinationError::Store`]; readers see the files all the same.
    pub async fn sync(&self, paths: &[Path]) -> Result<(), DestinationError> {
        match (&self.directories, paths) {
            (Some(directories), [first, ..]) => {
                directories.sync(paths).await.map_err(|source| store_error("write", first, local_error(source)))
            }
            _ => Ok(()),
        }
    }

    /// Moves a complete staging file to `path`, in place of an existing object.
    async fn rename(&self, staging: &Path, path: &Path) -> Result<(), object_store::Error> {
        let Some(directories) = &self.directories else {
            return Ok(());
        };
        let renamed = directories.rename(staging, path).await;
        if renamed.is_err() {
            self.store.delete(staging).await.ok();
        }
        renamed.map_err(local_error)
    }

    /// Creates an object at `path`; `Ok(false)` if one exists.
    ///
    /// # Errors
    /// [`DestinationError::Store`]; whether the object was created is then unknown, so the caller must read it back.
    /// [`DestinationError::NoHardLinks`] if a local disk has no operation for it.
    pub async fn create(&self, path: &Path, bytes: Bytes) -> Result<bool, DestinationError> {
        let failed = |source| store_error("create", path, source);
        if let Some(directories) = &self.directories {
            return self.create_local(directories, path, bytes).await;
        }
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(path, PutPayload::from_bytes(bytes), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(source) => Err(failed(source)),
        }
    }

    /// Completes a staging file and links it to `path`: only a link fails if the name is in use.
    async fn create_local(
        &self,
        directories: &Directories,
        path: &Path,
        bytes: Bytes,
    ) -> Result<bool, DestinationError> {
        if self.single_writer {
            return match self.store.head(path).await {
                Ok(_) => Ok(false),
                Err(object_store::Error::NotFound { .. }) => self.overwrite(path, bytes).await.map(|()| true),
                Err(source) => Err(store_error("create", path, source)),
            };
        }
        let failed = |source| store_error("create", path, source);
        let staging = new_staging();
        self.store.put(&staging, PutPayload::from_bytes(bytes)).await.map_err(failed)?;
        let linked = match directories.link(&staging, path).await {
            Ok(()) => directories.sync(std::slice::from_ref(path)).await,
            Err(error) => Err(error),
        };
        self.store.delete(&staging).await.ok();
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) if DiskTrouble::from_error(&error) == Some(DiskTrouble::Full) => Err(failed(local_error(error))),
            Err(source) if directories.is_writable(path).await => {
                Err(DestinationError::NoHardLinks { path: self.url.clone(), source })
            }
            Err(error) => Err(failed(local_error(error))),
        }
    }

    /// The object at `path`, if it exists.
    ///
    /// # Errors
    /// [`DestinationError::Store`].
    pub async fn read(&self, path: &Path) -> Result<Option<Bytes>, DestinationError> {
        match self.store.get(path).await {
            Ok(found) => found.bytes().await.map(Some).map_err(|source| store_error("read", path, source)),
            Err(source) => self.no_object(path, source).await,
        }
    }

    /// The size of the object at `path`, if it exists. What is no file on a local disk, such as a link that leads nowhere, is none.
    ///
    /// # Errors
    /// [`DestinationError::Store`].
    pub async fn size(&self, path: &Path) -> Result<Option<u64>, DestinationError> {
        if let Some(root) = self.directory() {
            let found = tokio::fs::metadata(root.join(path.as_ref())).await.ok();
            return Ok(found.filter(std::fs::Metadata::is_file).map(|found| found.len()));
        }
        match self.store.head(path).await {
            Ok(found) => Ok(Some(found.size)),
            Err(source) => self.no_object(path, source).await,
        }
    }

    /// `None` if `source` says that there is no object at `path`.
    async fn no_object<T>(&self, path: &Path, source: object_store::Error) -> Result<Option<T>, DestinationError> {
        match source {
            object_store::Error::NotFound { .. } => Ok(None),
            // S3 answers 403 for a missing object if the credentials may list only a prefix. A 403 counts as "not found" only if a
            // listing confirms it.
            object_store::Error::PermissionDenied { .. } if !self.is_listed(path).await? => Ok(None),
            source => Err(store_error("read", path, source)),
        }
    }

    /// The object at `path` from byte `start` on, if it exists and is longer.
    ///
    /// # Errors
    /// [`DestinationError::Store`].
    pub async fn read_end(&self, path: &Path, start: u64) -> Result<Option<Bytes>, DestinationError> {
        let range = GetOptions { range: Some(GetRange::Offset(start)), ..GetOptions::default() };
        match self.store.get_opts(path, range).await {
            Ok(found) => found.bytes().await.map(Some).map_err(|source| store_error("read", path, source)),
            // The stores report a start beyond the end in different ways.
            Err(_) if start > 0 => Ok(None),
            Err(_) => self.read(path).await,
        }
    }

    /// Whether a listing of the directory of `path` contains it.
    async fn is_listed(&self, path: &Path) -> Result<bool, DestinationError> {
        let directory = Path::from_iter(path.parts().take(path.parts_count().saturating_sub(1)));
        let mut listed = self.store.list(Some(&directory)).map_err(|source| store_error("list", &directory, source));
        while let Some(found) = listed.try_next().await? {
            if found.location == *path {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Deletes the object at `path`. A missing object is no error.
    ///
    /// # Errors
    /// [`DestinationError::Store`].
    pub async fn delete(&self, path: &Path) -> Result<(), DestinationError> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(store_error("delete", path, source)),
        }
    }

    /// Deletes the object at `path` and, on local disk, the directories above it that are empty then, since their names may contain
    /// the erased ids. Synced, so that a power cut does not bring them back.
    ///
    /// # Errors
    /// [`DestinationError::Store`].
    pub async fn erase(&self, path: &Path) -> Result<(), DestinationError> {
        self.delete(path).await?;
        match &self.directories {
            Some(directories) => {
                let removed = directories.remove_empty_parents(path).await;
                removed.map_err(|source| store_error("delete", path, local_error(source)))
            }
            None => Ok(()),
        }
    }

    /// The file at `path` of a local destination; `None` in a bucket, and if it cannot be opened: then [`Self::read`] says why.
    pub fn local_file(&self, path: &Path) -> Option<std::fs::File> {
        std::fs::File::open(self.directory()?.join(path.as_ref())).ok()
    }

    /// The names of the directories at the root.
    ///
    /// # Errors
    /// [`DestinationError::Store`].
    pub async fn directories(&self) -> Result<Vec<String>, DestinationError> {
        let root = Path::default();
        if let Some(directory) = self.directory() {
            let failed = |source| store_error("list", &root, local_error(source));
            let entries = std::fs::read_dir(directory).map_err(failed)?.flatten();
            let directories = entries.filter(|entry| entry.path().is_dir());
            return Ok(directories.map(|entry| local_files::escaped_name(&entry.file_name())).collect());
        }
        let listed = self.store.list_with_delimiter(None).await.map_err(|source| store_error("list", &root, source))?;
        Ok(listed.common_prefixes.into_iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
    }

    /// Streams the objects below `prefix` in any order, so that memory does not grow with their number.
    pub fn objects(&self, prefix: &Path) -> BoxStream<'static, Result<Object, DestinationError>> {
        self.listed(prefix, None)
    }

    fn listed(&self, prefix: &Path, after: Option<&Path>) -> BoxStream<'static, Result<Object, DestinationError>> {
        let below = prefix.clone();
        let failed = move |source| store_error("list", &below, source);
        if let Some(root) = self.directory() {
            let after = after.cloned();
            let is_wanted = move |path: &Path| after.as_ref().is_none_or(|after| path > after);
            let files = local_files::stream_files(root, prefix, is_wanted);
            let found = files.map_ok(|file| Object { path: file.path, bytes: file.bytes });
            return found.map_err(move |source| failed(local_error(source))).boxed();
        }
        let listed = match after {
            Some(after) => self.store.list_with_offset(Some(prefix), after),
            None => self.store.list(Some(prefix)),
        };
        listed.map_ok(|meta| Object { path: meta.location, bytes: meta.size }).map_err(failed).boxed()
    }

    /// Copies the object at `path` to a new local file, piece by piece; `Ok(false)` if it does not exist.
    ///
    /// # Errors
    /// [`DestinationError::Store`] or [`DestinationError::Spool`].
    pub async fn fetch(&self, path: &Path, to: &std::path::Path) -> Result<bool, DestinationError> {
        let failed = |source| store_error("read", path, source);
        let disk = |source| DestinationError::Spool { path: to.display().to_string(), source };
        let mut pieces = match self.store.get(path).await {
            Ok(found) => found.into_stream(),
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            Err(source) => return Err(failed(source)),
        };
        let mut file = std::fs::File::create_new(to).map_err(disk)?;
        while let Some(piece) = pieces.try_next().await.map_err(failed)? {
            std::io::Write::write_all(&mut file, &piece).map_err(disk)?;
        }
        Ok(true)
    }

    /// Paths of the objects below `prefix` that sort after `after`, in any order.
    ///
    /// # Errors
    /// [`DestinationError::Store`].
    pub async fn list(&self, prefix: &Path, after: Option<&Path>) -> Result<Vec<Path>, DestinationError> {
        self.listed(prefix, after).map_ok(|object| object.path).try_collect().await
    }
}

fn new_staging() -> Path {
    Path::from_iter([OWN_DIRECTORY, "staging", &Uuid::now_v7().to_string()])
}

fn local_error(error: std::io::Error) -> object_store::Error {
    object_store::Error::Generic { store: "LocalFileSystem", source: error.into() }
}

fn store_error(action: &'static str, path: &Path, source: object_store::Error) -> DestinationError {
    DestinationError::Store { action, path: path.to_string(), attempts: Attempts::ONE, source }
}

/// Where the configured destination is.
fn location(config: &DestinationConfig) -> Result<Location, DestinationError> {
    config.location().map_err(|fault| DestinationError::Open {
        url: config.url.clone(),
        source: object_store::Error::Generic { store: "destination", source: fault.what.into() },
    })
}

/// Opens a bucket with the usual variables of its kind, then the configured options.
fn remote(url: &url::Url, config: &DestinationConfig) -> Result<(Box<dyn ObjectStore>, Path), object_store::Error> {
    let prefix = Path::from_url_path(url.path())?;
    install_tls();
    let store: Box<dyn ObjectStore> = match url.scheme() {
        #[cfg(feature = "gcs")]
        "gs" => {
            let builder = object_store::gcp::GoogleCloudStorageBuilder::new().with_url(url.as_str());
            let builder = variables("GOOGLE_").fold(builder, |builder, (key, value)| builder.with_config(key, value));
            Box::new(with_options(builder, config, |builder, name, value| builder.with_config(name, value))?.build()?)
        }
        #[cfg(feature = "azure")]
        "az" => {
            let builder = object_store::azure::MicrosoftAzureBuilder::new().with_url(url.as_str());
            let builder = variables("AZURE_").fold(builder, |builder, (key, value)| builder.with_config(key, value));
            // The identity of an app or a function, which has no prefix.
            let identity = std::env::var("IDENTITY_ENDPOINT").ok().filter(|endpoint| !endpoint.trim().is_empty());
            let builder = identity.into_iter().fold(builder, |builder, endpoint| builder.with_msi_endpoint(endpoint));
            Box::new(with_options(builder, config, |builder, name, value| builder.with_config(name, value))?.build()?)
        }
        _ => {
            let builder = s3_builder(url, config)?;
            if let Some(problem) = credentials::problem(&builder) {
                return Err(object_store::Error::Generic { store: "S3", source: problem.into() });
            }
            Box::new(builder.build()?)
        }
    };
    Ok((store, prefix))
}

/// The variables of a kind of store, by its keys. An empty one counts as unset: `from_env` of a builder would send an empty session
/// token, and panic on an empty endpoint.
fn variables<Key: FromStr>(prefix: &str) -> impl Iterator<Item = (Key, String)> {
    std::env::vars_os().filter_map(move |(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        let key = name.starts_with(prefix).then(|| name.to_ascii_lowercase().parse().ok())??;
        (!value.trim().is_empty()).then_some((key, value))
    })
}

/// A bucket of S3 by the variables and the configured options.
fn s3_builder(url: &url::Url, config: &DestinationConfig) -> Result<AmazonS3Builder, object_store::Error> {
    // Objects are deleted one at a time, which every store can; some lack `POST ?delete`, which object_store sends for one object too.
    let default = AmazonS3Builder::new().with_disable_bulk_delete(true);
    let builder = variables("AWS_").fold(default, |builder, (key, value)| builder.with_config(key, value));
    let set = |builder: AmazonS3Builder, name, value: &str| builder.with_config(name, value);
    let builder = with_options(builder.with_url(url.as_str()), config, set)?;
    let value = |key| builder.get_config_value(&key);
    let Some(endpoint) = value(AmazonS3ConfigKey::S3Endpoint).or_else(|| value(AmazonS3ConfigKey::Endpoint)) else {
        return Ok(builder);
    };
    let is_virtual_hosted = value(AmazonS3ConfigKey::VirtualHostedStyleRequest)
        .is_some_and(|value| ["1", "true", "on", "yes", "y"].contains(&value.to_ascii_lowercase().as_str()));
    match endpoint::problem(&endpoint, url.host_str().unwrap_or_default(), is_virtual_hosted) {
        Some(problem) => Err(object_store::Error::Generic { store: "S3", source: problem.into() }),
        None => Ok(builder),
    }
}

/// Sets the timeout and the configured options. `with_client_options` would replace options of the environment such as AWS_ALLOW_HTTP.
fn with_options<Builder, Name: FromStr<Err = object_store::Error>>(
    builder: Builder,
    config: &DestinationConfig,
    set: impl Fn(Builder, Name, &str) -> Builder,
) -> Result<Builder, object_store::Error> {
    let mut options = [("timeout", STORE_TIMEOUT)].into_iter().chain(config.options.iter());
    options.try_fold(builder, |builder, (name, value)| Ok(set(builder, name.parse()?, value)))
}
