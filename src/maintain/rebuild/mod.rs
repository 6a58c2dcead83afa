//! A ledger that was deleted or cannot be read, made again from what the files of the lake say of themselves.
//!
//! What can still be read of the old ledger is taken over, where the files do not say otherwise. Nothing of it is changed.
//! Until the last of all steps, which is one object, a lake has the ledger that it had.

mod footer;
mod meaning;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::path::Path;
use serde::Serialize;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::destination::{Destination, OWN_DIRECTORY, Object};
use crate::layout::{DataPath, Layout};
use crate::ledger::{
    Fact, LearnedFact, LedgerError, LostRecords, Salvage, State, begin_rebuild, finish_rebuild, salvage,
};
use crate::maintain::error::MaintainError;
use crate::maintain::file::{LocalCopies, Look, added_columns, look_into};
use crate::maintain::finding::{Finding, FindingKind};
use crate::maintain::forget::is_of_any;
use crate::maintain::rebuild::footer::FileFooter;
use crate::maintain::rebuild::table::RebuiltTable;
use crate::model::day::Day;
use crate::model::format::format_number;
use crate::model::history::list_of;
use crate::write::{FileContent, FileReadError, FileSource, OpenFile, Spool};

/// Files that are read at once.
const READS: usize = 4;

/// Which ledger is made again, and how.
#[derive(Debug, Clone)]
pub struct Rebuild {
    pub lake: Destination,
    /// How it is laid out where neither the old ledger nor the files say it.
    pub layout: Layout,
    pub catalog: Arc<Catalog>,
    /// Whose lake it is, where files of several accounts lie in it: ids of organizations.
    pub organizations: BTreeSet<String>,
    /// Whether a ledger that can be read is made again too.
    pub force: bool,
    /// Whether it is only told what would come of it.
    pub dry_run: bool,
    pub now: Timestamp,
    /// The scratch directory, for files too large to be held in memory.
    pub spool_dir: PathBuf,
    pub spool_bytes: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// The record with which the new ledger begins; none when it was only looked.
    pub record: Option<u64>,
    /// How the lake is laid out.
    pub partition: String,
    /// Whose it is: ids of organizations.
    pub organizations: BTreeSet<String>,
    pub streams: u64,
    /// Files that are in the new ledger.
    pub files: u64,
    pub bytes: u64,
    pub rows: u64,
    /// How many of the files are as records say that could still be read; of the others the ledger knows what they say themselves.
    pub as_recorded: u64,
    /// Records that cannot be read.
    pub lost: Vec<LostRecords>,
    /// Files that are not as they should be, or no files of this lake.
    pub findings: BTreeMap<FindingKind, u64>,
    /// What nobody knows any more, in words.
    pub unknown: Vec<String>,
}

impl Rebuilt {
    /// Whether every file is in the new ledger and whole.
    pub fn is_fine(&self) -> bool {
        self.findings.keys().all(|kind| !kind.is_wrong())
    }
}

/// Makes the ledger of the lake again, and tells of each file that is not in it or not whole. Holds the new ledger, as every run
/// does, and a few files' rows.
///
/// # Errors
/// [`MaintainError`]; the lake then has the ledger that it had.
pub async fn rebuild(settings: &Rebuild, mut tell: impl FnMut(Finding)) -> Result<Rebuilt, MaintainError> {
    let Salvage { mut state, lost, last, .. } = admitted(settings, salvage(&settings.lake).await?)?;
    let known_partition = state.partition.clone();
    let layout = layout(settings, &state).await?;
    let had_forgotten = !state.forgotten.is_empty();
    let mut rebuilt = Rebuilt { partition: layout.name().to_owned(), lost, ..Rebuilt::default() };
    let copies = LocalCopies::new(Spool::open(&settings.spool_dir, Uuid::now_v7(), settings.spool_bytes)?);
    let mut walk =
        Walk { settings, layout, copies, accounts: Accounts::new(settings, &state), silent: 0, unknown: Vec::new() };
    for name in tables(settings, &state).await? {
        let known = state.coverage.remove(&name).unwrap_or_default();
        let mut table = RebuiltTable::new(name.clone(), &settings.catalog, layout, known);
        walk.read(&mut table, &state).await?;
        let scopes = table.settle();
        rebuilt.streams += u64::from(!scopes.is_empty());
        rebuilt.files += table.counts.files;
        rebuilt.bytes += table.counts.bytes;
        rebuilt.rows += table.counts.rows;
        rebuilt.as_recorded += table.counts.as_recorded;
        for finding in table.findings.drain(..) {
            *rebuilt.findings.entry(finding.kind).or_default() += 1;
            tell(finding);
        }
        walk.learn(table, &mut state, settings.now);
        if !scopes.is_empty() {
            state.coverage.insert(name, scopes);
        }
    }
    if state.coverage.is_empty() && known_partition.is_none() {
        return Err(MaintainError::Refused {
            problem: format!(
                "no file that this program wrote lies at {}, so there is no ledger to make",
                settings.lake.url()
            ),
            hint: "is `destination.url` the lake's? where it is, nothing is exported yet: `profound-export run` begins"
                .into(),
        });
    }
    state.partition = Some(layout.name().to_owned());
    state.organizations.extend(walk.accounts.settled()?);
    // Whatever they may have overwritten was read.
    state.open_runs.clear();
    rebuilt.organizations = state.organizations.clone();
    let gone = known_partition.is_none();
    rebuilt.unknown = unknown(&state, &rebuilt, gone, had_forgotten, walk);
    if !settings.dry_run {
        let record = match begin_rebuild(&settings.lake, settings.now, last).await {
            Err(LedgerError::Contended { .. }) => {
                return Err(MaintainError::Refused {
                    problem: "another process has written to the ledger while the files were read".into(),
                    hint: "stop whatever exports to this lake, then rebuild once more".into(),
                });
            }
            begun => begun?,
        };
        state.number = record;
        finish_rebuild(&settings.lake, &state).await?;
        rebuilt.record = Some(record);
    }
    Ok(rebuilt)
}

