//! Checkpoints of a ledger, damaged.

use std::sync::LazyLock;

use bytes::Bytes;

use super::{FuzzOutcome, FuzzTarget, kind_of};
use crate::fuzz::corpus;
use profound_export::ledger::State;

pub const TARGET: FuzzTarget =
    FuzzTarget { name: "checkpoints", seeds: Vec::new, try_one, bytes: 1 << 20, bytes_per_byte: 16 };

fn try_one(bytes: &[u8]) -> FuzzOutcome {
    // The name of a checkpoint contains a hash of its content; here, it is that of the record.
    static WRITTEN: LazyLock<String> =
        LazyLock::new(|| State::checkpoint_name(48, &corpus::file("xtask/corpus/checkpoints/run.parquet")));
    match State::from_named_checkpoint(&WRITTEN, Bytes::copy_from_slice(bytes)) {
        Ok(state) => {
            assert_eq!(*WRITTEN, State::checkpoint_name(48, bytes), "a damaged checkpoint is accepted");
            assert_eq!(state.number, 48);
            FuzzOutcome::new("whole")
        }
        Err(error) => FuzzOutcome::new((kind_of(&error), bytes.len() / 1024)),
    }
}
