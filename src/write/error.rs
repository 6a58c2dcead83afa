//! Errors of writing to the spool.

use std::path::PathBuf;

use crate::model::disk_trouble::DiskTrouble;

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Full, read-only, out of inodes, no permission.
    #[error("cannot write the spool file `{}`", path.display())]
    Disk {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot write the spool file `{}`", path.display())]
    Parquet {
        path: PathBuf,
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// Of another owner, of another type, or open to other users.
    #[error("cannot use the spool directory `{}`: {problem}", path.display())]
    UnsafeDirectory { path: PathBuf, problem: &'static str },
    #[error("the spool file `{}` changed after it was written", path.display())]
    Changed { path: PathBuf },
    /// Rows that wait for their file.
    #[error("cannot spill rows to the spool file `{}`", path.display())]
    Spill {
        path: PathBuf,
        #[source]
        source: arrow_schema::ArrowError,
    },
    #[error("cannot shape rows of stream `{stream}`")]
    Shape {
        stream: String,
        #[source]
        source: arrow_schema::ArrowError,
    },
    /// Rows without a day, in a window of several days.
    #[error("stream `{stream}`: {rows} rows have no `{column}`, so their day is unknown in a window of several days")]
    Undated { stream: String, column: String, rows: usize },
    /// Rows cannot wait on disk before their protected columns are known.
    #[error(
        "stream `{stream}` names its columns only after {limit_bytes} bytes of rows, which cannot wait on disk because some columns are protected"
    )]
    Unprotected { stream: String, limit_bytes: usize },
    #[error("the spool `{}` would exceed {limit_bytes} bytes", path.display())]
    SpoolFull {
        path: PathBuf,
        /// `spool.max_bytes`.
        limit_bytes: u64,
    },
}

impl WriteError {
    /// The trouble with the disk of the spool, if that is the cause.
    pub fn disk_trouble(&self) -> Option<DiskTrouble> {
        DiskTrouble::from_error(self)
    }
}
