//! `ledger rebuild`: a new ledger from the footers and rows of the files, for a lake whose ledger was deleted or is damaged.
//!
//! Readable records of the old ledger add what files do not say. The old ledger's objects are kept, and the lake keeps that ledger until
//! the last step, which creates one object.

mod accounts;
mod meaning;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use serde::Serialize;

use crate::destination::OWN_DIRECTORY;
use crate::layout::{DataPath, Layout};
use crate::ledger::{
    Fact, LearnedFact, LedgerError, LostRecords, Salvage, State, begin_rebuild, finish_rebuild, salvage,
};
use crate::maintain::error::MaintainError;
use crate::maintain::finding::{Finding, FindingKind};
use crate::maintain::rebuild::accounts::{Accounts, joined};
use crate::maintain::rebuild::table::RebuiltTable;
use crate::maintain::walk::{FileReader, FileReading, MaintainedLake, TableFile, UNMANAGED_PARQUET, table_files};
use crate::model::format::format_number;

#[derive(Debug, Clone, Default)]
pub struct RebuildOptions {
    /// Ids of the organizations of the lake, if it has files of several accounts.
    pub organizations: BTreeSet<String>,
    /// Whether a readable ledger is rebuilt too.
    pub force: bool,
    /// Whether nothing is written.
    pub dry_run: bool,
}

/// The result of `ledger rebuild`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// The first record of the new ledger; `None` for a dry run.
    pub record: Option<u64>,
    /// The name of the layout.
    pub partition: String,
    pub organizations: BTreeSet<String>,
    pub streams: u64,
    /// Files in the new ledger.
    pub files: u64,
    pub bytes: u64,
    pub rows: u64,
    /// Files that match readable records.
    pub as_recorded: u64,
    /// Unreadable records.
    pub lost: Vec<LostRecords>,
    /// Findings of each kind.
    pub findings: BTreeMap<FindingKind, u64>,
    /// What neither files nor readable records say.
    pub unknown: Vec<String>,
}

impl Rebuilt {
    /// Whether every file is sound and in the new ledger.
    pub fn is_fine(&self) -> bool {
        self.findings.keys().all(|kind| !kind.is_wrong())
    }
}

/// Rebuilds the ledger of `lake`, and calls `report` with each file that is damaged or not in the new ledger. `lake.layout` counts only
/// if neither the old ledger nor the files say the layout. Holds the new ledger, and the rows of a few files.
///
/// # Errors
/// [`MaintainError`]; the lake keeps its ledger.
pub async fn rebuild(
    lake: &MaintainedLake,
    options: &RebuildOptions,
    mut report: impl FnMut(Finding),
) -> Result<Rebuilt, MaintainError> {
    let Salvage { mut state, lost, last, .. } = admit(lake, options, salvage(&lake.destination).await?)?;
    let is_ledger_lost = state.partition.is_none();
    let lake = &MaintainedLake { layout: layout(lake, &state).await?, ..lake.clone() };
    let had_forgotten = !state.forgotten.is_empty();
    let mut rebuilt = Rebuilt { partition: lake.layout.name().to_owned(), lost, ..Rebuilt::default() };
    let organizations = if options.organizations.is_empty() { &state.organizations } else { &options.organizations };
    let mut accounts = Accounts::new(organizations.clone());
    let reader = FileReader::new(lake);
    let mut unknown = Vec::new();
    for name in tables(lake, &state).await? {
        let recorded = state.coverage.remove(&name).unwrap_or_default();
        let mut table = RebuiltTable::new(lake, &name, recorded);
        read_files(lake, &reader, &mut accounts, &mut table, &state).await?;
        let (scopes, conflict) = table.finish();
        rebuilt.streams += u64::from(!scopes.is_empty());
        rebuilt.files += table.counts.files;
        rebuilt.bytes += table.counts.bytes;
        rebuilt.rows += table.counts.rows;
        rebuilt.as_recorded += table.counts.as_recorded;
        for finding in table.findings.drain(..) {
            *rebuilt.findings.entry(finding.kind).or_default() += 1;
            report(finding);
        }
        if let Some(conflict) = conflict {
            unknown.push(format!(
                "which files of `{name}` have the meaning of the table: those that differ from the newest are extracted again \
                 ({conflict})"
            ));
        }
        learn(lake, table, &mut state, &mut unknown);
        if !scopes.is_empty() {
            state.coverage.insert(name, scopes);
        }
    }
    if state.coverage.is_empty() && is_ledger_lost {
        return Err(MaintainError::Rejected {
            problem: format!(
                "{} has no files of this program, so there is no ledger to rebuild",
                lake.destination.url()
            ),
            hint: "check `destination.url`; if nothing is exported yet, start with `profound-export run`".into(),
        });
    }
    state.partition = Some(lake.layout.name().to_owned());
    state.organizations.extend(accounts.only()?);
    // Files that these runs may have overwritten were read.
    state.open_runs.clear();
    rebuilt.organizations = state.organizations.clone();
    rebuilt.unknown = lost_knowledge(&state, &rebuilt.lost, is_ledger_lost, had_forgotten).chain(unknown).collect();
    if !options.dry_run {
        let record = match begin_rebuild(&lake.destination, lake.now, last).await {
            Err(LedgerError::Contended { .. }) => {
                return Err(MaintainError::Rejected {
                    problem: "another process wrote to the ledger while the files were read".into(),
                    hint: "stop every process that exports to this lake, then rebuild once more".into(),
                });
            }
            begun => begun?,
        };
        state.number = record;
        finish_rebuild(&lake.destination, &state).await?;
        rebuilt.record = Some(record);
    }
    Ok(rebuilt)
}

