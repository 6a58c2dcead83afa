//! Where a lake lies: one store, one root, and the few steps that are atomic on every kind of store.

mod directories;
mod error;
mod policy;
mod probe;
mod refusal;
mod retry;
mod upload;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use jiff::Timestamp;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ClientConfigKey, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use uuid::Uuid;

use crate::config::{DestinationConfig, Location};
use crate::destination::directories::Directories;
use crate::retry::Attempts;

pub use error::DestinationError;
pub use policy::{Permissions, RoleGrant, least_permissions};
pub use retry::{WRITE_RETRIES, retry_write};

/// Holds what belongs to the exporter: ledger, staging, coverage table. Readers skip names that begin so.
pub const OWN_DIRECTORY: &str = "_profound_export";

/// One request to a store may take this long; a part of an upload is small.
const STORE_TIMEOUT: &str = "120s";

/// A file is completed in the staging directory within this time.
const STAGED_AT_MOST_SECONDS: i64 = 24 * 3600;

/// Where a lake lies. Paths are relative to its root.
#[derive(Debug, Clone)]
pub struct Destination {
    store: Arc<dyn ObjectStore>,
    /// Whether files are completed in the staging directory and then renamed, since a local directory shows what grows.
    staged: bool,
    /// The address, for messages.
    url: String,
    /// The directories, on this machine.
    directories: Option<Directories>,
}

/// What stands at the destination after a put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Length of the object.
    pub bytes: u64,
    /// The store's own version of it, if it tells one.
    pub etag: Option<String>,
}

/// What stands at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Where.
    pub path: Path,
    /// Its length.
    pub bytes: u64,
}

impl Destination {
    /// Opens the configured destination; a local directory is made when it is not there.
    ///
    /// # Errors
    /// [`DestinationError::Open`] or [`DestinationError::Directory`]. A bucket that is missing shows only when it is used.
    pub fn open(config: &DestinationConfig) -> Result<Self, DestinationError> {
        match config.location() {
            Ok(Location::Local(path)) => Self::local(path),
            Ok(Location::Store(url)) => {
                let opened = |source| DestinationError::Open { url: url.to_string(), source };
                let (store, prefix) = remote(&url, config).map_err(opened)?;
                let store: Arc<dyn ObjectStore> = match prefix.as_ref() {
                    "" => store.into(),
                    _ => Arc::new(PrefixStore::new(store, prefix)),
                };
                Ok(Self { store, staged: false, url: url.to_string(), directories: None })
            }
            Err(fault) => Err(DestinationError::Open {
                url: config.url.clone(),
                source: object_store::Error::Generic { store: "destination", source: fault.what.into() },
            }),
        }
    }

    fn local(path: PathBuf) -> Result<Self, DestinationError> {
        let directory = |source| DestinationError::Directory { path: path.display().to_string(), source };
        let directories = Directories::below(&path).map_err(directory)?;
        let url = directories.root().display().to_string();
        let store = LocalFileSystem::new_with_prefix(directories.root())
            .map_err(|source| DestinationError::Open { url: url.clone(), source })?
            .with_fsync(true);
        Ok(Self { store: Arc::new(store), staged: true, url, directories: Some(directories) })
    }

    /// A destination in `store`, whose puts show nothing half.
    pub fn of(store: Arc<dyn ObjectStore>, url: &str) -> Self {
        Self { store, staged: false, url: url.to_owned(), directories: None }
    }

    /// The address, for messages.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The directory, when it is on this machine.
    pub fn directory(&self) -> Option<&std::path::Path> {
        self.directories.as_ref().map(Directories::root)
    }

    /// The store behind it, with paths relative to the root.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// A path in the staging directory that nothing else uses.
    fn staging(&self) -> Option<Path> {
        self.staged.then(|| Path::from_iter([OWN_DIRECTORY, "staging", &Uuid::now_v7().to_string()]))
    }

    /// Makes sure that no power cut takes away the directories above `path`, on this machine.
    async fn make_way(&self, path: &Path) -> Result<(), object_store::Error> {
        match &self.directories {
            Some(directories) => directories.above(path).await.map_err(of_this_machine),
            None => Ok(()),
        }
    }

