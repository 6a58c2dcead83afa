//! `[spool]`: local scratch for whole files.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::Problems;
use super::units::ByteSize;

/// The smallest spool that holds what is in flight.
const LEAST_BYTES: ByteSize = ByteSize(64 * bytesize::MIB);

/// Local scratch, where files are completed and verified before anything is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolConfig {
    /// The directory; it is made when it is missing. Default: `profound-export` in the system's temporary directory.
    #[schemars(extend("examples" = ["/var/tmp/profound-export"]))]
    pub dir: Option<PathBuf>,
    /// Most bytes it may hold; extraction waits when it is full. At least 64MiB. Default: 8GiB.
    #[schemars(extend("examples" = ["8GiB"]))]
    pub max_bytes: ByteSize,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self { dir: None, max_bytes: ByteSize(8 * bytesize::GIB) }
    }
}

impl SpoolConfig {
    /// The directory, or its default.
    pub fn directory(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| std::env::temp_dir().join("profound-export"))
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        if self.dir.as_ref().is_some_and(|dir| dir.as_os_str().is_empty()) {
            problems.error("spool.dir", "the path is empty", "write the path of a directory, or leave the setting out");
        }
        if self.max_bytes < LEAST_BYTES {
            let what = format!("`{}` is too little to complete files in", self.max_bytes);
            problems.error("spool.max_bytes", what, format!("write at least `{LEAST_BYTES}`"));
        }
    }
}
