//! `[alerts]` and `[[alert]]`: when someone is told, and where.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use super::problem::Problems;
use super::units::Period;

/// Longer than any address or secret, so that a wrong path (a log, a device) is not read to its end.
const LONGEST_SECRET_BYTES: u64 = 4096;
/// Where PagerDuty takes events (its documentation, Events API v2).
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// When someone is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlertsConfig {
    /// How long ago the oldest day that a job owes may have ended before `incomplete_too_long` is told. Default: 36h.
    #[schemars(extend("examples" = ["36h"]))]
    pub incomplete_after: Period,
    /// How long after its time a job may begin before `job_overdue` is told. Default: 1h.
    #[schemars(extend("examples" = ["1h"]))]
    pub overdue_after: Period,
    /// How many requests of others with the same key within an hour are told as `key_used_elsewhere`; 0 is never.
    /// Default: 0, since sharing a key is what `api.reserve_requests` is for.
    #[schemars(extend("examples" = [100]))]
    pub foreign_requests: u64,
}

impl Default for AlertsConfig {
    fn default() -> Self {
        Self {
            incomplete_after: Period(Duration::from_secs(36 * 3600)),
            overdue_after: Period(Duration::from_secs(3600)),
            foreign_requests: 0,
        }
    }
}

/// Somewhere to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlertConfig {
    /// What it is called in log lines and by `alert test`. Required.
    #[schemars(extend("examples" = ["on-call"]))]
    pub name: String,
    /// `webhook`, `slack`, `pagerduty`, `command` or `heartbeat`. Required.
    #[serde(rename = "type")]
    #[schemars(extend("examples" = ["webhook"]))]
    pub kind: Option<AlertKind>,
    /// What is told: names of events. Default: all of them.
    #[schemars(extend("examples" = [["key_rejected", "job_failed"]]))]
    pub events: Vec<AlertEvent>,
    /// The jobs of which it is told, and whose success pings a heartbeat. What belongs to no job is always told.
    /// Default: all of them.
    #[schemars(extend("examples" = [["nightly"]]))]
    pub jobs: Vec<String>,
    /// Where it is sent. Whoever knows it may send too, so it is shown by its host alone; `url_file` keeps it out of this
    /// file. Of `pagerduty` the default is its public address.
    #[schemars(extend("examples" = ["https://example.com/hooks/profound"]))]
    pub url: Option<HiddenUrl>,
    /// File that holds the address, in place of `url`. Default: none.
    #[schemars(extend("examples" = ["/run/secrets/slack-url"]))]
    pub url_file: Option<PathBuf>,
    /// Of `pagerduty`: file that holds the routing key of the integration. Of `webhook`: file that holds what bodies are
    /// signed with (HMAC-SHA256). Default: none.
    #[schemars(extend("examples" = ["/run/secrets/pagerduty-key"]))]
    pub secret_file: Option<PathBuf>,
    /// Of `command`: the program and its arguments; the alert comes as JSON on standard input. No shell is in between.
    #[schemars(extend("examples" = [["/usr/local/bin/mail-alert", "data@example.com"]]))]
    pub command: Vec<String>,
    /// How long one attempt may take. Default: 10s.
    #[schemars(extend("examples" = ["10s"]))]
    pub timeout: Period,
}

impl Default for AlertConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: None,
            events: Vec::new(),
            jobs: Vec::new(),
            url: None,
            url_file: None,
            secret_file: None,
            command: Vec::new(),
            timeout: Period(Duration::from_secs(10)),
        }
    }
}

/// How something is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// JSON by POST.
    Webhook,
    /// An incoming webhook of Slack.
    Slack,
    /// The Events API v2 of PagerDuty.
    Pagerduty,
    /// A program that is started.
    Command,
    /// An address that is asked after each complete run, and told nothing.
    Heartbeat,
}

