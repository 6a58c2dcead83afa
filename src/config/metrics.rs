//! `[metrics]`: metrics as a file.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::Problems;

/// Metrics as a file, for what ends before anybody could ask for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// A file for node_exporter's textfile collector, written whole after every run; what was counted goes on from what
    /// it says. Its directory must be there, and its name must end in `.prom`. Default: none.
    #[schemars(extend("examples" = ["/var/lib/node_exporter/textfile/profound_export.prom"]))]
    pub textfile: Option<PathBuf>,
}

impl MetricsConfig {
    pub(super) fn check(&self, problems: &mut Problems) {
        let Some(textfile) = &self.textfile else {
            return;
        };
        if textfile.file_name().is_none() {
            let instead = "write the path of a file whose name ends in `.prom`, or leave the setting out";
            problems.error("metrics.textfile", "this is not the path of a file", instead);
        } else if textfile.extension().is_none_or(|ending| ending != "prom") {
            let what =
                format!("`{}` does not end in `.prom`, and the collector reads no other files", textfile.display());
            problems.warn("metrics.textfile", what, "write a name such as `profound_export.prom`");
        }
    }
}
