//! What is wrong with a lake, one file at a time.

use serde::Serialize;

use crate::model::day::Day;
use crate::model::scope::Scope;

/// What is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub kind: FindingKind,
    pub stream: String,
    /// Whose rows the file should hold; none where nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Of which day, or first day of a month; none for lists, and where nobody knows.
    pub day: Option<Day>,
    /// The file, from the root of the lake.
    pub path: String,
    pub problem: String,
    /// What mends it.
    pub remedy: FindingRemedy,
}

/// What is wrong, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The ledger names the file, and it is not there.
    Missing,
    /// It is longer or shorter than it was written.
    WrongSize,
    /// It cannot be read, or holds other rows than it was written with.
    Damaged,
    /// It says of itself that it is another file.
    Misplaced,
    /// The same day lies at another path, where another layout would have it.
    Duplicate,
    /// It was forgotten and still lies there.
    Forgotten,
    /// No record names the file.
    Foreign,
    /// It is of another account than this lake.
    OtherAccount,
    /// A run that has not ended may be writing it at this moment, or was killed while it did.
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
            Self::Foreign => "foreign",
            Self::OtherAccount => "another account's",
            Self::Unsettled => "unsettled",
        }
    }

    /// Whether something is wrong that does not settle by itself.
    pub fn is_wrong(self) -> bool {
        self != Self::Unsettled
    }

    /// Whether the file that the ledger names is not what it should be.
    pub fn is_of_a_known_file(self) -> bool {
        matches!(self, Self::Missing | Self::WrongSize | Self::Damaged | Self::Misplaced)
    }
}

/// What mends a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingRemedy {
    /// The day is stale, so that the next run whose job wants it reads and writes it again.
    Rewrite,
    /// A snapshot of a day that is over cannot be taken again, nor a stream read that this version does not know.
    Restore,
    /// `forget` once more: it was killed, or a run wrote the file at the same time.
    Forget,
    /// A person must look: the exporter never deletes what it does not know.
    Look,
    /// Nothing: the run that writes it records it, or the next one reads it again.
    Wait,
}