/// Rejects a readable ledger, and one to which a run in progress writes.
fn admit(lake: &MaintainedLake, options: &RebuildOptions, salvage: Salvage) -> Result<Salvage, MaintainError> {
    let alive = salvage.state.open_runs.values().find(|open| open.is_alive(lake.now));
    if let Some(open) = alive {
        return Err(MaintainError::Rejected {
            problem: format!("a run of job `{}` that started at {:.0} seems to write to this lake", open.job, open.at),
            hint: "stop it, or wait until it ends; a killed run counts as ended after ten minutes".into(),
        });
    }
    if salvage.is_sound() && !options.force {
        return Err(MaintainError::Rejected {
            problem: "the ledger is readable, and knows more than the files".into(),
            hint: "`profound-export verify` compares it with the files; `--force` rebuilds it all the same".into(),
        });
    }
    Ok(salvage)
}

/// The layout according to the old ledger, else to the files, else to the configuration.
async fn layout(lake: &MaintainedLake, state: &State) -> Result<Layout, MaintainError> {
    if let Some(partition) = &state.partition {
        return Layout::from_name(partition).ok_or_else(|| MaintainError::Rejected {
            problem: format!("the lake has partition `{partition}`, which this version does not know"),
            hint: "install the version of profound-export that wrote it, or a later one".into(),
        });
    }
    let mut files = [0_u64; Layout::ALL.len()];
    for name in tables(lake, state).await?.into_iter().filter(|name| lake.stream_of(name).is_some()) {
        let mut objects = std::pin::pin!(lake.destination.objects(&Layout::directory(&name)));
        while let Some(object) = objects.try_next().await? {
            let fits = Layout::ALL.map(|layout| layout.parse(&object.path).is_some_and(|file| file.day.is_some()));
            // Some paths, such as those of lists, fit several layouts.
            if fits.iter().filter(|fits| **fits).count() == 1 {
                files.iter_mut().zip(fits).for_each(|(files, fits)| *files += u64::from(fits));
            }
        }
    }
    let found: Vec<(Layout, u64)> = Layout::ALL.into_iter().zip(files).filter(|(_, files)| *files > 0).collect();
    match found.as_slice() {
        [] => Ok(lake.layout),
        [(layout, _)] => Ok(*layout),
        several if several.iter().any(|(layout, _)| *layout == lake.layout) => Ok(lake.layout),
        several => {
            let counts =
                several.iter().map(|(layout, files)| format!("{} of `{}`", format_number(*files), layout.name()));
            Err(MaintainError::Rejected {
                problem: format!("the lake has files of several layouts: {}", counts.collect::<Vec<_>>().join(", ")),
                hint: "set `destination.partition` to that of the lake; files of other layouts are reported and kept"
                    .into(),
            })
        }
    }
}

/// Directories that may be tables, and tables of readable records.
async fn tables(lake: &MaintainedLake, state: &State) -> Result<BTreeSet<String>, MaintainError> {
    let directories = lake.destination.directories().await?.into_iter().filter(|name| name != OWN_DIRECTORY);
    Ok(directories.chain(state.coverage.keys().cloned()).collect())
}

