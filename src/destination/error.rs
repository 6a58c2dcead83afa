//! Errors of the destination, and what an operator can do about them.

use crate::destination::store_denial::StoreDenial;
use crate::model::disk_trouble::DiskTrouble;
use crate::retry::{Attempts, RetryDecision};

#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// The address or an option is invalid.
    #[error("cannot open the destination `{url}`")]
    Open {
        /// Without credentials.
        url: String,
        #[source]
        source: object_store::Error,
    },
    #[error("cannot create the destination directory `{path}`")]
    Directory {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot {action} `{path}` at the destination{attempts}")]
    Store {
        /// `write`, `read`, `list`, `delete`.
        action: &'static str,
        path: String,
        attempts: Attempts,
        #[source]
        source: object_store::Error,
    },
    #[error("cannot read the spool file `{path}`")]
    Spool {
        path: String,
        #[source]
        source: std::io::Error,
    },
    /// Only a link to a complete file fails if the name is in use.
    #[error("the file system of `{path}` has no hard links, without which a second writer could destroy the ledger")]
    NoHardLinks {
        path: String,
        #[source]
        source: std::io::Error,
    },
    /// The store ignores create-if-absent, so two writers would overwrite each other's records.
    #[error(
        "the destination ignores `If-None-Match: *` and overwrites existing objects, so a second writer could destroy the ledger"
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

    /// Full or read-only disks and denied requests are not retried: the next attempt would fail likewise.
    pub fn retry_decision(&self) -> RetryDecision {
        if self.is_transient() { RetryDecision::Backoff } else { RetryDecision::Never }
    }

    /// Whether a directory is in the place of the file.
    pub fn is_occupied(&self) -> bool {
        matches!(self, Self::Store { source, .. } if DiskTrouble::from_error(source) == Some(DiskTrouble::Occupied))
    }

    fn is_transient(&self) -> bool {
        use object_store::Error as Store;
        let Self::Store { source, .. } = self else {
            return false;
        };
        let is_permanent = matches!(
            source,
            Store::NotFound { .. }
                | Store::PermissionDenied { .. }
                | Store::Unauthenticated { .. }
                | Store::InvalidPath { .. }
                | Store::NotSupported { .. }
                | Store::NotImplemented { .. }
                | Store::UnknownConfigurationKey { .. }
        );
        !is_permanent
            && DiskTrouble::from_error(source).is_none()
            && !StoreDenial::from_error(source).is_some_and(StoreDenial::is_lasting)
    }

    pub fn hint(&self) -> &'static str {
        match self {
            Self::Open { .. } => {
                "check `destination.url`, `[destination.options]` and the store's own variables such as AWS_REGION"
            }
            Self::Directory { .. } => {
                "give the user that runs the program write access to it, or set another directory"
            }
            Self::Store { source, .. } if DiskTrouble::from_error(source) == Some(DiskTrouble::Full) => {
                "free space on the disk of the lake: bytes, inodes (`df -i`) or quota; published files are safe, and the next run resumes"
            }
            Self::Store { source, action, .. }
                if matches!(*action, "list" | "read")
                    && DiskTrouble::from_error(source) == Some(DiskTrouble::NotWritable) =>
            {
                "give the user that runs the program read access to the lake"
            }
            Self::Store { source, .. } if DiskTrouble::from_error(source) == Some(DiskTrouble::NotWritable) => {
                "give the user that runs the program write access to the lake; published files are safe, and the next run resumes"
            }
            Self::Store { .. } if self.is_occupied() => {
                "a directory is in the place of the file, or a file in that of a directory: move it away; published files are safe"
            }
            // A disk has no buckets and no credentials.
            Self::Store { source: object_store::Error::Generic { store: "LocalFileSystem", .. }, .. } => {
                "check the disk of the lake; published files are safe, and the next run resumes"
            }
            Self::Store { source, action, .. } => match StoreDenial::from_error(source) {
                Some(StoreDenial::NoCredentials)
                    if matches!(source, object_store::Error::Generic { store: "GCS", .. }) =>
                {
                    "no role gives credentials here: set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account, or give the instance or workload a service account"
                }
                Some(StoreDenial::NoCredentials)
                    if matches!(source, object_store::Error::Generic { store: "MicrosoftAzure", .. }) =>
                {
                    "no identity gives credentials here: set AZURE_STORAGE_ACCOUNT_KEY, or give the machine or workload a managed identity"
                }
                Some(StoreDenial::NoCredentials) => {
                    "no role gives credentials here: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the instance, container or service account a role; AWS_PROFILE and `~/.aws` are not read"
                }
                Some(StoreDenial::ClockSkew) => {
                    "set the clock of this machine: the store rejects requests of another time"
                }
                Some(StoreDenial::NoSpace) => {
                    "free space in the store, or raise its quota; published files are safe, and the next run resumes"
                }
                Some(StoreDenial::Locked) => {
                    "remove the object lock or retention from `_profound_export` and the tables: a lake replaces its own files; versions of the bucket keep the old ones"
                }
                Some(StoreDenial::Unreachable) => {
                    "check the endpoint (in `[destination.options]`, or a variable such as AWS_ENDPOINT_URL), the network and HTTPS_PROXY; published files are safe, and the next run resumes"
                }
                Some(StoreDenial::NotS3) => {
                    "a web page answers, not S3: many stores have the console on one port and the API on another; check the endpoint"
                }
                Some(StoreDenial::WrongScheme) => {
                    "one side speaks TLS and the other does not: write `https://` instead of `http://` in the endpoint, or the other way around"
                }
                Some(StoreDenial::TooManyFiles) => "raise the limit of open files (`ulimit -n`, `LimitNOFILE`)",
                Some(StoreDenial::CertificateTime) => {
                    "check the clock of this machine; if it is right, the store needs a new certificate"
                }
                Some(StoreDenial::CertificateName) => {
                    "use the endpoint's name that the certificate has; an address or another name does not count"
                }
                Some(StoreDenial::Untrusted) => {
                    "if the store or a proxy uses a private CA, set SSL_CERT_FILE to its PEM file, or SSL_CERT_DIR to a directory to keep the system roots"
                }
                Some(StoreDenial::Region) => {
                    "set AWS_REGION, or `region` in `[destination.options]`, to the region of the bucket"
                }
                Some(StoreDenial::NoBucket) => "create the bucket, or set another one in `destination.url`",
                Some(StoreDenial::Credentials) => {
                    "renew the credentials of the destination; published files are safe, and the next run resumes"
                }
                Some(StoreDenial::Permissions) if *action == "delete" => {
                    "grant the permissions that `profound-export check --iam --forget` prints, then run the same command again: it deletes the remaining files"
                }
                Some(StoreDenial::Permissions) => {
                    "grant the permissions that `profound-export check --iam` prints; published files are safe, and the next run resumes"
                }
                None => {
                    "check that the bucket exists and that the credentials can list, read and write it; published files are safe, and the next run resumes"
                }
            },
            Self::Spool { .. } => {
                "check `spool.dir` and its disk: a file of this run was removed or changed; nothing of it was published"
            }
            Self::NoHardLinks { .. } => {
                "set `destination.single_writer = true` and make sure that only one process writes there, or use another file system"
            }
            Self::NoConditionalCreate => {
                "use a store that honours `If-None-Match: *`, or set `destination.single_writer = true` and make sure that only one process writes there"
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
    fn full_and_read_only_disks_are_not_retried_and_have_a_hint() {
        for (kind, hint) in [
            (ErrorKind::StorageFull, "free space"),
            (ErrorKind::ReadOnlyFilesystem, "give the user"),
            (ErrorKind::PermissionDenied, "give the user"),
        ] {
            let error = failed(Box::new(Error::from(kind)));
            assert!(!error.is_transient() && error.hint().starts_with(hint), "{kind}: {}", error.hint());
        }
    }

    #[test]
    fn untrusted_certificate_is_not_retried_and_has_a_hint() {
        let error = failed("error sending request: invalid peer certificate: UnknownIssuer".into());
        assert!(!error.is_transient() && error.hint().contains("SSL_CERT_FILE"));
    }

    #[test]
    fn bucket_error_names_its_remedy() {
        for (response, hint) in [
            ("400 Bad Request: <Code>AuthorizationHeaderMalformed</Code>", "set AWS_REGION"),
            ("404 Not Found: <Code>NoSuchBucket</Code>", "create the bucket"),
            ("403 Forbidden: <Code>RequestTimeTooSkewed</Code>", "set the clock"),
            ("507 Insufficient Storage: <Code>XMinioStorageFull</Code>", "free space in the store"),
            ("400 Bad Request: <Code>InvalidRequest</Code> Object is WORM protected", "remove the object lock"),
            ("400 Bad Request: Client sent an HTTP request to an HTTPS server.", "one side speaks TLS"),
            ("403 Forbidden: <!DOCTYPE html><title>MinIO Console</title>", "a web page answers"),
            (
                "error sending request for url (http://127.0.0.1:9/): Connection refused (os error 111)",
                "check the endpoint",
            ),
            ("invalid peer certificate: certificate expired: verification time 1", "check the clock"),
            ("invalid peer certificate: certificate not valid for name \"a\"", "use the endpoint's name"),
            ("PUT http://169.254.169.254/latest/api/token - 403 Forbidden", "no role gives credentials"),
            ("accept: Too many open files (os error 24)", "raise the limit"),
            ("400 Bad Request: <Code>ExpiredToken</Code>", "renew the credentials"),
            ("403 Forbidden: <Code>SignatureDoesNotMatch</Code>", "renew the credentials"),
            (
                "403 Forbidden: <Code>AccessDenied</Code>",
                "grant the permissions that `profound-export check --iam` prints",
            ),
        ] {
            let error = failed(response.into());
            assert!(error.hint().starts_with(hint), "{response}: {}", error.hint());
        }
        // Each cloud has its own variables.
        for (store, variable) in [
            ("S3", "AWS_ACCESS_KEY_ID"),
            ("GCS", "GOOGLE_APPLICATION"),
            ("MicrosoftAzure", "AZURE_STORAGE_ACCOUNT_KEY"),
        ] {
            let source = "GET http://169.254.169.254/ - connection refused".into();
            let source = object_store::Error::Generic { store, source };
            let path = "models/data.parquet".to_owned();
            let hint = DestinationError::Store { action: "write", path, attempts: Attempts::ONE, source }.hint();
            assert!(hint.contains(variable), "{store}: {hint}");
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
    fn server_errors_of_a_store_are_transient() {
        let error = failed("503 Slow Down".into());
        assert!(error.is_transient() && error.hint().starts_with("check that the bucket exists"));
    }
}
