//! Records of a ledger, one a line, numbered from one; their replay, and its checkpoint.

use tokio::runtime::Builder;

use super::{FuzzOutcome, FuzzTarget, kind_of};
use profound_export::ledger::{Entry, Record, State};

pub const TARGET: FuzzTarget =
    FuzzTarget { name: "records", seeds: Vec::new, try_one, bytes: 4 << 20, bytes_per_byte: 128 };

/// Memory bound of a day in a record: four times its 72 bytes, since a growing vector is copied.
const BYTES_A_DAY: usize = 4 * 72;

fn try_one(input: &[u8]) -> FuzzOutcome {
    let (mut state, mut days, mut kinds) = (State::default(), 0, Vec::new());
    for (line, number) in input.split(|byte| *byte == b'\n').zip(1..) {
        match Record::parse(line, number, "a path") {
            Ok(record) => {
                assert_eq!(record.number, number);
                let repeated = serde_json::to_vec(&record).expect("a record");
                assert_eq!(Record::parse(&repeated, number, "a path").expect("the same record"), record);
                days += days_named(&record);
                // A record may have any days; a thousand years of them take seconds, so they are skipped.
                if 100_000 < days {
                    return FuzzOutcome { named_bytes: isize::MAX as usize, ..FuzzOutcome::new("long") };
                }
                state.apply(&record);
                kinds.push(format!("{:?}", record.entries.last().map(std::mem::discriminant)));
            }
            Err(error) => {
                kinds.push(kind_of(&std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string)));
                break;
            }
        }
    }
    // The costly part: one of eight.
    if input.len().is_multiple_of(8) {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let checkpoint = runtime.block_on(state.to_checkpoint()).expect("a checkpoint");
        assert!(State::from_checkpoint(checkpoint).expect("its own checkpoint") == state, "the checkpoint differs");
    }
    kinds.truncate(6);
    FuzzOutcome { named_bytes: days * BYTES_A_DAY, ..FuzzOutcome::new(kinds) }
}

/// Days in the windows of a record, which it does not list one by one.
fn days_named(record: &Record) -> usize {
    let days = record.entries.iter().map(|entry| match entry {
        Entry::Suspect { window: Some(window), .. } => window.len_days(),
        _ => 0,
    });
    usize::try_from(days.sum::<i64>()).unwrap_or(usize::MAX)
}
