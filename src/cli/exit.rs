//! Exit codes, the same for `run` and `serve`. They follow `sysexits.h` where it has a meaning for them.

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
