//! The layers of a configuration, and how they are laid upon each other. Nothing outside knows that figment does it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use figment::providers::Serialized;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use toml_edit::{ImDocument, Item, TableLike};

use super::Config;
use super::job::is_job_name;
use super::problem::{Place, Places, Problem, Problems, listed, nearest};

/// Variables that are settings begin so.
const PREFIX: &str = "PROFOUND_EXPORT_";

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "jobs.toml";

/// Everything a configuration is made of. Not `Debug`: variables may hold the key.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file; it must be there. None: defaults only.
    pub file: Option<PathBuf>,
    /// Environment variables by name, all that begin with `PROFOUND_`.
    pub environment: BTreeMap<String, String>,
    /// What flags of the command line set; they win over everything.
    pub flags: Vec<Flag>,
}

/// A setting given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The flag as it is typed, such as `--destination`.
    pub name: String,
    /// The setting it sets, such as `destination.url` or `job.nightly.streams`.
    pub key: String,
    /// The value, written as in an environment variable.
    pub value: String,
}

impl Flag {
    /// The flag `name`, which sets `key` to `value`.
    pub fn new(name: impl Into<String>, key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), key: key.into(), value: value.into() }
    }
}

impl Sources {
    /// The sources of this process. The file is `config` (the flag `--config`), else what `PROFOUND_EXPORT_CONFIG`
    /// names, else `jobs.toml` of the working directory when it is there.
    pub fn from_process(config: Option<PathBuf>) -> Self {
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .filter(|(name, _)| name.starts_with("PROFOUND_"))
            .collect();
        let named = environment.get("PROFOUND_EXPORT_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        // A file that is there but cannot be looked at is named too: reading it says why.
        let present = || Path::new(DEFAULT_FILE).try_exists().unwrap_or(true).then(|| PathBuf::from(DEFAULT_FILE));
        Self { file: config.or(named).or_else(present), environment, flags: Vec::new() }
    }

    /// The same with one more flag.
    #[must_use]
    pub fn with_flag(mut self, flag: Flag) -> Self {
        self.flags.push(flag);
        self
    }
}

/// One layer: a tree of values.
struct Layer(Dict);

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named("settings")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.0.clone())]))
    }
}

/// Lays defaults, file, variables and flags upon each other; `None` when the file cannot be read at all.
///
/// Jobs are keyed by position until all layers are in, because a list would be replaced as a whole.
pub(super) fn merged(sources: &Sources, problems: &mut Problems) -> Option<Dict> {
    let file = match &sources.file {
        Some(path) => read(path, problems)?,
        None => Dict::new(),
    };
    let mut over = Dict::new();
    for (name, value) in &sources.environment {
        let Some(setting) = name.strip_prefix(PREFIX) else { continue };
        if setting.contains("__") {
            let path: Vec<String> = setting.split("__").map(str::to_lowercase).collect();
            lay(&mut over, path, value, Place::Variable(name.clone()), problems);
        } else {
            check_single_underscore(name, setting, problems);
        }
    }
    for flag in &sources.flags {
        let path = flag.key.split('.').map(str::to_owned).collect();
        lay(&mut over, path, &flag.value, Place::Flag(flag.name.clone()), problems);
    }
    let defaults = Serialized::defaults(Config::default());
    let all = Figment::from(defaults).merge(Layer(file)).merge(Layer(over)).find_value("");
    match all.map(Value::into_dict) {
        Ok(Some(mut all)) => {
            let jobs = match all.remove("job") {
                Some(Value::Dict(tag, jobs)) => {
                    let mut jobs: Vec<(usize, Value)> =
                        jobs.into_iter().filter_map(|(index, job)| Some((index.parse().ok()?, job))).collect();
                    jobs.sort_by_key(|(index, _)| *index);
                    Some(Value::Array(tag, jobs.into_iter().map(|(_, job)| job).collect()))
                }
                other => other,
            };
            all.extend(jobs.map(|jobs| ("job".to_owned(), jobs)));
            Some(all)
        }
        Ok(None) => None,
        Err(error) => {
            problems.error("", error.to_string(), "");
            None
        }
    }
}

