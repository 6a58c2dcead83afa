//! The API key: where it comes from, and a type that cannot be printed.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use secrecy::{ExposeSecret, SecretString};

use super::problem::Problem;
use super::{ApiConfig, Sources};

/// Longer than any key, so that a wrong path (a log, a device) is not read to its end.
const LONGEST_KEY_BYTES: u64 = 4096;

/// Where a key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The variable `PROFOUND_API_KEY`.
    Variable,
    /// A file that `PROFOUND_API_KEY_FILE` or `api.key_file` names.
    File(PathBuf),
}

impl KeySource {
    /// `PROFOUND_API_KEY`, `PROFOUND_API_KEY_FILE` and `api.key_file`, in that order.
    ///
    /// # Errors
    /// [`KeyError::Missing`] when none of them is set, [`KeyError::NotAPath`] when a key stands where a path belongs.
    pub fn find(sources: &Sources, api: &ApiConfig) -> Result<Self, KeyError> {
        let variable = |name: &str| sources.environment.get(name);
        if variable("PROFOUND_API_KEY").is_some() {
            return Ok(Self::Variable);
        }
        let named = variable("PROFOUND_API_KEY_FILE").map(PathBuf::from);
        if named.as_deref().is_some_and(looks_like_a_key) {
            return Err(KeyError::NotAPath);
        }
        named.or_else(|| api.key_file.clone()).map(Self::File).ok_or(KeyError::Missing)
    }
}

impl std::fmt::Display for KeySource {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Variable => out.write_str("PROFOUND_API_KEY"),
            // The whole path: a relative one says little in a log.
            Self::File(path) => write!(out, "{}", std::path::absolute(path).as_deref().unwrap_or(path).display()),
        }
    }
}

/// Why there is no key. Never holds a part of one.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Nobody said where it is.
    #[error("no API key is given")]
    Missing,
    /// The key itself was given as the name of its file. It is not repeated.
    #[error("what `PROFOUND_API_KEY_FILE` holds looks like the key itself, where the path of its file belongs")]
    NotAPath,
    /// Its file cannot be read.
    #[error("the file of the API key, `{path}`, cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What was read cannot be a key.
    #[error("what `{source_name}` holds cannot be an API key: it {fault}")]
    Malformed {
        /// The variable or the file.
        source_name: String,
        /// What is wrong, after "it".
        fault: &'static str,
    },
}

impl KeyError {
    /// What an operator can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing => {
                "put the key alone into a file and name it as `key_file` under `[api]` or in `PROFOUND_API_KEY_FILE`; or set `PROFOUND_API_KEY`"
            }
            Self::NotAPath => {
                "set `PROFOUND_API_KEY` instead, or put the key into a file; if it is the name of a file, write `./` before it"
            }
            Self::Unreadable { .. } => "let the user that runs the program read this file, or name another one",
            Self::Malformed { .. } => "put the key there as Settings → API Keys shows it, and nothing else",
        }
    }
}

/// The API key. Neither `Debug` nor `Display`: nothing prints it by accident.
#[derive(Clone)]
pub struct ApiKey {
    secret: SecretString,
    source: KeySource,
    /// When its file was last written.
    changed: Option<Timestamp>,
    warning: Option<Problem>,
}

