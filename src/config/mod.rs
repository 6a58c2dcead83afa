//! `jobs.toml`, environment and flags -> a checked [`Config`].
//!
//! Later layers win: defaults, the file, variables `PROFOUND_EXPORT_<SECTION>__<KEY>`, flags. Everything that is wrong
//! is told at once, by key and place. The API key is not part of it: see [`key`].

mod alerts;
mod api;
pub mod cron;
mod destination;
mod effective;
mod job;
pub mod key;
mod metrics;
mod parameters;
mod privacy;
mod problem;
mod protect;
mod schema;
mod select;
mod server;
mod sources;
mod spool;
mod streams;
mod units;

use std::sync::Arc;

use figment::error::{Actual, Error, Kind};
use figment::value::{Dict, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::model::stream::Stream;
use problem::{Places, Problems, listed, nearest};

pub use alerts::{AlertConfig, AlertEvent, AlertKind, AlertSecretError, AlertsConfig, HiddenUrl};
pub use api::{ApiConfig, Auth};
pub use destination::{Compression, DestinationConfig, Location, Partition, StoreOptions};
pub use effective::Setting;
pub use job::{AssetChoice, JobConfig, OnShrink};
pub use key::{ApiKey, KeyError};
pub use metrics::MetricsConfig;
pub use parameters::StreamParameters;
pub use privacy::{PrivacyConfig, Salt, SaltError};
pub use problem::{ConfigError, Place, Problem};
pub use schema::schema;
pub use select::select;
pub use server::ServerConfig;
pub use sources::{Flag, Sources};
pub use spool::SpoolConfig;
pub use streams::OwnStream;
pub use units::{ByteSize, Period, WholeDays};

/// Everything that can be set, checked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How the analytics API is reached.
    pub api: ApiConfig,
    /// Where the Parquet files go.
    pub destination: DestinationConfig,
    /// Local scratch, where files are completed and verified before anything is published.
    pub spool: SpoolConfig,
    /// The jobs: what is exported, when, and how far back.
    #[serde(rename = "job")]
    pub jobs: Vec<JobConfig>,
    /// The status page.
    pub server: ServerConfig,
    /// What is needed to keep personal data from the disk.
    pub privacy: PrivacyConfig,
    /// Metrics as a file, for what ends before anybody could ask for them.
    pub metrics: MetricsConfig,
    /// Streams of your own: another grain of a known endpoint, or an endpoint the program does not know.
    #[serde(rename = "stream")]
    pub streams: Vec<OwnStream>,
    /// Values that only you can supply, as `[[parameters.<stream>]]`, such as run IDs. The stream is requested once for each
    /// entry. Default: none.
    pub parameters: StreamParameters,
    /// When someone is told.
    pub alerts: AlertsConfig,
    /// Where someone is told.
    #[serde(rename = "alert")]
    pub alert_targets: Vec<AlertConfig>,
    /// What is allowed, but probably not what was meant. Not a setting.
    #[serde(skip)]
    pub warnings: Vec<Problem>,
    #[serde(skip)]
    places: Places,
    #[serde(skip)]
    catalog: Arc<Catalog>,
}

impl Config {
    /// The job called `name`.
    ///
    /// # Errors
    /// That there is none, with the nearest name.
    pub fn job(&self, name: &str) -> Result<&JobConfig, Problem> {
        self.jobs.iter().find(|job| job.name == name).ok_or_else(|| {
            let names = || self.jobs.iter().map(|job| job.name.as_str());
            let instead = match nearest(name, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if self.jobs.is_empty() => {
                    "no job is configured; `profound-export init` writes a file with one".to_owned()
                }
                None => format!("there are {}", listed(names())),
            };
            Problem::new("job", format!("there is no job `{name}`"), instead)
        })
    }

    /// The setting `name` of `job` as it stands, after its place: `jobs.toml:14  cron = "0 */4 * * *"`.
    pub fn quoted(&self, job: &JobConfig, name: &str) -> String {
        let index = self.jobs.iter().position(|other| other.name == job.name).unwrap_or_default();
        let place =
            self.places.of(&format!("job.{index}.{name}")).map(|place| format!("{place}  ")).unwrap_or_default();
        let value = serde_json::to_value(job).ok().and_then(|job| job.get(name).cloned()).unwrap_or_default();
        format!("{place}{name} = {value}")
    }

