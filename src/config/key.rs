//! The API key: where it comes from, and a type that cannot be printed.

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use secrecy::{ExposeSecret, SecretString};

use super::problem::Problem;
use super::secret::{self, SecretError, SecretKind};
use super::{ApiConfig, Sources};

/// Where the key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The variable `PROFOUND_API_KEY`.
    Variable,
    /// The file that `PROFOUND_API_KEY_FILE` or `api.key_file` names.
    File(PathBuf),
}

impl KeySource {
    /// `PROFOUND_API_KEY`, `PROFOUND_API_KEY_FILE` and `api.key_file`, in this order of precedence.
    fn find(sources: &Sources, api: &ApiConfig) -> Result<Self, SecretError> {
        if sources.environment.contains_key("PROFOUND_API_KEY") {
            return Ok(Self::Variable);
        }
        let variable = sources.environment.get("PROFOUND_API_KEY_FILE");
        if variable.is_some_and(|path| secret::looks_like_a_secret(path)) {
            return Err(SecretError::NotAPath);
        }
        variable.map(PathBuf::from).or_else(|| api.key_file.clone()).map(Self::File).ok_or(SecretError::Missing)
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable => out.write_str("PROFOUND_API_KEY"),
            // Absolute, because a log outlives the working directory.
            Self::File(path) => write!(out, "{}", std::path::absolute(path).as_deref().unwrap_or(path).display()),
        }
    }
}

/// The API key. Neither `Debug` nor `Display`, so that nothing prints it by accident.
#[derive(Clone)]
pub struct ApiKey {
    secret: SecretString,
    source: KeySource,
    /// When its file was last written.
    changed: Option<Timestamp>,
    warning: Option<Problem>,
}

impl ApiKey {
    fn from_source(source: KeySource, variable: &str) -> Result<Self, SecretError> {
        let (bytes, changed, warning) = match &source {
            KeySource::Variable => (secret::without_newline(variable.as_bytes()).to_vec(), None, None),
            KeySource::File(path) => {
                let (bytes, metadata) = secret::read_file(SecretKind::ApiKey, path)?;
                let changed = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
                (bytes, changed, readable_by_all(path, &metadata))
            }
        };
        let malformed = |fault| SecretError::Malformed { kind: SecretKind::ApiKey, from: source.to_string(), fault };
        Ok(Self { secret: secret::one_word(&bytes).map_err(malformed)?, source, changed, warning })
    }

    /// The key itself, for the header of a request and nothing else.
    pub fn expose(&self) -> &str {
        self.secret.expose_secret()
    }

    /// `from /run/x (last changed 2026-05-22)`, the day in UTC, or `from PROFOUND_API_KEY`.
    pub fn origin(&self) -> String {
        match self.changed {
            Some(changed) => format!("from {} (last changed {})", self.source, changed.to_zoned(TimeZone::UTC).date()),
            None => format!("from {}", self.source),
        }
    }

    /// What is wrong with the permissions of its file.
    pub fn warning(&self) -> Option<&Problem> {
        self.warning.as_ref()
    }

    /// Reads its file once more. `None` when the key is the same, and always when it came from a variable.
    ///
    /// # Errors
    /// As [`read`].
    pub fn reread(&self) -> Result<Option<Self>, SecretError> {
        if self.source == KeySource::Variable {
            return Ok(None);
        }
        let current = Self::from_source(self.source.clone(), "")?;
        Ok((current.expose() != self.expose()).then_some(current))
    }
}

/// Finds and reads the key.
///
/// # Errors
/// [`SecretError`].
pub fn read(sources: &Sources, api: &ApiConfig) -> Result<ApiKey, SecretError> {
    let variable = sources.environment.get("PROFOUND_API_KEY").map_or("", String::as_str);
    ApiKey::from_source(KeySource::find(sources, api)?, variable)
}

#[cfg(unix)]
fn readable_by_all(path: &Path, metadata: &std::fs::Metadata) -> Option<Problem> {
    use std::os::unix::fs::PermissionsExt;
    let is_readable_by_all = metadata.permissions().mode() & 0o004 > 0;
    let instead = "let only the user that runs the program read it, as `chmod 600` does; for a Kubernetes secret, `defaultMode: 0400`";
    let problem =
        || Problem::new(path.display().to_string(), "every user of this machine can read the API key", instead);
    is_readable_by_all.then(problem)
}