    /// Removes files that runs left in the staging directory when they were killed: those older than a day, which no
    /// living run can still be completing. What cannot be removed is left for the next time.
    pub async fn sweep_staging(&self, now: Timestamp) {
        if !self.staged {
            return;
        }
        let staging = Path::from_iter([OWN_DIRECTORY, "staging"]);
        let Ok(found) = self.store.list(Some(&staging)).try_collect::<Vec<_>>().await else {
            return;
        };
        let old = now.as_second() - STAGED_AT_MOST_SECONDS;
        for file in found.iter().filter(|file| file.last_modified.timestamp() < old) {
            self.store.delete(&file.location).await.ok();
        }
    }

    /// Puts `bytes` at `path`, over whatever stands there.
    ///
    /// # Errors
    /// [`DestinationError::Store`]; what stood there stands.
    pub async fn overwrite(&self, path: &Path, bytes: Bytes) -> Result<(), DestinationError> {
        let failed = |source| store_error("write", path, source);
        let staging = self.staging();
        let at = staging.as_ref().unwrap_or(path);
        self.store.put(at, PutPayload::from_bytes(bytes)).await.map_err(failed)?;
        match &staging {
            Some(staging) => self.show(staging, path).await.map_err(failed),
            None => Ok(()),
        }
    }

    /// Lets what is complete in the staging directory take the place of what stands at `path`.
    async fn show(&self, staging: &Path, path: &Path) -> Result<(), object_store::Error> {
        let shown = async {
            self.make_way(path).await?;
            self.store.rename(staging, path).await
        };
        let shown = shown.await;
        if shown.is_err() {
            self.store.delete(staging).await.ok();
        }
        shown
    }

    /// Puts `bytes` at `path` unless something stands there: `Ok(false)` when something does.
    ///
    /// # Errors
    /// [`DestinationError::Store`]; whether the object was created is then unknown, and must be looked at.
    pub async fn create(&self, path: &Path, bytes: Bytes) -> Result<bool, DestinationError> {
        self.make_way(path).await.map_err(|source| store_error("create", path, source))?;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(path, PutPayload::from_bytes(bytes), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(source) => Err(store_error("create", path, source)),
        }
    }

    /// What stands at `path`, or `None`.
    ///
    /// # Errors
    /// [`DestinationError::Store`].
    pub async fn read(&self, path: &Path) -> Result<Option<Bytes>, DestinationError> {
        let failed = |source| store_error("read", path, source);
        match self.store.get(path).await {
            Ok(found) => found.bytes().await.map(Some).map_err(failed),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            // S3 says that what is not there is forbidden to whoever may list below a prefix alone.
            Err(source @ object_store::Error::PermissionDenied { .. }) => match self.is_listed(path).await? {
                false => Ok(None),
                true => Err(failed(source)),
            },
            Err(source) => Err(failed(source)),
        }
    }

