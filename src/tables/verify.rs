//! Whether tables hold what the ledger says: every file, every day, and the rows of each.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use percent_encoding::percent_decode_str;
use tokio::sync::OnceCell;

use crate::decode::TableSchema;
use crate::error_text::error_chain;
use crate::layout::Layout;
use crate::model::content_hash::ContentHash;
use crate::model::day::Day;
use crate::tables::action::{Add, Texts};
use crate::tables::error::TablesError;
use crate::tables::log::{LOG_DIRECTORY, Log, Snapshot};
use crate::tables::partition_plan::{FileGroup, PartitionPlan, groups};
use crate::tables::publish::{Extent, Publication, Tables, TablesSource};
use crate::tables::schema::{DAY_COLUMN, description};
use crate::tables::scratch::CONCURRENT_PARTITIONS;
use crate::tables::upkeep::version_of;
use crate::tables::wanted::{WantedPartition, wanted};
use crate::write::{ContentOfDays, FileSource, OWN_COLUMNS, OpenFile, added_columns, table_schema};

/// What is wrong with a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableProblem {
    pub table: String,
    pub kind: TableProblemKind,
    /// From the root of the tables.
    pub path: String,
    pub problem: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableProblemKind {
    /// The log names the file, and it does not exist.
    Missing,
    WrongSize,
    /// It cannot be read, or its rows differ from those of the lake.
    Damaged,
    /// The table has other days than the ledger.
    Outdated,
    /// Another program left the file.
    Unmanaged,
    /// A run in progress may be about to publish it, or was killed; later runs see to it.
    Unsettled,
}

/// How much was compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct VerifiedTables {
    pub tables: u64,
    pub files: u64,
    pub bytes: u64,
}

impl Tables {
    /// Compares the tables that `is_chosen` with the ledger, and calls `report` with each problem; `reads_rows`: and their rows with the hashes
    /// of the ledger.
    ///
    /// # Errors
    /// [`TablesError`] if the store or the spool fails.
    pub async fn verify(
        &self,
        source: TablesSource<'_>,
        reads_rows: bool,
        is_chosen: impl Fn(&str) -> bool,
        mut report: impl FnMut(TableProblem),
    ) -> Result<VerifiedTables, TablesError> {
        let destination = &self.open()?;
        let (scratch, mut verified) = (&OnceCell::new(), VerifiedTables::default());
        for (table, stream) in self.known(source, |table| self.has(table) && is_chosen(table)) {
            let (table, stream, extent) = (table.as_str(), &stream, Extent::Changes);
            let publication = Publication { destination, tables: self, source, scratch, table, stream, extent };
            let problems = publication.verify(reads_rows, &mut verified).await?;
            problems.into_iter().for_each(&mut report);
        }
        Ok(verified)
    }
}

