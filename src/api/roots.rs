//! Certificate roots beside those of the system: for a proxy or a gateway with a private CA.

use std::path::{Path, PathBuf};

use reqwest::Certificate;

/// Larger than any bundle of roots, so that a wrong path (a log, a device) is not read to its end.
const LARGEST_BUNDLE_BYTES: u64 = 16 * 1024 * 1024;

/// Why there are no certificate roots to trust the API by.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file cannot be read.
    #[error("the file of certificate roots, `{path}`, cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What it holds are no certificates.
    #[error("`{path}` cannot be used as certificate roots: {problem}")]
    Refused {
        /// The file.
        path: PathBuf,
        /// What the TLS stack says.
        problem: String,
    },
    /// Neither the system nor the settings have any.
    #[error("there are no certificate roots to trust the API by: {problem}")]
    None {
        /// What the TLS stack says.
        problem: String,
    },
}

impl RootsError {
    /// What an operator can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => {
                "let the user that runs the program read the file, or name another one under `api.ca_file`"
            }
            Self::Refused { .. } => {
                "`api.ca_file` names a PEM file of one or more CA certificates, each between `-----BEGIN CERTIFICATE-----` and `-----END CERTIFICATE-----`"
            }
            Self::None { .. } => {
                "install the certificate roots of the system (`ca-certificates`), or name a PEM file in SSL_CERT_FILE"
            }
        }
    }
}

/// The certificates of a PEM file, at least one.
///
/// # Errors
/// [`RootsError::Unreadable`], [`RootsError::Refused`].
pub fn read(path: &Path) -> Result<Vec<Certificate>, RootsError> {
    let unreadable = |source| RootsError::Unreadable { path: path.to_owned(), source };
    let refused = |problem: String| RootsError::Refused { path: path.to_owned(), problem };
    let mut pem = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, LARGEST_BUNDLE_BYTES), &mut pem).map_err(unreadable)?;
    let roots = Certificate::from_pem_bundle(&pem).map_err(|error| refused(crate::model::words::words(&error)))?;
    match roots.is_empty() {
        true => Err(refused("it holds no certificate in PEM".to_owned())),
        false => Ok(roots),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_that_holds_no_certificate_is_refused_by_name() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("ca.pem");
        for (text, says) in [
            ("", "it holds no certificate"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "it holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n", "cannot be used as"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err();
            assert!(matches!(error, RootsError::Refused { .. }) && error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn file_that_is_not_there_is_named() {
        let error = read(Path::new("no/such/ca.pem")).unwrap_err();
        assert_eq!(error.to_string(), "the file of certificate roots, `no/such/ca.pem`, cannot be read");
    }
}
