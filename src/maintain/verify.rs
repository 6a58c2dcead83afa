//! `verify`: compares the files of the lake with the ledger, and marks the days of damaged files stale, so that the next run writes
//! them again.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use object_store::path::Path;
use tokio::task::spawn_blocking;

use crate::destination::OWN_DIRECTORY;
use crate::layout::{DataPath, Layout};
use crate::ledger::{
    Entry, Ledger, LedgerError, LogDamage, State, check_log, coverage_number, coverage_path, record_path,
};
use crate::maintain::error::MaintainError;
use crate::maintain::finding::{Finding, FindingKind, FindingRemedy};
use crate::maintain::known::{KnownFile, KnownTable, is_being_written};
use crate::maintain::walk::{FileReader, FileReading, MaintainedLake, UNMANAGED_PARQUET, is_any_of, table_files};
use crate::model::coverage::DayState;
use crate::model::day::Day;
use crate::model::history::{list_of, snapshot_day};
use crate::write::sweep;

/// Days that one record marks stale.
const MAX_ENTRIES: usize = 1000;

#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// `None` for all.
    pub tables: Option<BTreeSet<String>>,
    pub depth: Depth,
    /// Whether the days of damaged files are marked stale.
    pub marks: bool,
}

/// How closely files are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Existence and length.
    Sizes,
    /// Every row is read and compared with the hash in the ledger.
    Rows,
}

/// The result of `verify`.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    pub streams: u64,
    /// Files that the ledger names.
    pub files: u64,
    pub bytes: u64,
    /// Findings of each kind.
    pub findings: BTreeMap<FindingKind, u64>,
    /// Days that were marked stale.
    pub marked: u64,
}

impl Verified {
    /// Whether every recorded file is as recorded, and no other file exists.
    pub fn is_fine(&self) -> bool {
        self.findings.keys().all(|kind| !kind.is_wrong())
    }
}

/// A finding to be confirmed once the ledger's latest records are read.
struct Suspicion {
    finding: Finding,
    /// The recorded state of the day when the file was read; `None` if no record named the file.
    recorded: Option<DayState>,
}

/// Compares the lake with `ledger`, and calls `report` with each finding. Holds the findings of one table, and the rows of a few files.
///
/// # Errors
/// [`MaintainError`]; earlier findings are reported and marked.
pub async fn verify(
    lake: &MaintainedLake,
    options: &VerifyOptions,
    ledger: &mut Ledger,
    mut report: impl FnMut(Finding),
) -> Result<Verified, MaintainError> {
    let mut verified = Verified::default();
    // What killed runs left there may be copies of what is forgotten.
    sweep(&lake.spool_dir, None);
    let reader = FileReader::new(lake);
    // Before days are marked: that record would take the number of a lost one.
    let lost = lost_records(lake, ledger).await?;
    for name in tables(lake, options, ledger.state()).await? {
        let suspicions = compare_table(lake, options.depth, ledger.state(), &name, &reader, &mut verified).await?;
        verified.streams += 1;
        if suspicions.is_empty() {
            continue;
        }
        // A run in progress may have recorded or planned the files since the ledger was read.
        ledger.refresh().await?;
        let mut stale = Vec::new();
        for suspicion in suspicions {
            let Some((finding, is_marked)) = confirm(lake, ledger.state(), suspicion) else {
                continue;
            };
            *verified.findings.entry(finding.kind).or_default() += 1;
            if let (false, FindingRemedy::Rewrite, Some(scope)) = (is_marked, finding.remedy, &finding.scope) {
                stale.push(Entry::Stale { stream: finding.stream.clone(), scope: scope.clone(), day: finding.day });
            }
            report(finding);
        }
        if options.marks {
            verified.marked += stale.len() as u64;
            for entries in stale.chunks(MAX_ENTRIES) {
                ledger.append(entries.to_vec(), None).await?;
            }
        }
    }
    let of_ledger = if options.depth == Depth::Rows { ledger_damage(lake).await? } else { Vec::new() };
    let unpublished = unpublished(lake, options, ledger.state(), &reader).await?;
    for finding in of_ledger.into_iter().chain(lost).chain(unpublished) {
        *verified.findings.entry(finding.kind).or_default() += 1;
        report(finding);
    }
    Ok(verified)
}

/// What is wrong with the log and its checkpoints.
async fn ledger_damage(lake: &MaintainedLake) -> Result<Vec<Finding>, MaintainError> {
    let LogDamage { lost, checkpoints } = check_log(&lake.destination).await?;
    let records = lost.into_iter().map(|lost| {
        let kind = if lost.path.is_some() { FindingKind::Damaged } else { FindingKind::Missing };
        let numbers =
            if lost.first == lost.last { lost.first.to_string() } else { format!("{} to {}", lost.first, lost.last) };
        let problem = format!("ledger record {numbers}: {}; only checkpoints know what it said", lost.problem);
        (lost.path.map_or_else(|| record_path(lost.first), Path::from), (kind, problem))
    });
    let checkpoints = checkpoints.into_iter().map(|(path, problem)| {
        (
            path,
            (FindingKind::Damaged, format!("checkpoint: {problem}; it may be deleted, the records are read instead")),
        )
    });
    let finding = |(path, problem): (Path, _)| Finding::new(OWN_DIRECTORY, &path, None, problem, false);
    Ok(records.chain(checkpoints).map(finding).collect())
}

