//! Walks ledger and lake, compares every file that the ledger names with what lies there, and marks what is broken
//! stale, so that the next run writes it again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use object_store::path::Path;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::destination::{Destination, Object};
use crate::layout::Layout;
use crate::ledger::{Entry, Ledger, State};
use crate::maintain::error::MaintainError;
use crate::maintain::file::{Expected, LocalCopies, examine};
use crate::maintain::finding::{Finding, FindingKind, FindingRemedy};
use crate::maintain::forget::is_of_any;
use crate::maintain::known::{KnownFile, KnownTable, is_being_written};
use crate::model::coverage::DayState;
use crate::model::day::Day;
use crate::model::history::{list_of, snapshot_day};
use crate::model::scope::Scope;
use crate::model::stream::Stream;
use crate::write::Spool;

/// Files that are read at once.
const READS: usize = 4;
/// Days that one record marks stale.
const MARKED_AT_ONCE: usize = 1000;

/// What is verified, and how.
#[derive(Debug, Clone)]
pub struct Verify {
    pub lake: Destination,
    pub layout: Layout,
    pub catalog: Arc<Catalog>,
    /// The tables that are looked at; none for all.
    pub tables: Option<BTreeSet<String>>,
    pub depth: Depth,
    /// Whether broken files are marked in the ledger.
    pub marks: bool,
    pub now: Timestamp,
    /// The scratch directory, for files too large to be held in memory.
    pub spool_dir: PathBuf,
    pub spool_bytes: u64,
}

/// How closely files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Whether they are there and as long as they were.
    Sizes,
    /// Every row is read and compared with the hash in the ledger.
    Rows,
}

/// What was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    pub streams: u64,
    /// Files that the ledger names.
    pub files: u64,
    pub bytes: u64,
    /// How many are wrong in each way.
    pub findings: BTreeMap<FindingKind, u64>,
    /// Days that were marked stale.
    pub marked: u64,
}

impl Verified {
    /// Whether every file is as the ledger says, and no other is there.
    pub fn is_fine(&self) -> bool {
        self.findings.keys().all(|kind| !kind.is_wrong())
    }
}

/// What looks wrong, until the tail of the ledger has been read once more.
struct Suspicion {
    finding: Finding,
    /// What the ledger said of the day when the file was looked at; none where it named no such file.
    before: Option<DayState>,
}

/// Verifies the lake of `ledger`, and tells of each finding. Holds what is wrong with one table and a few files' rows.
///
/// # Errors
/// [`MaintainError`]; what was found until then is told and marked.
pub async fn verify(
    settings: &Verify,
    ledger: &mut Ledger,
    mut tell: impl FnMut(Finding),
) -> Result<Verified, MaintainError> {
    let mut verified = Verified::default();
    let spool = Spool::open(&settings.spool_dir, Uuid::now_v7(), settings.spool_bytes)?;
    let copies = LocalCopies::new(spool);
    for name in tables(settings, ledger.state()).await? {
        let stream = settings.stream_of(&name).cloned();
        let suspicions = look_at(settings, ledger.state(), &name, stream.as_ref(), &copies, &mut verified).await?;
        verified.streams += 1;
        if suspicions.is_empty() {
            continue;
        }
        // What a run has written since is in the ledger by now, or planned there.
        ledger.refresh().await?;
        let mut stale = Vec::new();
        for suspicion in suspicions {
            let Some((finding, is_marked)) = settle(ledger.state(), settings, suspicion) else {
                continue;
            };
            *verified.findings.entry(finding.kind).or_default() += 1;
            if let (false, FindingRemedy::Rewrite, Some(scope)) = (is_marked, finding.remedy, &finding.scope) {
                stale.push(Entry::Stale { stream: finding.stream.clone(), scope: scope.clone(), day: finding.day });
            }
            tell(finding);
        }
        if settings.marks {
            verified.marked += stale.len() as u64;
            for some in stale.chunks(MARKED_AT_ONCE) {
                ledger.append(some.to_vec(), None).await?;
            }
        }
    }
    Ok(verified)
}

impl Verify {
    /// The stream whose rows the table called `name` holds.
    fn stream_of(&self, name: &str) -> Option<&Arc<Stream>> {
        self.catalog.get(name)
    }

    /// Whether a run can write a file of this table and day again.
    fn can_rewrite(&self, name: &str, day: Option<Day>, today: Day) -> bool {
        match list_of(name) {
            // A snapshot is taken of the day itself, or never.
            Some(list) => self.catalog.get(list).is_some() && day == Some(today),
            None => self.catalog.get(name).is_some(),
        }
    }
}

/// The tables of the ledger, and directories of streams that it does not know.
async fn tables(settings: &Verify, state: &State) -> Result<BTreeSet<String>, MaintainError> {
    let is_stream = |name: &str| settings.catalog.get(list_of(name).unwrap_or(name)).is_some();
    let there = settings
        .lake
        .directories()
        .await?
        .into_iter()
        .filter(|name| is_stream(name) || !state.forgotten.erasures(name).is_empty());
    let mut tables: BTreeSet<String> = there.chain(state.coverage.keys().cloned()).collect();
    if let Some(wanted) = &settings.tables {
        tables.retain(|name| wanted.contains(name));
    }
    Ok(tables)
}