#[cfg(not(unix))]
fn readable_by_all(_: &Path, _: &std::fs::Metadata) -> Option<Problem> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(variables: &[(&str, &str)]) -> Sources {
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Sources { environment, ..Sources::default() }
    }

    fn from_variable(value: &str) -> Result<ApiKey, SecretError> {
        read(&sources(&[("PROFOUND_API_KEY", value)]), &ApiConfig::default())
    }

    fn of_file(path: &Path) -> Result<ApiKey, SecretError> {
        read(&Sources::default(), &ApiConfig { key_file: Some(path.to_owned()), ..ApiConfig::default() })
    }

    fn from_file(bytes: &[u8]) -> (tempfile::NamedTempFile, Result<ApiKey, SecretError>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let key = of_file(file.path());
        (file, key)
    }

    #[test]
    fn variable_has_precedence_over_files_and_variable_file_over_setting() {
        let (file, _) = from_file(b"second");
        let api = ApiConfig { key_file: Some("/nowhere".into()), ..ApiConfig::default() };
        let path = file.path().to_str().unwrap();
        let both = sources(&[("PROFOUND_API_KEY", "first"), ("PROFOUND_API_KEY_FILE", path)]);
        assert_eq!(read(&both, &api).ok().unwrap().expose(), "first");
        assert_eq!(read(&sources(&[("PROFOUND_API_KEY_FILE", path)]), &api).ok().unwrap().expose(), "second");
    }

    #[test]
    fn one_trailing_newline_is_not_part_of_the_key() {
        for text in ["abc", "abc\n", "abc\r\n"] {
            assert_eq!(from_variable(text).ok().unwrap().expose(), "abc");
            assert_eq!(from_file(text.as_bytes()).1.ok().unwrap().expose(), "abc");
        }
    }

    #[test]
    fn unusable_key_is_rejected_and_never_repeated() {
        let cases: [(&[u8], &str); 11] = [
            (b"", "is empty"),
            (b"\n", "is empty"),
            (b"s3cr3t s3cr3t", "blanks or line breaks"),
            (b" s3cr3t", "blanks or line breaks"),
            (b"s3cr3t\nOTHER=1", "blanks or line breaks"),
            (b"s3cr3t\n\n", "blanks or line breaks"),
            ("s3cr3té".as_bytes(), "plain ASCII"),
            (&[0xff, 0xfe], "plain ASCII"),
            (b"\"s3cr3t\"", "quotes"),
            (b"s3cr3t\x07", "control characters"),
            (&[b'a'; 100_000], "too long"),
        ];
        for (bytes, fault) in cases {
            let of_variable = std::str::from_utf8(bytes).map(from_variable);
            for key in of_variable.into_iter().chain([from_file(bytes).1]) {
                let message = key.err().unwrap().to_string();
                assert!(message.contains(fault) && !message.contains("s3cr3t"), "{bytes:?}: {message}");
            }
        }
        let error = read(&sources(&[("PROFOUND_API_KEY_FILE", "s3cr3t-0123456789abcdef0123")]), &ApiConfig::default());
        let error = error.err().unwrap();
        assert!(!format!("{error} {error:?} {}", error.hint()).contains("s3cr3t"), "{error}");
    }

    #[test]
    fn missing_key_names_the_three_places_and_unreadable_file_its_path() {
        let error = read(&Sources::default(), &ApiConfig::default()).err().unwrap();
        for place in ["PROFOUND_API_KEY`", "PROFOUND_API_KEY_FILE", "key_file"] {
            assert!(error.hint().contains(place), "{place}");
        }
        assert!(of_file(Path::new("/nowhere/key")).err().unwrap().to_string().contains("/nowhere/key"));
    }

    #[test]
    fn origin_names_the_file_and_the_day_it_changed() {
        assert_eq!(from_variable("abc").ok().unwrap().origin(), "from PROFOUND_API_KEY");
        let (file, _) = from_file(b"abc");
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_779_408_000);
        file.as_file().set_modified(time).unwrap();
        let origin = of_file(file.path()).ok().unwrap().origin();
        assert_eq!(origin, format!("from {} (last changed 2026-05-22)", file.path().display()));
    }

    #[test]
    fn reread_returns_a_key_only_when_it_changed() {
        let (file, key) = from_file(b"abc\n");
        let key = key.ok().unwrap();
        for (text, changed) in [("abc\n", None), ("abc", None), ("def", Some("def"))] {
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(key.reread().ok().unwrap().as_ref().map(ApiKey::expose), changed);
        }
        assert!(from_variable("abc").ok().unwrap().reread().ok().unwrap().is_none());
    }

    #[cfg(unix)]
    #[test]
    fn file_that_every_user_can_read_is_a_warning() {
        use std::os::unix::fs::PermissionsExt;
        let (file, key) = from_file(b"abc");
        assert!(key.ok().unwrap().warning().is_none());
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(of_file(file.path()).ok().unwrap().warning().unwrap().instead.contains("chmod 600"));
    }
}
