//! Why something could not be read from or written to the destination.

use crate::destination::refusal::Refusal;
use crate::model::disk_trouble::DiskTrouble;
use crate::retry::{Attempts, RetryDecision};

/// Why something could not be read from or written to the destination.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// The address or an option cannot be used.
    #[error("the destination `{url}` cannot be opened")]
    Open {
        /// The address, without credentials.
        url: String,
        /// What the store says.
        #[source]
        source: object_store::Error,
    },
    /// A directory of this machine cannot be made.
    #[error("the destination directory `{path}` cannot be made")]
    Directory {
        /// Which directory.
        path: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The store refused.
    #[error("cannot {action} `{path}` at the destination{attempts}")]
    Store {
        /// `write`, `read`, `list`, `delete`.
        action: &'static str,
        /// Which object.
        path: String,
        attempts: Attempts,
        /// What the store says.
        #[source]
        source: object_store::Error,
    },
    /// A file of the spool vanished or cannot be read.
    #[error("cannot read the spool file `{path}`")]
    Spool {
        /// Which file.
        path: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The store overwrites where it was told to create, so that two writers would destroy each other's records.
    #[error(
        "the destination overwrites objects it was told only to create, so it cannot keep the ledger safe from a second writer"
    )]
    NoConditionalCreate,
}

impl DestinationError {
    /// The same error after several attempts.
    pub(super) fn with_attempts(mut self, made: Attempts) -> Self {
        if let Self::Store { attempts, .. } = &mut self {
            *attempts = made;
        }
        self
    }

    /// Whether the same may succeed in a moment. A disk that is full or read-only stays so, as does what is forbidden.
    pub fn retry_decision(&self) -> RetryDecision {
        if self.is_transient() { RetryDecision::Backoff } else { RetryDecision::Never }
    }

    fn is_transient(&self) -> bool {
        use object_store::Error as Store;
        let Self::Store { source, .. } = self else {
            return false;
        };
        let lasting = matches!(
            source,
            Store::NotFound { .. }
                | Store::PermissionDenied { .. }
                | Store::Unauthenticated { .. }
                | Store::InvalidPath { .. }
                | Store::NotSupported { .. }
                | Store::NotImplemented { .. }
                | Store::UnknownConfigurationKey { .. }
        );
        !lasting && DiskTrouble::behind(source).is_none() && Refusal::of(source) != Some(Refusal::Untrusted)
    }

    /// What an operator can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Open { .. } => {
                "check `destination.url`, `[destination.options]` and the store's own variables such as AWS_REGION"
            }
            Self::Directory { .. } => "let the user that runs the program write there, or name another directory",
            Self::Store { source, .. } if DiskTrouble::behind(source) == Some(DiskTrouble::Full) => {
                "make room where the lake lies, bytes, inodes (`df -i`) or quota; what was published is safe, and the next run goes on from there"
            }
            Self::Store { source, .. } if DiskTrouble::behind(source) == Some(DiskTrouble::NotWritable) => {
                "let the user that runs the program write where the lake lies; what was published is safe, and the next run goes on from there"
            }
            Self::Store { source, action, .. } => match Refusal::of(source) {
                Some(Refusal::Untrusted) => {
                    "where the store, or a proxy before it, has a certificate of a private CA, name its PEM file in SSL_CERT_FILE, or its directory in SSL_CERT_DIR to keep the roots of the system"
                }
                Some(Refusal::Region) => {
                    "set AWS_REGION, or `region` of `[destination.options]`, to the region in which the bucket lies"
                }
                Some(Refusal::NoBucket) => "make the bucket, or name another one in `destination.url`",
                Some(Refusal::Credentials) => {
                    "renew the credentials of the destination; what was published is safe, and the next run goes on from there"
                }
                Some(Refusal::Rights) if *action == "delete" => {
                    "let the credentials delete, as `profound-export check --iam --forget` prints, and run the same command again: it deletes what is left"
                }
                Some(Refusal::Rights) => {
                    "let the credentials list, read and write, as `profound-export check --iam` prints; what was published is safe, and the next run goes on from there"
                }
                None => {
                    "check that the bucket exists and that the credentials may list, read and write it; what was published is safe, and the next run goes on from there"
                }
            },
            Self::Spool { .. } => "check `spool.dir`: something else removed a file of this run",
            Self::NoConditionalCreate => {
                "use a store that honours `If-None-Match: *`, or set `destination.single_writer = true` and take care that only one process ever writes there"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    fn failed(source: Box<dyn std::error::Error + Send + Sync>) -> DestinationError {
        let source = object_store::Error::Generic { store: "any", source };
        DestinationError::Store { action: "write", path: "models/data.parquet".into(), attempts: Attempts::ONE, source }
    }

    #[test]
    fn trouble_with_the_disk_lasts_and_says_what_mends_it() {
        for (kind, mends) in [
            (ErrorKind::StorageFull, "make room"),
            (ErrorKind::ReadOnlyFilesystem, "let the user"),
            (ErrorKind::PermissionDenied, "let the user"),
        ] {
            let error = failed(Box::new(Error::from(kind)));
            assert!(!error.is_transient() && error.hint().starts_with(mends), "{kind}: {}", error.hint());
        }
    }

    #[test]
    fn certificate_that_is_not_trusted_stays_so_and_names_where_roots_go() {
        let error = failed("error sending request: invalid peer certificate: UnknownIssuer".into());
        assert!(!error.is_transient() && error.hint().contains("SSL_CERT_FILE"));
    }

    #[test]
    fn refusal_of_a_bucket_says_what_mends_it() {
        for (said, mends) in [
            ("400 Bad Request: <Code>AuthorizationHeaderMalformed</Code>", "set AWS_REGION"),
            ("404 Not Found: <Code>NoSuchBucket</Code>", "make the bucket"),
            ("400 Bad Request: <Code>ExpiredToken</Code>", "renew the credentials"),
            ("403 Forbidden: <Code>SignatureDoesNotMatch</Code>", "renew the credentials"),
            ("403 Forbidden: <Code>AccessDenied</Code>", "let the credentials list, read and write"),
        ] {
            let error = failed(said.into());
            assert!(error.hint().starts_with(mends), "{said}: {}", error.hint());
        }
        let source = object_store::Error::Generic { store: "any", source: "403 Forbidden".into() };
        let error = DestinationError::Store {
            action: "delete",
            path: "models/data.parquet".into(),
            attempts: Attempts::ONE,
            source,
        };
        assert!(error.hint().contains("check --iam --forget"), "{}", error.hint());
    }

    #[test]
    fn hiccup_of_a_store_is_transient() {
        let error = failed("503 Slow Down".into());
        assert!(error.is_transient() && error.hint().starts_with("check that the bucket exists"));
    }
}