/// Compares one table with what the ledger says of it.
async fn look_at(
    settings: &Verify,
    state: &State,
    name: &str,
    stream: Option<&Arc<Stream>>,
    copies: &LocalCopies,
    verified: &mut Verified,
) -> Result<Vec<Suspicion>, MaintainError> {
    let mut table = KnownTable::new(state, name, stream, settings.layout);
    let today = snapshot_day(settings.now);
    let suspect = |path: &Path, file: Option<KnownFile<'_>>, kind: FindingKind, problem: String| {
        let remedy = match file {
            Some(file) if kind.is_of_a_known_file() && settings.can_rewrite(name, file.day, today) => {
                FindingRemedy::Rewrite
            }
            Some(_) if kind.is_of_a_known_file() => FindingRemedy::Restore,
            _ if kind == FindingKind::Forgotten => FindingRemedy::Forget,
            _ => FindingRemedy::Look,
        };
        let scope: Option<Scope> = file.map(|file| file.scope.clone());
        let (stream, path, day) = (name.to_owned(), path.to_string(), file.and_then(|file| file.day));
        let before = file.filter(|_| kind.is_of_a_known_file()).map(|file| file.state.clone());
        Suspicion { finding: Finding { kind, stream, scope, day, path, problem, remedy }, before }
    };
    let mut suspicions = Vec::new();
    let mut objects = std::pin::pin!(settings.lake.objects(&Layout::directory(name)).chunks(READS));
    while let Some(some) = objects.next().await {
        let mut reads = Vec::new();
        for object in some {
            let Object { path, bytes } = object?;
            let Some(file) = table.find(&path) else {
                if is_of_any(state.forgotten.erasures(name), &path) {
                    let problem = "it was forgotten and still lies there".to_owned();
                    suspicions.push(suspect(&path, None, FindingKind::Forgotten, problem));
                    continue;
                }
                suspicions.push(match table.find_elsewhere(&path) {
                    Some(file) => {
                        let problem = format!("the same day lies at {}", table.path_of(file.scope, file.day));
                        suspect(&path, Some(file), FindingKind::Duplicate, problem)
                    }
                    None => suspect(&path, None, FindingKind::Foreign, "no record names it".to_owned()),
                });
                continue;
            };
            verified.files += 1;
            verified.bytes += bytes;
            if bytes != file.state.bytes {
                let problem = format!("it is {bytes} bytes long, and {} were written", file.state.bytes);
                suspicions.push(suspect(&path, Some(file), FindingKind::WrongSize, problem));
            } else if settings.depth == Depth::Rows {
                reads.push((path, bytes, file));
            }
        }
        let examined = reads.iter().map(async |(path, bytes, file)| {
            let KnownFile { scope, day, state } = *file;
            let expected = Expected { stream: name.to_owned(), scope: scope.clone(), day, state: state.clone() };
            examine(&settings.lake, copies, path, *bytes, &expected).await
        });
        let examined = futures::future::try_join_all(examined).await?;
        for ((path, _, file), found) in reads.iter().zip(examined) {
            suspicions.extend(found.map(|(kind, problem)| suspect(path, Some(*file), kind, problem)));
        }
    }
    for file in table.unseen() {
        let path = table.path_of(file.scope, file.day);
        verified.files += 1;
        suspicions.push(suspect(&path, Some(file), FindingKind::Missing, "it is not there".to_owned()));
    }
    Ok(suspicions)
}

/// What is still wrong now that the tail of the ledger has been read, and whether the day is stale already.
fn settle(state: &State, settings: &Verify, suspicion: Suspicion) -> Option<(Finding, bool)> {
    let Suspicion { mut finding, before } = suspicion;
    let name = list_of(&finding.stream).map_or(finding.stream.as_str(), |list| list).to_owned();
    let Some(before) = before else {
        // A file that no record named may be named by now, or soon.
        let path = Path::from(finding.path.as_str());
        if is_of_any(state.forgotten.erasures(&finding.stream), &path) {
            finding.kind = FindingKind::Forgotten;
            finding.remedy = FindingRemedy::Forget;
        }
        let is_news = finding.kind == FindingKind::Foreign;
        if is_news
            && KnownTable::new(state, &finding.stream, settings.stream_of(&finding.stream), settings.layout)
                .find(&path)
                .is_some()
        {
            return None;
        }
        if is_news && is_being_written(state, &finding.stream, &path) {
            finding.kind = FindingKind::Unsettled;
            finding.remedy = FindingRemedy::Wait;
        }
        return Some((finding, false));
    };
    let key = finding.scope.as_ref()?.key();
    let known = state.scope(&finding.stream, &key)?.state(finding.day)?;
    let is_same = (known.extracted_at, known.bytes, known.hash) == (before.extracted_at, before.bytes, before.hash);
    if !is_same {
        // Written again since it was looked at.
        return None;
    }
    let planned_day = if name == finding.stream { finding.day } else { None };
    if state.is_possibly_overwritten(&name, &key, planned_day, None) {
        finding.kind = FindingKind::Unsettled;
        finding.remedy = FindingRemedy::Wait;
    }
    Some((finding, known.stale))
}