impl AlertKind {
    /// The name everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Slack => "slack",
            Self::Pagerduty => "pagerduty",
            Self::Command => "command",
            Self::Heartbeat => "heartbeat",
        }
    }
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertEvent {
    /// The API rejects the key.
    KeyRejected,
    /// `api.key_expires` is 14, 7 or 1 days away.
    KeyExpiring,
    /// The last run of a job failed.
    JobFailed,
    /// A job did not begin at its time.
    JobOverdue,
    /// A job owes a day that ended longer ago than `alerts.incomplete_after`.
    IncompleteTooLong,
    /// A reading could not be proven whole.
    StreamSuspect,
    /// Rows hold a member that this version does not know.
    SchemaDrift,
    /// The account may not read any more what it could read before.
    NotEntitled,
    /// The destination cannot be used.
    DestinationTrouble,
    /// Others send more requests with the key than `alerts.foreign_requests`.
    KeyUsedElsewhere,
}

impl AlertEvent {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::KeyRejected,
        Self::KeyExpiring,
        Self::JobFailed,
        Self::JobOverdue,
        Self::IncompleteTooLong,
        Self::StreamSuspect,
        Self::SchemaDrift,
        Self::NotEntitled,
        Self::DestinationTrouble,
        Self::KeyUsedElsewhere,
    ];

    /// The name everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeyRejected => "key_rejected",
            Self::KeyExpiring => "key_expiring",
            Self::JobFailed => "job_failed",
            Self::JobOverdue => "job_overdue",
            Self::IncompleteTooLong => "incomplete_too_long",
            Self::StreamSuspect => "stream_suspect",
            Self::SchemaDrift => "schema_drift",
            Self::NotEntitled => "not_entitled",
            Self::DestinationTrouble => "destination_trouble",
            Self::KeyUsedElsewhere => "key_used_elsewhere",
        }
    }
}

/// An address that whoever knows it may use. Shown and serialized by scheme and host alone.
#[derive(Clone)]
pub struct HiddenUrl(SecretString);

impl HiddenUrl {
    /// Hides `text`.
    pub fn new(text: &str) -> Self {
        Self(SecretString::from(text))
    }

    /// The address itself.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Scheme and host, which may be shown.
    pub fn shown(&self) -> String {
        match Url::parse(self.expose()) {
            Ok(url) if url.has_host() => format!("{}/***", url.origin().ascii_serialization()),
            _ => "***".to_owned(),
        }
    }
}

impl fmt::Debug for HiddenUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.shown())
    }
}

impl PartialEq for HiddenUrl {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for HiddenUrl {}

impl Serialize for HiddenUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown())
    }
}

impl<'de> Deserialize<'de> for HiddenUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&String::deserialize(deserializer)?))
    }
}

impl JsonSchema for HiddenUrl {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HiddenUrl".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

/// Why a secret of a target is not there. Never holds a part of one.
#[derive(Debug, thiserror::Error)]
pub enum AlertSecretError {
    /// Its file cannot be read.
    #[error("`{}`, which alert `{name}` needs, cannot be read", path.display())]
    Unreadable {
        /// The target.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What was read is none.
    #[error("what `{}` holds is no address or secret: one line of text is wanted", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// What should be an address is none.
    #[error("the address of alert `{name}` is none: `https://…` is wanted")]
    NoAddress {
        /// The target.
        name: String,
    },
}

impl AlertConfig {
    /// The address, from the setting or its file; the file is read anew each time, so that it may be replaced.
    ///
    /// # Errors
    /// [`AlertSecretError`].
    pub fn address(&self) -> Result<Url, AlertSecretError> {
        let text = match (&self.url, &self.url_file, self.kind) {
            (Some(url), ..) => url.clone(),
            (None, Some(path), _) => HiddenUrl(self.read(path)?),
            (None, None, _) => HiddenUrl::new(PAGERDUTY),
        };
        let none = || AlertSecretError::NoAddress { name: self.name.clone() };
        Url::parse(text.expose()).ok().filter(is_web).ok_or_else(none)
    }

    /// The routing key, or what bodies are signed with, where there is one.
    ///
    /// # Errors
    /// [`AlertSecretError`].
    pub fn secret(&self) -> Result<Option<SecretString>, AlertSecretError> {
        self.secret_file.as_deref().map(|path| self.read(path)).transpose()
    }