/// Refuses a ledger that needs no other, and one into which a run is writing.
fn admitted(settings: &Rebuild, salvage: Salvage) -> Result<Salvage, MaintainError> {
    let alive = salvage.state.open_runs.values().find(|open| open.is_alive(settings.now));
    if let Some(open) = alive {
        return Err(MaintainError::Refused {
            problem: format!("a run of job `{}` that began at {:.0} seems to be writing this lake", open.job, open.at),
            hint: "stop it, or wait until it has ended; one that was killed counts as such after ten minutes".into(),
        });
    }
    if salvage.is_sound() && !settings.force {
        return Err(MaintainError::Refused {
            problem: "the ledger can be read, and knows more than the files say".into(),
            hint: "`profound-export verify` compares it with the files; `--force` makes it again all the same".into(),
        });
    }
    Ok(salvage)
}

/// How the lake is laid out: as the old ledger says, or as its files lie.
async fn layout(settings: &Rebuild, state: &State) -> Result<Layout, MaintainError> {
    if let Some(partition) = &state.partition {
        return Layout::from_name(partition).ok_or_else(|| MaintainError::Refused {
            problem: format!("the lake is laid out with partition `{partition}`, which this version does not know"),
            hint: "install the version of profound-export that wrote it, or a later one".into(),
        });
    }
    let mut files = [0_u64; Layout::ALL.len()];
    for name in tables(settings, state).await?.into_iter().filter(|name| settings.knows(name)) {
        let mut objects = std::pin::pin!(settings.lake.objects(&Layout::directory(&name)));
        while let Some(object) = objects.try_next().await? {
            let says = Layout::ALL.map(|layout| layout.parse(&object.path).is_some_and(|file| file.day.is_some()));
            // Lists, and months, lie alike in several.
            if says.iter().filter(|says| **says).count() == 1 {
                files.iter_mut().zip(says).for_each(|(files, says)| *files += u64::from(says));
            }
        }
    }
    let found: Vec<(Layout, u64)> = Layout::ALL.into_iter().zip(files).filter(|(_, files)| 0 < *files).collect();
    match found.as_slice() {
        [] => Ok(settings.layout),
        [(layout, _)] => Ok(*layout),
        several if several.iter().any(|(layout, _)| *layout == settings.layout) => Ok(settings.layout),
        several => {
            let words =
                several.iter().map(|(layout, files)| format!("{} of `{}`", format_number(*files), layout.name()));
            Err(MaintainError::Refused {
                problem: format!("files lie there in several layouts: {}", words.collect::<Vec<_>>().join(", ")),
                hint: "write the lake's as `destination.partition`; files of the others are then told and left alone"
                    .into(),
            })
        }
    }
}

/// Directories that may be tables, and tables that could still be read of the old ledger.
async fn tables(settings: &Rebuild, state: &State) -> Result<BTreeSet<String>, MaintainError> {
    let there = settings.lake.directories().await?.into_iter().filter(|name| name != OWN_DIRECTORY);
    Ok(there.chain(state.coverage.keys().cloned()).collect())
}

