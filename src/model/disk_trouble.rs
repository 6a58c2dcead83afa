//! What is wrong with a disk, for as long as nobody mends it.

use std::error::Error;
use std::io;

/// What is wrong with a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskTrouble {
    /// No bytes, no inodes or no quota are left.
    Full,
    /// It is mounted read-only, or belongs to somebody else.
    NotWritable,
}

impl DiskTrouble {
    /// What of that made an operation fail; none where it was a request, or something that passes.
    pub fn behind(error: &(dyn Error + 'static)) -> Option<Self> {
        use io::ErrorKind as Kind;
        let mut cause = Some(error);
        while let Some(error) = cause {
            match error.downcast_ref::<io::Error>().map(io::Error::kind) {
                Some(Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge) => return Some(Self::Full),
                Some(Kind::ReadOnlyFilesystem | Kind::PermissionDenied) => return Some(Self::NotWritable),
                _ => cause = error.source(),
            }
        }
        None
    }
}
