//! Secrets: the API key, the salt of hashes, and addresses and keys of alerts. Each comes from a file or a variable, and none
//! is ever printed.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};
use url::Url;

use super::PrivacyConfig;
use super::problem::InvalidValue;

/// Longer than any secret, so that a wrong path (a log, a device) is not read to its end.
const MAX_SECRET_BYTES: usize = 4096;
/// A shorter salt could be found by trying all of them.
const MIN_SALT_BYTES: usize = 16;

/// What a secret is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretKind {
    ApiKey,
    Salt,
    /// The address or key of an alert, by the alert's name.
    Alert(String),
}

impl fmt::Display for SecretKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiKey => out.write_str("the API key"),
            Self::Salt => out.write_str("the salt"),
            Self::Alert(name) => write!(out, "the secret of alert `{name}`"),
        }
    }
}

/// Why a secret cannot be used. Never holds a part of one.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("no API key is configured")]
    Missing,
    /// The key itself was set as the path of its file.
    #[error("`PROFOUND_API_KEY_FILE` holds what looks like the key itself, not the path of its file")]
    NotAPath,
    #[error("the path in `PROFOUND_API_KEY_FILE` cannot be used: {0}")]
    Path(#[source] InvalidValue),
    #[error("cannot read {kind} from `{}`", path.display())]
    Unreadable {
        kind: SecretKind,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the variable `{variable}` for {kind} is not set")]
    Unset { kind: SecretKind, variable: String },
    #[error("`{from}` does not hold {kind}: the text {fault}")]
    Malformed {
        kind: SecretKind,
        /// The file or the variable.
        from: String,
        fault: &'static str,
    },
}

impl SecretError {
    /// What an operator can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing => {
                "put the key alone into a file and set `key_file` under `[api]`, or `PROFOUND_API_KEY_FILE`, to its path; or set `PROFOUND_API_KEY`"
            }
            Self::NotAPath => {
                "set `PROFOUND_API_KEY` instead, or put the key into a file; if this is the name of a file, write `./` before it"
            }
            Self::Path(_) => "write the whole path: nothing replaces `~` or variables in it",
            Self::Unreadable { .. } => "let the user that runs the program read this file, or set another path",
            Self::Unset { .. } => "set the variable, or put the secret into a file",
            Self::Malformed { kind: SecretKind::ApiKey, .. } => {
                "write the key as Settings → API Keys shows it, and nothing else"
            }
            Self::Malformed { kind: SecretKind::Salt, .. } => {
                "create one with `openssl rand -out FILE 32`, and keep it: another salt gives every text another hash"
            }
            Self::Malformed { kind: SecretKind::Alert(_), .. } => "write the secret as one line, and nothing else",
        }
    }
}

/// Reads a file that holds a secret, without one newline at its end, which editors and `echo` add.
pub(super) fn read_file(kind: SecretKind, path: &Path) -> Result<(Vec<u8>, std::fs::Metadata), SecretError> {
    let read = || {
        // Opening a pipe without a writer would wait for ever.
        if !std::fs::metadata(path)?.is_file() {
            return Err(std::io::Error::other("this is not a regular file"));
        }
        let file = std::fs::File::open(path)?;
        let metadata = file.metadata()?;
        let mut bytes = Vec::new();
        file.take(MAX_SECRET_BYTES as u64 + 3).read_to_end(&mut bytes)?;
        Ok((bytes, metadata))
    };
    let unreadable = |source| SecretError::Unreadable { kind: kind.clone(), path: path.to_owned(), source };
    let (mut bytes, metadata) = read().map_err(unreadable)?;
    bytes.truncate(without_newline(&bytes).len());
    if bytes.len() > MAX_SECRET_BYTES {
        let from = path.display().to_string();
        return Err(SecretError::Malformed { kind, from, fault: "is far too long" });
    }
    Ok((bytes, metadata))
}

pub(super) fn without_newline(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

/// Bytes that are one word of text, as a secret; else what is wrong. Whitespace and empty lines around it are left out, as is the
/// byte order mark that some editors write.
pub(super) fn one_word(bytes: &[u8]) -> Result<SecretString, &'static str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii();
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii()).ok_or("is not plain ASCII")?;
    let is_placeholder = ["${", "$(", "{{"].iter().any(|sign| text.contains(sign)) || text.starts_with('$');
    if text.is_empty() {
        Err("is empty")
    } else if is_placeholder {
        Err("is a placeholder that nothing has replaced")
    } else if text.starts_with('<') {
        Err("is HTML, or a placeholder that nothing has replaced")
    } else if text.len() > MAX_SECRET_BYTES {
        Err("is far too long")
    } else if text.contains(|character: char| character.is_ascii_whitespace()) {
        Err("contains blanks or line breaks")
    } else if text.contains(|character: char| character.is_ascii_control()) {
        Err("contains control characters")
    } else if text.starts_with(['"', '\'', '`']) || text.ends_with(['"', '\'', '`']) {
        Err("is in quotes, which would be sent too")
    } else if text.starts_with(['{', '[']) {
        Err("is JSON, of which the secret is a part")
    } else {
        Ok(SecretString::from(text))
    }
}

