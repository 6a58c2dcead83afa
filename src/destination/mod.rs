//! The object store of a lake: one root, and the few operations that are atomic on every kind of store.

mod directories;
mod error;
mod policy;
mod probe;
mod retry;
mod store_denial;
mod upload;

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use jiff::Timestamp;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use uuid::Uuid;

use crate::config::{DestinationConfig, Location};
use crate::destination::directories::Directories;
use crate::retry::Attempts;

pub use error::DestinationError;
pub use policy::{Permissions, RoleGrant, least_permissions};
pub use retry::{WRITE_RETRIES, retry_write};

/// Holds ledger, staging and coverage table. Engines skip directories whose name begins with an underscore.
pub const OWN_DIRECTORY: &str = "_profound_export";

/// Timeout of one request. Uploads are sent in parts of 8 MiB, so a slow line needs no longer one.
const STORE_TIMEOUT: &str = "120s";

/// No living run is still writing a staging file of this age.
const STAGING_EXPIRY_SECONDS: i64 = 24 * 3600;

/// The store of a lake. Paths are relative to the root of the lake.
#[derive(Debug, Clone)]
pub struct Destination {
    store: Arc<dyn ObjectStore>,
    /// For messages.
    url: String,
    /// `None` for object stores. Where there are directories, files are written to a staging directory and then renamed: a
    /// directory shows a file while it grows.
    directories: Option<Directories>,
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
            Location::Local(path) => return Self::local(path),
            Location::Store(url) => url,
        };
        let opened = |source| DestinationError::Open { url: url.to_string(), source };
        let (store, prefix) = remote(&url, config).map_err(opened)?;
        let store: Arc<dyn ObjectStore> = match prefix.as_ref() {
            "" => store.into(),
            _ => Arc::new(PrefixStore::new(store, prefix)),
        };
        Ok(Self::new(store, url.as_str()))
    }

    fn local(path: PathBuf) -> Result<Self, DestinationError> {
        let directory = |source| DestinationError::Directory { path: path.display().to_string(), source };
        let directories = Directories::new(&path).map_err(directory)?;
        let url = directories.root().display().to_string();
        let store = LocalFileSystem::new_with_prefix(directories.root())
            .map_err(|source| DestinationError::Open { url: url.clone(), source })?
            .with_fsync(true);
        Ok(Self { store: Arc::new(store), url, directories: Some(directories) })
    }

    /// A destination in `store`, whose puts must be atomic.
    pub fn new(store: Arc<dyn ObjectStore>, url: &str) -> Self {
        Self { store, url: url.to_owned(), directories: None }
    }

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
        self.directories.as_ref().map(|_| Path::from_iter([OWN_DIRECTORY, "staging", &Uuid::now_v7().to_string()]))
    }

    /// Creates and syncs the directories above `path`, so that they survive a power cut.
    async fn ensure_parents(&self, path: &Path) -> Result<(), object_store::Error> {
        match &self.directories {
            Some(directories) => directories.ensure_parents(path).await.map_err(local_error),
            None => Ok(()),
        }
    }

    /// Removes staging files of killed runs: those older than a day, which no living run is still writing. Files that cannot be
    /// removed are left for the next run.
    pub async fn sweep_staging(&self, now: Timestamp) {
        if self.directories.is_none() {
            return;
        }
        let staging = Path::from_iter([OWN_DIRECTORY, "staging"]);
        let Ok(found) = self.store.list(Some(&staging)).try_collect::<Vec<_>>().await else {
            return;
        };
        let expired = now.as_second() - STAGING_EXPIRY_SECONDS;
        for file in found.iter().filter(|file| file.last_modified.timestamp() < expired) {
            self.store.delete(&file.location).await.ok();
        }
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
            Some(staging) => self.rename(staging, path).await.map_err(failed),
            None => Ok(()),
        }
    }

    /// Moves a complete staging file to `path`, in place of an existing object.
    async fn rename(&self, staging: &Path, path: &Path) -> Result<(), object_store::Error> {
        let renamed = async {
            self.ensure_parents(path).await?;
            self.store.rename(staging, path).await
        };
        let renamed = renamed.await;
        if renamed.is_err() {
            self.store.delete(staging).await.ok();
        }
        renamed
    }

    /// Creates an object at `path`; `Ok(false)` if one exists.
    ///
    /// # Errors
    /// [`DestinationError::Store`]; whether the object was created is then unknown, so the caller must read it back.
    pub async fn create(&self, path: &Path, bytes: Bytes) -> Result<bool, DestinationError> {
        self.ensure_parents(path).await.map_err(|source| store_error("create", path, source))?;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(path, PutPayload::from_bytes(bytes), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(source) => Err(store_error("create", path, source)),
        }
    }

    /// The object at `path`, if it exists.
    ///
    /// # Errors
    /// [`DestinationError::Store`].
    pub async fn read(&self, path: &Path) -> Result<Option<Bytes>, DestinationError> {
        let failed = |source| store_error("read", path, source);
        match self.store.get(path).await {
            Ok(found) => found.bytes().await.map(Some).map_err(failed),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            // S3 answers 403 for a missing object if the credentials may list only a prefix. A 403 counts as "not found" only if a
            // listing confirms it.
            Err(source @ object_store::Error::PermissionDenied { .. }) => {
                if self.is_listed(path).await? {
                    Err(failed(source))
                } else {
                    Ok(None)
                }
            }
            Err(source) => Err(failed(source)),
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

    /// The names of the directories at the root.
    ///
    /// # Errors
    /// [`DestinationError::Store`].
    pub async fn directories(&self) -> Result<Vec<String>, DestinationError> {
        let root = Path::default();
        let listed = self.store.list_with_delimiter(None).await.map_err(|source| store_error("list", &root, source))?;
        Ok(listed.common_prefixes.into_iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
    }

    /// Streams the objects below `prefix` in any order, so that memory does not grow with their number.
    pub fn objects(&self, prefix: &Path) -> impl Stream<Item = Result<Object, DestinationError>> + use<> {
        let below = prefix.clone();
        let listed = self.store.list(Some(prefix));
        listed
            .map_ok(|meta| Object { path: meta.location, bytes: meta.size })
            .map_err(move |source| store_error("list", &below, source))
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
        let listed = match after {
            Some(after) => self.store.list_with_offset(Some(prefix), after),
            None => self.store.list(Some(prefix)),
        };
        let found = listed.map_ok(|meta| meta.location).try_collect().await;
        found.map_err(|source| store_error("list", prefix, source))
    }
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
    let store: Box<dyn ObjectStore> = match url.scheme() {
        #[cfg(feature = "gcs")]
        "gs" => {
            let builder = object_store::gcp::GoogleCloudStorageBuilder::from_env().with_url(url.as_str());
            Box::new(with_options(builder, config, |builder, name, value| builder.with_config(name, value))?.build()?)
        }
        #[cfg(feature = "azure")]
        "az" => {
            let builder = object_store::azure::MicrosoftAzureBuilder::from_env().with_url(url.as_str());
            Box::new(with_options(builder, config, |builder, name, value| builder.with_config(name, value))?.build()?)
        }
        _ => Box::new(s3_builder(url, config)?.build()?),
    };
    Ok((store, prefix))
}

/// A bucket of S3 by the variables and the configured options. An empty variable counts as unset: `from_env` would send an empty
/// session token, and panic on an empty endpoint.
fn s3_builder(url: &url::Url, config: &DestinationConfig) -> Result<AmazonS3Builder, object_store::Error> {
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        let key = name.starts_with("AWS_").then(|| name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>().ok())??;
        (!value.trim().is_empty()).then_some((key, value))
    });
    let builder = variables.fold(AmazonS3Builder::new(), |builder, (key, value)| builder.with_config(key, value));
    let set = |builder: AmazonS3Builder, name, value: &str| builder.with_config(name, value);
    let builder = with_options(builder.with_url(url.as_str()), config, set)?;
    match builder.get_config_value(&AmazonS3ConfigKey::Endpoint).filter(|endpoint| !is_endpoint(endpoint)) {
        // object_store panics on an address without a scheme.
        Some(endpoint) => Err(object_store::Error::Generic {
            store: "S3",
            source: format!(
                "the endpoint `{endpoint}` must begin with `http://` or `https://`; it comes from AWS_ENDPOINT_URL, AWS_ENDPOINT or \
                 `endpoint` in `[destination.options]`"
            )
            .into(),
        }),
        None => Ok(builder),
    }
}

fn is_endpoint(address: &str) -> bool {
    url::Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
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
