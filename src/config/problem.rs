//! What is wrong in a configuration, where it stands, and what to write instead.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

/// Where a setting got its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nobody set it.
    Default,
    /// A line of a configuration file.
    File {
        /// The file, as it was named.
        path: PathBuf,
        /// The line, counted from 1.
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

/// One thing that is wrong, or doubtful, in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting, such as `api.concurrency` or `job.nightly.cron`; empty when it is the file itself.
    pub key: String,
    /// Where the setting got its value; none when nobody set it.
    pub place: Option<Place>,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub instead: String,
}

impl Problem {
    /// A problem of `key` whose place is not known.
    pub fn new(key: impl Into<String>, what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { key: key.into(), place: None, what: what.into(), instead: instead.into() }
    }
}

impl fmt::Display for Problem {
    /// Where and which on the first line; what is wrong and what helps below it, indented.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) if !self.key.is_empty() => write!(out, "{place}  {}", self.key)?,
            Some(place) => write!(out, "{place}")?,
            None => write!(out, "{}", self.key)?,
        }
        write!(out, "\n  {}", self.what)?;
        if !self.instead.is_empty() {
            write!(out, "\n  help: {}", self.instead)?;
        }
        Ok(())
    }
}

/// Why a configuration cannot be used: every problem found, not only the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Every problem, in the order of the file.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    /// A first line that counts, then a paragraph each.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => write!(out, "the configuration has a problem")?,
            count => write!(out, "the configuration has {count} problems")?,
        }
        self.problems.iter().try_for_each(|problem| write!(out, "\n\n{problem}"))
    }
}

impl std::error::Error for ConfigError {}

/// Where every setting that somebody set got its value, by its path in the tree (`job.0.cron`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Places {
    places: BTreeMap<String, Place>,
    /// The names of the jobs, by position; `None` where a name cannot be shown.
    pub(super) jobs: Vec<Option<String>>,
    /// The same of the streams that are declared in the file.
    pub(super) streams: Vec<Option<String>>,
}

impl Places {
    /// Remembers the place of `path`; the last one wins.
    pub(super) fn set(&mut self, path: String, place: Place) {
        self.places.insert(path, place);
    }

    /// The place of `path`, else of the first thing in it, else of what contains it.
    pub(super) fn of(&self, path: &str) -> Option<&Place> {
        let within = format!("{path}.");
        let inside = || self.places.range(within.clone()..).next().filter(|(path, _)| path.starts_with(&within));
        let parent = || path.rsplit_once('.').and_then(|(parent, _)| self.above(parent));
        self.places.get(path).or_else(|| inside().map(|(_, place)| place)).or_else(parent)
    }

    /// The place of `path`, else of what contains it.
    pub(super) fn above(&self, path: &str) -> Option<&Place> {
        let parent = || path.rsplit_once('.').and_then(|(parent, _)| self.above(parent));
        self.places.get(path).or_else(parent)
    }

    /// The place of `path` itself.
    pub(super) fn exactly(&self, path: &str) -> Option<&Place> {
        self.places.get(path)
    }

    /// `job.0.cron` as people say it: `job.nightly.cron`, or `job[0].cron` while the job has no good name. Streams alike.
    pub(super) fn spoken(&self, path: &str) -> String {
        let (section, rest) = path.split_once('.').unwrap_or((path, ""));
        let names = match section {
            "job" => &self.jobs,
            "stream" => &self.streams,
            _ => return with_brackets(path),
        };
        let (index, key) = rest.split_once('.').unwrap_or((rest, ""));
        let Ok(position) = index.parse::<usize>() else {
            return path.to_owned();
        };
        let dot = if key.is_empty() { "" } else { "." };
        let key = with_brackets(key);
        match names.get(position).and_then(Option::as_deref) {
            Some(name) => format!("{section}.{name}{dot}{key}"),
            None => format!("{section}[{index}]{dot}{key}"),
        }
    }
}

/// `columns.2.type` as `columns[2].type`.
fn with_brackets(path: &str) -> String {
    let mut spoken = String::with_capacity(path.len());
    for part in path.split('.') {
        match part.parse::<usize>() {
            Ok(index) => spoken.push_str(&format!("[{index}]")),
            Err(_) => {
                let dot = if spoken.is_empty() { "" } else { "." };
                spoken.push_str(dot);
                spoken.push_str(part);
            }
        }
    }
    spoken
}

/// Collects what is wrong, so that everything is told at once.
#[derive(Debug, Default)]
pub(super) struct Problems {
    pub(super) errors: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    pub(super) places: Places,
    /// What was taken out: a value that was refused is not refused again for the default it leaves behind.
    refused: Vec<String>,
}

impl Problems {
    /// `path` must be changed before anything can run.
    pub(super) fn error(&mut self, path: &str, what: impl Into<String>, instead: impl Into<String>) {
        if !self.is_refused(path) {
            let problem = self.problem(path, what, instead);
            self.errors.push(problem);
        }
    }

    /// The value of `path` cannot even be read: an error, and the last one of this path.
    pub(super) fn refuse(&mut self, path: &str, what: impl Into<String>, instead: impl Into<String>) {
        self.error(path, what, instead);
        self.refused.push(path.to_owned());
    }

    /// Whether the value of `path` was refused and taken out.
    pub(super) fn is_refused(&self, path: &str) -> bool {
        self.refused.iter().any(|refused| refused == path)
    }

    /// `path` is allowed, but probably not what was meant.
    pub(super) fn warn(&mut self, path: &str, what: impl Into<String>, instead: impl Into<String>) {
        let problem = self.problem(path, what, instead);
        self.warnings.push(problem);
    }

    /// The result: `whole` when nothing must be changed.
    pub(super) fn into_result<T>(mut self, whole: Option<T>) -> Result<(T, Vec<Problem>, Places), ConfigError> {
        // In the order of the file, then everything else in the order it was found.
        self.errors.sort_by_key(|problem| match problem.place {
            Some(Place::File { line, .. }) => line,
            _ => usize::MAX,
        });
        match whole {
            Some(whole) if self.errors.is_empty() => Ok((whole, self.warnings, self.places)),
            _ => Err(ConfigError { problems: self.errors }),
        }
    }

    fn problem(&self, path: &str, what: impl Into<String>, instead: impl Into<String>) -> Problem {
        let place = self.places.of(path).cloned();
        Problem { place, ..Problem::new(self.places.spoken(path), what, instead) }
    }
}

/// The name among `known` that was probably meant by `name`.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&name, &known.to_lowercase()), known))
        .filter(|(distance, known)| *distance <= (known.len().min(name.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// `a, b and c`, each in backticks.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.join(""),
    }
}
