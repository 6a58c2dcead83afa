//! Exit codes of commands: those of outcomes, and clap's own.

use crate::model::outcome::Outcome;

pub const COMPLETE: u8 = Outcome::Complete.exit_code();
pub const FAILED: u8 = Outcome::Failed.exit_code();
/// The command line is wrong (clap's own code).
pub const USAGE: u8 = 2;
pub const UNAVAILABLE: u8 = Outcome::Unavailable.exit_code();
pub const CONFIGURATION: u8 = Outcome::ConfigMismatch.exit_code();
