//! What changes in one partition: which of its files are as wanted, which go, and which days are written.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::day::Day;
use crate::tables::action::Add;
use crate::tables::wanted::{WantedPartition, decode_days};

/// The days of a file and their publications, and which of how many files of the same days it is.
pub const DAYS_TAG: &str = "profoundExport.days";
pub const PART_TAG: &str = "profoundExport.part";

/// Which files of a partition go, and which days are written, those of each file together.
#[derive(Debug, PartialEq)]
pub struct PartitionPlan<'a> {
    pub removed: Vec<&'a Add>,
    pub written: Vec<Vec<Option<Day>>>,
    pub data_change: bool,
}

/// Files that one commit wrote for the same days.
pub struct FileGroup<'a> {
    pub files: Vec<&'a Add>,
    /// Empty for files of other engines.
    pub days: BTreeMap<Option<Day>, String>,
    pub is_complete: bool,
}

impl<'a> PartitionPlan<'a> {
    /// `rewrites`: whether files are replaced although they are as wanted.
    pub fn new(
        wanted: Option<&WantedPartition>,
        files: &[&'a Add],
        rewrites: bool,
        is_unfit: impl Fn(Option<Day>) -> bool,
    ) -> Self {
        let groups = groups(files);
        let nothing = BTreeMap::new();
        let days = wanted.map_or(&nothing, |wanted| &wanted.days);
        let is_wanted =
            |(day, identity): (&Option<Day>, &String)| days.get(day).is_some_and(|wanted| wanted.identity == *identity);
        let is_compacted = wanted.is_some_and(|wanted| wanted.is_final) && !days.keys().any(|day| is_unfit(*day));
        let mut covered: BTreeSet<Option<Day>> = BTreeSet::new();
        let (mut removed, mut is_exact) = (Vec::new(), true);
        for group in &groups {
            let is_kept = group.is_complete
                && group.days.keys().all(|day| !covered.contains(day))
                && ((!rewrites && group.days.iter().all(is_wanted)) || group.days.keys().any(|day| is_unfit(*day)));
            if is_kept {
                covered.extend(group.days.keys());
            } else {
                is_exact = false;
                removed.extend(&group.files);
            }
        }
        let missing: Vec<Option<Day>> =
            days.keys().filter(|day| !covered.contains(*day) && !is_unfit(**day)).copied().collect();
        if !is_compacted {
            let data_change = !removed.is_empty() || !missing.is_empty();
            return Self { removed, written: missing.into_iter().map(|day| vec![day]).collect(), data_change };
        }
        let is_same = is_exact && missing.is_empty();
        if is_same && groups.len() == 1 {
            return Self { removed: Vec::new(), written: Vec::new(), data_change: false };
        }
        Self { removed: files.to_vec(), written: vec![days.keys().copied().collect()], data_change: !is_same }
    }
}

/// The files of one partition, together with those of the same days.
pub fn groups<'a>(files: &[&'a Add]) -> Vec<FileGroup<'a>> {
    let tag = |add: &'a Add, name: &str| add.tags.as_ref()?.get(name)?.as_deref();
    // Two commits may write the same days.
    let commit =
        |add: &'a Add| add.path.rsplit('/').next().and_then(|name| name.split_once('-')).map(|(version, _)| version);
    let mut groups: BTreeMap<(Option<&str>, Option<&str>), Vec<&'a Add>> = BTreeMap::new();
    for add in files {
        groups.entry((tag(add, DAYS_TAG), commit(add))).or_default().push(add);
    }
    let group = |((days, _), files): ((Option<&str>, _), Vec<&'a Add>)| {
        let days = days.and_then(decode_days).unwrap_or_default();
        let parts: BTreeSet<Option<&str>> = files.iter().map(|add| tag(add, PART_TAG)).collect();
        let of = files.len();
        let is_whole = (1..=of).all(|part| parts.contains(&Some(format!("{part}/{of}").as_str())));
        FileGroup { is_complete: !days.is_empty() && is_whole, days, files }
    };
    groups.into_iter().map(group).collect()
}
