//! The nouns: plain values that every layer speaks of. No input or output happens here.

pub mod block;
pub mod compact_timestamp;
pub mod content_hash;
pub mod cost;
pub mod counters;
pub mod coverage;
pub mod day_states;
pub mod day_status;
pub mod disk_trouble;
pub mod event;
pub mod forgotten;
pub mod format;
pub mod outcome;
pub mod periods;
pub mod proof;
pub mod response_totals;
pub mod slice;

pub use catalog::model::{column, day, days, history, pagination, relation, request_line, scope, stream, window};

/// The directory of a lake that holds ledger, staging and coverage table. Engines skip directories whose name begins with an underscore.
pub const OWN_DIRECTORY: &str = "_profound_export";
