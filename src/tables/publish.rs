//! Publishing: one commit of each table that differs from what the ledger says.
//!
//! Nothing is remembered between two runs. The log says which days of which publication the table has, and the ledger which it should have;
//! the difference is committed. So a run that was killed, a second process, and a commit of another engine need no case of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use object_store::path::Path;
use serde_json::json;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::config::{Compression, DestinationConfig};
use crate::destination::{Destination, DestinationError, retry_write};
use crate::error_text::error_chain;
use crate::layout::Layout;
use crate::ledger::State;
use crate::model::day::Day;
use crate::model::history::{history_name, history_of, list_of};
use crate::model::stream::Stream;
use crate::tables::action::{
    Action, Add, CommitInfo, Format, Marker, MetaData, Protocol, READER_VERSION, Texts, Txn, WRITER_VERSION,
};
use crate::tables::error::TablesError;
use crate::tables::log::{Log, Snapshot};
use crate::tables::partition_plan::{DAYS_TAG, PART_TAG, PartitionPlan};
use crate::tables::schema::{TableColumns, description, merged};
use crate::tables::scratch::{CONCURRENT_PARTITIONS, Scratch};
use crate::tables::statistics;
use crate::tables::upkeep;
use crate::tables::wanted::{WantedPartition, digest, encode_days, wanted};
use crate::write::{SpooledFile, TableWriteError, TableWriter, WorkerPanicked, WriteError, added_columns};

/// A file of day files with so many bytes or more is written while no other is: their rows, a few MiB, wait in memory until they are sorted.
const LARGE_BYTES: u64 = 256 * 1024;
/// Attempts to commit while other writers commit, too.
const MAX_ATTEMPTS: u32 = 5;
/// The application of transactions, before the id of the lake.
const APPLICATION: &str = "profound-export";
/// The property of a table that names the lake that it is published from.
const LAKE_PROPERTY: &str = "profoundExport.lake";

/// Where tables are published.
#[derive(Debug, Clone)]
pub struct Tables {
    pub place: TablesPlace,
    /// The streams that have a table, list snapshots with their list.
    pub streams: BTreeSet<String>,
    pub target_file_bytes: u64,
    /// How long files that a commit removed are kept for readers of earlier versions.
    pub retention: SignedDuration,
}

/// The object store of the tables. A configured one is opened when it is used: the lake is exported even if that fails.
#[derive(Debug, Clone)]
pub enum TablesPlace {
    Configured(DestinationConfig),
    Opened(Destination),
}

/// What tables are derived from.
#[derive(Debug, Clone, Copy)]
pub struct TablesSource<'a> {
    pub lake: &'a Destination,
    pub layout: Layout,
    pub compression: Compression,
    pub single_writer: bool,
    pub spool_dir: &'a std::path::Path,
    pub spool_bytes: u64,
    pub catalog: &'a Catalog,
    pub state: &'a State,
    pub now: Timestamp,
    pub cancel: &'a CancellationToken,
}

/// A commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct PublishedTable {
    pub version: u64,
    pub added_files: u64,
    pub removed_files: u64,
    pub bytes: u64,
}

/// What was published, and what could not be.
#[derive(Debug, Default)]
pub struct TablesReport {
    /// Tables with a new version.
    pub published: BTreeMap<String, PublishedTable>,
    pub failed: Vec<TablesError>,
}

impl Tables {
    /// The store of the tables.
    ///
    /// # Errors
    /// [`TablesError::Closed`].
    pub fn open(&self) -> Result<Destination, TablesError> {
        match &self.place {
            TablesPlace::Opened(destination) => Ok(destination.clone()),
            TablesPlace::Configured(config) => Destination::open(config)
                .map_err(|source| TablesError::Closed { url: config.url.clone(), source: source.into() }),
        }
    }

    /// Publishes every table that differs from the ledger. A failure of one does not keep the others from being published.
    pub async fn publish(&self, source: TablesSource<'_>) -> TablesReport {
        self.publish_all(source, Extent::Changes, |_| true).await
    }

