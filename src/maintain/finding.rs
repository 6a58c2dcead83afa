//! What is wrong with the files of a lake.

use object_store::path::Path;
use serde::Serialize;

use crate::model::day::Day;
use crate::model::scope::Scope;

/// A problem of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub kind: FindingKind,
    /// The table.
    pub stream: String,
    /// `None` if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// The day, or the first of the month; `None` for lists, and if unknown.
    pub day: Option<Day>,
    /// From the root of the lake; that of a file of a table with the URL of the tables.
    pub path: String,
    pub problem: String,
    pub remedy: FindingRemedy,
}

/// A scope and a day of a table; `None` if unknown.
pub type ScopeDay<'a> = Option<(&'a Scope, Option<Day>)>;

impl Finding {
    /// `can_rewrite`: whether a run can write the file again.
    pub fn new(
        stream: &str,
        path: &Path,
        of: ScopeDay<'_>,
        (kind, problem): (FindingKind, String),
        can_rewrite: bool,
    ) -> Self {
        Self {
            kind,
            stream: stream.to_owned(),
            scope: of.map(|(scope, _)| scope.clone()),
            day: of.and_then(|(_, day)| day),
            path: path.to_string(),
            problem,
            remedy: kind.remedy(can_rewrite),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The ledger names the file, and it does not exist.
    Missing,
    /// Its length differs from the recorded one.
    WrongSize,
    /// It cannot be read, or its rows differ from the recorded ones.
    Damaged,
    /// Its footer names another table, scope or day, or it has no footer of this program.
    Misplaced,
    /// The path of the same day in another layout.
    Duplicate,
    /// `forget` removed it, and it still exists.
    Forgotten,
    /// No record names the file.
    Unmanaged,
    /// A file of another account.
    OtherAccount,
    /// A table of `[tables]` has other days than the ledger.
    Outdated,
    /// A run in progress may be writing the file, or was killed while writing it.
    Unsettled,
}

impl FindingKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::WrongSize => "wrong size",
            Self::Damaged => "damaged",
            Self::Misplaced => "misplaced",
            Self::Duplicate => "duplicate",
            Self::Forgotten => "forgotten",
            Self::Unmanaged => "unmanaged",
            Self::OtherAccount => "another account's",
            Self::Outdated => "outdated",
            Self::Unsettled => "unsettled",
        }
    }

    /// Whether the file stays wrong without a remedy.
    pub fn is_wrong(self) -> bool {
        self != Self::Unsettled
    }

    /// Whether the ledger names the file and the file is not as recorded.
    pub fn is_of_recorded_file(self) -> bool {
        matches!(self, Self::Missing | Self::WrongSize | Self::Damaged | Self::Misplaced)
    }

    fn remedy(self, can_rewrite: bool) -> FindingRemedy {
        match self {
            _ if self.is_of_recorded_file() && can_rewrite => FindingRemedy::Rewrite,
            _ if self.is_of_recorded_file() => FindingRemedy::Restore,
            Self::Forgotten => FindingRemedy::Forget,
            Self::Outdated => FindingRemedy::Rebuild,
            Self::Unsettled => FindingRemedy::Wait,
            _ => FindingRemedy::Look,
        }
    }

    /// The message for a file that is forgotten and still exists.
    pub fn forgotten() -> (Self, String) {
        (Self::Forgotten, "it is forgotten and still exists".to_owned())
    }

    /// The message for a file that a record names and that does not exist.
    pub fn missing() -> (Self, String) {
        (Self::Missing, "a record names it, and it does not exist".to_owned())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingRemedy {
    /// The day is stale: the next run whose job includes it extracts and writes it.
    Rewrite,
    /// Restore it from a backup: no run can take the snapshot of a past day, nor extract a stream that this version does not know.
    Restore,
    /// Repeat `forget`: it was killed, or a run wrote the file at the same time.
    Forget,
    /// `tables rebuild` writes the table once more from the files of the lake.
    Rebuild,
    /// A person must check: the exporter never deletes a file that it does not manage.
    Look,
    /// None needed: the run records the file, or the next run extracts the day again.
    Wait,
}
