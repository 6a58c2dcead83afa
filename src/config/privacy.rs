//! `[privacy]`: what is needed to keep personal data from the disk, and the salt of hashes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretSlice};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::problem::Problems;

/// Fewer could be tried out one by one.
const SHORTEST_SALT_BYTES: usize = 16;
/// Longer than any salt, so that a wrong path (a log, a device) is not read to its end.
const LONGEST_SALT_BYTES: u64 = 4096;

/// What is needed to keep personal data from the disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PrivacyConfig {
    /// File that holds the salt of hashes: at least 16 random bytes, the same for as long as the lake lives. Needed where
    /// a job has `hash`. The salt itself is never a setting, so all settings may be printed. Default: none.
    #[schemars(extend("examples" = ["/run/secrets/profound-salt"]))]
    pub salt_file: Option<PathBuf>,
}

impl PrivacyConfig {
    pub(super) fn check(&self, problems: &mut Problems) {
        if self.salt_file.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            problems.error(
                "privacy.salt_file",
                "the path is empty",
                "write the path of the file, or leave the setting out",
            );
        }
    }

    /// The salt, where a file of it is named.
    ///
    /// # Errors
    /// That its file cannot be read, or that what was read cannot be a salt.
    pub fn salt(&self) -> Result<Option<Salt>, SaltError> {
        self.salt_file.as_deref().map(Salt::read).transpose()
    }
}

/// What is put before each text that is hashed. Nothing prints it.
#[derive(Clone)]
pub struct Salt(Arc<SecretSlice<u8>>);

impl fmt::Debug for Salt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Salt(********)")
    }
}

/// Why there is no salt. Never holds a part of one.
#[derive(Debug, thiserror::Error)]
pub enum SaltError {
    /// Its file cannot be read.
    #[error("the file of the salt, `{}`, cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What was read cannot be a salt.
    #[error("what `{}` holds cannot be a salt: it {fault}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, after "it".
        fault: &'static str,
    },
}

impl SaltError {
    /// What an operator can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "let the user that runs the program read this file, or name another one",
            Self::Malformed { .. } => {
                "make one with `openssl rand -out FILE 32`, and keep it: with another salt, the same text has another hash"
            }
        }
    }
}

impl Salt {
    /// A salt of these bytes; one newline at their end, which editors and `echo` leave, is no part of it.
    ///
    /// # Errors
    /// What is wrong with them, in words that go after "it".
    pub fn of(bytes: &[u8]) -> Result<Self, &'static str> {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if bytes.len() < SHORTEST_SALT_BYTES {
            return Err("has fewer than 16 bytes");
        }
        if LONGEST_SALT_BYTES < bytes.len() as u64 {
            return Err("is far too long");
        }
        Ok(Self(Arc::new(SecretSlice::from(bytes.to_vec()))))
    }

    fn read(path: &Path) -> Result<Self, SaltError> {
        use std::io::Read as _;
        let unreadable = |source| SaltError::Unreadable { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(LONGEST_SALT_BYTES + 3).read_to_end(&mut bytes).map_err(unreadable)?;
        Self::of(&bytes).map_err(|fault| SaltError::Malformed { path: path.to_owned(), fault })
    }

    /// Tells one salt from another, and nothing else of it.
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

    fn read(bytes: &[u8]) -> Result<Option<Salt>, SaltError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        PrivacyConfig { salt_file: Some(file.path().to_owned()) }.salt()
    }

    #[test]
    fn salt_is_read_as_it_is_but_for_one_newline_at_its_end() {
        for bytes in [&b"0123456789abcdef"[..], b"0123456789abcdef\n", b"0123456789abcdef\r\n"] {
            assert_eq!(read(bytes).unwrap().unwrap().expose(), b"0123456789abcdef");
        }
        assert_eq!(read(&[0xff; 32]).unwrap().unwrap().expose(), [0xff; 32]);
        assert!(PrivacyConfig::default().salt().unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_a_salt_is_refused_without_repeating_it() {
        for (bytes, fault) in [(&b"s3cr3t"[..], "fewer than 16 bytes"), (&[b's'; 5000][..], "far too long")] {
            let error = read(bytes).unwrap_err();
            assert!(error.to_string().contains(fault), "{error}");
            assert!(!format!("{error} {error:?} {}", error.hint()).contains("s3cr3t"));
        }
        let missing = PrivacyConfig { salt_file: Some("/nowhere/salt".into()) }.salt().unwrap_err();
        assert!(missing.to_string().contains("/nowhere/salt"));
    }

    #[test]
    fn salt_is_never_printed() {
        let salt = Salt::of(b"s3cr3t-0123456789").unwrap();
        assert!(!format!("{salt:?}").contains("s3cr3t"));
    }
}
