//! Lists and pages. The first line of an input says where the rows are.

use serde_json::Value;

use super::cutting::{assert_same, list, pieces, split_line};
use super::{FuzzOutcome, FuzzTarget, kind_of};
use crate::fuzz::corpus;
use profound_export::api::FramingError;
use profound_export::model::block::Block;
use profound_export::model::stream::RowsAt;

pub const TARGET: FuzzTarget = FuzzTarget {
    name: "lists",
    seeds: || {
        let examples = corpus::examples(".json").into_iter();
        examples.map(|(_, body)| [b"data\n".as_slice(), &body].concat()).collect()
    },
    try_one,
    bytes: 2 << 20,
    bytes_per_byte: 32,
};

fn try_one(input: &[u8]) -> FuzzOutcome {
    let (place, body) = split_line(input);
    let at = match place {
        b"body" => RowsAt::Body,
        b"texts" => RowsAt::Texts { column: "text".into() },
        b"members" => RowsAt::Members { names: vec!["platform".into(), "prompt".into()], column: "part".into() },
        _ => RowsAt::Data,
    };
    let whole = list(&at, std::iter::once(body));
    assert_same(&whole, &list(&at, pieces(body)));
    let json = serde_json::from_slice::<Value>(body);
    match whole {
        Err(error) => {
            // JSON is rejected only for its depth, for a lack of rows, or for an error in their place.
            use FramingError as E;
            let may_be = matches!(error, E::TooDeep | E::NoRows(_) | E::NotJson(_) | E::Reported(_));
            assert!(may_be || json.is_err(), "JSON is rejected: {error}");
            if let (RowsAt::Data, Ok(Value::Array(_)), FramingError::NotJson(_)) = (&at, &json, &error) {
                panic!("a list is rejected: {error}");
            }
            FuzzOutcome::new((place.len(), kind_of(&error)))
        }
        Ok((blocks, envelope)) => {
            let mut rows = Vec::new();
            let mut sound = true;
            for block in &blocks {
                if let Block::Rows { json, rows: cut } = block {
                    match serde_json::from_slice::<Vec<Value>>(json) {
                        Ok(parsed) => {
                            assert_eq!(parsed.len(), *cut, "rows were lost");
                            rows.extend(parsed);
                        }
                        Err(_) => sound = false,
                    }
                }
            }
            // A body that is accepted here and by the row parser is valid JSON.
            assert!(!sound || json.is_ok(), "invalid JSON has rows: {:?}", json.err());
            assert!(sound || json.is_err(), "JSON has invalid rows");
            if let (RowsAt::Data, Ok(Value::Array(expected))) = (&at, &json) {
                assert!(rows == *expected, "other rows");
            }
            let kind = (place.len(), rows.len().min(12), sound, envelope.total().is_some(), blocks.len().min(4));
            FuzzOutcome::new((kind, envelope.next_cursor().is_some()))
        }
    }
}