    /// Writes the tables that `is_chosen` once more, whatever they hold.
    pub async fn rebuild(&self, source: TablesSource<'_>, is_chosen: impl Fn(&str) -> bool) -> TablesReport {
        self.publish_all(source, Extent::Everything, is_chosen).await
    }

    /// Removes what is forgotten from the tables that `is_chosen`: rows, files and versions. Readers of earlier versions fail.
    pub async fn forget(&self, source: TablesSource<'_>, is_chosen: impl Fn(&str) -> bool) -> TablesReport {
        let mut report = self.publish_all(source, Extent::Purge, &is_chosen).await;
        if report.failed.is_empty() {
            // The commit that removes files names them; the log that is left begins after it.
            report.failed = self.publish_all(source, Extent::Purge, &is_chosen).await.failed;
        }
        report
    }

    pub(super) fn has(&self, table: &str) -> bool {
        self.streams.contains(list_of(table).unwrap_or(table))
    }

    /// The tables of the ledger that `is_chosen`, also those of which all was forgotten, with the streams that describe them.
    pub(super) fn known(
        &self,
        source: TablesSource<'_>,
        is_chosen: impl Fn(&str) -> bool,
    ) -> Vec<(String, Arc<Stream>)> {
        let TablesSource { catalog, state, .. } = source;
        let all = catalog.streams().flat_map(|stream| [stream.name.clone(), history_name(&stream.name)]);
        let forgotten = all.filter(|name| !state.forgotten.erasures(name).is_empty());
        let tables: BTreeSet<String> = state.coverage.keys().cloned().chain(forgotten).collect();
        let chosen = tables.into_iter().filter(|table| is_chosen(table));
        chosen
            .filter_map(|table| Some((stream_of(catalog, &table)?, table)))
            .map(|(stream, table)| (table, stream))
            .collect()
    }

    async fn publish_all(
        &self,
        source: TablesSource<'_>,
        extent: Extent,
        is_chosen: impl Fn(&str) -> bool,
    ) -> TablesReport {
        let mut report = TablesReport::default();
        let destination = match self.open() {
            Ok(destination) => destination,
            Err(error) => {
                report.failed.push(error);
                return report;
            }
        };
        let scratch = OnceCell::new();
        let has_table = |table: &str| (extent == Extent::Purge || self.has(table)) && is_chosen(table);
        for (table, stream) in self.known(source, has_table) {
            let (table, stream, destination, scratch) = (table.as_str(), &stream, &destination, &scratch);
            let publication = Publication { destination, tables: self, source, scratch, table, stream, extent };
            if source.cancel.is_cancelled() {
                report.failed.push(TablesError::Stopped { table: table.to_owned() });
                break;
            }
            match publication.publish().await {
                Ok((published, problem)) => {
                    if let Some(published) = published {
                        let PublishedTable { version, added_files, removed_files, bytes } = published;
                        tracing::info!(table, version, added_files, removed_files, bytes, "table published");
                        report.published.insert(table.to_owned(), published);
                    }
                    report.failed.extend(problem);
                }
                Err(error) => {
                    let is_of_all = matches!(
                        error,
                        TablesError::Destination { .. } | TablesError::Write { .. } | TablesError::NoThread { .. }
                    );
                    report.failed.push(error);
                    if is_of_all {
                        break;
                    }
                }
            }
        }
        report
    }
}

/// The stream that describes `table`.
fn stream_of(catalog: &Catalog, table: &str) -> Option<Arc<Stream>> {
    match list_of(table) {
        Some(list) => catalog.get(list).map(|list| Arc::new(history_of(list))),
        None => catalog.get(table).cloned(),
    }
}

/// Identifies the lake in transactions: by where it was created, which its ledger keeps if it is moved.
fn application(state: &State, lake: &Destination) -> String {
    let url = state.url.as_deref().unwrap_or(lake.url());
    format!("{APPLICATION}/{}", Uuid::new_v5(&Uuid::NAMESPACE_URL, url.as_bytes()))
}