    /// The streams there are: those of the program and the user's own, protected as the jobs say. Empty unless [`load`]
    /// made the configuration.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The streams of `job`. Those to which nothing is given are left out, since nothing can be asked of them.
    ///
    /// # Errors
    /// As [`select()`].
    pub fn streams_of(&self, job: &JobConfig) -> Result<Vec<Arc<Stream>>, Vec<Problem>> {
        let mut streams = select(&self.catalog, &job.streams)?;
        let is_given = |name: &String| self.parameters.get(name).is_some_and(|entries| !entries.is_empty());
        streams.retain(|stream| stream.parameters.is_empty() || is_given(&stream.name));
        match streams.is_empty() {
            false => Ok(streams),
            true => {
                let instead = "supply them as `[[parameters.<stream>]]`, or choose other streams";
                Err(vec![Problem::new("streams", "the chosen streams have no parameters", instead)])
            }
        }
    }

    /// Checks everything, and makes the catalog.
    fn check(&self, problems: &mut Problems) -> Catalog {
        self.api.check(problems);
        self.destination.check(problems);
        self.spool.check(problems);
        self.server.check(problems);
        self.privacy.check(problems);
        self.metrics.check(problems);
        self.alerts.check(problems);
        let built_in = match Catalog::embedded() {
            Ok(catalog) => catalog,
            Err(error) => {
                problems.error("", format!("the catalog in this program is damaged: {error}"), "");
                return Catalog::default();
            }
        };
        let (catalog, left_out) = streams::catalog(&built_in, &self.streams, problems);
        parameters::check(&self.parameters, &catalog, &left_out, problems);
        let known = job::Known { catalog: &catalog, parameters: &self.parameters, left_out: &left_out };
        for (index, job) in self.jobs.iter().enumerate() {
            job.check(&format!("job.{index}"), &known, problems);
            let first = self.jobs[..index].iter().position(|other| !job.name.is_empty() && other.name == job.name);
            if let Some(first) = first {
                let place = problems.places.of(&format!("job.{first}.name")).map(|place| format!(" ({place})"));
                let what = format!("another job is called `{}` too{}", job.name, place.unwrap_or_default());
                problems.error(
                    &format!("job.{index}.name"),
                    what,
                    "give each job a name of its own: it is how runs are told apart",
                );
            }
        }
        let names: Vec<&str> = self.jobs.iter().map(|job| job.name.as_str()).collect();
        for (index, target) in self.alert_targets.iter().enumerate() {
            target.check(&format!("alert.{index}"), &names, problems);
            if self.alert_targets[..index].iter().any(|other| !target.name.is_empty() && other.name == target.name) {
                let what = format!("another alert is called `{}` too", target.name);
                problems.error(&format!("alert.{index}.name"), what, "give each a name of its own");
            }
        }
        protect::apply(catalog, &self.jobs, &self.privacy, &left_out, problems)
    }
}

/// Reads and checks everything that can be set.
///
/// # Errors
/// Every problem of every layer, each with its key, its place, what is wrong and what to write instead.
pub fn load(source: &Sources) -> Result<Config, ConfigError> {
    let mut problems = Problems::default();
    let config = sources::merged(source, &mut problems).and_then(|tree| extract(tree, &mut problems));
    let catalog = config.as_ref().map(|config| config.check(&mut problems)).unwrap_or_default();
    let (config, warnings, places) = problems.into_result(config)?;
    Ok(Config { warnings, places, catalog: Arc::new(catalog), ..config })
}

/// The commented file that a newcomer edits: a job `nightly`, and every setting with its default.
pub fn template() -> &'static str {
    include_str!("../../jobs.toml")
}

/// Deserializes the tree. What is refused is noted and taken out, then the rest is tried again, so that one mistake
/// does not hide another.
fn extract(mut tree: Dict, problems: &mut Problems) -> Option<Config> {
    refuse_keys(&mut tree, "", problems);
    refuse_lists(&mut tree, problems);
    let mut tree = Value::from(tree);
    loop {
        let error = match tree.deserialize::<Config>() {
            Ok(config) => return Some(config),
            Err(error) => error,
        };
        let path = match &error.kind {
            // The path of an unknown key leads to the table it stands in.
            Kind::UnknownField(name, _) if error.path.last() != Some(name) => {
                error.path.iter().chain([name]).cloned().collect()
            }
            _ => setting_of(&error.path),
        };
        let dotted = path.join(".");
        let (what, instead) = in_words(&error, &dotted, problems);
        problems.refuse(&dotted, what, instead);
        if !remove(&mut tree, &path) {
            return None;
        }
    }
}

