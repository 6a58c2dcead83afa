//! The log of a table: numbered commits that are created and never changed, checkpoints, and the state that replaying them gives.

use std::collections::BTreeMap;

use bytes::Bytes;
use object_store::path::Path;

use crate::destination::{Destination, DestinationError, retry_write};
use crate::tables::action::{Action, Add, MetaData, Protocol, Remove};
use crate::tables::checkpoint;
use crate::tables::error::TablesError;

pub const LOG_DIRECTORY: &str = "_delta_log";

/// The names of a log.
#[derive(Debug, Clone, Default)]
pub struct LogFiles {
    /// Versions with a commit.
    pub commits: Vec<u64>,
    /// The files of each checkpoint, and how many it should have.
    pub checkpoints: BTreeMap<u64, (Vec<Path>, usize)>,
}

impl LogFiles {
    /// The last version.
    pub fn head(&self) -> Option<u64> {
        self.commits.last().copied().max(self.checkpoints.keys().next_back().copied())
    }

    fn add(&mut self, path: Path) {
        let Some(name) = path.filename() else { return };
        let mut parts = name.split('.');
        let Some(version) = parts.next().filter(|digits| digits.len() == 20).and_then(|digits| digits.parse().ok())
        else {
            return;
        };
        match parts.collect::<Vec<_>>().as_slice() {
            ["json"] => self.commits.push(version),
            ["checkpoint", "parquet"] => _ = self.checkpoints.insert(version, (vec![path], 1)),
            ["checkpoint", _, of, "parquet"] => {
                let checkpoint = self.checkpoints.entry(version).or_insert((Vec::new(), of.parse().unwrap_or(0)));
                checkpoint.0.push(path);
            }
            _ => {}
        }
    }
}

/// A table at one version.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    pub version: u64,
    pub protocol: Option<Protocol>,
    pub metadata: Option<MetaData>,
    /// Versions of transactions, by application.
    pub txns: BTreeMap<String, i64>,
    /// Files that readers see, by path.
    pub files: BTreeMap<String, Add>,
    /// Files that were removed and may not be deleted yet, by path.
    pub removed: BTreeMap<String, Remove>,
    /// The version of the checkpoint that it was read from.
    pub checkpoint: Option<u64>,
}

impl Snapshot {
    pub fn apply(&mut self, action: Action) {
        if let Some(protocol) = action.protocol {
            self.protocol = Some(protocol);
        }
        if let Some(metadata) = action.meta_data {
            self.metadata = Some(metadata);
        }
        if let Some(txn) = action.txn {
            self.txns.insert(txn.app_id, txn.version);
        }
        if let Some(add) = action.add {
            self.removed.remove(&add.path);
            self.files.insert(add.path.clone(), add);
        }
        if let Some(remove) = action.remove {
            self.files.remove(&remove.path);
            self.removed.insert(remove.path.clone(), remove);
        }
    }
}

/// The log of one table.
#[derive(Debug, Clone, Copy)]
pub struct Log<'a> {
    pub destination: &'a Destination,
    pub table: &'a str,
}

impl Log<'_> {
    pub fn path(&self, name: &str) -> Path {
        Path::from_iter([self.table, LOG_DIRECTORY, name])
    }

    pub fn commit_path(&self, version: u64) -> Path {
        self.path(&format!("{version:020}.json"))
    }

    pub fn failed(&self, source: DestinationError) -> TablesError {
        TablesError::Destination { table: self.table.to_owned(), source: source.into() }
    }

    pub fn damaged(&self, path: &Path, problem: impl ToString) -> TablesError {
        TablesError::DamagedLog { table: self.table.to_owned(), path: path.to_string(), problem: problem.to_string() }
    }

    /// One listing.
    pub async fn files(&self) -> Result<LogFiles, TablesError> {
        let listed = self.destination.list(&Path::from_iter([self.table, LOG_DIRECTORY]), None).await;
        let mut files = LogFiles::default();
        listed.map_err(|source| self.failed(source))?.into_iter().for_each(|path| files.add(path));
        files.commits.sort_unstable();
        files.checkpoints.retain(|_, (paths, of)| paths.len() == *of);
        Ok(files)
    }

    /// The actions of a commit; `None` if it does not exist.
    pub async fn read_commit(&self, version: u64) -> Result<Option<Vec<Action>>, TablesError> {
        let path = self.commit_path(version);
        let read = self.destination.read(&path).await.map_err(|source| self.failed(source))?;
        let parse = |bytes: Bytes| {
            let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
            lines.map(serde_json::from_slice).collect::<Result<Vec<Action>, _>>()
        };
        read.map(parse).transpose().map_err(|error| self.damaged(&path, error))
    }

    /// The table at the last version of `files`; `None` if there is none.
    pub async fn snapshot(&self, files: &LogFiles) -> Result<Option<Snapshot>, TablesError> {
        let Some(head) = files.head() else { return Ok(None) };
        let mut snapshot = Snapshot::default();
        let mut next = 0;
        if let Some((version, (paths, _))) = files.checkpoints.iter().next_back() {
            for path in paths {
                let read = self.destination.read(path).await.map_err(|source| self.failed(source))?;
                let bytes = read.ok_or_else(|| self.damaged(path, "it is gone"))?;
                let actions = tokio::task::spawn_blocking(move || checkpoint::read(bytes)).await;
                // The reader of Parquet panics on some damaged files.
                let actions = actions.unwrap_or_else(|_| Err("the Parquet reader panicked".to_owned()));
                let actions = actions.map_err(|problem| self.damaged(path, problem))?;
                actions.into_iter().for_each(|action| snapshot.apply(action));
            }
            (snapshot.version, snapshot.checkpoint, next) = (*version, Some(*version), version + 1);
        }
        for version in next..=head {
            let Some(actions) = self.read_commit(version).await? else {
                return Err(self.damaged(&self.commit_path(version), "this commit is gone, and later ones exist"));
            };
            actions.into_iter().for_each(|action| snapshot.apply(action));
            snapshot.version = version;
        }
        if snapshot.protocol.is_none() || snapshot.metadata.is_none() {
            return Err(self.damaged(&self.commit_path(head), "no commit up to it has a protocol and a schema"));
        }
        Ok(Some(snapshot))
    }

    /// Creates commit `version`; `false` if another writer has created it.
    pub async fn commit(&self, version: u64, actions: &[Action]) -> Result<bool, TablesError> {
        let path = self.commit_path(version);
        let lines = actions.iter().map(|action| Ok(serde_json::to_string(action)? + "\n"));
        let lines: serde_json::Result<String> = lines.collect();
        let bytes = Bytes::from(lines.map_err(|error| self.damaged(&path, error))?);
        match retry_write(|| self.destination.create(&path, bytes.clone()), || true).await {
            Ok(true) => Ok(true),
            // A create whose response was lost has created it all the same: every commit has an id of its own.
            created => match (self.destination.read(&path).await, created) {
                (Ok(Some(existing)), _) => Ok(existing == bytes),
                (_, Ok(_)) => Ok(false),
                (_, Err(source)) => Err(self.failed(source)),
            },
        }
    }
}
