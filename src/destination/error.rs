//! Why something could not be read from or written to the destination.

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
    #[error("cannot {action} `{path}` at the destination")]
    Store {
        /// `write`, `read`, `list`, `delete`.
        action: &'static str,
        /// Which object.
        path: String,
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
    /// Whether the same may succeed in a moment. A disk that is full or read-only stays so, as does what is forbidden.
    pub fn may_pass(&self) -> bool {
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
        !lasting && !is_of_this_disk(source)
    }

    /// What an operator can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Open { .. } => {
                "check `destination.url`, `[destination.options]` and the store's own variables such as AWS_REGION"
            }
            Self::Directory { .. } => "let the user that runs the program write there, or name another directory",
            Self::Store { .. } => {
                "check that the bucket exists and that the credentials may list, read and write it; what was published is safe, and the next run goes on from there"
            }
            Self::Spool { .. } => "check `spool.dir`: something else removed a file of this run",
            Self::NoConditionalCreate => {
                "use a store that honours `If-None-Match: *`, or set `destination.single_writer = true` and take care that only one process ever writes there"
            }
        }
    }
}

/// Whether an operation of the local file system failed, rather than a request.
fn is_of_this_disk(error: &object_store::Error) -> bool {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |cause| cause.source());
    let mut kinds = causes.filter_map(|cause| Some(cause.downcast_ref::<std::io::Error>()?.kind()));
    kinds.any(|kind| {
        use std::io::ErrorKind as Kind;
        matches!(kind, Kind::StorageFull | Kind::QuotaExceeded | Kind::ReadOnlyFilesystem | Kind::PermissionDenied)
    })
}
