//! One piece of a slice, from its request to verified files in the spool.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::api::{Asked, RequestFacts, Transport, Variables};
use crate::decode::Decoder;
use crate::model::block::{Block, Positions};
use crate::model::slice::Slice;
use crate::model::stream::{Pagination, WindowEnd};
use crate::model::told::Told;
use crate::run::context::{RunContext, fallback_name, pages_name, window_end_name, without_name};
use crate::run::discover::Fetched;
use crate::run::error::RunError;
use crate::run::extract::extract;
use crate::run::work::decode_and_write;
use crate::write::{Provenance, SliceWriter, WholeSlice, Written};

/// Blocks on their way from extraction to decoding: enough to keep both busy, few enough to bound memory.
const IN_FLIGHT: usize = 2;
/// Requests a day of window that pages may cost where an event stream broke.
const MOST_PAGES_A_DAY: u64 = 20;

/// A part of a planned slice, and how it is asked for.
pub struct Piece {
    pub slice: Slice,
    pub transport: Transport,
    pub facts: RequestFacts,
    /// The stream that the account refused, for which this one stands in.
    pub stands_in_for: Option<String>,
    /// Whether the same request was made before.
    pub again: bool,
    /// Whether its event stream lacked columns, so that pages are asked from now on.
    pub events_lack: bool,
    pub fetched: Option<Fetched>,
}

/// A slice that was read, and what was learned on the way.
pub struct Reading {
    pub whole: WholeSlice,
    pub learned: Vec<(String, String)>,
    pub extracted_at: jiff::Timestamp,
}

/// Reads a piece whole. Where a family's reading of `end_date` is not known yet and the last day is doubtful, the day
/// after is asked too, because the sources disagree about it.
pub async fn read(cx: &RunContext<'_>, piece: &mut Piece, spent: &AtomicU64) -> Result<Reading, RunError> {
    let extracted_at = cx.now();
    let (written, told) = transfer(cx, piece, &piece.facts.clone(), spent, extracted_at).await?;
    let mut learned = Vec::new();
    let stream = Arc::clone(&piece.slice.stream);
    let documented = stream.days.as_ref().map(|days| days.end);
    let (mut written, mut told) = (written, told);
    if let (Some(WindowEnd::Inclusive), None, Some(window)) = (documented, piece.facts.window_end, piece.slice.window) {
        if written.days_seen().contains(&window.last()) {
            learned.push((window_end_name(&stream), "inclusive".to_owned()));
        } else {
            let facts = RequestFacts { window_end: Some(WindowEnd::Exclusive), ..piece.facts.clone() };
            let (again, again_told) = transfer(cx, piece, &facts, spent, extracted_at).await?;
            if again.days_seen().contains(&window.last()) {
                learned.push((window_end_name(&stream), "exclusive".to_owned()));
                (written, told) = (again, again_told);
            }
        }
    }
    let standing = cx.standing(&piece.slice).await;
    let what = piece.slice.to_string();
    let total = stream.total;
    let verified = tokio::task::spawn_blocking(move || written.verified_against(told, total, &standing)).await;
    let verified = verified.map_err(|_| RunError::Worker { what: what.clone() })??;
    let whole = verified.map_err(|doubt| RunError::Doubt { what, doubt })?;
    for member in &piece.facts.without {
        learned.push((without_name(&stream), member.clone()));
    }
    if piece.events_lack {
        learned.push((pages_name(&stream), "events lack columns".to_owned()));
    }
    if let Some(refused) = &piece.stands_in_for {
        learned.push((fallback_name(refused), stream.name.clone()));
    }
    Ok(Reading { whole, learned, extracted_at })
}

/// Carries the rows of one request, or one walk of pages, to files in the spool.
async fn transfer(
    cx: &RunContext<'_>,
    piece: &mut Piece,
    facts: &RequestFacts,
    spent: &AtomicU64,
    extracted_at: jiff::Timestamp,
) -> Result<(Written, Told), RunError> {
    let slice = &piece.slice;
    let stream = &slice.stream;
    let schema = cx.schema(stream);
    let provenance = Provenance { run_id: cx.run_id, extracted_at, scope: slice.scope.clone(), window: slice.window };
    let paged = piece.transport == Transport::Pages;
    let compression = cx.settings.destinations.compression;
    let writer = SliceWriter::new(slice, &schema.arrow, provenance, compression, paged, cx.spool.begin()?);
    let asked_names = stream.positional_names().map(|(dimensions, metrics)| {
        let without = |names: Vec<String>, list: &str| {
            names.into_iter().filter(|name| !facts.without.contains(&format!("{list}.{name}"))).collect()
        };
        Positions { dimensions: without(dimensions, "dimensions"), metrics: without(metrics, "metrics") }
    });
    let (sender, receiver) = mpsc::channel(IN_FLIGHT);
    let decoder = Decoder::new(schema);
    // A thread of its own for each slice in flight, of which there are as many as `api.concurrency`.
    let working = tokio::task::spawn_blocking(move || decode_and_write(receiver, decoder, writer, asked_names));
    let fetched = piece.fetched.take();
    let extracting = async {
        match fetched {
            Some(fetched) => {
                spent.fetch_add(fetched.requests, Ordering::Relaxed);
                replay(fetched, sender).await
            }
            None => {
                let most_pages = most_pages(cx, slice, piece.transport);
                let asked = Asked { slice, transport: piece.transport, facts, variables: &Variables::new() };
                extract(&asked, &cx.settings.client, sender, most_pages, spent).await
            }
        }
    };
    // When writing fails its channel closes, which ends extracting: the writer's error is the cause, so it comes first.
    let (told, worked) = tokio::join!(extracting, working);
    let worked = worked.map_err(|_| RunError::Worker { what: slice.to_string() })??;
    let told = told?;
    cx.tell_drift(&stream.name, &worked.drift);
    if !worked.absent.is_empty() && piece.transport == Transport::Events {
        return Err(RunError::Absent { what: slice.to_string(), columns: worked.absent });
    }
    Ok((worked.written, told))
}

async fn replay(fetched: Fetched, blocks: mpsc::Sender<Block>) -> Result<Told, RunError> {
    for block in fetched.blocks {
        if blocks.send(block).await.is_err() {
            break;
        }
    }
    Ok(fetched.told)
}

/// The most pages that are worth it: none are too many where pages are the only way.
fn most_pages(cx: &RunContext<'_>, slice: &Slice, transport: Transport) -> Option<u64> {
    let chosen = !cx.settings.event_streams && matches!(slice.stream.pagination, Pagination::Offset { .. });
    let only_way = slice.stream.event_stream.is_none();
    if transport == Transport::Events || only_way || chosen {
        return None;
    }
    let days = slice.window.map_or(1, |window| window.len_days().unsigned_abs());
    Some(MOST_PAGES_A_DAY * days)
}
