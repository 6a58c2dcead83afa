//! The layers of a configuration: the file, environment variables and flags. A later layer has precedence.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use toml_edit::Item;

use super::destination::is_store_options;
use super::problem::{InvalidValue, Place, Problem, Problems, no_such_job};
use super::tree::{self, Tree};
use super::{advice, file, schema};

/// The inputs of a configuration. Not `Debug`: variables may hold the key.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file, which must exist. `None`: defaults only.
    pub file: Option<PathBuf>,
    /// Environment variables by name, all that begin with `PROFOUND_` and are not empty.
    pub environment: BTreeMap<String, String>,
    pub flags: Vec<Flag>,
}

/// A setting given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The flag as users type it, such as `--destination`.
    pub name: String,
    /// The setting, such as `destination.url` or `job.nightly.streams`.
    pub key: String,
    /// The value, written as in an environment variable.
    pub value: String,
}

impl Flag {
    pub fn new(name: impl Into<String>, key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), key: key.into(), value: value.into() }
    }
}

impl Sources {
    /// The sources of this process. The file is `config` (the flag `--config`), else the value of
    /// `PROFOUND_EXPORT_CONFIG`, else `jobs.toml` in the working directory if it exists.
    pub fn from_process(config: Option<PathBuf>) -> Self {
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            // Docker Compose files and Helm charts often set unused variables to an empty string.
            .filter(|(name, value)| name.starts_with("PROFOUND_") && !value.trim().is_empty())
            .collect();
        let named = environment.get("PROFOUND_EXPORT_CONFIG").map(PathBuf::from);
        // If its existence cannot be checked, reading the file reports why.
        let present =
            || Path::new(file::DEFAULT_FILE).try_exists().unwrap_or(true).then(|| PathBuf::from(file::DEFAULT_FILE));
        Self { file: config.or(named).or_else(present), environment, flags: Vec::new() }
    }

    #[must_use]
    pub fn with_flag(mut self, flag: Flag) -> Self {
        self.flags.push(flag);
        self
    }
}

/// Merges file, variables and flags into one tree; `None` when the file cannot be read at all.
///
/// Jobs are keyed by position until the layers are merged, because merging replaces a list as a whole.
pub(super) fn merged(sources: &Sources, problems: &mut Problems) -> Option<Tree> {
    let mut file = match &sources.file {
        Some(path) => file::read(path, problems)?,
        None => Tree::new(),
    };
    advice::reject_malformed_sections(&mut file, problems);
    if let Some(Value::Array(jobs)) = file.remove("job") {
        let jobs = jobs.into_iter().enumerate().map(|(index, job)| (index.to_string(), job));
        file.insert("job".to_owned(), Value::Object(jobs.collect()));
    }
    let mut overrides = Value::Object(Tree::new());
    for (name, value) in &sources.environment {
        let Some(setting) = name.strip_prefix(advice::VARIABLE_PREFIX) else { continue };
        if setting.contains("__") {
            let key = setting.replace("__", ".").to_lowercase();
            set(&mut overrides, &key, value, Place::Variable(name.clone()), problems);
        } else {
            warn_of_single_underscore(name, setting, problems);
        }
    }
    for flag in &sources.flags {
        set(&mut overrides, &flag.key, &flag.value, Place::Flag(flag.name.clone()), problems);
    }
    let mut merged = tree::merge([Value::Object(file), overrides]);
    if let Some(Value::Object(jobs)) = merged.remove("job") {
        let mut jobs: Vec<(usize, Value)> =
            jobs.into_iter().filter_map(|(index, job)| Some((index.parse().ok()?, job))).collect();
        jobs.sort_by_key(|(index, _)| *index);
        merged.insert("job".to_owned(), jobs.into_iter().map(|(_, job)| job).collect());
    }
    Some(merged)
}

/// Sets `key` to the value of a variable or a flag.
fn set(overrides: &mut Value, key: &str, value: &str, place: Place, problems: &mut Problems) {
    let path = match resolve(key, problems) {
        Ok(path) => path,
        Err(fault) => {
            problems.places.set(key, place);
            return problems.invalid(key, fault);
        }
    };
    problems.places.set(&path.join("."), place);
    // Options are always text: a password such as `0042` keeps its zeros.
    let is_option = path.len() > 2 && is_store_options(&path[..2].join("."));
    let value = if is_option { Value::from(value) } else { parse_value(value) };
    let mut setting = overrides;
    for step in path {
        if !setting.is_object() {
            *setting = Value::Object(Tree::new());
        }
        setting = &mut setting[step];
    }
    *setting = value;
}

/// The path of `key` in the tree, with a job's position in place of its name.
fn resolve(key: &str, problems: &Problems) -> Result<Vec<String>, InvalidValue> {
    let mut path: Vec<String> = key.split('.').map(str::to_owned).collect();
    match (path[0].as_str(), path.len()) {
        ("stream" | "alert", 2..) | ("parameters", 3..) => Err(InvalidValue::new(
            "a part of a list cannot be set by itself",
            "declare streams as `[[stream]]` and alerts as `[[alert]]` in the file; set the parameters of a stream as one list, `parameters.<stream>`",
        )),
        ("job", ..3) => Err(InvalidValue::new(
            "a job cannot be set as a whole",
            "add the setting after the name of the job, as in `PROFOUND_EXPORT_JOB__NIGHTLY__CRON`",
        )),
        ("job", _) => {
            // Variables have no `-` and no lower case.
            let normalized = |name: &str| name.to_lowercase().replace('-', "_");
            let names = problems.places.names("job");
            let is_meant = |name: &Option<String>| name.as_deref().map(normalized) == Some(normalized(&path[1]));
            if let Some(index) = names.iter().position(is_meant) {
                path[1] = index.to_string();
                return Ok(path);
            }
            Err(no_such_job(&path[1], &names.iter().flatten().map(String::as_str).collect::<Vec<_>>()))
        }
        _ => Ok(path),
    }
}

/// The value of a variable: a list, table, quoted text, integer or boolean as in TOML, else text.
fn parse_value(text: &str) -> Value {
    match text.trim().parse::<toml_edit::Value>() {
        Ok(value) if !value.is_datetime() && !value.is_float() => file::value(&Item::Value(value), "", &mut |_, _| {}),
        _ => Value::from(text),
    }
}

/// `PROFOUND_EXPORT_API_CONCURRENCY` is ignored, because Kubernetes itself sets variables of that form for a service. It is
/// worth a warning only if it differs from a setting's variable by one underscore, or seems to hold the key.
fn warn_of_single_underscore(name: &str, setting: &str, problems: &mut Problems) {
    let setting = setting.to_lowercase();
    let known = schema::settings().into_iter().find(|known| known.replace('.', "_") == setting);
    let instead = if setting == "api_key" || setting == "key" {
        "set `PROFOUND_API_KEY`, or `PROFOUND_API_KEY_FILE` to the path of a file that holds the key".to_owned()
    } else if let Some(known) = known {
        format!("write two underscores: `{}`", advice::variable_name(&known))
    } else {
        return;
    };
    let place = Some(Place::Variable(name.to_owned()));
    problems.warnings.push(Problem { place, ..Problem::new("", "this variable is ignored", instead) });
}
