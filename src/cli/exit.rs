//! Exit codes, the same for `run` and `serve`. They follow `sysexits.h` where it has a meaning for them.

use crate::run::Outcome;

/// Everything that was due is there.
pub const COMPLETE: u8 = 0;
/// Some slices failed; everything else is there.
pub const FAILED: u8 = 1;
/// The command line is wrong (clap's own).
pub const USAGE: u8 = 2;
/// The API or the destination could not be used.
pub const UNAVAILABLE: u8 = 69;
/// Incomplete: run again to continue.
pub const INCOMPLETE: u8 = 75;
/// The API rejected the key. Restarting does not help.
pub const KEY_REJECTED: u8 = 77;
/// The configuration is wrong, or does not fit the lake.
pub const CONFIGURATION: u8 = 78;

/// The code of an outcome.
pub fn of(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Complete => COMPLETE,
        Outcome::Failed => FAILED,
        Outcome::Incomplete => INCOMPLETE,
        Outcome::KeyRejected => KEY_REJECTED,
        Outcome::Unavailable => UNAVAILABLE,
        Outcome::Refused => CONFIGURATION,
    }
}

/// The code of the outcome called `name`; that of a failure where a newer version recorded one that this does not know.
pub fn of_name(name: &str) -> u8 {
    Outcome::ALL.into_iter().find(|outcome| outcome.name() == name).map_or(FAILED, of)
}