/// The last records, if they are gone: no later record or checkpoint shows the gap, but the coverage table says which one it shows. Files that
/// only these records named look like those of a run in progress.
async fn lost_records(lake: &MaintainedLake, ledger: &mut Ledger) -> Result<Option<Finding>, MaintainError> {
    let Some(table) = lake.destination.read(&coverage_path()).await? else {
        return Ok(None);
    };
    // The reader of Parquet panics on some damaged files.
    let Some((number, written_at)) = spawn_blocking(move || coverage_number(&table)).await.ok().flatten() else {
        return Ok(None);
    };
    ledger.refresh().await?;
    let first = ledger.state().number + 1;
    // A ledger that was rebuilt since may begin with a smaller number.
    let is_newer = match ledger.last_recorded_at().await {
        Err(LedgerError::Rebuilding { .. }) => false,
        at => at?.is_none_or(|at| at <= written_at),
    };
    Ok((number >= first && is_newer).then(|| {
        let problem = format!(
            "ledger records {first} to {number} are gone: `{}` was written after them; days that they recorded are extracted once more, and what they forgot is not known",
            coverage_path()
        );
        Finding::new(OWN_DIRECTORY, &record_path(first), None, (FindingKind::Missing, problem), false)
    }))
}

/// Files of runs on their way into the lake, and empty directories, that hold or name what is forgotten.
async fn unpublished(
    lake: &MaintainedLake,
    options: &VerifyOptions,
    state: &State,
    reader: &FileReader<'_>,
) -> Result<Vec<Finding>, MaintainError> {
    let is_chosen = |name: &str| options.tables.as_ref().is_none_or(|tables| tables.contains(name));
    let mut findings = Vec::new();
    for file in lake.destination.leftovers().await? {
        let footer = match reader.read_local(&file.location).await {
            FileReading::Read(footer, _) => Some(footer),
            _ => None,
        };
        let name = footer.as_ref().map_or(OWN_DIRECTORY, |footer| footer.stream.as_str());
        if !is_chosen(name) {
            continue;
        }
        let is_forgotten =
            footer.as_ref().is_some_and(|footer| state.forgotten.covers(name, &footer.scope, footer.day));
        let problem = if is_forgotten {
            FindingKind::forgotten()
        } else {
            (FindingKind::Unsettled, "a run is writing it, or was killed; a run removes it after a day".to_owned())
        };
        findings.push(Finding::new(
            name,
            &file.path,
            footer.as_ref().map(|footer| (&footer.scope, footer.day)),
            problem,
            false,
        ));
    }
    for name in tables(lake, options, state).await? {
        let erasures = state.forgotten.erasures(&name);
        if erasures.is_empty() {
            continue;
        }
        for directory in lake.destination.empty_directories(&Layout::directory(&name)) {
            if is_any_of(erasures, &directory.clone().join("data.parquet")) {
                let problem = (FindingKind::Forgotten, "an empty directory, and its name is forgotten".to_owned());
                findings.push(Finding::new(&name, &directory, None, problem, false));
            }
        }
    }
    Ok(findings)
}

/// The tables of the ledger, and directories with the name of a stream or of a forgotten table.
async fn tables(
    lake: &MaintainedLake,
    options: &VerifyOptions,
    state: &State,
) -> Result<BTreeSet<String>, MaintainError> {
    let is_table = |name: &String| lake.stream_of(name).is_some() || !state.forgotten.erasures(name).is_empty();
    let directories = lake.destination.directories().await?.into_iter().filter(is_table);
    let mut tables: BTreeSet<String> = directories.chain(state.coverage.keys().cloned()).collect();
    if let Some(wanted) = &options.tables {
        tables.retain(|name| wanted.contains(name));
    }
    Ok(tables)
}