impl Rebuild {
    /// Whether this version knows the stream of a table.
    fn knows(&self, table: &str) -> bool {
        self.catalog.get(list_of(table).unwrap_or(table)).is_some()
    }
}

/// What goes from one table to the next.
struct Walk<'a> {
    settings: &'a Rebuild,
    layout: Layout,
    copies: LocalCopies,
    accounts: Accounts,
    /// Files that do not say themselves what they mean.
    silent: u64,
    unknown: Vec<String>,
}

/// What came of reading a file.
struct ParsedFile {
    /// None for files of others.
    said: Option<FileFooter>,
    /// Its rows, or why they cannot be read.
    read: Result<FileContent, FileReadError>,
}

impl Walk<'_> {
    /// Reads every file of `table`.
    async fn read(&mut self, table: &mut RebuiltTable, state: &State) -> Result<(), MaintainError> {
        let forgotten = state.forgotten.erasures(&table.name);
        let is_ours = self.settings.knows(&table.name);
        let lake = &self.settings.lake;
        let mut objects = std::pin::pin!(lake.objects(&Layout::directory(&table.name)).chunks(READS));
        while let Some(some) = objects.next().await {
            let mut files: Vec<(Object, DataPath)> = Vec::new();
            for object in some {
                let object = object?;
                let parsed = self.layout.parse(&object.path);
                match parsed {
                    _ if is_of_any(forgotten, &object.path) => {
                        table.leave(
                            &object.path,
                            FindingKind::Forgotten,
                            "it was forgotten and still lies there".into(),
                        );
                    }
                    Some(file) => files.push((object, file)),
                    None if !is_ours => {}
                    None => match Layout::ALL.into_iter().find(|layout| layout.parse(&object.path).is_some()) {
                        Some(other) => {
                            let problem = format!("it lies as partition `{}` would have it", other.name());
                            table.leave(&object.path, FindingKind::Duplicate, problem);
                        }
                        None => table.leave(&object.path, FindingKind::Foreign, "no file of a table lies so".into()),
                    },
                }
            }
            let signal = table.signal().map(str::to_owned);
            let looks = files.iter().map(|(Object { path, bytes }, _)| {
                let signal = signal.clone();
                look_into(lake, &self.copies, path, *bytes, move |file| look(file, signal.as_deref()))
            });
            let looks = futures::future::try_join_all(looks).await?;
            for ((Object { path, bytes }, file), look) in files.into_iter().zip(looks) {
                self.take(table, is_ours, &path, bytes, &file, look);
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        table: &mut RebuiltTable,
        is_ours: bool,
        path: &Path,
        bytes: u64,
        file: &DataPath,
        look: Look<ParsedFile>,
    ) {
        let ParsedFile { said, read } = match look {
            Look::Gone => return,
            Look::Broken(_) if !is_ours => return,
            Look::Broken(problem) => return table.doubt(path, file, bytes, None, FindingKind::Damaged, problem),
            Look::Read(looked) => looked,
        };
        let Some(said) = said else {
            let problem = "it is a Parquet file that this program did not write".to_owned();
            return match table.is_known(file) {
                true => table.doubt(path, file, bytes, None, FindingKind::Misplaced, problem),
                false if is_ours => table.leave(path, FindingKind::Foreign, problem),
                false => {}
            };
        };
        if !self.accounts.admit(&said.organizations, path) {
            let problem = format!("its organizations are {}", joined(&said.organizations));
            return table.leave(path, FindingKind::OtherAccount, problem);
        }
        if let Some(problem) = said.contradicts(file) {
            return table.doubt(path, file, bytes, None, FindingKind::Misplaced, problem);
        }
        match read {
            Ok(read) => table.take(file, bytes, said, &read),
            Err(error) => {
                let problem = crate::error_text::error_chain(&error);
                table.doubt(path, file, bytes, Some(said.scope), FindingKind::Damaged, problem);
            }
        }
    }

    /// Keeps what the files of a table say of the table.
    fn learn(&mut self, table: RebuiltTable, state: &mut State, learned_at: Timestamp) {
        let RebuiltTable { name, meanings, salts, organizations, conflict, .. } = table;
        self.silent += meanings.silent;
        if let Some(conflict) = conflict {
            self.unknown.push(format!(
                "which files of `{name}` belong to what the table means: those that do not mean what the newest does are read \
                 again ({conflict})"
            ));
        }
        if let Some(meaning) = meanings.settled().cloned() {
            state.tables.entry(name).or_insert(meaning);
        }
        state.organizations.extend(organizations);
        for salt in salts {
            match state.facts.salt() {
                Some(known) if *known == salt => {}
                Some(_) => self.unknown.push("which salt texts were hashed with: the files name several".to_owned()),
                None => {
                    let (fact, evidence) = (Fact::Salt { fingerprint: salt }, "files of the lake name it".to_owned());
                    state.facts.learn(LearnedFact { fact, evidence, learned_at });
                }
            }
        }
    }
}

/// Reads a file: its footer, and its rows where it is one of the exporter's.
fn look(file: FileSource, signal: Option<&str>) -> Result<ParsedFile, FileReadError> {
    let opened = OpenFile::new(file)?;
    let said = FileFooter::parse(&opened.footer);
    let read = match &said {
        Some(said) => opened.read(added_columns(&said.stream, &said.scope), signal),
        None => Err(FileReadError::Columns),
    };
    Ok(ParsedFile { said, read })
}

/// Whose files lie in a lake.
struct Accounts {
    /// Organizations of the lake's account, where they are known beforehand.
    known: BTreeSet<String>,
    /// Organizations that files name together, an account each, with how many name them and one of these.
    found: Vec<(BTreeSet<String>, u64, String)>,
}

impl Accounts {
    fn new(settings: &Rebuild, state: &State) -> Self {
        let known = if settings.organizations.is_empty() {
            state.organizations.clone()
        } else {
            settings.organizations.clone()
        };
        Self { known, found: Vec::new() }
    }

    /// Whether a file that names `organizations` may be of this lake.
    fn admit(&mut self, organizations: &BTreeSet<String>, path: &Path) -> bool {
        if organizations.is_empty() {
            return true;
        }
        if !self.known.is_empty() {
            return !self.known.is_disjoint(organizations);
        }
        if let Some((_, files, _)) = self.found.iter_mut().find(|(account, ..)| organizations.is_subset(account)) {
            *files += 1;
            return true;
        }
        // What is named together is of one account, and joins those that share a part of it.
        let mut joined = (organizations.clone(), 1, path.to_string());
        self.found.retain(|(account, files, _)| {
            let apart = account.is_disjoint(organizations);
            if !apart {
                joined.0.extend(account.iter().cloned());
                joined.1 += files;
            }
            apart
        });
        self.found.push(joined);
        true
    }

    /// The organizations of the one account whose files were admitted.
    fn settled(&self) -> Result<BTreeSet<String>, MaintainError> {
        if self.found.len() < 2 {
            return Ok(self.found.iter().flat_map(|(account, ..)| account.iter().cloned()).collect());
        }
        let words = self.found.iter().map(|(account, files, example)| {
            format!("{} of organizations {} (such as {example})", format_number(*files), joined(account))
        });
        Err(MaintainError::Refused {
            problem: format!("files of several accounts lie there: {}", words.collect::<Vec<_>>().join("; ")),
            hint: "name the lake's with --organization ID; files of the others are then told and left alone".into(),
        })
    }
}

fn joined(organizations: &BTreeSet<String>) -> String {
    organizations.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// What nobody knows any more, in words.
fn unknown(state: &State, rebuilt: &Rebuilt, gone: bool, had_forgotten: bool, walk: Walk<'_>) -> Vec<String> {
    let mut unknown = walk.unknown;
    let told = rebuilt.lost.iter().any(|lost| lost.mentions_forgotten);
    if gone || !rebuilt.lost.is_empty() {
        let what = match (had_forgotten, told) {
            (_, true) => "what else was forgotten: a record that cannot be read speaks of it",
            (true, false) => "whether more was forgotten than the records say that can be read",
            (false, false) => "whether anything was forgotten",
        };
        unknown.push(format!("{what}; runs may ask for it again, so `forget` it once more before the next one"));
    }
    if gone {
        let first = state.coverage.values().flatten().filter_map(|(_, scope)| scope.days.first()).map(|(day, _)| *day);
        let oldest = first.min().map(|day: Day| format!("; the oldest day in the lake is {day}")).unwrap_or_default();
        unknown.push(format!(
            "the first day that each job wants: without a `start`, it is thirty days before its next run{oldest}"
        ));
        unknown.push(
            "days without rows that have no file, and what was suspect or not entitled: they are read again".to_owned(),
        );
    }
    if state.organizations.is_empty() {
        unknown.push("whose account this is: no file says it, so the next run's key claims the lake".to_owned());
    }
    if 0 < walk.silent {
        unknown.push(format!(
            "what {} files of an earlier version mean beside their columns: they are taken to be what the configuration declares now",
            format_number(walk.silent)
        ));
    }
    unknown
}
