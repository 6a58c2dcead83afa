//! `[alerts]` and `[[alert]]`: when to send alerts, and where.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use super::problem::{Problems, did_you_mean};
use super::rules::is_web;
use super::secret::{HiddenUrl, SecretError, SecretKind, read_file};
use super::settings::section;
use super::units::Period;

/// What a target needs: the problem and the remedy if it is missing, and the settings that give it, each with whether it is set.
type SettingGroup<'a> = (&'a str, &'a str, &'a [(&'a str, bool)]);

/// The end of a run waits at most this long for one attempt.
const MAX_TIMEOUT: Duration = Duration::from_secs(25);
/// Where PagerDuty accepts events (Events API v2).
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

section! {
    /// When to send alerts.
    pub struct AlertsConfig {
        /// Alert `incomplete_too_long` when a job's oldest missing day ended longer ago than this.
        pub incomplete_after: Period = Period(Duration::from_secs(36 * 3600)),
        /// Alert `job_overdue` when a job starts later than this after its scheduled time.
        pub overdue_after: Period = Period(Duration::from_secs(3600)),
        /// Alert `key_used_elsewhere` when others send more requests than this with the same key within an hour; 0 means
        /// never. Off unless set, because sharing a key is what `api.reserve_requests` is for.
        #[schemars(extend("examples" = [100]))]
        pub external_requests: u64 = 0,
    }
}

section! {
    /// Where to send alerts.
    pub struct AlertConfig {
        /// Name of the target in log lines and for `alert test`. Required.
        #[schemars(extend("examples" = ["on-call"]))]
        pub name: String = String::new(),
        /// `webhook`, `slack`, `pagerduty`, `command` or `heartbeat`. Required.
        #[serde(rename = "type")]
        #[schemars(extend("examples" = ["webhook"]))]
        pub kind: Option<AlertKind> = None,
        /// Events to send. Empty means all.
        #[schemars(extend("examples" = [["key_rejected", "job_failed"]]))]
        pub events: Vec<AlertEvent> = Vec::new(),
        /// Jobs whose events to send, and whose success pings a heartbeat. Events that belong to no job are always sent.
        /// Empty means all.
        #[schemars(extend("examples" = [["nightly"]]))]
        pub jobs: Vec<String> = Vec::new(),
        /// URL to send to. It is a secret and printed only as its host; prefer `url_file`. Default: none, or the public URL
        /// of PagerDuty.
        #[schemars(with = "Option<String>", extend("examples" = ["https://example.com/hooks/profound"]))]
        pub url: Option<HiddenUrl> = None,
        /// File that holds the URL, instead of `url`. Default: none.
        #[schemars(extend("examples" = ["/run/secrets/slack-url"]))]
        pub url_file: Option<PathBuf> = None,
        /// Environment variable that holds the URL, instead of `url`. Default: none.
        #[schemars(extend("examples" = ["SLACK_WEBHOOK_URL"]))]
        pub url_variable: Option<String> = None,
        /// File that holds a secret: for `pagerduty` the routing key of the integration, for `webhook` the key that signs
        /// bodies (HMAC-SHA256). Default: none.
        #[schemars(extend("examples" = ["/run/secrets/pagerduty-key"]))]
        pub secret_file: Option<PathBuf> = None,
        /// Environment variable that holds this secret, instead of `secret_file`. Default: none.
        #[schemars(extend("examples" = ["PAGERDUTY_ROUTING_KEY"]))]
        pub secret_variable: Option<String> = None,
        /// For `command`: the program and its arguments, started without a shell. It receives the alert as JSON on standard
        /// input. Arguments are masked when printed, but visible in the list of processes: put secrets into files.
        #[serde(serialize_with = "mask_arguments")]
        #[schemars(extend("examples" = [["/usr/local/bin/mail-alert", "data@example.com"]]))]
        pub command: Vec<String> = Vec::new(),
        /// Longest duration of one attempt, at most `25s`.
        pub timeout: Period = Period(Duration::from_secs(10)),
    }
}

/// An enum whose variants have a name, in TOML, JSON, metrics and log lines alike.
macro_rules! named {
    ($(#[$attribute:meta])* pub enum $type:ident { $($(#[$of_variant:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum $type { $($(#[$of_variant])* #[serde(rename = $name)] $variant,)+ }

        impl $type {
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

named! {
    /// How to send alerts.
    pub enum AlertKind {
        /// JSON by POST.
        Webhook = "webhook",
        /// An incoming webhook of Slack.
        Slack = "slack",
        /// The Events API v2 of PagerDuty.
        Pagerduty = "pagerduty",
        /// A program started for each alert.
        Command = "command",
        /// A URL requested after each complete run, without content.
        Heartbeat = "heartbeat",
    }
}

named! {
    /// What an alert is about.
    pub enum AlertEvent {
        /// The API rejects the key.
        KeyRejected = "key_rejected",
        /// `api.key_expires` is 14, 7 or 1 days away.
        KeyExpiring = "key_expiring",
        /// The last run of a job failed.
        JobFailed = "job_failed",
        /// A job did not start at its scheduled time.
        JobOverdue = "job_overdue",
        /// A job's oldest missing day ended longer ago than `alerts.incomplete_after`.
        IncompleteTooLong = "incomplete_too_long",
        /// An extraction could not be verified as complete.
        StreamSuspect = "stream_suspect",
        /// Rows hold a field that this version does not know.
        SchemaDrift = "schema_drift",
        /// The account has lost access to something it could read before.
        NotEntitled = "not_entitled",
        /// The destination cannot be used.
        DestinationTrouble = "destination_trouble",
        /// Others send more requests with the key than `alerts.external_requests`.
        KeyUsedElsewhere = "key_used_elsewhere",
    }
}

/// How a kind of alert uses a group of settings.
#[derive(Clone, Copy, PartialEq)]
enum SettingUse {
    Required,
    Optional,
    Never,
}

impl AlertKind {
    /// The use of the URL, the secret and the command.
    fn uses(self) -> [SettingUse; 3] {
        match self {
            Self::Webhook => [SettingUse::Required, SettingUse::Optional, SettingUse::Never],
            Self::Slack | Self::Heartbeat => [SettingUse::Required, SettingUse::Never, SettingUse::Never],
            Self::Pagerduty => [SettingUse::Optional, SettingUse::Required, SettingUse::Never],
            Self::Command => [SettingUse::Never, SettingUse::Never, SettingUse::Required],
        }
    }
}

impl AlertConfig {
    pub(super) fn check(&self, path: &str, jobs: &[&str], problems: &mut Problems) {
        let mut error = |setting: &str, what: String, instead: &str| {
            problems.error(&format!("{path}.{setting}"), what, instead);
        };
        if self.name.is_empty() {
            error("name", "the alert has no name".to_owned(), "write a name: log lines and `alert test` use it");
        }
        if self.timeout.0 > MAX_TIMEOUT {
            error("timeout", "the end of a run does not wait this long".to_owned(), "write at most `25s`");
        }
        for job in self.jobs.iter().filter(|job| !jobs.contains(&job.as_str())) {
            let instead = did_you_mean(job, jobs.iter().copied(), "write names of jobs of this file");
            error("jobs", format!("there is no job `{job}`"), &instead);
        }
        let Some(kind) = self.kind else {
            let instead = "write `type = \"webhook\"`, or slack, pagerduty, command or heartbeat";
            return error("type", "the alert has no type".to_owned(), instead);
        };
        if kind == AlertKind::Heartbeat && !self.events.is_empty() {
            let what = "a heartbeat sends no events: it is requested after each complete run";
            error("events", what.to_owned(), "remove the setting");
        }
        let groups: [SettingGroup<'_>; 3] = [
            (
                "the URL is missing",
                "set `url_file` to a file that holds it, or `url_variable` to a variable, or write `url`",
                &[
                    ("url", self.url.is_some()),
                    ("url_file", self.url_file.is_some()),
                    ("url_variable", self.url_variable.is_some()),
                ],
            ),
            (
                "the routing key is missing",
                "set it to a file that holds the key, or `secret_variable` to a variable",
                &[("secret_file", self.secret_file.is_some()), ("secret_variable", self.secret_variable.is_some())],
            ),
            (
                "the program is missing",
                "write `command = [\"/usr/local/bin/mail-alert\"]`",
                &[("command", self.command.first().is_some_and(|program| !program.is_empty()))],
            ),
        ];
        for ((missing, instead, settings), used) in groups.into_iter().zip(kind.uses()) {
            let set: Vec<&str> = settings.iter().filter(|(_, is_set)| *is_set).map(|(setting, _)| *setting).collect();
            match (used, set.as_slice()) {
                (SettingUse::Required, []) => error(settings[0].0, missing.to_owned(), instead),
                (SettingUse::Never, [setting, ..]) => {
                    let what = format!("alerts of type `{}` have no `{setting}`", kind.name());
                    error(setting, what, "remove it, or write another `type`");
                }
                (_, [first, second, ..]) => error(second, format!("`{first}` is set too"), "remove one of them"),
                _ => {}
            }
        }
    }

    /// The URL, from its setting, file or variable. A file is read each time, so that it can be replaced.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn address(&self) -> Result<Url, SecretError> {
        let text = match &self.url {
            Some(url) => url.expose().to_owned(),
            None => self
                .read(self.url_file.as_deref(), self.url_variable.as_deref())?
                .map_or_else(|| PAGERDUTY.to_owned(), |text| text.expose_secret().to_owned()),
        };
        let from = format!("alert.{}.url", self.name);
        Url::parse(&text).ok().filter(is_web).ok_or_else(|| self.malformed(from, "is not a web address"))
    }

    /// The routing key, or the key that signs bodies.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn secret(&self) -> Result<Option<SecretString>, SecretError> {
        self.read(self.secret_file.as_deref(), self.secret_variable.as_deref())
    }

    fn read(&self, file: Option<&Path>, variable: Option<&str>) -> Result<Option<SecretString>, SecretError> {
        let kind = SecretKind::Alert(self.name.clone());
        let (bytes, from) = match (file, variable) {
            (Some(path), _) => (read_file(kind, path)?.0, path.display().to_string()),
            (None, Some(variable)) => {
                let unset = || SecretError::Unset { kind, variable: variable.to_owned() };
                (std::env::var_os(variable).ok_or_else(unset)?.into_encoded_bytes(), variable.to_owned())
            }
            (None, None) => return Ok(None),
        };
        let line = String::from_utf8(bytes).ok().map(|text| text.trim().to_owned());
        let line = line.filter(|line| !line.is_empty() && !line.contains('\n'));
        line.map(|line| Some(SecretString::from(line))).ok_or_else(|| self.malformed(from, "is not one line"))
    }

    fn malformed(&self, from: String, fault: &'static str) -> SecretError {
        SecretError::Malformed { kind: SecretKind::Alert(self.name.clone()), from, fault }
    }
}

/// The program and masked arguments: any of them may be a token.
fn mask_arguments<S: Serializer>(command: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    let mask = |(index, part): (usize, &String)| if index == 0 { part.clone() } else { "***".to_owned() };
    serializer.collect_seq(command.iter().enumerate().map(mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_file_can_be_replaced_and_is_never_repeated_in_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("url");
        let alert = AlertConfig { name: "ops".into(), url_file: Some(path.clone()), ..AlertConfig::default() };
        assert!(matches!(alert.address(), Err(SecretError::Unreadable { .. })));
        for url in ["https://one.example/a", "https://two.example/b"] {
            std::fs::write(&path, format!("{url}\n")).unwrap();
            assert_eq!(alert.address().unwrap().as_str(), url);
        }
        for malformed in ["s3cret", "s3cret\nlines"] {
            std::fs::write(&path, malformed).unwrap();
            assert!(!alert.address().unwrap_err().to_string().contains("s3cret"));
        }
    }
}
