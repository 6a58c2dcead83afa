//! What is done when a piece of a slice could not be read: half of it, another way, another stream, or nothing.

use std::sync::Arc;

use crate::api::{ApiError, RequestFacts, Transport};
use crate::model::slice::Slice;
use crate::model::stream::{Fallback, WindowEnd};
use crate::run::context::RunContext;
use crate::run::disposition::{Disposition, FailureScope, Retry};
use crate::run::error::RunError;
use crate::run::read::Piece;

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
    let Disposition { scope, retry, .. } = error.disposition();
    match retry {
        _ if scope == FailureScope::Run => Remedy::Stop(piece.slice),
        _ if scope == FailureScope::Stream => Remedy::Later(piece.slice),
        Retry::OnceEntitled => Remedy::NotEntitled(piece.slice),
        Retry::Fallback => fall_back(cx, piece),
        Retry::Smaller => {
            let most =
                if matches!(error, RunError::Api(ApiError::ServerError { .. })) { MOST_BUSY } else { MOST_DAMAGED };
            if damaged_in_a_row > most { Remedy::Suspect(piece.slice) } else { mend(piece) }
        }
        Retry::Once if !piece.again => Remedy::Again {
            pieces: vec![Piece { again: true, fetched: None, ..piece }],
            words: "reading it again".into(),
        },
        Retry::Pages => Remedy::Again {
            pieces: vec![Piece { transport: Transport::Pages, events_lack: true, fetched: None, ..piece }],
            words: "asking page by page".into(),
        },
        Retry::Once | Retry::NextRun => Remedy::Suspect(piece.slice),
        Retry::Never => Remedy::Fail(piece.slice),
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
fn mend(piece: Piece) -> Remedy {
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
