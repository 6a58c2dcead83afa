//! The findings of `verify` and `ledger rebuild`, listed and counted alike.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::table::{fitted, terminal_width};
use crate::maintain::{Finding, FindingKind, FindingRemedy};
use crate::model::format::format_number;

/// Further findings are counted but not listed.
const MAX_LISTED: usize = 10_000;

/// The findings to list.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub struct ListedFindings(Vec<Finding>);

impl ListedFindings {
    pub fn add(&mut self, finding: Finding) {
        if self.0.len() < MAX_LISTED {
            self.0.push(finding);
        }
    }

    /// Whether one of them has this remedy.
    pub fn need(&self, remedy: FindingRemedy) -> bool {
        self.0.iter().any(|finding| finding.remedy == remedy)
    }

    pub fn table(&self) -> String {
        let row =
            |finding: &Finding| vec![finding.kind.name().to_owned(), finding.path.clone(), finding.problem.clone()];
        fitted(&["what", "file", "problem"], self.0.iter().map(row).collect(), terminal_width())
    }
}

/// `2 missing, 1 damaged`.
pub fn counted(findings: &BTreeMap<FindingKind, u64>) -> String {
    let counts = findings.iter().map(|(kind, count)| format!("{} {}", format_number(*count), kind.name()));
    counts.collect::<Vec<_>>().join(", ")
}
