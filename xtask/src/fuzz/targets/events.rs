//! Server-sent events.

use super::cutting::{assert_same, events, pieces};
use super::{FuzzOutcome, FuzzTarget, kind_of};
use crate::fuzz::corpus;
use profound_export::model::block::Block;

pub const TARGET: FuzzTarget = FuzzTarget {
    name: "events",
    seeds: || corpus::examples(".sse").into_iter().map(|(_, body)| body).collect(),
    try_one,
    bytes: 2 << 20,
    bytes_per_byte: 16,
};

fn try_one(body: &[u8]) -> FuzzOutcome {
    let whole = events(std::iter::once(body));
    assert_same(&whole, &events(pieces(body)));
    match whole {
        Err(error) => FuzzOutcome::new(kind_of(&error)),
        Ok((blocks, envelope)) => {
            let mut rows = 0;
            for block in &blocks {
                if let Block::Rows { json, rows: cut } = block {
                    rows += cut;
                    if let Ok(parsed) = serde_json::from_slice::<Vec<serde_json::Value>>(json) {
                        // An event with `{},{}` has two rows in the place of one: its decoder counts.
                        assert!(*cut <= parsed.len(), "rows were lost");
                    }
                }
            }
            FuzzOutcome::new((
                rows.min(12),
                blocks.len().min(4),
                envelope.total().is_some(),
                envelope.positions().is_some(),
            ))
        }
    }
}