impl ApiKey {
    /// Reads the key from where it was found.
    fn read(source: KeySource, variable: Option<&str>) -> Result<Self, KeyError> {
        let (text, changed, warning) = match &source {
            KeySource::Variable => (SecretString::from(variable.unwrap_or_default()), None, None),
            KeySource::File(path) => {
                let unreadable = |source| KeyError::Unreadable { path: path.clone(), source };
                let (bytes, metadata) = read_file(path).map_err(unreadable)?;
                let fault = "is not plain ASCII text, but holds other characters";
                let text = String::from_utf8(bytes).map_err(|_| malformed(&source, fault))?;
                let changed = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
                (SecretString::from(text), changed, readable_by_all(path, &metadata))
            }
        };
        let key = without_newline(text.expose_secret());
        if let Some(fault) = fault(key) {
            return Err(malformed(&source, fault));
        }
        Ok(Self { secret: SecretString::from(key), source, changed, warning })
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

    /// What is doubtful about where the key lies.
    pub fn warning(&self) -> Option<&Problem> {
        self.warning.as_ref()
    }

    /// Reads its file again. `None` when the key is the same, and always when it came from a variable.
    ///
    /// # Errors
    /// As [`read`].
    pub fn reread(&self) -> Result<Option<Self>, KeyError> {
        if self.source == KeySource::Variable {
            return Ok(None);
        }
        let again = Self::read(self.source.clone(), None)?;
        Ok((again.expose() != self.expose()).then_some(again))
    }
}

/// Finds and reads the key.
///
/// # Errors
/// That no key is given, that its file cannot be read, or that what was read cannot be a key.
pub fn read(sources: &Sources, api: &ApiConfig) -> Result<ApiKey, KeyError> {
    let variable = sources.environment.get("PROFOUND_API_KEY").map(String::as_str);
    ApiKey::read(KeySource::find(sources, api)?, variable)
}

/// Whether `path` is probably a key: long, without a slash or a dot, with a digit. What looks so is never printed.
pub(super) fn looks_like_a_key(path: &Path) -> bool {
    let Some(text) = path.to_str() else { return false };
    let of_a_key = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    24 <= text.len() && text.bytes().all(of_a_key) && text.bytes().any(|byte| byte.is_ascii_digit())
}

fn malformed(source: &KeySource, fault: &'static str) -> KeyError {
    KeyError::Malformed { source_name: source.to_string(), fault }
}

fn read_file(path: &Path) -> std::io::Result<(Vec<u8>, std::fs::Metadata)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(LONGEST_KEY_BYTES + 1).read_to_end(&mut bytes)?;
    Ok((bytes, metadata))
}

/// The text without one newline at its end, which editors and `echo` leave.
fn without_newline(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// Why `key` cannot be one, in words that go after "it".
fn fault(key: &str) -> Option<&'static str> {
    let quote = |character: char| character == '"' || character == '\'';
    if key.is_empty() {
        Some("is empty")
    } else if LONGEST_KEY_BYTES < key.len() as u64 {
        Some("is far too long")
    } else if !key.is_ascii() {
        Some("is not plain ASCII text, but holds other characters")
    } else if key.contains(|character: char| character.is_ascii_whitespace()) {
        Some("contains blanks or line breaks")
    } else if key.contains(|character: char| character.is_ascii_control()) {
        Some("contains control characters")
    } else if key.starts_with(quote) || key.ends_with(quote) {
        Some("stands in quotes, which would be sent along")
    } else {
        None
    }
}

#[cfg(unix)]
fn readable_by_all(path: &Path, metadata: &std::fs::Metadata) -> Option<Problem> {
    use std::os::unix::fs::PermissionsExt;
    let everybody = 0o004;
    (metadata.permissions().mode() & everybody != 0).then(|| {
        Problem::new(
            path.display().to_string(),
            "every user of this machine can read the API key",
            "let only the user that runs the program read it, as `chmod 600` does; for a Kubernetes secret, `defaultMode: 0400`",
        )
    })
}

