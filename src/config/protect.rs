//! `drop` and `hash` of jobs: which columns are kept from the disk, and how.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::problem::{Problems, nearest};
use super::{JobConfig, PrivacyConfig, select};
use crate::catalog::Catalog;
use crate::model::column::Protect;
use crate::model::stream::{Fallback, Stream};

/// The columns of one stream that are kept from the disk.
type Columns = BTreeMap<String, Protect>;

/// `catalog` with the columns of each stream protected as the jobs say that export it.
///
/// A table means one thing, so jobs that export the same stream must protect it alike.
pub(super) fn apply(
    catalog: Catalog,
    jobs: &[JobConfig],
    privacy: &PrivacyConfig,
    left_out: &BTreeSet<String>,
    problems: &mut Problems,
) -> Catalog {
    if jobs.iter().all(|job| job.drop.is_empty() && job.hash.is_empty()) {
        return catalog;
    }
    let mut exported: BTreeMap<String, (usize, Columns)> = BTreeMap::new();
    let mut only_named: BTreeMap<String, Columns> = BTreeMap::new();
    for (index, job) in jobs.iter().enumerate() {
        let path = format!("job.{index}");
        let mut rules = Rules { catalog: &catalog, left_out, protected: BTreeMap::new() };
        for (member, list, protect) in [("drop", &job.drop, Protect::Drop), ("hash", &job.hash, Protect::Hash)] {
            list.iter().for_each(|rule| rules.read(&format!("{path}.{member}"), rule, protect, problems));
        }
        if !job.hash.is_empty() && privacy.salt_file.is_none() {
            problems.error(
                &format!("{path}.hash"),
                "hashes need a salt, without which texts could be guessed",
                "name a file of at least 16 random bytes: `salt_file = \"/run/secrets/profound-salt\"` under `[privacy]`",
            );
        }
        for name in exports(&catalog, job) {
            let columns = rules.protected.remove(&name).unwrap_or_default();
            match exported.get(&name) {
                Some((first, other)) if *other != columns => {
                    let member =
                        [("drop", &job.drop), ("hash", &job.hash)].into_iter().find(|(_, list)| !list.is_empty());
                    let what = format!(
                        "the job `{}` protects `{name}` otherwise, and both write the same table",
                        jobs[*first].name
                    );
                    let instead = "say the same under `drop` and `hash` of both jobs";
                    problems.error(
                        &format!("{path}.{}", member.map_or("streams", |(member, _)| member)),
                        what,
                        instead,
                    );
                }
                _ => drop(exported.insert(name, (index, columns))),
            }
        }
        only_named.extend(rules.protected);
    }
    let mut protected: Vec<Stream> = Vec::new();
    for stream in catalog.streams() {
        let columns = exported.remove(&stream.name).map(|(_, columns)| columns);
        let protect = columns.or_else(|| only_named.remove(&stream.name)).unwrap_or_default();
        if !protect.is_empty() {
            protected.push(Stream { protect, ..Stream::clone(stream) });
        }
    }
    // Nothing but the protection is new, so the catalog stays one; without it nothing may run.
    catalog.with_streams(protected).unwrap_or_else(|error| {
        problems.error("job", format!("the streams cannot be protected: {error}"), "");
        catalog
    })
}

/// The streams a job may write: those it chooses, and those that stand in for them.
fn exports(catalog: &Catalog, job: &JobConfig) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut open: Vec<Arc<Stream>> = select(catalog, &job.streams).unwrap_or_default();
    while let Some(stream) = open.pop() {
        if names.insert(stream.name.clone())
            && let Some(Fallback::Stream(name)) = &stream.on_422
        {
            open.extend(catalog.get(name).cloned());
        }
    }
    names
}

/// What the rules of one job protect.
struct Rules<'a> {
    catalog: &'a Catalog,
    left_out: &'a BTreeSet<String>,
    protected: BTreeMap<String, Columns>,
}

impl Rules<'_> {
    /// Reads `stream.column`, or `prefix*.column`.
    fn read(&mut self, path: &str, rule: &str, protect: Protect, problems: &mut Problems) {
        let Some((target, column)) = rule
            .split_once('.')
            .filter(|(target, column)| !target.is_empty() && !column.is_empty() && !column.contains(['.', '*']))
        else {
            let what = format!("`{rule}` is not a stream and one of its columns");
            return problems.error(
                path,
                what,
                "write for example `answers_v2.response`, or `logs_raw*.ip` for all such streams",
            );
        };
        let streams: Vec<&Arc<Stream>> = match target.strip_suffix('*') {
            Some(prefix) => self.catalog.streams().filter(|stream| stream.name.starts_with(prefix)).collect(),
            None => self.catalog.get(target).into_iter().collect(),
        };
        if streams.is_empty() {
            if self.left_out.contains(target) {
                return;
            }
            let names = self.catalog.streams().map(|stream| stream.name.as_str());
            let instead = match nearest(target, names) {
                Some(near) => format!("did you mean `{near}.{column}`?"),
                None => "`profound-export streams` lists them".to_owned(),
            };
            return problems.error(path, format!("`{rule}`: there is no stream `{target}`"), instead);
        }
        let having: Vec<&Arc<Stream>> =
            streams.iter().filter(|stream| stream.column(column).is_some()).copied().collect();
        if having.is_empty() {
            let columns = streams.iter().flat_map(|stream| &stream.columns).map(|column| column.name.as_str());
            let instead = match nearest(column, columns) {
                Some(near) => format!("did you mean `{target}.{near}`?"),
                None => "`profound-export streams NAME` lists the columns".to_owned(),
            };
            return problems.error(path, format!("`{rule}`: there is no column `{column}`"), instead);
        }
        let refused = having.iter().filter_map(|stream| Some((stream, may_protect(stream, column, protect).err()?)));
        let refused: Vec<_> = refused.collect();
        if let Some((stream, (what, instead))) = refused.first() {
            let others = match refused.len() - 1 {
                0 => String::new(),
                others => format!("; so it is in {others} other streams that `{rule}` names"),
            };
            return problems.error(path, format!("`{}.{column}` {what}{others}", stream.name), *instead);
        }
        for stream in having {
            let columns = self.protected.entry(stream.name.clone()).or_default();
            if columns.insert(column.to_owned(), protect).is_some_and(|other| other != protect) {
                let what = format!("`{}.{column}` is to be dropped and hashed", stream.name);
                problems.error(path, what, "say one of them");
            }
        }
    }
}

/// Why a column cannot be protected so: what is wrong, after its name, and what to do instead.
fn may_protect(stream: &Stream, column: &str, protect: Protect) -> Result<(), (&'static str, &'static str)> {
    let is_day =
        stream.days.as_ref().is_some_and(|days| days.column == column || days.zone_column.as_deref() == Some(column));
    let is_key = stream.key.iter().any(|path| path.split('.').next() == Some(column));
    let is_text = stream.column(column).is_some_and(crate::model::column::Column::is_text);
    match protect {
        _ if is_day => Err(("says the day of its rows, by which they are written", "keep it")),
        _ if stream.signal.as_deref() == Some(column) => {
            Err(("tells whether there is anything to read in other streams", "keep it"))
        }
        Protect::Drop if is_key => {
            Err(("is part of the key, without which rows cannot be told apart", "write it under `hash` if it is text"))
        }
        Protect::Hash if !is_text => Err(("is not text, so it cannot be hashed", "write it under `drop`")),
        Protect::Drop | Protect::Hash => Ok(()),
    }
}
