//! How a run ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a run ended. Sorted from the mildest to the most serious: what a person must repair comes after what the next run
/// repairs, so that the outcome of several runs is their maximum.
///
/// The names in the ledger, logs, metrics and JSON are those of the one serde attribute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything that was due is exported.
    #[default]
    Complete,
    /// The deadline, the rate limit or a signal ended the run first; the next run resumes it.
    Incomplete,
    /// Some slices failed or are suspect; everything else is exported.
    Failed,
    /// The API or the destination could not be used.
    Unavailable,
    /// The configuration is wrong, or does not fit the lake.
    ConfigMismatch,
    /// The API rejected the key. Restarting does not help.
    KeyRejected,
}

impl Outcome {
    pub const ALL: [Self; 6] =
        [Self::Complete, Self::Incomplete, Self::Failed, Self::Unavailable, Self::ConfigMismatch, Self::KeyRejected];

    /// The exit code, the same for all commands. Codes follow `sysexits.h` where it has a meaning for them: 69 is
    /// `EX_UNAVAILABLE`, 75 `EX_TEMPFAIL`, 77 `EX_NOPERM`, 78 `EX_CONFIG`.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Failed => 1,
            Self::Unavailable => 69,
            Self::Incomplete => 75,
            Self::KeyRejected => 77,
            Self::ConfigMismatch => 78,
        }
    }

    /// Whether a person should look. Not after an incomplete run: the next one resumes it.
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::Complete | Self::Incomplete)
    }

    /// Whether every further run ends the same until a person replaces the key or fixes the configuration.
    pub fn is_permanent(self) -> bool {
        matches!(self, Self::ConfigMismatch | Self::KeyRejected)
    }

    /// How a run ended, as the verb of a sentence whose subject is the run.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Complete => "is complete",
            Self::Incomplete => "is incomplete",
            Self::Failed => "failed",
            Self::Unavailable => "could not reach the API or the destination",
            Self::ConfigMismatch => "does not match its configuration or its lake",
            Self::KeyRejected => "was rejected with its key",
        }
    }

    /// The name with spaces, for people: `key rejected`.
    pub fn label(self) -> String {
        self.to_string().replace('_', " ")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A formatter is a serializer of unit variants: the stored name has one source.
        self.serialize(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_exit_codes_of_outcomes_do_not_change() {
        let all = Outcome::ALL.map(|outcome| format!("{outcome} {}", outcome.exit_code()));
        let expected =
            ["complete 0", "incomplete 75", "failed 1", "unavailable 69", "config_mismatch 78", "key_rejected 77"];
        assert_eq!(all, expected);
        assert!(Outcome::ALL.is_sorted());
    }
}