/// Puts one value of a variable or a flag into the tree.
fn lay(over: &mut Dict, mut path: Vec<String>, value: &str, place: Place, problems: &mut Problems) {
    let is_list = path.first().is_some_and(|section| {
        section == "stream" || section == "alert" || (section == "parameters" && 2 < path.len())
    });
    if is_list && 1 < path.len() {
        let dotted = path.join(".");
        problems.places.set(dotted.clone(), place);
        return problems.error(
            &dotted,
            "a part of a list cannot be set by itself",
            "declare streams as `[[stream]]` and alerts as `[[alert]]` in the file; set the parameters of a stream as one list, `parameters.<stream>`",
        );
    }
    if path.first().is_some_and(|section| section == "job") {
        if path.len() < 3 {
            let dotted = path.join(".");
            problems.places.set(dotted.clone(), place);
            problems.error(
                &dotted,
                "a job cannot be set as a whole",
                "name the setting after the job, as `cron` in `PROFOUND_EXPORT_JOB__NIGHTLY__CRON`",
            );
            return;
        }
        let plain = |name: &str| name.to_lowercase().replace('-', "_");
        let names = problems.places.jobs.iter();
        let Some(index) = names.clone().position(|name| name.as_deref().map(plain) == Some(plain(&path[1]))) else {
            let known: Vec<&str> = names.flatten().map(String::as_str).collect();
            let instead = match nearest(&path[1], known.iter().copied()) {
                Some(near) => format!("did you mean the job `{near}`?"),
                None if known.is_empty() => {
                    "write the job into `jobs.toml` first; `profound-export init` makes one".to_owned()
                }
                None => format!("there are {}", listed(known)),
            };
            let (dotted, what) = (path.join("."), format!("there is no job `{}`", path[1]));
            problems.places.set(dotted.clone(), place);
            problems.error(&dotted, what, instead);
            return;
        };
        path[1] = index.to_string();
    }
    // Options are text whatever they look like: a password of digits keeps its zeros.
    let is_text = 2 < path.len() && path.starts_with(&["destination".to_owned(), "options".to_owned()]);
    problems.places.set(path.join("."), place);
    let value = if is_text { Value::from(value) } else { plain_value(value) };
    insert(over, &path, value);
}

/// A value of a variable: a list, a table, text in quotes, a number or a truth as in TOML, else text.
fn plain_value(text: &str) -> Value {
    let trimmed = text.trim();
    let is_plain = |value: &toml_edit::Value| !value.is_datetime() && !value.is_float();
    match trimmed.parse::<toml_edit::Value>() {
        Ok(value) if is_plain(&value) => value_of(&Item::Value(value), "", &mut |_, _| {}),
        _ => Value::from(text),
    }
}

