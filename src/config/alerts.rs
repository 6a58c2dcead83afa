//! `[alerts]` and `[[alert]]`: when someone is told, and where.

mod secrets;

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use super::key::looks_like_a_key;
use super::problem::{Problems, nearest};
use super::units::Period;

pub use secrets::{AlertSecretError, HiddenUrl};

/// One attempt takes no longer: the end of a run waits no longer.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(25);

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
    /// Alert `key_used_elsewhere` when others send more requests than this with the same key within an hour; 0 means
    /// never. Default: 0, since sharing a key is what `api.reserve_requests` is for.
    #[schemars(extend("examples" = [100]))]
    pub external_requests: u64,
}

impl Default for AlertsConfig {
    fn default() -> Self {
        Self {
            incomplete_after: Period(Duration::from_secs(36 * 3600)),
            overdue_after: Period(Duration::from_secs(3600)),
            external_requests: 0,
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
    /// Environment variable that holds the address, in place of `url`. Default: none.
    #[schemars(extend("examples" = ["SLACK_WEBHOOK_URL"]))]
    pub url_variable: Option<String>,
    /// Of `pagerduty`: file that holds the routing key of the integration. Of `webhook`: file that holds what bodies are
    /// signed with (HMAC-SHA256). Default: none.
    #[schemars(extend("examples" = ["/run/secrets/pagerduty-key"]))]
    pub secret_file: Option<PathBuf>,
    /// Environment variable that holds the same, in place of `secret_file`. Default: none.
    #[schemars(extend("examples" = ["PAGERDUTY_ROUTING_KEY"]))]
    pub secret_variable: Option<String>,
    /// Of `command`: the program and its arguments; the alert comes as JSON on standard input. No shell is in between.
    /// Its arguments are never shown, but whoever lists processes sees them: secrets belong into files.
    #[serde(serialize_with = "without_arguments")]
    #[schemars(extend("examples" = [["/usr/local/bin/mail-alert", "data@example.com"]]))]
    pub command: Vec<String>,
    /// How long one attempt may take, at most 25s: the end of a run waits no longer. Default: 10s.
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
            url_variable: None,
            secret_file: None,
            secret_variable: None,
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
    /// Others send more requests with the key than `alerts.external_requests`.
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

impl AlertConfig {
    pub(super) fn check(&self, path: &str, jobs: &[&str], problems: &mut Problems) {
        let mut wrong = |setting: &str, what: &str, instead: &str| {
            problems.error(&format!("{path}.{setting}"), what.to_owned(), instead.to_owned());
        };
        if self.name.trim().is_empty() {
            wrong("name", "the alert has no name", "give it one: it is how log lines and `alert test` call it");
        }
        if self.timeout.0.is_zero() {
            wrong("timeout", "nobody answers in no time", "write a length of time above zero, such as `10s`");
        }
        if LONGEST_TIMEOUT < self.timeout.0 {
            wrong("timeout", "the end of a run does not wait so long", "write at most `25s`");
        }
        // What looks like a secret in the place of its file's path is not repeated, here or later.
        for (setting, file) in [("url_file", &self.url_file), ("secret_file", &self.secret_file)] {
            if file.as_deref().is_some_and(looks_like_a_secret) {
                wrong(
                    setting,
                    "this looks like the secret itself, where the path of its file belongs",
                    "put it into a file and write that file's path",
                );
            }
        }
        for (setting, name) in [("url_variable", &self.url_variable), ("secret_variable", &self.secret_variable)] {
            if name.as_deref().is_some_and(|name| !is_variable(name)) {
                wrong(setting, "this is not the name of a variable", "write its name, such as `SLACK_WEBHOOK_URL`");
            }
        }
        let Some(kind) = self.kind else {
            wrong(
                "type",
                "nothing says how it is told",
                "write `type = \"webhook\"`, or slack, pagerduty, command or heartbeat",
            );
            return;
        };
        self.check_settings_of(kind, &mut wrong);
        for job in self.jobs.iter().filter(|job| !jobs.contains(&job.as_str())) {
            let instead = match nearest(job, jobs.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "name jobs of this file".to_owned(),
            };
            problems.error(&format!("{path}.jobs"), format!("there is no job `{job}`"), instead);
        }
    }

    /// Checks that what a target of `kind` needs is there, once, and nothing else.
    fn check_settings_of(&self, kind: AlertKind, wrong: &mut impl FnMut(&str, &str, &str)) {
        let addresses = [
            ("url", self.url.is_some()),
            ("url_file", self.url_file.is_some()),
            ("url_variable", self.url_variable.is_some()),
        ];
        let secrets =
            [("secret_file", self.secret_file.is_some()), ("secret_variable", self.secret_variable.is_some())];
        for said in [addresses.as_slice(), &secrets] {
            let mut said = said.iter().filter(|(_, is_said)| *is_said);
            said.next();
            if let Some((setting, _)) = said.next() {
                wrong(setting, "another setting says the same", "leave one of them out");
            }
        }
        if self.url.as_ref().is_some_and(|url| !Url::parse(url.expose()).is_ok_and(|url| is_web(&url))) {
            wrong("url", "this is no address", "write `https://…`");
        }
        let (address, secret) =
            (addresses.iter().find(|(_, is_said)| *is_said), secrets.iter().find(|(_, is_said)| *is_said));
        match kind {
            AlertKind::Webhook | AlertKind::Slack | AlertKind::Heartbeat if address.is_none() => wrong(
                "url",
                "nothing says where it is sent",
                "name a file that holds the address with `url_file`, or a variable with `url_variable`, or write `url`",
            ),
            AlertKind::Pagerduty if secret.is_none() => wrong(
                "secret_file",
                "the routing key is missing",
                "name a file that holds it, or a variable with `secret_variable`",
            ),
            AlertKind::Command if self.command.first().is_none_or(String::is_empty) => {
                wrong("command", "there is no program", "write `command = [\"/usr/local/bin/mail-alert\"]`");
            }
            AlertKind::Command if self.command.first().is_some_and(|program| program.contains("://")) => wrong(
                "command",
                "the first of it is an address, and not a program",
                "write each argument by itself: `command = [\"/usr/bin/curl\", \"https://…\"]`; no shell splits it",
            ),
            _ => {}
        }
        let only = |setting: &str, kinds: &str, wrong: &mut dyn FnMut(&str, &str, &str)| {
            wrong(setting, &format!("only alerts of type {kinds} have one"), "leave it out, or write another `type`");
        };
        if let (Some((setting, _)), AlertKind::Command) = (address, kind) {
            only(setting, "webhook, slack, pagerduty and heartbeat", wrong);
        }
        if let (Some((setting, _)), AlertKind::Slack | AlertKind::Command | AlertKind::Heartbeat) = (secret, kind) {
            only(setting, "webhook and pagerduty", wrong);
        }
        if kind != AlertKind::Command && !self.command.is_empty() {
            only("command", "command", wrong);
        }
        if kind == AlertKind::Heartbeat && !self.events.is_empty() {
            wrong("events", "a heartbeat is told nothing: it is asked after each complete run", "leave it out");
        }
    }
}

impl AlertsConfig {
    pub(super) fn check(&self, problems: &mut Problems) {
        if self.incomplete_after.0.is_zero() {
            problems.error(
                "alerts.incomplete_after",
                "a day is always owed for a while after it ended",
                "write a length of time above zero, such as `36h`",
            );
        }
    }
}

/// A command as it may be shown: nobody knows which argument is a token.
fn without_arguments<S: Serializer>(command: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(command.iter().enumerate().map(|(index, part)| match index {
        0 => part.as_str(),
        _ => "***",
    }))
}

/// Whether `path` is probably an address, or a key.
fn looks_like_a_secret(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains("://")) || looks_like_a_key(path)
}

fn is_variable(name: &str) -> bool {
    let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.bytes().all(of_a_name) && !name.starts_with(|first: char| first.is_ascii_digit())
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}