#[cfg(not(unix))]
fn readable_by_all(_: &Path, _: &std::fs::Metadata) -> Option<Problem> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sources whose environment is `variables`.
    fn environment(variables: &[(&str, &str)]) -> Sources {
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Sources { environment, ..Sources::default() }
    }

    fn from_variable(value: &str) -> Result<ApiKey, KeyError> {
        read(&environment(&[("PROFOUND_API_KEY", value)]), &ApiConfig::default())
    }

    fn from_file(bytes: &[u8]) -> (tempfile::NamedTempFile, Result<ApiKey, KeyError>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let api = ApiConfig { key_file: Some(file.path().to_owned()), ..ApiConfig::default() };
        let key = read(&Sources::default(), &api);
        (file, key)
    }

    fn said(key: Result<ApiKey, KeyError>) -> String {
        key.err().unwrap().to_string()
    }

    #[test]
    fn variable_wins_over_files_and_variable_file_over_setting() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "second").unwrap();
        let api = ApiConfig { key_file: Some("/nowhere".into()), ..ApiConfig::default() };
        let path = file.path().to_str().unwrap();
        let both = environment(&[("PROFOUND_API_KEY", "first"), ("PROFOUND_API_KEY_FILE", path)]);
        assert_eq!(read(&both, &api).ok().unwrap().expose(), "first");
        let one = environment(&[("PROFOUND_API_KEY_FILE", path)]);
        assert_eq!(read(&one, &api).ok().unwrap().expose(), "second");
    }

    #[test]
    fn missing_key_says_the_three_places() {
        let error = read(&Sources::default(), &ApiConfig::default()).err().unwrap();
        for place in ["PROFOUND_API_KEY`", "PROFOUND_API_KEY_FILE", "key_file"] {
            assert!(error.hint().contains(place), "{place}");
        }
    }

    #[test]
    fn one_trailing_newline_is_not_part_of_the_key() {
        for text in ["abc", "abc\n", "abc\r\n"] {
            assert_eq!(from_variable(text).ok().unwrap().expose(), "abc");
            assert_eq!(from_file(text.as_bytes()).1.ok().unwrap().expose(), "abc");
        }
        assert!(from_variable("abc\n\n").is_err());
    }

    #[test]
    fn what_cannot_be_a_key_is_refused_without_repeating_it() {
        let faults = [
            ("", "is empty"),
            ("\n", "is empty"),
            ("s3cr3t s3cr3t", "blanks or line breaks"),
            (" s3cr3t", "blanks or line breaks"),
            ("s3cr3t\nOTHER=1", "blanks or line breaks"),
            ("s3cr3té", "plain ASCII"),
            ("\u{feff}s3cr3t", "plain ASCII"),
            ("\"s3cr3t\"", "quotes"),
            ("s3cr3t\u{7}", "control characters"),
        ];
        for (text, fault) in faults {
            for message in [said(from_variable(text)), said(from_file(text.as_bytes()).1)] {
                assert!(message.contains(fault), "{text:?}: {message}");
                assert!(!message.contains("s3cr3t"), "{message}");
            }
        }
        assert!(said(from_file(&[0xff, 0xfe]).1).contains("plain ASCII"));
        assert!(said(from_file(&[b'a'; 100_000]).1).contains("too long"));
    }

    #[test]
    fn key_in_place_of_its_path_is_refused_without_repeating_it() {
        let text = "s3cr3t-0123456789abcdef0123";
        let error = read(&environment(&[("PROFOUND_API_KEY_FILE", text)]), &ApiConfig::default()).err().unwrap();
        assert!(!format!("{error} {error:?} {}", error.hint()).contains("s3cr3t"), "{error}");
        assert!(!looks_like_a_key(Path::new("/run/secrets/profound-api-key-0001")));
        assert!(!looks_like_a_key(Path::new("profound-api-key")));
    }

    #[test]
    fn unreadable_file_is_named() {
        let api = ApiConfig { key_file: Some("/nowhere/key".into()), ..ApiConfig::default() };
        assert!(said(read(&Sources::default(), &api)).contains("/nowhere/key"));
    }

    #[test]
    fn origin_names_the_file_and_its_day() {
        assert_eq!(from_variable("abc").ok().unwrap().origin(), "from PROFOUND_API_KEY");
        let (file, _) = from_file(b"abc");
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_779_408_000);
        file.as_file().set_modified(time).unwrap();
        let api = ApiConfig { key_file: Some(file.path().to_owned()), ..ApiConfig::default() };
        let origin = read(&Sources::default(), &api).ok().unwrap().origin();
        assert_eq!(origin, format!("from {} (last changed 2026-05-22)", file.path().display()));
    }

    #[test]
    fn reading_again_tells_whether_the_key_changed() {
        let (file, key) = from_file(b"abc\n");
        let key = key.ok().unwrap();
        assert!(key.reread().ok().unwrap().is_none());
        std::fs::write(file.path(), "abc").unwrap();
        assert!(key.reread().ok().unwrap().is_none(), "only a newline changed");
        std::fs::write(file.path(), "def").unwrap();
        assert_eq!(key.reread().ok().unwrap().unwrap().expose(), "def");
        assert!(from_variable("abc").ok().unwrap().reread().ok().unwrap().is_none());
    }

    #[cfg(unix)]
    #[test]
    fn file_that_everybody_can_read_is_a_warning() {
        use std::os::unix::fs::PermissionsExt;
        let (file, key) = from_file(b"abc");
        assert!(key.ok().unwrap().warning().is_none());
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        let api = ApiConfig { key_file: Some(file.path().to_owned()), ..ApiConfig::default() };
        let key = read(&Sources::default(), &api).ok().unwrap();
        assert!(key.warning().unwrap().instead.contains("chmod 600"));
    }
}