/// The path of the setting that contains `path`: an element of a list belongs to its list.
fn setting_of(path: &[String]) -> Vec<String> {
    let depth = match path.first().map(String::as_str) {
        Some("job" | "alert") => 3,
        Some("parameters") => 4,
        _ => 2 + usize::from(path.get(1).is_some_and(|key| key == "options")),
    };
    path.iter().take(depth).cloned().collect()
}

/// Takes `path` out of the tree; whether it was there.
fn remove(tree: &mut Value, path: &[String]) -> bool {
    match (tree, path) {
        (Value::Dict(_, members), [last]) => members.remove(last).is_some(),
        (Value::Dict(_, members), [first, rest @ ..]) => {
            members.get_mut(first).is_some_and(|inner| remove(inner, rest))
        }
        (Value::Array(_, items), [first, rest @ ..]) if !rest.is_empty() => {
            first.parse().ok().and_then(|index: usize| items.get_mut(index)).is_some_and(|inner| remove(inner, rest))
        }
        _ => false,
    }
}

/// The sections, each a table of settings.
const SECTIONS: [&str; 7] = ["api", "destination", "spool", "server", "privacy", "metrics", "alerts"];

/// Names under which people put the API key into a file.
const KEY_NAMES: [&str; 8] =
    ["key", "api_key", "apikey", "api-key", "x-api-key", "x_api_key", "profound_api_key", "token"];

