//! What is wrong in a configuration, where, and what to write instead.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

/// Where a setting got its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Default,
    /// A line of a file, counted from 1.
    File {
        path: PathBuf,
        line: usize,
    },
    /// An environment variable, by name.
    Variable(String),
    /// A command-line flag, such as `--destination`.
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::File { path, line } => write!(out, "{}:{line}", path.display()),
            Self::Variable(name) | Self::Flag(name) => out.write_str(name),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is wrong with a value, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct InvalidValue {
    pub what: String,
    pub instead: String,
}

impl InvalidValue {
    pub(super) fn new(what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { what: what.into(), instead: instead.into() }
    }
}

/// An error or a warning about one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting, such as `api.concurrency` or `job.nightly.cron`; empty when it is the file itself.
    pub key: String,
    /// `None` when nothing set it.
    pub place: Option<Place>,
    pub what: String,
    pub instead: String,
}

impl Problem {
    /// A problem of `key` without a place.
    pub fn new(key: impl Into<String>, what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { key: key.into(), place: None, what: what.into(), instead: instead.into() }
    }
}

impl fmt::Display for Problem {
    /// Place and key on the first line; what is wrong and what to write below, indented.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) if !self.key.is_empty() => write!(out, "{place}  {}", self.key)?,
            Some(place) => write!(out, "{place}")?,
            None => write!(out, "{}", self.key)?,
        }
        write!(out, "\n  {}", self.what)?;
        if self.instead.is_empty() { Ok(()) } else { write!(out, "\n  help: {}", self.instead) }
    }
}

/// Every problem of a configuration, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => write!(out, "the configuration has a problem")?,
            count => write!(out, "the configuration has {count} problems")?,
        }
        self.problems.iter().try_for_each(|problem| write!(out, "\n\n{problem}"))
    }
}

impl std::error::Error for ConfigError {}

/// The place of every setting that is set, by its path in the tree (`job.0.cron`).
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    places: BTreeMap<String, Place>,
    /// The names of the entries of `[[job]]` and `[[stream]]`, by position; `None` where a name cannot be shown.
    names: BTreeMap<&'static str, Vec<Option<String>>>,
}

impl Places {
    /// Sets the place of `path`; the last layer wins.
    pub(super) fn set(&mut self, path: &str, place: Place) {
        self.places.insert(path.to_owned(), place);
    }

    pub(super) fn set_names(&mut self, section: &'static str, names: Vec<Option<String>>) {
        self.names.insert(section, names);
    }

    pub(super) fn names(&self, section: &str) -> &[Option<String>] {
        self.names.get(section).map_or(&[], Vec::as_slice)
    }

    /// The place of `path`, else of the first setting in it, else of what contains it.
    pub(super) fn nearest_to(&self, path: &str) -> Option<&Place> {
        let within = format!("{path}.");
        let inside = self.places.range(within.clone()..).next().filter(|(path, _)| path.starts_with(&within));
        self.places.get(path).or_else(|| inside.map(|(_, place)| place)).or_else(|| self.containing(path))
    }

    /// The place of `path`, else of what contains it.
    pub(super) fn containing(&self, path: &str) -> Option<&Place> {
        let parent = || path.rsplit_once('.').and_then(|(parent, _)| self.containing(parent));
        self.places.get(path).or_else(parent)
    }

    pub(super) fn get(&self, path: &str) -> Option<&Place> {
        self.places.get(path)
    }

    /// `job.0.cron` as users write it: `job.nightly.cron`, or `job[0].cron` while the job has no valid name.
    pub(super) fn display_key(&self, path: &str) -> String {
        let mut parts = path.split('.').peekable();
        let section = parts.next().unwrap_or_default();
        let mut key = section.to_owned();
        let name = |index: &&str| self.names(section).get(index.parse::<usize>().ok()?)?.clone();
        if let Some(name) = parts.peek().and_then(name) {
            parts.next();
            key.push_str(&format!(".{name}"));
        }
        for part in parts {
            let is_index = part.parse::<usize>().is_ok();
            key.push_str(&if is_index { format!("[{part}]") } else { format!(".{part}") });
        }
        key
    }
}

/// Collects problems, so that a user sees all of them at once.
#[derive(Debug, Default)]
pub(super) struct Problems {
    pub(super) errors: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    pub(super) places: Places,
    /// Paths whose value was removed from the tree: the default it leaves behind is not an error too.
    rejected: Vec<String>,
}

