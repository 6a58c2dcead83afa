//! `drop` and `hash` of jobs: which columns are kept off the disk, and how.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::problem::{InvalidValue, Problems, did_you_mean};
use super::select::{named, select};
use super::{JobConfig, PrivacyConfig};
use crate::catalog::Catalog;
use crate::model::column::{Column, Protect};
use crate::model::stream::{Fallback, Stream};

/// The protected columns of each stream.
type Protected = BTreeMap<String, BTreeMap<String, Protect>>;

/// `catalog` with the columns of each stream protected as the jobs that export it say.
///
/// A stream is one table, so jobs that export the same stream must protect it alike.
pub(super) fn apply(
    catalog: Catalog,
    jobs: &[JobConfig],
    privacy: &PrivacyConfig,
    invalid: &BTreeSet<String>,
    problems: &mut Problems,
) -> Catalog {
    if jobs.iter().all(|job| job.drop.is_empty() && job.hash.is_empty()) {
        return catalog;
    }
    let mut exported = BTreeMap::new();
    let mut all = Protected::new();
    for (index, job) in jobs.iter().enumerate() {
        let lists = [("drop", &job.drop, Protect::Drop), ("hash", &job.hash, Protect::Hash)];
        let mut protected = Protected::new();
        for (setting, rules, protect) in lists {
            let path = format!("job.{index}.{setting}");
            for rule in rules {
                if let Err(fault) = protect_columns(&catalog, rule, protect, invalid, &mut protected) {
                    problems.invalid(&path, fault);
                }
            }
        }
        if !job.hash.is_empty() && privacy.salt_file.is_none() {
            problems.error(
                &format!("job.{index}.hash"),
                "hashes need a salt, because texts could be guessed from hashes without one",
                "name a file of at least 16 random bytes: `salt_file = \"/run/secrets/profound-salt\"` under `[privacy]`",
            );
        }
        for name in exported_streams(&catalog, job) {
            let columns = protected.get(&name).cloned().unwrap_or_default();
            let (first, earlier) = exported.entry(name.clone()).or_insert_with(|| (index, columns.clone()));
            if *earlier != columns {
                let setting = lists.iter().find(|(_, rules, _)| !rules.is_empty()).map_or("streams", |(name, ..)| name);
                let other = &jobs[*first].name;
                let what = format!("the job `{other}` protects `{name}` differently, and both write the same table");
                let instead = "write the same `drop` and `hash` in both jobs";
                problems.error(&format!("job.{index}.{setting}"), what, instead);
            }
        }
        all.extend(protected);
    }
    let protected = catalog.streams().filter_map(|stream| {
        // The rules of the jobs that export a stream decide; other rules matter only until one does.
        let columns = exported.remove(&stream.name).map(|(_, columns)| columns);
        let protect = columns.or_else(|| all.remove(&stream.name)).filter(|columns| !columns.is_empty())?;
        Some(Stream { protect, ..Stream::clone(stream) })
    });
    let protected = protected.collect();
    // Only the protection is new, so the catalog stays valid; without it nothing may run.
    catalog.with_streams(protected).unwrap_or_else(|error| {
        problems.error("job", format!("the streams cannot be protected: {error}"), "");
        catalog
    })
}

/// The streams that a job may write: those it selects, and their fallbacks.
fn exported_streams(catalog: &Catalog, job: &JobConfig) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut pending: Vec<Arc<Stream>> = select(catalog, &job.streams).unwrap_or_default();
    while let Some(stream) = pending.pop() {
        if names.insert(stream.name.clone())
            && let Some(Fallback::Stream(name)) = &stream.on_422
        {
            pending.extend(catalog.get(name).cloned());
        }
    }
    names
}

/// Adds the columns of `rule`, which is `stream.column` or `prefix*.column`, to `protected`.
fn protect_columns(
    catalog: &Catalog,
    rule: &str,
    protect: Protect,
    invalid: &BTreeSet<String>,
    protected: &mut Protected,
) -> Result<(), InvalidValue> {
    let is_valid =
        |(target, column): &(&str, &str)| !target.is_empty() && !column.is_empty() && !column.contains(['.', '*']);
    let (target, column) = rule.split_once('.').filter(is_valid).ok_or_else(|| {
        let instead = "write for example `answers_v2.response`, or `logs_raw*.ip` for every stream with that prefix";
        InvalidValue::new(format!("`{rule}` is not a stream and one of its columns"), instead)
    })?;
    let streams = named(catalog, target);
    if streams.is_empty() {
        if invalid.contains(target) {
            return Ok(());
        }
        let names: Vec<String> = catalog.streams().map(|stream| format!("{}.{column}", stream.name)).collect();
        let instead = did_you_mean(rule, names.iter().map(String::as_str), "`profound-export streams` lists them");
        return Err(InvalidValue::new(format!("`{rule}`: there is no stream `{target}`"), instead));
    }
    let has_column = |stream: &&&Arc<Stream>| stream.column(column).is_some();
    let with_column: Vec<&Arc<Stream>> = streams.iter().filter(has_column).copied().collect();
    if with_column.is_empty() {
        let columns = streams.iter().flat_map(|stream| &stream.columns);
        let names: Vec<String> = columns.map(|column| format!("{target}.{}", column.name)).collect();
        let otherwise = "`profound-export streams NAME` lists the columns";
        let instead = did_you_mean(rule, names.iter().map(String::as_str), otherwise);
        return Err(InvalidValue::new(format!("`{rule}`: there is no column `{column}`"), instead));
    }
    let faults = with_column.iter().filter_map(|stream| Some((stream, check(stream, column, protect).err()?)));
    let faults: Vec<(&&Arc<Stream>, InvalidValue)> = faults.collect();
    if let Some((stream, InvalidValue { what, instead })) = faults.first() {
        let others = match faults.len() - 1 {
            0 => String::new(),
            others => format!(", as in {others} other streams that `{rule}` matches"),
        };
        return Err(InvalidValue::new(format!("`{}.{column}` {what}{others}", stream.name), instead));
    }
    for stream in with_column {
        let columns = protected.entry(stream.name.clone()).or_default();
        if columns.insert(column.to_owned(), protect).is_some_and(|other| other != protect) {
            let what = format!("`{}.{column}` is under `drop` and under `hash`", stream.name);
            return Err(InvalidValue::new(what, "remove it from one of them"));
        }
    }
    Ok(())
}

/// Why a column cannot be protected: what is wrong, after its name, and what to do instead.
fn check(stream: &Stream, column: &str, protect: Protect) -> Result<(), InvalidValue> {
    let is_day =
        stream.days.as_ref().is_some_and(|days| days.column == column || days.zone_column.as_deref() == Some(column));
    let is_key = stream.key.iter().any(|path| path.split('.').next() == Some(column));
    let is_text = stream.column(column).is_some_and(Column::is_text);
    let (what, instead) = match protect {
        _ if is_day => ("holds the day of its rows, which decides their file", "keep it"),
        _ if stream.signal.as_deref() == Some(column) => ("decides whether other streams are requested", "keep it"),
        Protect::Drop if is_key => ("is part of the key, which identifies rows", "write it under `hash` if it is text"),
        Protect::Hash if !is_text => ("is not text, so it cannot be hashed", "write it under `drop`"),
        Protect::Drop | Protect::Hash => return Ok(()),
    };
    Err(InvalidValue::new(what, instead))
}