    /// Whether the listing of the directory around `path` names it.
    async fn is_listed(&self, path: &Path) -> Result<bool, DestinationError> {
        let around = Path::from_iter(path.parts().take(path.parts_count().saturating_sub(1)));
        let mut listed = self.store.list(Some(&around)).map_err(|source| store_error("list", &around, source));
        while let Some(found) = listed.try_next().await? {
            if found.location == *path {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes what stands at `path`; that nothing stands there any more is as good.
    ///
    /// # Errors
    /// [`DestinationError::Store`].
    pub async fn delete(&self, path: &Path) -> Result<(), DestinationError> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(store_error("delete", path, source)),
        }
    }

    /// The same, and on this machine the directories above it that are empty then: their names may tell what was there.
    /// No power cut brings back what was erased.
    ///
    /// # Errors
    /// [`DestinationError::Store`].
    pub async fn erase(&self, path: &Path) -> Result<(), DestinationError> {
        self.delete(path).await?;
        match &self.directories {
            Some(directories) => {
                let erased = directories.erase_above(path).await;
                erased.map_err(|source| store_error("delete", path, of_this_machine(source)))
            }
            None => Ok(()),
        }
    }

    /// The names of the directories at the root.
    ///
    /// # Errors
    /// [`DestinationError::Store`].
    pub async fn directories(&self) -> Result<Vec<String>, DestinationError> {
        let root = Path::default();
        let listed = self.store.list_with_delimiter(None).await.map_err(|source| store_error("list", &root, source))?;
        Ok(listed.common_prefixes.into_iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
    }

    /// The objects below `prefix` with their lengths, one after the other and in any order, however many there are.
    pub fn objects(&self, prefix: &Path) -> impl Stream<Item = Result<Object, DestinationError>> + use<> {
        let below = prefix.clone();
        let listed = self.store.list(Some(prefix));
        listed
            .map_ok(|meta| Object { path: meta.location, bytes: meta.size })
            .map_err(move |source| store_error("list", &below, source))
    }

    /// Copies what stands at `path` into a new file of this machine, piece by piece: `Ok(false)` when nothing stands there.
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
        let mut file = std::fs::File::create(to).map_err(disk)?;
        while let Some(piece) = pieces.try_next().await.map_err(failed)? {
            std::io::Write::write_all(&mut file, &piece).map_err(disk)?;
        }
        Ok(true)
    }

    /// The objects below `prefix`, those after `after` only, in any order.
    ///
    /// # Errors
    /// [`DestinationError::Store`].
    pub async fn list(&self, prefix: &Path, after: Option<&Path>) -> Result<Vec<Path>, DestinationError> {
        let listed = match after {
            Some(after) => self.store.list_with_offset(Some(prefix), after),
            None => self.store.list(Some(prefix)),
        };
        let found = listed.map_ok(|meta| meta.location).try_collect().await;
        found.map_err(|source| store_error("list", prefix, source))
    }
}

fn of_this_machine(error: std::io::Error) -> object_store::Error {
    object_store::Error::Generic { store: "LocalFileSystem", source: error.into() }
}

fn store_error(action: &'static str, path: &Path, source: object_store::Error) -> DestinationError {
    DestinationError::Store { action, path: path.to_string(), attempts: Attempts::ONE, source }
}

/// Opens a bucket with the usual variables of its kind, then the configured options.
fn remote(url: &url::Url, config: &DestinationConfig) -> Result<(Box<dyn ObjectStore>, Path), object_store::Error> {
    let prefix = Path::from_url_path(url.path())?;
    // The time is set beside what the environment says, such as AWS_ALLOW_HTTP: whole client options would take its place.
    let store: Box<dyn ObjectStore> = match url.scheme() {
        #[cfg(feature = "gcs")]
        "gs" => {
            use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
            let builder = GoogleCloudStorageBuilder::from_env()
                .with_url(url.as_str())
                .with_config(GoogleConfigKey::Client(ClientConfigKey::Timeout), STORE_TIMEOUT);
            let with = |builder: GoogleCloudStorageBuilder, (name, value): (&str, &str)| {
                Ok::<_, object_store::Error>(builder.with_config(name.parse()?, value))
            };
            Box::new(config.options.iter().try_fold(builder, with)?.build()?)
        }
        #[cfg(feature = "azure")]
        "az" => {
            use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
            let builder = MicrosoftAzureBuilder::from_env()
                .with_url(url.as_str())
                .with_config(AzureConfigKey::Client(ClientConfigKey::Timeout), STORE_TIMEOUT);
            let with = |builder: MicrosoftAzureBuilder, (name, value): (&str, &str)| {
                Ok::<_, object_store::Error>(builder.with_config(name.parse()?, value))
            };
            Box::new(config.options.iter().try_fold(builder, with)?.build()?)
        }
        _ => Box::new(s3_builder(url, config)?.build()?),
    };
    Ok((store, prefix))
}

/// A bucket of S3 by the variables and the configured options.
fn s3_builder(url: &url::Url, config: &DestinationConfig) -> Result<AmazonS3Builder, object_store::Error> {
    let with = |builder: AmazonS3Builder, (name, value): (&str, &str)| Ok(builder.with_config(name.parse()?, value));
    let builder = AmazonS3Builder::from_env()
        .with_url(url.as_str())
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), STORE_TIMEOUT);
    config.options.iter().try_fold(builder, with)
}
