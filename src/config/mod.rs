//! `jobs.toml`, environment and flags -> a checked [`Config`].
//!
//! Later layers have precedence: defaults, the file, variables `PROFOUND_EXPORT_<SECTION>__<KEY>`, flags. [`load`] reports
//! every problem at once, by key and place. The API key is not part of it: see [`key`].

mod advice;
mod alerts;
pub mod cron;
mod destination;
mod effective;
mod file;
pub mod key;
mod parameters;
mod problem;
mod protect;
mod rules;
mod schema;
mod secret;
mod select;
mod settings;
mod sources;
mod streams;
mod tables;
mod tree;
mod units;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalog::Catalog;
use crate::model::stream::Stream;
use problem::{Places, Problems, listed, no_such_job};
use settings::DOCUMENTED_REQUESTS_PER_HOUR;

pub use alerts::{AlertConfig, AlertEvent, AlertKind, AlertsConfig};
pub use destination::{Compression, DestinationConfig, Location, MASK, Partition, StoreOptions};
pub use effective::Setting;
pub use key::ApiKey;
pub use parameters::StreamParameters;
pub use problem::{ConfigError, InvalidValue, Place, Problem};
pub use schema::{schema, to_toml};
pub use secret::{HiddenUrl, Salt, SecretError, SecretKind};
pub use select::select;
pub use settings::{
    ApiConfig, AssetChoice, Auth, JobConfig, MetricsConfig, OnShrink, PrivacyConfig, ServerConfig, SpoolConfig,
};
pub use sources::{Flag, Sources};
pub use streams::OwnStream;
pub use tables::{TableFormat, TablesConfig};
pub use units::{ByteSize, Period, WholeDays};

/// All settings, checked.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How the program reaches the analytics API.
    pub api: ApiConfig,
    /// Where to publish the Parquet files.
    pub destination: DestinationConfig,
    /// Tables for query engines, made from the Parquet files.
    pub tables: TablesConfig,
    /// Local directory in which files are completed and verified before they are published.
    pub spool: SpoolConfig,
    /// Jobs: what to export, when, and how far back.
    #[serde(rename = "job")]
    pub jobs: Vec<JobConfig>,
    /// The status page and the endpoints that machines read.
    pub server: ServerConfig,
    /// Keeping personal data out of the files.
    pub privacy: PrivacyConfig,
    /// Metrics of commands that end before Prometheus can scrape them.
    pub metrics: MetricsConfig,
    /// Streams of your own: another grain of a known endpoint, or an endpoint that is not built in.
    #[serde(rename = "stream")]
    pub streams: Vec<OwnStream>,
    /// Parameters that only you can supply, as `[[parameters.<stream>]]`, such as run IDs. The stream is requested once for
    /// each entry.
    pub parameters: StreamParameters,
    /// When to send alerts.
    pub alerts: AlertsConfig,
    /// Where to send alerts.
    #[serde(rename = "alert")]
    pub alert_targets: Vec<AlertConfig>,
    /// Settings that are allowed, but probably not what the user meant. Not a setting.
    #[serde(skip)]
    pub warnings: Vec<Problem>,
    #[serde(skip)]
    places: Places,
    #[serde(skip)]
    catalog: Arc<Catalog>,
}

/// Reads and checks all settings.
///
/// # Errors
/// Every problem of every layer, each with its key, its place, what is wrong and what to write instead.
pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
    let mut problems = Problems::default();
    let config = sources::merged(sources, &mut problems).map(Value::Object).and_then(|mut tree| {
        advice::reject_keys(&mut tree, "", &mut problems);
        rules::apply(&mut tree, &mut problems);
        if let Some(file) = &sources.file {
            rules::resolve_paths(&mut tree, file, &problems);
        }
        advice::extract(tree, &mut problems)
    });
    let catalog = config.as_ref().map(|config| config.check(&mut problems)).unwrap_or_default();
    let (config, warnings, places) = problems.into_result(config)?;
    Ok(Config { warnings, places, catalog: Arc::new(catalog), ..config })
}

