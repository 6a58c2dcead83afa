//! Rows cut from a body, however its bytes arrive.

use profound_export::api::{BlockBuilder, EventRows, FramingError, JsonRows, ResponseEnvelope};
use profound_export::model::block::Block;
use profound_export::model::stream::RowsAt;
use xxhash_rust::xxh3::xxh3_64;

/// The rows of a body, or why it is rejected.
pub type Cut = Result<(Vec<Block>, ResponseEnvelope), FramingError>;

/// The rows of a list or a page.
pub fn list<'a>(at: &RowsAt, pieces: impl Iterator<Item = &'a [u8]>) -> Cut {
    let (mut rows, mut blocks) = (JsonRows::new(at.clone()), BlockBuilder::default());
    for piece in pieces {
        rows.push(piece, &mut blocks)?;
    }
    let envelope = rows.finish(&mut blocks)?;
    Ok((blocks.take_ready(), envelope))
}

/// The rows of an event stream.
pub fn events<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Cut {
    let (mut rows, mut blocks) = (EventRows::default(), BlockBuilder::default());
    for piece in pieces {
        rows.push(piece, &mut blocks)?;
    }
    let envelope = rows.finish(&mut blocks)?;
    Ok((blocks.take_ready(), envelope))
}

/// `body` in pieces, the same for the same body.
pub fn pieces(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rng = fastrand::Rng::with_seed(xxh3_64(body));
    let longest = [1, 3, 16, 200, 5000][rng.usize(..5)];
    let mut rest = body;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(rest.len().min(rng.usize(1..=longest)));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The first line of `input`, and what follows it.
pub fn split_line(input: &[u8]) -> (&[u8], &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    (&input[..end], &input[input.len().min(end + 1)..])
}

/// Cutting the response into pieces must not change its rows.
pub fn assert_same(whole: &Cut, pieces: &Cut) {
    match (whole, pieces) {
        (Ok(whole), Ok(pieces)) => assert!(whole == pieces, "pieces have other rows"),
        (Err(_), Err(_)) => {}
        (whole, pieces) => panic!("whole {:?}, in pieces {:?}", whole.as_ref().err(), pieces.as_ref().err()),
    }
}