impl Publication<'_> {
    async fn verify(&self, reads_rows: bool, verified: &mut VerifiedTables) -> Result<Vec<TableProblem>, TablesError> {
        let mut problems = Vec::new();
        let wanted = wanted(self.source.state, self.table, self.stream, self.source.now);
        let snapshot = match self.comparable().await {
            Ok(Some(snapshot)) => snapshot,
            Ok(None) if wanted.is_empty() => return Ok(problems),
            Ok(None) => {
                problems.push(self.problem(self.outdated(), self.table, "it was not published yet".to_owned()));
                return Ok(problems);
            }
            Err(error) if error.is_lasting() || matches!(error, TablesError::Behind { .. }) => {
                problems.push(self.problem(TableProblemKind::Damaged, self.table, error_chain(&error)));
                return Ok(problems);
            }
            Err(error) => return Err(error),
        };
        verified.tables += 1;
        let mut existing: BTreeMap<&Texts, Vec<&Add>> = BTreeMap::new();
        for add in snapshot.files.values() {
            existing.entry(&add.partition_values).or_default().push(add);
        }
        let partitions: BTreeSet<&Texts> = existing.keys().copied().chain(wanted.keys()).collect();
        for values in partitions {
            let files = existing.get(values).cloned().unwrap_or_default();
            problems.extend(self.difference(values, wanted.get(values), &files));
        }
        let unfit = self.compare_files(&snapshot, verified, &mut problems).await?;
        if !reads_rows {
            return Ok(problems);
        }
        let mut compared = Vec::new();
        for (values, files) in &existing {
            let Some(wanted) = wanted.get(*values) else { continue };
            let is_fit = |group: &FileGroup<'_>| group.files.iter().all(|add| !unfit.contains(&add.path));
            compared.extend(groups(files).into_iter().filter(is_fit).map(|group| self.compare_rows(wanted, group)));
        }
        let compared = futures::stream::iter(compared).buffered(CONCURRENT_PARTITIONS);
        problems.extend(compared.try_collect::<Vec<_>>().await?.into_iter().flatten());
        Ok(problems)
    }

    /// The table, if a run could write to it; `None` if there is none.
    async fn comparable(&self) -> Result<Option<Snapshot>, TablesError> {
        let log = Log { destination: self.destination, table: self.table };
        let Some(snapshot) = log.snapshot(&log.files().await?).await? else {
            let mut objects = self.destination.objects(&Layout::directory(self.table));
            let first = objects.try_next().await.map_err(|source| self.failed(source))?;
            return first.map_or(Ok(None), |_| Err(TablesError::LostLog { table: self.table.to_owned() }));
        };
        let columns = self.columns()?;
        self.check(&snapshot, &columns)?;
        self.metadata(Some(&snapshot), &columns, &description(self.table, self.stream))?;
        Ok(Some(snapshot))
    }

    fn problem(&self, kind: TableProblemKind, path: &str, problem: String) -> TableProblem {
        TableProblem { table: self.table.to_owned(), kind, path: path.to_owned(), problem }
    }

    /// What the next run would change in a partition.
    fn difference(&self, values: &Texts, wanted: Option<&WantedPartition>, files: &[&Add]) -> Option<TableProblem> {
        let plan = PartitionPlan::new(wanted, files, false, |_| false);
        if !plan.data_change {
            return None;
        }
        let days: Vec<String> = plan.written.iter().flatten().flatten().map(Day::to_string).collect();
        let problem = match days.as_slice() {
            [] => "it has rows that the ledger does not have".to_owned(),
            [day] => format!("it lacks the rows of {day} as the ledger has them"),
            [first, .., last] => {
                format!("it lacks rows of {} days as the ledger has them, from {first} to {last}", days.len())
            }
        };
        let path = Layout::scanned_path(self.partition(values).into_iter(), "");
        Some(self.problem(self.outdated(), self.path(path.as_ref()).as_ref(), problem))
    }

    /// Tables follow the ledger at the end of a run.
    fn outdated(&self) -> TableProblemKind {
        let is_settled = self.source.state.open_runs.is_empty();
        if is_settled { TableProblemKind::Outdated } else { TableProblemKind::Unsettled }
    }

    /// Compares the objects of the table with its log. Returns the files of the log that cannot be read.
    async fn compare_files(
        &self,
        snapshot: &Snapshot,
        verified: &mut VerifiedTables,
        problems: &mut Vec<TableProblem>,
    ) -> Result<BTreeSet<String>, TablesError> {
        let decoded = |path: &str| self.path(&percent_decode_str(path).decode_utf8_lossy());
        let logs = Path::from_iter([self.table, LOG_DIRECTORY]);
        let mut named: BTreeMap<Path, &Add> = snapshot.files.values().map(|add| (decoded(&add.path), add)).collect();
        let removed: BTreeSet<Path> = snapshot.removed.keys().map(|path| decoded(path)).collect();
        let mut unfit = BTreeSet::new();
        let mut objects = self.destination.objects(&Layout::directory(self.table));
        while let Some(object) = objects.try_next().await.map_err(|source| self.failed(source))? {
            let path = object.path.as_ref();
            match named.remove(&object.path) {
                Some(add) => {
                    verified.files += 1;
                    verified.bytes += object.bytes;
                    if add.size.unsigned_abs() != object.bytes {
                        let problem = format!("it has {} bytes instead of {}", object.bytes, add.size);
                        problems.push(self.problem(TableProblemKind::WrongSize, path, problem));
                        unfit.insert(add.path.clone());
                    }
                }
                None if object.path.prefix_matches(&logs) || removed.contains(&object.path) => {}
                None if version_of(&object.path).is_some() => {
                    let problem = "no commit names it: a run is writing it, or was killed; a later run deletes it";
                    problems.push(self.problem(TableProblemKind::Unsettled, path, problem.to_owned()));
                }
                None => {
                    problems.push(self.problem(TableProblemKind::Unmanaged, path, "no commit names it".to_owned()));
                }
            }
        }
        for (path, add) in named {
            let problem = "a commit names it, and it does not exist".to_owned();
            problems.push(self.problem(TableProblemKind::Missing, path.as_ref(), problem));
            unfit.insert(add.path.clone());
        }
        Ok(unfit)
    }

    /// Reads the files of `group` and compares the rows of each day with the ledger. Days that the group should not have are not compared.
    async fn compare_rows(
        &self,
        wanted: &WantedPartition,
        group: FileGroup<'_>,
    ) -> Result<Option<TableProblem>, TablesError> {
        let mut found = ContentOfDays::new();
        let mut last = None;
        for add in &group.files {
            let path = self.path(&percent_decode_str(&add.path).decode_utf8_lossy());
            let damaged = |problem: String| Ok(Some(self.problem(TableProblemKind::Damaged, path.as_ref(), problem)));
            let scratch = self.scratch().await?;
            let size = add.size.unsigned_abs();
            let Some((file, _copy)) = scratch.file(self.table, self.destination, &path, size).await? else {
                return damaged("it was deleted just now".to_owned());
            };
            let content = self.content(wanted);
            let has_days = wanted.month.is_some();
            let read = move |file: FileSource| OpenFile::new(file)?.read_days(&content, has_days.then_some(DAY_COLUMN));
            match scratch.worker.run(&path, move || read(file)).await {
                // parquet-rs panics on some damaged bytes.
                Err(_) => return damaged("the Parquet reader panicked".to_owned()),
                Ok(Err(error)) => return damaged(error_chain(&error)),
                Ok(Ok(days)) => {
                    for (day, (rows, hash)) in days {
                        let sum = found.entry(day).or_default();
                        *sum = (sum.0 + rows, sum.1.wrapping_add(hash));
                    }
                }
            }
            last = Some(path);
        }
        let is_as_recorded = |(day, identity): (&Option<Day>, &String)| {
            wanted.days.get(day).is_none_or(|wanted| {
                let is_same = |(rows, hash)| (rows, ContentHash::from(hash)) == (wanted.state.rows, wanted.state.hash);
                wanted.identity != *identity || found.get(day).copied().is_some_and(is_same)
            })
        };
        let foreign = found.keys().find(|day| !group.days.contains_key(day));
        let different = group.days.iter().find(|day| !is_as_recorded(*day)).map(|(day, _)| day).or(foreign);
        Ok(different.zip(last).map(|(day, path)| {
            let of = day.map(|day| format!(" of {day}")).unwrap_or_default();
            let problem = format!("its rows{of} differ from those of the ledger");
            self.problem(TableProblemKind::Damaged, path.as_ref(), problem)
        }))
    }

    /// The columns that the ledger's hashes are about.
    fn content(&self, wanted: &WantedPartition) -> Vec<String> {
        let all = table_schema(&TableSchema::new(self.stream).arrow, self.stream.scope);
        let names = all.fields().iter().map(|field| field.name().clone());
        names.take(all.fields().len() - OWN_COLUMNS.len()).skip(added_columns(self.table, &wanted.scope)).collect()
    }
}