/// The commented file that a new user edits: a job `nightly`, and every setting with its default.
pub fn template() -> &'static str {
    include_str!("../../jobs.toml")
}

impl Config {
    /// The job with this name.
    ///
    /// # Errors
    /// That there is none, with the nearest name.
    pub fn job(&self, name: &str) -> Result<&JobConfig, Problem> {
        self.jobs.iter().find(|job| job.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.jobs.iter().map(|job| job.name.as_str()).collect();
            let InvalidValue { what, instead } = no_such_job(name, &names);
            Problem::new("job", what, instead)
        })
    }

    /// The setting `name` of `job` with its place: `jobs.toml:14  cron = "0 */4 * * *"`.
    pub fn quoted(&self, job: &JobConfig, name: &str) -> String {
        let index = self.jobs.iter().position(|other| other.name == job.name).unwrap_or_default();
        let place = self.places.nearest_to(&format!("job.{index}.{name}"));
        let place = place.map(|place| format!("{place}  ")).unwrap_or_default();
        let value = serde_json::to_value(job).ok().and_then(|job| job.get(name).cloned()).unwrap_or_default();
        format!("{place}{name} = {value}")
    }

    /// The built-in streams and the user's own, with the columns that jobs `drop` or `hash`. Empty unless [`load`] made the
    /// configuration.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The streams of `job`, without those whose parameters are not set, since they cannot be requested.
    ///
    /// # Errors
    /// As [`select()`].
    pub fn streams_of(&self, job: &JobConfig) -> Result<Vec<Arc<Stream>>, Vec<Problem>> {
        let mut streams = select(&self.catalog, &job.streams)?;
        streams.retain(|stream| parameters::are_set(&self.parameters, stream));
        if streams.is_empty() {
            let instead = "set them as `[[parameters.<stream>]]`, or choose other streams";
            return Err(vec![Problem::new("streams", "the parameters of the chosen streams are not set", instead)]);
        }
        Ok(streams)
    }

    /// Checks what concerns several settings, and makes the catalog.
    fn check(&self, problems: &mut Problems) -> Catalog {
        self.check_api(problems);
        self.destination.check("destination", problems);
        self.destination.check_nesting(self.spool.dir.as_deref(), problems);
        self.check_server_and_metrics(problems);
        let built_in = match Catalog::embedded() {
            Ok(catalog) => catalog,
            Err(error) => {
                problems.error("", format!("the catalog in this program is damaged: {error}"), "");
                return Catalog::default();
            }
        };
        let (catalog, invalid) = streams::catalog(&built_in, &self.streams, problems);
        parameters::check(&self.parameters, &catalog, &invalid, problems);
        self.tables.check(&self.destination, &catalog, problems);
        for (index, job) in self.jobs.iter().enumerate() {
            self.check_job(job, &format!("job.{index}"), &catalog, &invalid, problems);
        }
        let names: Vec<&str> = self.jobs.iter().map(|job| job.name.as_str()).collect();
        problems.check_unique("job", &names);
        for (index, target) in self.alert_targets.iter().enumerate() {
            target.check(&format!("alert.{index}"), &names, problems);
        }
        let targets: Vec<&str> = self.alert_targets.iter().map(|target| target.name.as_str()).collect();
        problems.check_unique("alert", &targets);
        self.warn_of_readable_secrets(problems);
        protect::apply(catalog, &self.jobs, &self.privacy, &invalid, problems)
    }

    /// A file that holds secrets is for the user that runs the program alone.
    fn warn_of_readable_secrets(&self, problems: &mut Problems) {
        let of_stores = [("destination", &self.destination.options), ("tables", &self.tables.options)];
        let options = of_stores
            .into_iter()
            .flat_map(|(section, options)| options.secrets().map(move |name| format!("{section}.options.{name}")));
        let targets = self.alert_targets.iter().enumerate().filter(|(_, target)| target.url.is_some());
        for path in options.chain(targets.map(|(index, _)| format!("alert.{index}.url"))) {
            if let Some(Place::File { path: file, .. }) = problems.places.get(&path)
                && std::fs::metadata(file).is_ok_and(|metadata| secret::is_readable_by_all(&metadata))
            {
                let what = "this is a secret, and every user of this machine can read the file";
                let instead = "let only the user that runs the program read it, as `chmod 600` does, or keep the secret in a variable or a file of its own";
                problems.warn(&path, what, instead);
            }
        }
    }

    fn check_api(&self, problems: &mut Problems) {
        let ApiConfig { base_url, auth, reserve_requests, concurrency, .. } = &self.api;
        if base_url.scheme() == "http" && !is_loopback(base_url) {
            problems.warn("api.base_url", "the key travels unencrypted", "write `https://` if the server supports it");
        }
        if *auth == Auth::Query {
            problems.warn(
                "api.auth",
                "the key becomes part of every URL, which proxies and servers write to their logs",
                "write `auth = \"header\"` unless a proxy removes headers",
            );
        }
        if *reserve_requests >= DOCUMENTED_REQUESTS_PER_HOUR {
            let what = format!(
                "{reserve_requests} leaves no request to export with, unless the account's limit is above {DOCUMENTED_REQUESTS_PER_HOUR} an hour"
            );
            let instead = "write a number well below the limit, such as `reserve_requests = 60`";
            problems.warn("api.reserve_requests", what, instead);
        }
        if !(1..=16).contains(concurrency) {
            let instead = "write a number from 1 to 16; more is not faster, because the rate limit decides";
            problems.error("api.concurrency", format!("`{concurrency}` is not between 1 and 16"), instead);
        }
    }

    fn check_server_and_metrics(&self, problems: &mut Problems) {
        if self.server.of_run().is_some_and(|address| !address.ip().is_loopback()) {
            problems.warn(
                "server.listen",
                "everyone who reaches this address can read the status page: it has no password and no encryption",
                "keep it on `127.0.0.1`, or restrict access with a firewall, a network policy or a proxy",
            );
        }
        let textfile = self.metrics.textfile.as_deref();
        if let Some(path) = textfile.filter(|path| path.extension().is_none_or(|ending| ending != "prom")) {
            let what = format!("`{}` does not end in `.prom`, and the collector ignores other files", path.display());
            problems.warn("metrics.textfile", what, "write a name such as `profound_export.prom`");
        }
    }

    fn check_job(
        &self,
        job: &JobConfig,
        path: &str,
        catalog: &Catalog,
        invalid: &BTreeSet<String>,
        problems: &mut Problems,
    ) {
        if job.name.is_empty() {
            problems.error(&format!("{path}.name"), "the job has no name", "write for example `name = \"nightly\"`");
        }
        if ["EST", "MST", "HST"].contains(&job.timezone.as_str()) {
            let what =
                format!("`{}` has no daylight saving time, unlike the clocks of most places in it", job.timezone);
            problems.warn(&format!("{path}.timezone"), what, "write a place, such as `America/New_York`");
        }
        let path = format!("{path}.streams");
        let is_valid = |pattern: &&String| !invalid.contains(pattern.trim_start_matches('!'));
        let patterns: Vec<String> = job.streams.iter().filter(is_valid).cloned().collect();
        if patterns.is_empty() && !job.streams.is_empty() {
            return;
        }
        if let Err(found) = select(catalog, &patterns) {
            found.into_iter().for_each(|found| problems.error(&path, found.what, found.instead));
        }
        for stream in patterns.iter().filter_map(|name| catalog.get(name)) {
            if !parameters::are_set(&self.parameters, stream) {
                let names = listed(stream.parameters.iter().map(String::as_str));
                let what = format!("`{}` needs parameters that only you can supply", stream.name);
                problems.error(&path, what, format!("add `[[parameters.{}]]` with {names}", stream.name));
            }
        }
    }
}

/// Whether requests to `url` stay on this machine.
fn is_loopback(url: &url::Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    // IPv6 addresses are in brackets.
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

#[cfg(test)]
mod tests;