/// Takes out every API key, wherever it stands, without ever repeating it.
fn refuse_keys(tree: &mut Dict, path: &str, problems: &mut Problems) {
    // The options of an object store hold secrets of their own; `key` and `token` are words of streams too.
    if ["destination.options", "parameters"].contains(&path) || path.starts_with("stream.") {
        return;
    }
    let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    tree.retain(|name, _| {
        let is_key = KEY_NAMES.contains(&name.to_lowercase().as_str());
        if is_key {
            problems.error(
                &at(name),
                "the key never stands among the settings, which are printed and copied",
                "put it alone into a file and name that file: `key_file = \"/run/secrets/profound-api-key\"` under `[api]`; or set `PROFOUND_API_KEY`",
            );
        }
        !is_key
    });
    for (name, value) in tree {
        match value {
            Value::Dict(_, members) => refuse_keys(members, &at(name), problems),
            Value::Array(_, items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    if let Value::Dict(_, members) = item {
                        refuse_keys(members, &format!("{}.{index}", at(name)), problems);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Takes out every section that is not one: serde would read a list as its settings in order.
fn refuse_lists(tree: &mut Dict, problems: &mut Problems) {
    let is_tables =
        |value: &Value| value.as_array().is_some_and(|items| items.iter().all(|item| item.as_dict().is_some()));
    tree.retain(|name, value| {
        let (is_sound, what, instead) = match name.as_str() {
            "stream" => (
                is_tables(value),
                "this is not a list of streams",
                "every stream begins with a line of its own that says `[[stream]]`, in double brackets".to_owned(),
            ),
            "alert" => (
                is_tables(value),
                "this is not a list of alerts",
                "every alert begins with a line of its own that says `[[alert]]`, in double brackets".to_owned(),
            ),
            "parameters" => (
                value.as_dict().is_some_and(|streams| streams.values().all(is_tables)),
                "this is not a list of entries for each stream",
                "every entry begins with a line of its own such as `[[parameters.agent_runs]]`, in double brackets"
                    .to_owned(),
            ),
            name => (
                matches!(value, Value::Dict(..)) || !SECTIONS.contains(&name),
                "this is not a section",
                format!("a section begins with a line of its own that says `[{name}]`, in single brackets"),
            ),
        };
        if !is_sound {
            problems.refuse(name, what, instead);
        }
        is_sound
    });
}

/// What is wrong with the value at `path`, and what to write instead.
fn in_words(error: &Error, path: &str, problems: &Problems) -> (String, String) {
    let secret = path.starts_with("destination.options.");
    // Where an address or a key belongs, whatever else stands there may be one.
    let may_be_secret = path.starts_with("alert.")
        && ["url", "url_file", "url_variable", "secret_file", "secret_variable", "command"]
            .iter()
            .any(|name| path.rsplit('.').next() == Some(name));
    let example = || schema::example(path).map(|value| as_written(path, value, problems)).unwrap_or_default();
    match &error.kind {
        Kind::UnknownField(name, known) => ("no such setting".to_owned(), meant(name, path, known, problems)),
        Kind::UnknownVariant(name, known) => {
            let what = format!("`{name}` is not one of {}", listed(known.iter().copied()));
            match nearest(name, known.iter().copied()) {
                Some(near) => (what, format!("did you mean `{near}`?")),
                None => (what, example()),
            }
        }
        Kind::InvalidType(..) | Kind::InvalidValue(..) if secret => {
            ("text in quotes is needed".to_owned(), "write the value in quotes".to_owned())
        }
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) if may_be_secret => {
            (format!("this is not {}", needed(expected)), example())
        }
        Kind::InvalidType(..) if path == "destination.options" => ("this is not a table".to_owned(), example()),
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            (format!("{} is not {}", found(actual), needed(expected)), example())
        }
        Kind::Message(text) => (text.clone(), example()),
        other => (other.to_string(), example()),
    }
}

/// An example of the setting at `path`, as its layer writes it.
fn as_written(path: &str, value: &serde_json::Value, problems: &Problems) -> String {
    let plain = || value.as_str().map_or_else(|| schema::in_toml(value), str::to_owned);
    match problems.places.of(path) {
        Some(Place::Variable(name)) => format!("write for example `{name}={}`", plain()),
        // The one flag that names the setting itself.
        Some(Place::Flag(name)) if name == "--set" => format!("write for example `--set {path}={}`", plain()),
        Some(Place::Flag(name)) => format!("write for example `{name} {}`", plain()),
        _ => {
            let name = path.rsplit('.').next().unwrap_or(path);
            format!("write for example `{name} = {}`", schema::in_toml(value))
        }
    }
}

/// The setting that was probably meant by the unknown `name` at `path`, written as its layer writes it.
fn meant(name: &str, path: &str, known: &[&str], problems: &Problems) -> String {
    let variable = match problems.places.of(path) {
        Some(Place::Variable(variable)) => Some(variable),
        _ => None,
    };
    let is_variable = variable.is_some();
    let is_section = !path.contains('.');
    let elsewhere = schema::settings().into_iter().find(|setting| setting.rsplit('.').next() == Some(name));
    let of_jobs = schema::example(&format!("job.0.{name}")).is_some();
    if let Some(near) = nearest(name, known.iter().copied()).filter(|_| elsewhere.is_none() && !of_jobs) {
        // The part of the variable's name that is wrong, put right.
        let near = match variable.and_then(|variable| variable.rsplit_once(&name.to_uppercase())) {
            Some((before, after)) => format!("{before}{}{after}", near.to_uppercase()),
            None => near.to_owned(),
        };
        return format!("did you mean `{near}`?");
    }
    match elsewhere.as_deref().and_then(|setting| setting.split_once('.')) {
        Some((section, name)) if is_variable => {
            format!("did you mean `{}`?", sources::variable(&format!("{section}.{name}")))
        }
        Some((section, name)) => format!("`{name}` stands under `[{section}]`"),
        None if of_jobs => format!("`{name}` stands under `[[job]]`"),
        None if is_section => format!("the sections are {}", listed(known.iter().copied())),
        None => format!("known here are {}", listed(known.iter().copied())),
    }
}

/// What stands there, in words.
fn found(actual: &Actual) -> String {
    match actual {
        Actual::Bool(value) => format!("`{value}`"),
        Actual::Unsigned(number) => format!("`{number}`"),
        Actual::Signed(number) => format!("`{number}`"),
        Actual::Float(number) => format!("`{number}`"),
        Actual::Str(text) => format!("`\"{text}\"`"),
        Actual::Char(character) => format!("`\"{character}\"`"),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a table".to_owned(),
        _ => "this".to_owned(),
    }
}

/// What is needed there, in words.
fn needed(expected: &str) -> &str {
    match expected {
        "u16" | "u32" | "u64" | "usize" => "a whole number, zero or above",
        "a boolean" => "`true` or `false`",
        "a string" | "path string" => "text in quotes",
        "a sequence" => "a list",
        other => other,
    }
}

#[cfg(test)]
mod tests;