/// Whether `text` is a line of an environment file, such as `NAME=value`. The padding of Base64 is none.
pub(super) fn is_assignment(text: &str) -> bool {
    let is_name = |name: &str| {
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
    };
    text.split_once('=').is_some_and(|(name, value)| is_name(name) && value.bytes().any(|byte| byte != b'='))
}

/// Whether every user of this machine can read the file.
#[cfg(unix)]
pub(super) fn is_readable_by_all(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o004 > 0
}

/// Files have no such mode here.
#[cfg(not(unix))]
pub(super) fn is_readable_by_all(_: &std::fs::Metadata) -> bool {
    false
}

/// Whether `text` is probably a secret where the path of its file belongs: an address, or long, without a slash or a dot and
/// with a digit. Such a text is never printed.
pub(super) fn looks_like_a_secret(text: &str) -> bool {
    let is_of_key = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    text.contains("://") || (text.len() >= 24 && text.bytes().all(is_of_key) && has_digit)
}

/// An address that gives access to anyone who knows it. Printed and serialized as scheme and host.
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
pub struct HiddenUrl(SecretString);

impl HiddenUrl {
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Scheme and host, which may be printed.
    pub fn masked(&self) -> String {
        match Url::parse(self.expose()) {
            Ok(url) if url.has_host() => format!("{}/***", url.origin().ascii_serialization()),
            _ => "***".to_owned(),
        }
    }
}

impl From<String> for HiddenUrl {
    fn from(text: String) -> Self {
        Self(SecretString::from(text))
    }
}

impl fmt::Debug for HiddenUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.masked())
    }
}

impl Serialize for HiddenUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.masked())
    }
}

impl PrivacyConfig {
    /// The salt, where `salt_file` is set.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn salt(&self) -> Result<Option<Salt>, SecretError> {
        self.salt_file.as_deref().map(Salt::read).transpose()
    }
}

/// The bytes put before each text that is hashed. Never printed.
#[derive(Clone)]
pub struct Salt(Arc<SecretSlice<u8>>);

impl fmt::Debug for Salt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Salt(********)")
    }
}

impl Salt {
    /// The salt of `bytes`, without one newline at their end.
    ///
    /// # Errors
    /// What is wrong with them, to follow "the text".
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        let bytes = without_newline(bytes);
        if bytes.len() < MIN_SALT_BYTES {
            return Err("has fewer than 16 bytes");
        }
        Ok(Self(Arc::new(SecretSlice::from(bytes.to_vec()))))
    }

    fn read(path: &Path) -> Result<Self, SecretError> {
        let (bytes, _) = read_file(SecretKind::Salt, path)?;
        let from = path.display().to_string();
        Self::from_bytes(&bytes).map_err(|fault| SecretError::Malformed { kind: SecretKind::Salt, from, fault })
    }

    /// Identifies the salt without revealing it.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::new().chain_update("profound-export salt").chain_update(self.expose()).finalize();
        const_hex::encode(&digest[..8])
    }

    /// The bytes themselves, for a hash and nothing else.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_printed_as_its_host_alone() {
        let url = HiddenUrl::from("https://hooks.slack.com/services/T0/B0/secret".to_owned());
        assert_eq!(format!("{url:?}"), "https://hooks.slack.com/***");
        assert_eq!(serde_json::to_string(&url).unwrap(), "\"https://hooks.slack.com/***\"");
        assert_eq!(HiddenUrl::from("hooks.slack.com/secret".to_owned()).masked(), "***");
    }

    #[test]
    fn path_of_a_secret_is_distinguished_from_a_secret() {
        assert!(looks_like_a_secret("s3cr3t-0123456789abcdef0123") && looks_like_a_secret("https://x/y"));
        assert!(!looks_like_a_secret("/run/secrets/profound-api-key-0001") && !looks_like_a_secret("profound-api-key"));
    }

    fn read(bytes: &[u8]) -> Result<Option<Salt>, SecretError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        PrivacyConfig { salt_file: Some(file.path().to_owned()) }.salt()
    }

    #[test]
    fn salt_is_the_bytes_of_its_file_without_one_trailing_newline() {
        for bytes in [&b"0123456789abcdef"[..], b"0123456789abcdef\n", b"0123456789abcdef\r\n"] {
            assert_eq!(read(bytes).unwrap().unwrap().expose(), b"0123456789abcdef");
        }
        assert_eq!(read(&[0xff; 32]).unwrap().unwrap().expose(), [0xff; 32]);
        assert!(PrivacyConfig::default().salt().unwrap().is_none());
    }

    #[test]
    fn unusable_salt_is_rejected_and_never_repeated() {
        for (bytes, fault) in [(&b"s3cr3t"[..], "fewer than 16 bytes"), (&[b's'; 5000][..], "far too long")] {
            let error = read(bytes).unwrap_err();
            assert!(error.to_string().contains(fault), "{error}");
            assert!(!format!("{error} {error:?} {}", error.hint()).contains("s3cr3t"));
        }
        assert!(!format!("{:?}", Salt::from_bytes(b"s3cr3t-0123456789").unwrap()).contains("s3cr3t"));
    }
}