    fn read(&self, path: &Path) -> Result<SecretString, AlertSecretError> {
        use std::io::Read as _;
        let unreadable =
            |source| AlertSecretError::Unreadable { name: self.name.clone(), path: path.to_owned(), source };
        let malformed = || AlertSecretError::Malformed { path: path.to_owned() };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(LONGEST_SECRET_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        let text = String::from_utf8(bytes).map_err(|_| malformed())?;
        let line = text.trim();
        match !line.is_empty() && !line.contains('\n') && text.len() as u64 <= LONGEST_SECRET_BYTES {
            true => Ok(SecretString::from(line)),
            false => Err(malformed()),
        }
    }

    pub(super) fn check(&self, path: &str, jobs: &[&str], problems: &mut Problems) {
        let mut wrong = |setting: &str, what: &str, instead: &str| {
            problems.error(&format!("{path}.{setting}"), what.to_owned(), instead.to_owned());
        };
        if self.name.trim().is_empty() {
            wrong("name", "the alert has no name", "give it one: it is how log lines and `alert test` call it");
        }
        let Some(kind) = self.kind else {
            wrong(
                "type",
                "nothing says how it is told",
                "write `type = \"webhook\"`, or slack, pagerduty, command or heartbeat",
            );
            return;
        };
        if let Some(url) = &self.url
            && !Url::parse(url.expose()).is_ok_and(|url| is_web(&url))
        {
            wrong("url", "this is no address", "write `https://…`");
        }
        if self.url_file.as_ref().is_some_and(|path| path.to_string_lossy().contains("://")) {
            wrong(
                "url_file",
                "this is an address, and not a file that holds one",
                "put it alone into a file, and name that file",
            );
        }
        if self.url.is_some() && self.url_file.is_some() {
            wrong("url_file", "`url` says where it is sent too", "leave one of them out");
        }
        let has_address = self.url.is_some() || self.url_file.is_some();
        match kind {
            AlertKind::Webhook | AlertKind::Slack | AlertKind::Heartbeat if !has_address => {
                wrong(
                    "url",
                    "nothing says where it is sent",
                    "name a file that holds the address with `url_file`, or write `url`",
                );
            }
            AlertKind::Pagerduty if self.secret_file.is_none() => {
                wrong("secret_file", "the routing key is missing", "name a file that holds it");
            }
            AlertKind::Command if self.command.first().is_none_or(String::is_empty) => {
                wrong("command", "there is no program", "write `command = [\"/usr/local/bin/mail-alert\"]`");
            }
            _ => {}
        }
        if kind != AlertKind::Command && !self.command.is_empty() {
            wrong(
                "command",
                "only alerts of type `command` start a program",
                "leave it out, or write `type = \"command\"`",
            );
        }
        for job in self.jobs.iter().filter(|job| !jobs.contains(&job.as_str())) {
            problems.error(
                &format!("{path}.jobs"),
                format!("there is no job `{job}`"),
                "name jobs of this file".to_owned(),
            );
        }
    }
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_shown_by_its_host_alone() {
        let url = HiddenUrl::new("https://hooks.slack.com/services/T0/B0/secret");
        assert_eq!(format!("{url:?}"), "https://hooks.slack.com/***");
        assert_eq!(serde_json::to_string(&url).unwrap(), "\"https://hooks.slack.com/***\"");
        assert_eq!(HiddenUrl::new("hooks.slack.com/secret").shown(), "***");
    }

    #[test]
    fn address_in_a_file_may_be_replaced_and_what_is_none_is_told_without_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("url");
        let alert = AlertConfig {
            name: "ops".into(),
            kind: Some(AlertKind::Slack),
            url_file: Some(path.clone()),
            ..AlertConfig::default()
        };
        assert!(matches!(alert.address(), Err(AlertSecretError::Unreadable { .. })));
        std::fs::write(&path, "https://one.example/a\n").unwrap();
        assert_eq!(alert.address().unwrap().as_str(), "https://one.example/a");
        std::fs::write(&path, "https://two.example/b").unwrap();
        assert_eq!(alert.address().unwrap().as_str(), "https://two.example/b");
        std::fs::write(&path, "s3cret").unwrap();
        assert!(!alert.address().unwrap_err().to_string().contains("s3cret"));
        std::fs::write(&path, "two\nlines").unwrap();
        assert!(matches!(alert.address(), Err(AlertSecretError::Malformed { .. })));
    }
}
