//! Secrets of alerts: addresses and keys, from the setting, a file or a variable. None is ever shown.

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use super::{AlertConfig, is_web};

/// Longer than any address or secret, so that a wrong path (a log, a device) is not read to its end.
const LONGEST_SECRET_BYTES: u64 = 4096;
/// Where PagerDuty takes events (its documentation, Events API v2).
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

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
    /// Its variable is not set.
    #[error("the variable `{variable}`, which alert `{name}` needs, is not set")]
    Unset {
        /// The target.
        name: String,
        /// The variable.
        variable: String,
    },
    /// What was read is none.
    #[error("what `{from}` holds is no address or secret: one line of text is wanted")]
    Malformed {
        /// The file or the variable.
        from: String,
    },
    /// What should be an address is none.
    #[error("the address of alert `{name}` is none: `https://…` is wanted")]
    NoAddress {
        /// The target.
        name: String,
    },
}

impl AlertConfig {
    /// The address, from the setting, its file or its variable; a file is read anew each time, so that it may be replaced.
    ///
    /// # Errors
    /// [`AlertSecretError`].
    pub fn address(&self) -> Result<Url, AlertSecretError> {
        let text = match (&self.url, self.secret_of(self.url_file.as_deref(), self.url_variable.as_deref())?) {
            (Some(url), _) => url.clone(),
            (None, Some(text)) => HiddenUrl(text),
            (None, None) => HiddenUrl::new(PAGERDUTY),
        };
        let none = || AlertSecretError::NoAddress { name: self.name.clone() };
        Url::parse(text.expose()).ok().filter(is_web).ok_or_else(none)
    }

    /// The routing key, or what bodies are signed with, where there is one.
    ///
    /// # Errors
    /// [`AlertSecretError`].
    pub fn secret(&self) -> Result<Option<SecretString>, AlertSecretError> {
        self.secret_of(self.secret_file.as_deref(), self.secret_variable.as_deref())
    }

    fn secret_of(&self, file: Option<&Path>, variable: Option<&str>) -> Result<Option<SecretString>, AlertSecretError> {
        match (file, variable) {
            (Some(path), _) => self.read(path).map(Some),
            (None, Some(variable)) => {
                let unset = || AlertSecretError::Unset { name: self.name.clone(), variable: variable.to_owned() };
                let text = std::env::var_os(variable).ok_or_else(unset)?;
                one_line(text.into_encoded_bytes(), variable.to_owned()).map(Some)
            }
            (None, None) => Ok(None),
        }
    }

    fn read(&self, path: &Path) -> Result<SecretString, AlertSecretError> {
        use std::io::Read as _;
        let unreadable =
            |source| AlertSecretError::Unreadable { name: self.name.clone(), path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(LONGEST_SECRET_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        one_line(bytes, path.display().to_string())
    }
}

/// One line of text, without the blanks around it.
fn one_line(bytes: Vec<u8>, from: String) -> Result<SecretString, AlertSecretError> {
    let is_short = bytes.len() as u64 <= LONGEST_SECRET_BYTES;
    match String::from_utf8(bytes).as_deref().map(str::trim) {
        Ok(line) if is_short && !line.is_empty() && !line.contains('\n') => Ok(SecretString::from(line)),
        _ => Err(AlertSecretError::Malformed { from }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AlertKind;

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
