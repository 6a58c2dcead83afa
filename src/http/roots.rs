//! Certificate roots in addition to those of the system: for a proxy or a gateway with a private CA.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use reqwest::Certificate;

use crate::error_text::error_chain;

/// More than any bundle of roots has, so that a wrong path (a log, a device) is not read to its end.
const MAX_BUNDLE_BYTES: u64 = 16 * 1024 * 1024;

/// Why a client has no certificate roots.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    #[error("cannot read the certificate roots in `{path}`")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("`{path}` cannot be used as certificate roots: {problem}")]
    Invalid { path: PathBuf, problem: String },
    /// reqwest ignores such a variable, and the key would go out without the proxy. Its value may hold a password.
    #[error("the proxy in {variable} is not an address")]
    Proxy { variable: &'static str },
    /// Neither the system nor the settings have roots.
    #[error("no certificate roots to verify the API's certificate with: {problem}")]
    Missing { problem: String },
}

impl HttpClientError {
    /// What an operator can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => {
                "let the user that runs the program read the file, or name another one under `api.ca_file`"
            }
            Self::Invalid { .. } => {
                "`api.ca_file` names a PEM file of one or more CA certificates, each between `-----BEGIN CERTIFICATE-----` and `-----END CERTIFICATE-----`"
            }
            Self::Proxy { .. } => {
                "write `http://host:port` or `http://user:password@host:port`; percent-encode what is no letter or digit in user and password, such as %40 for @"
            }
            Self::Missing { .. } => {
                "install the certificate roots of the system (`ca-certificates`), or name a PEM file in SSL_CERT_FILE"
            }
        }
    }
}

/// Reads the certificates of a PEM file.
///
/// # Errors
/// [`HttpClientError::Unreadable`], or [`HttpClientError::Invalid`] for a file without a certificate.
pub fn read_roots(path: &Path) -> Result<Vec<Certificate>, HttpClientError> {
    let unreadable = |source| HttpClientError::Unreadable { path: path.to_owned(), source };
    let invalid = |problem: String| HttpClientError::Invalid { path: path.to_owned(), problem };
    let mut pem = Vec::new();
    File::open(path).map_err(unreadable)?.take(MAX_BUNDLE_BYTES).read_to_end(&mut pem).map_err(unreadable)?;
    // Some editors begin a file with a byte order mark, which would hide the first certificate.
    let pem = pem.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&pem);
    let roots = Certificate::from_pem_bundle(pem).map_err(|error| invalid(error_chain(&error)))?;
    if roots.is_empty() {
        return Err(invalid("it holds no certificate in PEM".to_owned()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_without_a_certificate_is_rejected() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        for (text, problem) in [
            ("", "it holds no certificate"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "it holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n", "cannot be used as"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read_roots(&path).unwrap_err();
            assert!(matches!(error, HttpClientError::Invalid { .. }) && error.to_string().contains(problem), "{error}");
        }
    }

    #[test]
    fn missing_file_is_named() {
        let error = read_roots(Path::new("no/such/ca.pem")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the certificate roots in `no/such/ca.pem`");
    }
}