/// Sets `path` in `tree`, with the tables that lead there.
fn insert(tree: &mut Dict, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            tree.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let inner = tree.entry(first.clone()).or_insert_with(|| Value::from(Dict::new()));
            if !matches!(inner, Value::Dict(..)) {
                *inner = Value::from(Dict::new());
            }
            if let Value::Dict(_, inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// `PROFOUND_EXPORT_API_CONCURRENCY` is no setting, because Kubernetes itself sets names of that form; but where it is
/// one underscore away from a setting, or seems to hold the key, somebody expects it to work.
fn check_single_underscore(name: &str, setting: &str, problems: &mut Problems) {
    let setting = setting.to_lowercase();
    let mut warn = |instead: String| {
        let place = Some(Place::Variable(name.to_owned()));
        problems.warnings.push(Problem { place, ..Problem::new("", "this variable is not read", instead) });
    };
    if setting == "api_key" || setting == "key" {
        warn("the key is read from `PROFOUND_API_KEY`, or from the file that `PROFOUND_API_KEY_FILE` names".to_owned());
    } else if let Some(known) = super::schema::settings().iter().find(|known| known.replace('.', "_") == setting) {
        warn(format!("write two underscores: `{}`", variable(known)));
    }
}

/// The variable that sets `key`, such as `PROFOUND_EXPORT_API__CONCURRENCY`.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").replace('-', "_").to_uppercase())
}

/// Reads the file into a tree, and remembers the line of every setting.
fn read(path: &Path, problems: &mut Problems) -> Option<Dict> {
    let at = |line| Place::File { path: path.to_owned(), line };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let (what, instead) = match error.kind() {
                io::ErrorKind::NotFound => {
                    ("there is no such file".to_owned(), "`profound-export init` writes one to begin with".to_owned())
                }
                io::ErrorKind::InvalidData => ("the file is not UTF-8 text".to_owned(), "save it as UTF-8".to_owned()),
                io::ErrorKind::IsADirectory => (
                    "this is a directory".to_owned(),
                    format!("name the file in it: `{}`", path.join(DEFAULT_FILE).display()),
                ),
                _ => (
                    format!("the file cannot be read: {error}"),
                    "let the user that runs the program read it".to_owned(),
                ),
            };
            problems.error(&path.display().to_string(), what, instead);
            return None;
        }
    };
    let line_of = |offset: usize| 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    let document = match ImDocument::parse(text.as_str()) {
        Ok(document) => document,
        Err(error) => {
            problems.places.set(String::new(), at(error.span().map_or(1, |span| line_of(span.start))));
            // The first line says what is wrong; a second one, what was expected.
            let what = error.message().trim_end().replace('\n', "; ");
            problems.error(
                "",
                format!("this is not TOML: {what}"),
                "text stands in quotes, lists in `[ ]`; a section begins with `[name]`, a job with `[[job]]`",
            );
            return None;
        }
    };
    let mut places = Places::default();
    let mut remember = |key: &str, offset: Option<usize>| {
        if let Some(offset) = offset {
            places.set(key.to_owned(), at(line_of(offset)));
        }
    };
    let mut tree = table_of(document.as_table(), "", &mut remember);
    problems.places = places;
    if let Some(streams) = tree.get("stream").and_then(Value::as_array) {
        let name_of = |stream: &Value| {
            let name = stream.find_ref("name").and_then(Value::as_str);
            name.filter(|name| super::streams::is_stream_name(name)).map(str::to_owned)
        };
        problems.places.streams = streams.iter().map(name_of).collect();
    }
    match tree.remove("job") {
        Some(Value::Array(tag, jobs)) if jobs.iter().all(|job| job.as_dict().is_some()) => {
            let name_of = |job: &Value| {
                job.find_ref("name").and_then(Value::as_str).filter(|name| is_job_name(name)).map(str::to_owned)
            };
            problems.places.jobs = jobs.iter().map(name_of).collect();
            let by_position = jobs.into_iter().enumerate().map(|(index, job)| (index.to_string(), job)).collect();
            tree.insert("job".to_owned(), Value::Dict(tag, by_position));
        }
        Some(_) => {
            let problem = "every job begins with a line of its own that says `[[job]]`, in double brackets";
            problems.places.jobs.clear();
            problems.error("job", "this is not a list of jobs", problem);
        }
        None => {}
    }
    Some(tree)
}

/// A table of TOML as a tree; `remember` hears the path and the offset of everything in it.
fn table_of(table: &dyn TableLike, path: &str, remember: &mut dyn FnMut(&str, Option<usize>)) -> Dict {
    let mut tree = Dict::new();
    for (name, item) in table.iter() {
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let span = table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span());
        remember(&path, span.map(|span| span.start));
        tree.insert(name.to_owned(), value_of(item, &path, remember));
    }
    tree
}

/// One item of TOML as a value. A date is text, as it is in quotes.
fn value_of(item: &Item, path: &str, remember: &mut dyn FnMut(&str, Option<usize>)) -> Value {
    if let Some(table) = item.as_table_like() {
        return Value::from(table_of(table, path, remember));
    }
    if let Some(tables) = item.as_array_of_tables() {
        let mut list = Vec::new();
        for (index, table) in tables.iter().enumerate() {
            let path = format!("{path}.{index}");
            remember(&path, table.span().map(|span| span.start));
            list.push(Value::from(table_of(table, &path, remember)));
        }
        return Value::from(list);
    }
    match item.as_value() {
        Some(toml_edit::Value::String(text)) => Value::from(text.value().as_str()),
        Some(toml_edit::Value::Integer(number)) => Value::from(*number.value()),
        Some(toml_edit::Value::Float(number)) => Value::from(*number.value()),
        Some(toml_edit::Value::Boolean(value)) => Value::from(*value.value()),
        Some(toml_edit::Value::Datetime(date)) => Value::from(date.value().to_string()),
        Some(toml_edit::Value::Array(list)) => {
            let mut values = Vec::with_capacity(list.len());
            for (index, value) in list.iter().enumerate() {
                let path = format!("{path}.{index}");
                remember(&path, value.span().map(|span| span.start));
                values.push(value_of(&Item::Value(value.clone()), &path, remember));
            }
            Value::from(values)
        }
        _ => Value::from(Dict::new()),
    }
}