/// One table that is being published.
pub(super) struct Publication<'a> {
    pub(super) destination: &'a Destination,
    pub(super) tables: &'a Tables,
    pub(super) source: TablesSource<'a>,
    pub(super) scratch: &'a OnceCell<Scratch>,
    pub(super) table: &'a str,
    pub(super) stream: &'a Stream,
    pub(super) extent: Extent,
}

/// What is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Changes,
    /// All rows and a new log if the old one is unreadable: a person has asked for it.
    Everything,
    /// What is forgotten is in no file and no version. Creates no table.
    Purge,
}

/// A day file that cannot be read as it is recorded.
#[derive(Debug, Clone)]
struct UnfitDay {
    path: Path,
    problem: String,
}

/// The changes of one partition.
#[derive(Debug, Default)]
struct PartitionChange {
    removed: Vec<Add>,
    added: Vec<Add>,
    /// Whether rows change, not only their files.
    data_change: bool,
    unfit: BTreeMap<Option<Day>, UnfitDay>,
}

impl Publication<'_> {
    /// The commit, if there is something to publish, and what of it could not be published.
    async fn publish(&self) -> Result<(Option<PublishedTable>, Option<TablesError>), TablesError> {
        let (table, TablesSource { state, now, .. }) = (self.table, self.source);
        let columns = self.columns()?;
        let description = description(table, self.stream);
        let wanted = wanted(state, table, self.stream, now);
        let digest = digest(&wanted, &format!("{}{description}{:?}", columns.log, columns.partitions));
        let log = Log { destination: self.destination, table };
        let mut is_new = false;
        for _ in 0..MAX_ATTEMPTS {
            let files = log.files().await?;
            if self.extent == Extent::Changes
                && let Some(head) = files.commits.last()
                && let Some(actions) = log.read_commit(*head).await?
                && marker(&actions).is_some_and(|marker| marker.wanted.as_ref() == Some(&digest))
            {
                return Ok((None, None));
            }
            let snapshot = match log.snapshot(&files).await {
                Err(TablesError::DamagedLog { .. }) if self.extent == Extent::Everything => {
                    upkeep::delete_log(log).await?;
                    continue;
                }
                snapshot => snapshot?,
            };
            let is_purge = self.extent == Extent::Purge;
            let Some(mut snapshot) = snapshot else {
                if is_purge || wanted.is_empty() {
                    return Ok((None, None));
                }
                // An empty table first: files without a log are then never those of a process that is about to commit.
                let metadata = self.metadata(None, &columns, &description)?;
                is_new |=
                    self.can_create().await? && log.commit(0, &self.actions(true, metadata, Vec::new(), None)).await?;
                continue;
            };
            self.check(&snapshot, &columns)?;
            let version = snapshot.version + 1;
            let metadata = self.metadata(Some(&snapshot), &columns, &description)?;
            let changes = self.changes(version, &snapshot, &wanted, &columns).await?;
            let unfit: Vec<&UnfitDay> = changes.iter().flat_map(|change| change.unfit.values()).collect();
            let problem = unfit.first().map(|first| TablesError::DayFiles {
                table: table.to_owned(),
                days: unfit.len() as u64,
                path: first.path.to_string(),
                problem: first.problem.clone(),
            });
            let is_changed = changes.iter().any(|change| !change.added.is_empty() || !change.removed.is_empty());
            if metadata.is_none() && !is_changed && !is_purge {
                return Ok((None, problem));
            }
            let wanted = problem.is_none().then(|| digest.clone());
            let mut published = PublishedTable { version, ..PublishedTable::default() };
            for change in &changes {
                published.added_files += change.added.len() as u64;
                published.removed_files += change.removed.len() as u64;
                published.bytes += change.added.iter().map(|add| add.size.unsigned_abs()).sum::<u64>();
            }
            let actions = self.actions(false, metadata, changes, wanted);
            if log.commit(version, &actions).await? {
                actions.into_iter().for_each(|action| snapshot.apply(action));
                snapshot.version = version;
                let kept = if is_purge {
                    upkeep::purge(log, &mut snapshot).await
                } else if self.extent == Extent::Everything && is_new {
                    // Nothing of an older log is left that names a file.
                    upkeep::delete_unnamed(log, &snapshot, None).await
                } else if upkeep::is_due(&snapshot) {
                    // Without such a time nothing is that old.
                    let expiry = now.checked_sub(self.tables.retention).unwrap_or(Timestamp::MIN);
                    upkeep::keep(log, &mut snapshot, Some(expiry)).await
                } else {
                    Ok(())
                };
                return Ok((Some(published), kept.err().or(problem)));
            }
        }
        Err(TablesError::Contended { table: table.to_owned(), attempts: MAX_ATTEMPTS })
    }

    pub(super) fn columns(&self) -> Result<TableColumns, TablesError> {
        let is_dated = self.stream.days.is_some() || list_of(self.table).is_some();
        TableColumns::new(self.stream, is_dated).map_err(|column| {
            self.foreign(format!("the stream declares a column `{column}`, which every table has; rename it"))
        })
    }

    pub(super) fn foreign(&self, problem: String) -> TablesError {
        TablesError::Foreign { table: self.table.to_owned(), problem }
    }

    pub(super) fn failed(&self, source: DestinationError) -> TablesError {
        TablesError::Destination { table: self.table.to_owned(), source: source.into() }
    }

    fn panicked(&self, source: WorkerPanicked) -> TablesError {
        TablesError::Panicked { table: self.table.to_owned(), source }
    }

    fn not_written(&self, source: WriteError) -> TablesError {
        TablesError::Write { table: self.table.to_owned(), source: source.into() }
    }

    /// Whether the table can be created: its directory is empty, and the store never lets two writers create the same commit.
    async fn can_create(&self) -> Result<bool, TablesError> {
        let destination = self.destination;
        let mut objects = destination.objects(&Layout::directory(self.table));
        if objects.try_next().await.map_err(|source| self.failed(source))?.is_some() {
            // Another process may have created it since the log was listed.
            let log = Log { destination, table: self.table };
            return match log.files().await?.head() {
                Some(_) => Ok(false),
                None if self.extent == Extent::Everything => Ok(true),
                None => Err(TablesError::LostLog { table: self.table.to_owned() }),
            };
        }
        if !self.source.single_writer {
            destination.probe().await.map_err(|source| self.failed(source))?;
        }
        Ok(true)
    }

    /// Rejects what another engine or another lake made of the table.
    pub(super) fn check(&self, snapshot: &Snapshot, columns: &TableColumns) -> Result<(), TablesError> {
        let table = self.table.to_owned();
        if let Some(Protocol { min_reader_version: reader, min_writer_version: writer }) = snapshot.protocol
            && (reader > READER_VERSION || writer > WRITER_VERSION)
        {
            return Err(TablesError::NewerProtocol { table, reader, writer });
        }
        if self.extent == Extent::Everything {
            return Ok(());
        }
        let Some(metadata) = &snapshot.metadata else { return Ok(()) };
        let own = application(self.source.state, self.source.lake);
        match metadata.configuration.get(LAKE_PROPERTY).cloned().flatten() {
            Some(lake) if lake == own => {}
            Some(found) => return Err(TablesError::OtherLake { table, found }),
            None => {
                return Err(self.foreign(format!("it was not published by this program: it has no `{LAKE_PROPERTY}`")));
            }
        }
        let known = self.source.state.number;
        if let Some(published) = snapshot.txns.get(&own).filter(|published| published.unsigned_abs() > known) {
            return Err(TablesError::Behind { table, published: *published, known });
        }
        if metadata.partition_columns != columns.partitions {
            let problem = format!(
                "it is partitioned by {} instead of {}",
                metadata.partition_columns.join(", "),
                columns.partitions.join(", ")
            );
            return Err(self.foreign(problem));
        }
        let is_append_only = metadata.configuration.get("delta.appendOnly").cloned().flatten();
        if is_append_only.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(self.foreign("`delta.appendOnly` is set, so no day can be replaced".to_owned()));
        }
        Ok(())
    }

    /// The metadata, if it changes.
    pub(super) fn metadata(
        &self,
        snapshot: Option<&Snapshot>,
        columns: &TableColumns,
        description: &str,
    ) -> Result<Option<MetaData>, TablesError> {
        let existing = snapshot.and_then(|snapshot| snapshot.metadata.as_ref());
        let schema = match existing {
            Some(existing) if self.extent != Extent::Everything => {
                let existing = serde_json::from_str(&existing.schema_string)
                    .map_err(|error| self.foreign(format!("its schema is no JSON: {error}")))?;
                let schema = merged(&existing, &columns.log, "").map_err(|problem| self.foreign(problem))?;
                if schema == existing { existing } else { schema }
            }
            _ => columns.log.clone(),
        };
        let kept = existing.filter(|_| self.extent != Extent::Everything);
        let new = MetaData {
            id: existing.map_or_else(|| Uuid::now_v7().to_string(), |existing| existing.id.clone()),
            name: Some(existing.and_then(|existing| existing.name.clone()).unwrap_or_else(|| self.table.to_owned())),
            description: Some(description.to_owned()),
            format: Format { provider: "parquet".to_owned(), options: Texts::new() },
            schema_string: schema.to_string(),
            partition_columns: columns.partitions.clone(),
            configuration: kept.map_or_else(
                || [(LAKE_PROPERTY.to_owned(), Some(application(self.source.state, self.source.lake)))].into(),
                |kept| kept.configuration.clone(),
            ),
            created_time: existing.map_or(Some(self.source.now.as_millisecond()), |existing| existing.created_time),
        };
        let is_same = kept.is_some_and(|existing| {
            let old: Option<serde_json::Value> = serde_json::from_str(&existing.schema_string).ok();
            old.as_ref() == Some(&schema) && existing.description == new.description
        });
        Ok((!is_same).then_some(new))
    }

    fn actions(
        &self,
        is_new: bool,
        metadata: Option<MetaData>,
        changes: Vec<PartitionChange>,
        wanted: Option<String>,
    ) -> Vec<Action> {
        let TablesSource { state, lake, now, .. } = self.source;
        let now = now.as_millisecond();
        let is_data = changes.iter().any(|change| change.data_change);
        let operation = match (is_new, is_data, metadata.is_some()) {
            (true, _, _) => "CREATE TABLE",
            (_, true, _) => "WRITE",
            (_, false, true) => "CHANGE COLUMN",
            (_, false, false) => "OPTIMIZE",
        };
        let parameters = if is_data { [("mode".to_owned(), json!("Overwrite"))].into() } else { BTreeMap::new() };
        let info = CommitInfo {
            timestamp: now,
            operation: operation.to_owned(),
            operation_parameters: parameters,
            engine_info: format!("{APPLICATION}/{}", env!("CARGO_PKG_VERSION")),
            txn_id: Uuid::now_v7().to_string(),
            profound_export: Some(Marker { wanted }),
        };
        let version = i64::try_from(state.number).unwrap_or(i64::MAX);
        let mut actions: Vec<Action> = vec![info.into()];
        if is_new {
            let protocol = Protocol { min_reader_version: READER_VERSION, min_writer_version: WRITER_VERSION };
            actions.push(protocol.into());
        }
        actions.extend(metadata.map(Action::from));
        actions.push(Txn { app_id: application(state, lake), version, last_updated: Some(now) }.into());
        for change in changes {
            actions.extend(change.removed.iter().map(|add| add.removed(now, change.data_change).into()));
            actions.extend(change.added.into_iter().map(Action::from));
        }
        actions
    }

    /// Writes the files of every partition that changes.
    async fn changes(
        &self,
        version: u64,
        snapshot: &Snapshot,
        wanted: &BTreeMap<Texts, WantedPartition>,
        columns: &TableColumns,
    ) -> Result<Vec<PartitionChange>, TablesError> {
        let mut existing: BTreeMap<&Texts, Vec<&Add>> = BTreeMap::new();
        for add in snapshot.files.values() {
            existing.entry(&add.partition_values).or_default().push(add);
        }
        let partitions: BTreeSet<&Texts> = existing.keys().copied().chain(wanted.keys()).collect();
        let changes = partitions.into_iter().map(|values| {
            let files = existing.get(values).cloned().unwrap_or_default();
            self.change(version, values, wanted.get(values), files, columns)
        });
        // Collected, since a lazy iterator with captured state would need a longer life than the stream.
        let changes: Vec<_> = changes.collect();
        let changes = futures::stream::iter(changes).buffer_unordered(CONCURRENT_PARTITIONS);
        let changed = |change: &PartitionChange| {
            !change.added.is_empty() || !change.removed.is_empty() || !change.unfit.is_empty()
        };
        let mut changes: Vec<PartitionChange> =
            changes.try_filter(|change| std::future::ready(changed(change))).try_collect().await?;
        let paths: Vec<Path> =
            changes.iter().flat_map(|change| &change.added).map(|add| self.path(&add.path)).collect();
        self.destination.sync(&paths).await.map_err(|source| self.failed(source))?;
        // Whichever partition was written first: equal tables have equal commits.
        changes.sort_by(|one, other| {
            let path =
                |change: &PartitionChange| change.added.first().or(change.removed.first()).map(|add| add.path.clone());
            path(one).cmp(&path(other))
        });
        Ok(changes)
    }

    pub(super) async fn scratch(&self) -> Result<&Scratch, TablesError> {
        let TablesSource { spool_dir, spool_bytes, .. } = self.source;
        self.scratch.get_or_try_init(async || Scratch::open(self.table, spool_dir, spool_bytes)).await
    }

    pub(super) fn path(&self, in_table: &str) -> Path {
        Path::from(format!("{}/{in_table}", self.table))
    }

    /// Writes the files of one partition. Days whose file is unfit keep the files that the table has.
    async fn change(
        &self,
        version: u64,
        values: &Texts,
        wanted: Option<&WantedPartition>,
        files: Vec<&Add>,
        columns: &TableColumns,
    ) -> Result<PartitionChange, TablesError> {
        let mut unfit: BTreeMap<Option<Day>, UnfitDay> = BTreeMap::new();
        'plan: loop {
            let plan =
                PartitionPlan::new(wanted, &files, self.extent == Extent::Everything, |day| unfit.contains_key(&day));
            let mut added = Vec::new();
            for days in &plan.written {
                if self.source.cancel.is_cancelled() {
                    return Err(TablesError::Stopped { table: self.table.to_owned() });
                }
                let Some(wanted) = wanted else { continue };
                match self.write(version, values, wanted, days, columns).await? {
                    Ok(files) => {
                        added.extend(files.into_iter().map(|add| Add { data_change: plan.data_change, ..add }));
                    }
                    Err((day, problem)) => {
                        unfit.insert(day, problem);
                        continue 'plan;
                    }
                }
            }
            let removed = plan.removed.into_iter().cloned().collect();
            return Ok(PartitionChange { removed, added, data_change: plan.data_change, unfit });
        }
    }

    /// Writes the rows of `days` and publishes the files. The inner error is the day whose file cannot be used.
    async fn write(
        &self,
        version: u64,
        values: &Texts,
        wanted: &WantedPartition,
        days: &[Option<Day>],
        columns: &TableColumns,
    ) -> Result<Result<Vec<Add>, (Option<Day>, UnfitDay)>, TablesError> {
        let TablesSource { layout, compression, .. } = self.source;
        let scratch = self.scratch().await?;
        let Scratch { spool, worker, writing } = scratch;
        let bytes: u64 = days.iter().filter_map(|day| Some(wanted.days.get(day)?.state.bytes)).sum();
        let permits = if bytes < LARGE_BYTES { 1 } else { CONCURRENT_PARTITIONS };
        // It is never closed.
        let permit = writing.acquire_many(permits as u32).await.ok();
        let dir = spool.create_extra_dir().map_err(|source| self.not_written(source))?;
        let day_column = wanted.month.is_some().then_some(crate::tables::schema::DAY_COLUMN);
        let (files, target) = (Arc::clone(&columns.files), self.tables.target_file_bytes);
        let mut writer = TableWriter::new(self.stream, files, day_column, compression, target, dir);
        let added = added_columns(self.table, &wanted.scope);
        for day in days {
            let path = layout.path_for(self.stream, &wanted.scope, *day);
            let unfit = |problem: String| Ok(Err((*day, UnfitDay { path: path.clone(), problem })));
            let Some(state) = wanted.days.get(day).map(|wanted| &wanted.state) else { continue };
            let Some((file, copy)) = scratch.file(self.table, self.source.lake, &path, state.bytes).await? else {
                return unfit("it is gone".to_owned());
            };
            let day = *day;
            let appended = worker.run(&path, move || {
                let content = writer.append(file, added, day);
                (writer, content)
            });
            // parquet-rs panics on some damaged bytes.
            let Ok((returned, content)) = appended.await else {
                return unfit("the Parquet reader panicked".to_owned());
            };
            writer = returned;
            drop(copy);
            match content {
                Ok(content) if (content.rows, content.hash) == (state.rows, state.hash) => {}
                Ok(_) => return unfit("its rows differ from the recorded ones".to_owned()),
                Err(TableWriteError::Read(error)) => return unfit(error_chain(&error)),
                Err(TableWriteError::Write(source)) => return Err(self.not_written(source)),
            }
        }
        let finished =
            worker.run(&self.table, move || writer.finish()).await.map_err(|source| self.panicked(source))?;
        let (files, _dir) = finished.map_err(|source| self.not_written(source))?;
        drop(permit);
        let identities = days.iter().filter_map(|day| Some((*day, wanted.days.get(day)?.identity.as_str())));
        let days = encode_days(identities);
        let mut adds = Vec::with_capacity(files.len());
        for (number, file) in (1..).zip(&files) {
            let tags = [(DAYS_TAG, days.clone()), (PART_TAG, format!("{number}/{}", files.len()))];
            let tags = tags.map(|(name, text)| (name.to_owned(), Some(text))).into();
            adds.push(self.upload(version, values, file, tags).await?);
        }
        Ok(Ok(adds))
    }

    /// Publishes a file of the spool. Its name has the version that adds it, so the name of a removed file is never used again.
    async fn upload(&self, version: u64, values: &Texts, file: &SpooledFile, tags: Texts) -> Result<Add, TablesError> {
        let name = format!("v{version}-{}.parquet", &const_hex::encode(file.sha256)[..32]);
        let partition = self.partition(values);
        let in_table = Layout::scanned_path(partition.iter().map(|(name, value)| (*name, *value)), &name);
        let path = self.path(in_table.as_ref());
        let stats = statistics::of_file(&file.path)
            .map_err(|source| self.not_written(WriteError::Parquet { path: file.path.clone(), source }))?;
        let upload = || self.destination.publish(&file.path, &file.sha256, &path);
        let published = retry_write(upload, || true).await.map_err(|source| self.failed(source))?;
        Ok(Add {
            path: in_table.to_string(),
            partition_values: values.clone(),
            size: i64::try_from(published.bytes).unwrap_or(i64::MAX),
            modification_time: self.source.now.as_millisecond(),
            data_change: true,
            stats: Some(stats),
            tags: Some(tags),
        })
    }

    /// The values of a partition in the order of its columns.
    pub(super) fn partition<'a>(&self, values: &'a Texts) -> Vec<(&'a str, &'a str)> {
        let pair =
            |(name, value): (&'a String, &'a Option<String>)| (name.as_str(), value.as_deref().unwrap_or_default());
        let mut pairs: Vec<_> = values.iter().map(pair).collect();
        let parts = self.stream.scope.parts();
        let place = |name: &str| parts.iter().position(|part| crate::tables::schema::partition_column(*part) == name);
        pairs.sort_by_key(|(name, _)| place(name).unwrap_or(parts.len()));
        pairs
    }
}

fn marker(actions: &[Action]) -> Option<&Marker> {
    actions.iter().find_map(|action| action.commit_info.as_ref())?.profound_export.as_ref()
}
