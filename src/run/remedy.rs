//! What is done when a piece of a slice could not be read: half of it, another way, another stream, or nothing.

use std::sync::Arc;

use crate::api::{ApiError, RequestFacts, Transport};
use crate::model::slice::Slice;
use crate::model::stream::{Fallback, WindowEnd};
use crate::run::context::RunContext;
use crate::run::error::RunError;
use crate::run::read::Piece;
use crate::write::Doubt;

/// Damaged answers in a row before the rest of a slice is left for the next run: a month is halved down to a day, which
/// is asked again and then page by page.
const MOST_DAMAGED: u32 = 8;
/// The same where the server said that it cannot answer: each of those was asked several times already. Whole and half
/// and a quarter tell a window that is too long from an endpoint that is dead.
const MOST_BUSY: u32 = 2;

/// What is done about an error.
pub enum Remedy {
    /// Ask again, in another way; the last piece comes first.
    Again { pieces: Vec<Piece>, words: String },
    /// The account may not read it.
    NotEntitled(Slice),
    /// What stood stands; the next run tries again.
    Suspect(Slice),
    /// The API asked to come back later than this run may.
    Later(Slice),
    /// Asking again would not help.
    Fail(Slice),
    /// Nothing more can be asked in this run.
    Stop(Slice),
}

pub fn remedy(cx: &RunContext<'_>, piece: Piece, error: &RunError, damaged_in_a_row: u32) -> Remedy {
    match error {
        error if error.is_fatal() || error.is_spool_out_of_reach() => Remedy::Stop(piece.slice),
        RunError::Api(ApiError::Unreachable { .. } | ApiError::Untrusted { .. }) | RunError::Destination(_) => {
            Remedy::Stop(piece.slice)
        }
        RunError::Api(ApiError::NotEntitled { .. }) => Remedy::NotEntitled(piece.slice),
        RunError::Api(ApiError::RateLimited { .. } | ApiError::RetryAfterDeadline { .. }) => Remedy::Later(piece.slice),
        RunError::Api(ApiError::RequestRejected { status: 422, .. }) => fall_back(cx, piece),
        RunError::Api(ApiError::ServerError { .. }) if MOST_BUSY < damaged_in_a_row => Remedy::Suspect(piece.slice),
        error if is_damage(error, piece.transport) => mend(piece, damaged_in_a_row),
        RunError::Doubt { .. } if !piece.again => Remedy::Again {
            pieces: vec![Piece { again: true, fetched: None, ..piece }],
            words: "reading it again".into(),
        },
        // The document's examples show named rows with fewer values than were asked for; positional rows hold them all.
        RunError::Absent { .. } => Remedy::Again {
            pieces: vec![Piece { transport: Transport::Pages, events_lack: true, fetched: None, ..piece }],
            words: "asking page by page".into(),
        },
        RunError::Doubt { .. } | RunError::TooManyPages { .. } => Remedy::Suspect(piece.slice),
        _ => Remedy::Fail(piece.slice),
    }
}

/// Whether an answer was hurt on its way. An event stream may be cut without a sign, and a shorter one may not.
pub fn is_damage(error: &RunError, transport: Transport) -> bool {
    match error {
        RunError::Doubt { doubt: Doubt::Total { rows, total }, .. } => transport == Transport::Events && rows < total,
        error => error.is_damage(),
    }
}

/// What is tried once when the API refuses the request itself.
fn fall_back(cx: &RunContext<'_>, piece: Piece) -> Remedy {
    let undocumented = piece.slice.stream.days.as_ref().is_some_and(|days| days.end == WindowEnd::Undocumented);
    if undocumented && piece.facts.window_end.is_none() {
        let facts = RequestFacts { window_end: Some(WindowEnd::Exclusive), ..piece.facts.clone() };
        let words = "asking with the day after as the end".to_owned();
        return Remedy::Again { pieces: vec![Piece { facts, again: true, fetched: None, ..piece }], words };
    }
    match &piece.slice.stream.on_422 {
        Some(Fallback::Without(member)) if !piece.facts.without.contains(member) => {
            let words = format!("asking without `{member}`");
            let mut facts = piece.facts.clone();
            facts.without.insert(member.clone());
            Remedy::Again { pieces: vec![Piece { facts, fetched: None, ..piece }], words }
        }
        Some(Fallback::Stream(name)) => match cx.settings.catalog.get(name) {
            Some(stream) => {
                let words = format!("asking `{name}` instead");
                let refused = Some(piece.slice.stream.name.clone());
                let slice = Slice { stream: Arc::clone(stream), ..piece.slice };
                let facts = cx.facts(stream);
                Remedy::Again {
                    pieces: vec![Piece { slice, facts, stands_in_for: refused, fetched: None, ..piece }],
                    words,
                }
            }
            None => Remedy::Fail(piece.slice),
        },
        _ => Remedy::Fail(piece.slice),
    }
}

/// What is tried when an answer broke: half the window, the same once more, pages in place of events.
fn mend(piece: Piece, damaged_in_a_row: u32) -> Remedy {
    if MOST_DAMAGED < damaged_in_a_row {
        return Remedy::Suspect(piece.slice);
    }
    if let Some(halves) = piece.halves() {
        return Remedy::Again { pieces: halves.into(), words: "asking half the window".into() };
    }
    if !piece.again {
        return Remedy::Again {
            pieces: vec![Piece { again: true, fetched: None, ..piece }],
            words: "asking again".into(),
        };
    }
    match piece.transport {
        Transport::Events => {
            let pages = Piece { transport: Transport::Pages, again: false, fetched: None, ..piece };
            Remedy::Again { pieces: vec![pages], words: "asking page by page".into() }
        }
        Transport::Pages => Remedy::Suspect(piece.slice),
    }
}