/// Compares the files of one table with the ledger.
async fn compare_table(
    lake: &MaintainedLake,
    depth: Depth,
    state: &State,
    name: &str,
    reader: &FileReader<'_>,
    verified: &mut Verified,
) -> Result<Vec<Suspicion>, MaintainError> {
    let mut table = KnownTable::new(lake, state, name);
    let today = snapshot_day(lake.now);
    // A run takes the snapshot of the current day only.
    let can_rewrite =
        |day: Option<Day>| lake.stream_of(name).is_some() && (list_of(name).is_none() || day == Some(today));
    let suspect = |path: &Path, file: Option<KnownFile<'_>>, problem: (FindingKind, String)| {
        let recorded = file.filter(|_| problem.0.is_of_recorded_file()).map(|file| file.state.clone());
        let can_rewrite = file.is_some_and(|file| can_rewrite(file.day));
        let of = file.map(|file| (file.scope, file.day));
        Suspicion { finding: Finding::new(name, path, of, problem, can_rewrite), recorded }
    };
    let mut suspicions = Vec::new();
    let mut files = std::pin::pin!(table_files(&lake.destination, name, state.forgotten.erasures(name)));
    while let Some(chunk) = files.try_next().await? {
        let mut to_read = Vec::new();
        for file in chunk {
            let Some(known) = table.find(&file.path) else {
                let elsewhere = table.find_in_other_layout(&file.path).filter(|_| !file.is_forgotten);
                let problem = match elsewhere {
                    _ if file.is_forgotten => FindingKind::forgotten(),
                    Some(known) => {
                        let path = table.path_of(known.scope, known.day);
                        (FindingKind::Duplicate, format!("the ledger names {path} for the same day"))
                    }
                    None => (FindingKind::Unmanaged, "no record names it".to_owned()),
                };
                suspicions.push(suspect(&file.path, elsewhere, problem));
                continue;
            };
            verified.files += 1;
            verified.bytes += file.bytes;
            if file.bytes != known.state.bytes {
                let problem = format!("it has {} bytes instead of {}", file.bytes, known.state.bytes);
                suspicions.push(suspect(&file.path, Some(known), (FindingKind::WrongSize, problem)));
            } else if depth == Depth::Rows {
                to_read.push((file, known));
            }
        }
        for (file, known, reading) in reader.read_all(to_read, None).await? {
            let path = lake.layout.parse(&file.path);
            let problem = path.and_then(|path| difference(reading, &path, known.state));
            suspicions.extend(problem.map(|problem| suspect(&file.path, Some(known), problem)));
        }
    }
    for file in table.missing() {
        verified.files += 1;
        suspicions.push(suspect(&table.path_of(file.scope, file.day), Some(file), FindingKind::missing()));
    }
    Ok(suspicions)
}

/// How a file at `path` differs from its recorded state.
fn difference(reading: FileReading, path: &DataPath, recorded: &DayState) -> Option<(FindingKind, String)> {
    let (footer, content) = match reading {
        FileReading::Gone => return Some(FindingKind::missing()),
        FileReading::Unreadable(problem) => return Some((FindingKind::Damaged, problem)),
        FileReading::Unmanaged => return Some((FindingKind::Misplaced, UNMANAGED_PARQUET.to_owned())),
        FileReading::Read(footer, content) => (footer, content),
    };
    if let Some(problem) = footer.contradiction(path) {
        return Some((FindingKind::Misplaced, problem));
    }
    let problem = match content {
        Err(problem) => problem,
        Ok(content) if content.rows != recorded.rows => {
            format!("it has {} rows instead of {}", content.rows, recorded.rows)
        }
        Ok(content) if content.hash != recorded.hash => "its rows differ from the recorded ones".to_owned(),
        Ok(_) => return None,
    };
    Some((FindingKind::Damaged, problem))
}

/// The finding, if it holds in `state`, which is read after the files; and whether the day is already stale.
fn confirm(lake: &MaintainedLake, state: &State, suspicion: Suspicion) -> Option<(Finding, bool)> {
    let Suspicion { mut finding, recorded } = suspicion;
    let unsettle = |finding: &mut Finding| {
        (finding.kind, finding.remedy) = (FindingKind::Unsettled, FindingRemedy::Wait);
    };
    let Some(recorded) = recorded else {
        let path = Path::from(finding.path.as_str());
        if is_any_of(state.forgotten.erasures(&finding.stream), &path) {
            (finding.kind, finding.remedy) = (FindingKind::Forgotten, FindingRemedy::Forget);
        } else if finding.kind == FindingKind::Unmanaged {
            if KnownTable::new(lake, state, &finding.stream).find(&path).is_some() {
                return None;
            }
            if is_being_written(state, &finding.stream, &path) {
                unsettle(&mut finding);
            }
        }
        return Some((finding, false));
    };
    let key = finding.scope.as_ref()?.key();
    let known = state.scope(&finding.stream, &key)?.state(finding.day)?;
    let is_same =
        (known.extracted_at, known.bytes, known.hash) == (recorded.extracted_at, recorded.bytes, recorded.hash);
    if !is_same {
        // Published again since it was read.
        return None;
    }
    let (planned, day) = match list_of(&finding.stream) {
        Some(list) => (list, None),
        None => (finding.stream.as_str(), finding.day),
    };
    if state.is_possibly_overwritten(planned, &key, day, None) {
        unsettle(&mut finding);
    }
    Some((finding, known.stale))
}
