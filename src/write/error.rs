//! Why rows could not be written to the spool.

use std::path::PathBuf;

use crate::model::disk_trouble::DiskTrouble;

/// Why rows could not be written to the spool.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The local disk refused: full, read-only, out of inodes, no permission.
    #[error("cannot write the spool file `{}`", path.display())]
    Disk {
        /// Which file or directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The Parquet writer refused.
    #[error("cannot write the spool file `{}`", path.display())]
    Parquet {
        /// Which file.
        path: PathBuf,
        /// What the writer says.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// A file of the spool in which rows wait cannot be written or read.
    #[error("cannot keep rows in the spool file `{}`", path.display())]
    Spill {
        /// Which file.
        path: PathBuf,
        /// What Arrow says.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// Arrow arrays do not fit together.
    #[error("cannot shape rows of stream `{stream}`")]
    Shape {
        /// Which stream.
        stream: String,
        /// What Arrow says.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// Rows carry no day, and the window has several to choose from.
    #[error("stream `{stream}`: {rows} rows have no `{column}`, so their day is unknown in a window of several days")]
    Undated {
        /// Which stream.
        stream: String,
        /// The column that should say it.
        column: String,
        /// How many rows.
        rows: usize,
    },
    /// Rows that would have to wait on disk before anything of them is protected.
    #[error(
        "stream `{stream}` sends the names of its values after more than {limit_bytes} bytes of rows, which cannot wait on disk, since columns of it are protected"
    )]
    Unprotected {
        /// Which stream.
        stream: String,
        /// How much may wait in memory.
        limit_bytes: usize,
    },
    /// The spool would grow beyond its limit.
    #[error("the spool `{}` would grow beyond {limit_bytes} bytes", path.display())]
    SpoolFull {
        /// The spool's directory.
        path: PathBuf,
        /// `spool.max_bytes`.
        limit_bytes: u64,
    },
}

impl WriteError {
    /// What is wrong with the disk on which the spool lies, where that is why.
    pub fn disk_trouble(&self) -> Option<DiskTrouble> {
        DiskTrouble::behind(self)
    }
}