impl Problems {
    /// `path` must be changed before anything can run.
    pub(super) fn error(&mut self, path: &str, what: impl Into<String>, instead: impl Into<String>) {
        if !self.is_rejected(path) {
            let problem = self.problem(path, what, instead);
            self.errors.push(problem);
        }
    }

    pub(super) fn invalid(&mut self, path: &str, invalid: InvalidValue) {
        self.error(path, invalid.what, invalid.instead);
    }

    /// The value of `path` is unusable: an error, and the last one of this path.
    pub(super) fn reject(&mut self, path: &str, fault: InvalidValue) {
        self.invalid(path, fault);
        self.rejected.push(path.to_owned());
    }

    pub(super) fn is_rejected(&self, path: &str) -> bool {
        self.rejected.iter().any(|rejected| rejected == path)
    }

    /// `path` is allowed, but probably not what the user meant.
    pub(super) fn warn(&mut self, path: &str, what: impl Into<String>, instead: impl Into<String>) {
        let problem = self.problem(path, what, instead);
        self.warnings.push(problem);
    }

    /// An error for each entry of `[[section]]` whose name an earlier entry has.
    pub(super) fn check_unique(&mut self, section: &str, names: &[&str]) {
        for (index, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            if let Some(first) = names[..index].iter().position(|other| other == name) {
                let what = self.already_named(section, first, name);
                self.error(&format!("{section}.{index}.name"), what, format!("give each {section} its own name"));
            }
        }
    }

    /// What is wrong where entry `first` of `[[section]]` has the same name, with its place.
    pub(super) fn already_named(&self, section: &str, first: usize, name: &str) -> String {
        let place = self.places.nearest_to(&format!("{section}.{first}.name"));
        let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
        format!("another {section} has the name `{name}`{place}")
    }

    /// `value` when there is no error.
    pub(super) fn into_result<T>(mut self, value: Option<T>) -> Result<(T, Vec<Problem>, Places), ConfigError> {
        // In the order of the file, then the problems of variables and flags in the order they were found.
        self.errors.sort_by_key(|problem| match problem.place {
            Some(Place::File { line, .. }) => (false, line),
            _ => (true, 0),
        });
        match value {
            Some(value) if self.errors.is_empty() => Ok((value, self.warnings, self.places)),
            _ => Err(ConfigError { problems: self.errors }),
        }
    }

    fn problem(&self, path: &str, what: impl Into<String>, instead: impl Into<String>) -> Problem {
        let place = self.places.nearest_to(path).cloned();
        Problem { place, ..Problem::new(self.places.display_key(path), what, instead) }
    }
}

/// How many names a hint offers.
const MAX_NEAREST: usize = 4;

/// The names among `known` that `name` probably means: several if they are equally near.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let name = name.to_lowercase();
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&name, &known.to_lowercase()), known))
        .filter(|(distance, known)| *distance <= (known.len().min(name.len()) / 3).max(1))
        .collect();
    let least = near.iter().map(|(distance, _)| *distance).min();
    near.retain(|(distance, _)| Some(*distance) == least);
    let mut names: Vec<&str> = Vec::new();
    for (_, known) in near {
        if !names.contains(&known) && names.len() < MAX_NEAREST {
            names.push(known);
        }
    }
    names
}

/// The question whether one of `names` is meant; `None` without names.
pub(super) fn question(names: impl IntoIterator<Item = impl fmt::Display>) -> Option<String> {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| format!("did you mean {}?", names.join(" or ")))
}

/// The hint for an unknown `name`: the nearest of `known`, else `otherwise`.
pub(super) fn did_you_mean<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
    otherwise: impl Into<String>,
) -> String {
    question(nearest(name, known)).unwrap_or_else(|| otherwise.into())
}

/// There is no job `name`; `jobs` are the known ones.
pub(super) fn no_such_job(name: &str, jobs: &[&str]) -> InvalidValue {
    let otherwise = match jobs {
        [] => "no job is configured; `profound-export init` writes a file with one".to_owned(),
        _ => format!("the jobs are {}", listed(jobs.iter().copied())),
    };
    InvalidValue::new(format!("there is no job `{name}`"), did_you_mean(name, jobs.iter().copied(), otherwise))
}

/// `a, b and c`, each in backticks.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.join(""),
    }
}