/// Reads every file of `table`. Unmanaged files in directories that may not be tables are not reported.
async fn read_files(
    lake: &MaintainedLake,
    reader: &FileReader<'_>,
    accounts: &mut Accounts,
    table: &mut RebuiltTable<'_>,
    state: &State,
) -> Result<(), MaintainError> {
    let forgotten = state.forgotten.erasures(table.name);
    let mut files = std::pin::pin!(table_files(&lake.destination, table.name, forgotten));
    while let Some(chunk) = files.try_next().await? {
        let mut to_read: Vec<(TableFile, DataPath)> = Vec::new();
        for file in chunk {
            let parsed = lake.layout.parse(&file.path);
            let other = || Layout::ALL.into_iter().find(|layout| layout.parse(&file.path).is_some());
            match (parsed, other()) {
                _ if file.is_forgotten => table.skip(&file.path, FindingKind::forgotten()),
                (Some(path), _) => to_read.push((file, path)),
                _ if !table.is_known() => {}
                (None, Some(other)) => {
                    let problem = format!("it has the path of partition `{}`", other.name());
                    table.skip(&file.path, (FindingKind::Duplicate, problem));
                }
                (None, None) => {
                    table.skip(&file.path, (FindingKind::Unmanaged, "it has no path of a data file".into()));
                }
            }
        }
        let signal = table.signal().map(str::to_owned);
        for (file, path, reading) in reader.read_all(to_read, signal.as_deref()).await? {
            add_file(accounts, table, &file, &path, reading);
        }
    }
    Ok(())
}

/// Adds a file to `table`, or reports why not.
fn add_file(
    accounts: &mut Accounts,
    table: &mut RebuiltTable<'_>,
    file: &TableFile,
    path: &DataPath,
    reading: FileReading,
) {
    let (footer, content) = match reading {
        FileReading::Gone => return,
        FileReading::Unreadable(problem) if table.is_known() => {
            return table.reject(file, path, None, (FindingKind::Damaged, problem));
        }
        FileReading::Unmanaged if table.is_recorded(path) => {
            return table.reject(file, path, None, (FindingKind::Misplaced, UNMANAGED_PARQUET.to_owned()));
        }
        FileReading::Unmanaged if table.is_known() => {
            return table.skip(&file.path, (FindingKind::Unmanaged, UNMANAGED_PARQUET.to_owned()));
        }
        FileReading::Unreadable(_) | FileReading::Unmanaged => return,
        FileReading::Read(footer, content) => (footer, content),
    };
    if !accounts.admit(&footer.organizations, &file.path) {
        let problem = format!("its organizations are {}", joined(&footer.organizations));
        return table.skip(&file.path, (FindingKind::OtherAccount, problem));
    }
    if let Some(problem) = footer.contradiction(path) {
        return table.reject(file, path, None, (FindingKind::Misplaced, problem));
    }
    match content {
        Ok(content) => table.add(path, file.bytes, *footer, &content),
        Err(problem) => table.reject(file, path, Some(footer.scope), (FindingKind::Damaged, problem)),
    }
}

/// Adds the meaning, organizations and salt of a table to `state`.
fn learn(lake: &MaintainedLake, table: RebuiltTable<'_>, state: &mut State, unknown: &mut Vec<String>) {
    if let Some(meaning) = table.meanings.newest().cloned() {
        state.tables.entry(table.name.to_owned()).or_insert(meaning);
    }
    state.organizations.extend(table.organizations);
    for salt in table.salts {
        match state.facts.salt() {
            Some(known) if *known == salt => {}
            Some(_) => unknown.push("which salt was used to hash texts: the files name several".to_owned()),
            None => {
                let (fact, evidence) = (Fact::Salt { fingerprint: salt }, "files of the lake name it".to_owned());
                state.facts.learn(LearnedFact::new(fact, evidence, lake.now));
            }
        }
    }
}

/// What only lost records said.
fn lost_knowledge(
    state: &State,
    lost: &[LostRecords],
    is_ledger_lost: bool,
    had_forgotten: bool,
) -> impl Iterator<Item = String> {
    let forgotten = match (had_forgotten, lost.iter().any(|lost| lost.mentions_forgotten)) {
        (_, true) => "what else was forgotten: an unreadable record mentions it",
        (true, false) => "whether more was forgotten than the readable records say",
        (false, false) => "whether anything was forgotten",
    };
    let forgotten = format!("{forgotten}; runs may request it again: repeat `forget` before the next run");
    let first_days = state.coverage.values().flatten().filter_map(|(_, scope)| scope.days.first()).map(|(day, _)| *day);
    let oldest = first_days.min().map(|day| format!("; the oldest day in the lake is {day}")).unwrap_or_default();
    let first_day =
        format!("the first day of each job: without a `start`, it is thirty days before its next run{oldest}");
    let empty = "empty days, and which days were suspect or not entitled: they are extracted again".to_owned();
    let account = "the account of the lake: no file names it, so the next run's key decides".to_owned();
    [
        (is_ledger_lost || !lost.is_empty()).then_some(forgotten),
        is_ledger_lost.then_some(first_day),
        is_ledger_lost.then_some(empty),
        state.organizations.is_empty().then_some(account),
    ]
    .into_iter()
    .flatten()
}
