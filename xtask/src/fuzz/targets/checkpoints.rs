//! Checkpoints of a ledger, damaged.

use std::sync::LazyLock;

use bytes::Bytes;

use super::{Outcome, Target, kind_of};
use crate::fuzz::corpus;
use profound_export::ledger::State;

pub const TARGET: Target = Target {
    name: "checkpoints",
    seeds: Vec::new,
    words: &[
        "PAR1",
        "profound_export.state",
        "\"scopes\":[",
        "\"scope\":0",
        "\"scope\":9",
        "\"format\":1",
        "\"number\":",
    ],
    try_one,
    bytes: 1 << 20,
    bytes_a_byte: 16,
};

fn try_one(bytes: &[u8]) -> Outcome {
    // What was written stands in the name: here the record, for whatever the input was made of.
    static WRITTEN: LazyLock<String> =
        LazyLock::new(|| State::checkpoint_name(48, &corpus::file("xtask/corpus/checkpoints/run.parquet")));
    match State::from_named_checkpoint(&WRITTEN, Bytes::copy_from_slice(bytes)) {
        Ok(state) => {
            assert_eq!(*WRITTEN, State::checkpoint_name(48, bytes), "what is damaged is believed");
            assert_eq!(state.number, 48);
            Outcome::of("whole")
        }
        Err(error) => Outcome::of((kind_of(&error), bytes.len() / 1024)),
    }
}
