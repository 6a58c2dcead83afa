//! Disk problems that last until an operator acts.

use std::error::Error;
use std::io;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskTrouble {
    /// No bytes, inodes or quota left.
    Full,
    /// Read-only, or owned by another user.
    NotWritable,
    /// A directory is in the place of a file, or a file in that of a directory.
    Occupied,
}

impl DiskTrouble {
    /// The disk problem in an error chain; none for requests and transient problems.
    pub fn from_error(error: &(dyn Error + 'static)) -> Option<Self> {
        use io::ErrorKind as Kind;
        let mut cause = Some(error);
        while let Some(error) = cause {
            match error.downcast_ref::<io::Error>().map(io::Error::kind) {
                Some(Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge) => return Some(Self::Full),
                Some(Kind::IsADirectory | Kind::NotADirectory) => return Some(Self::Occupied),
                Some(Kind::ReadOnlyFilesystem | Kind::PermissionDenied) => return Some(Self::NotWritable),
                _ => cause = error.source(),
            }
        }
        None
    }
}
