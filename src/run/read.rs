//! One piece of a slice, from its request to verified files in the spool.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};

use crate::api::{RequestFacts, SliceRequest, Transport, Variables};
use crate::decode::Decoder;
use crate::ledger::{Fact, LearnedFact, TableMeaning};
use crate::model::block::{Block, Positions};
use crate::model::history::history_of;
use crate::model::response_totals::ResponseTotals;
use crate::model::slice::Slice;
use crate::model::stream::{DaysKind, RowsAt, Stream, WindowEnd};
use crate::run::children::{Answers, Due};
use crate::run::context::RunContext;
use crate::run::discover::Fetched;
use crate::run::disposition::FailureScope;
use crate::run::error::RunError;
use crate::run::extract::extract;
use crate::run::work::decode_and_write;
use crate::write::{Doubt, Protection, Provenance, SliceDir, SliceWriter, WholeSlice, Written};

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

impl Piece {
    /// Its older and its newer half, asked in the same way; `None` where there are none.
    pub fn halves(&self) -> Option<[Self; 2]> {
        let (older, newer) = self.slice.halves()?;
        let half = |slice| Self {
            slice,
            transport: self.transport,
            facts: self.facts.clone(),
            stands_in_for: self.stands_in_for.clone(),
            again: false,
            events_lack: self.events_lack,
            fetched: None,
        };
        Some([half(older), half(newer)])
    }
}

/// A slice that was read, and what was learned on the way.
pub struct Reading {
    pub whole: WholeSlice,
    pub learned: Vec<LearnedFact>,
    pub extracted_at: jiff::Timestamp,
    /// What is missing although the rest is whole, in words.
    pub incomplete: Option<String>,
}

/// What one transfer brought.
struct Transfer {
    /// How `end_date` was known to be read when it was asked, if it was.
    window_end: Option<WindowEnd>,
    written: Written,
    told: ResponseTotals,
    incomplete: Option<String>,
}

/// Reads a piece whole. Where a family's reading of `end_date` is not known yet and the last day is doubtful, the day
/// after is asked too, because the sources disagree about it.
pub async fn read(cx: &RunContext<'_>, piece: &mut Piece, spent: &AtomicU64) -> Result<Reading, RunError> {
    let extracted_at = cx.now();
    let facts = piece.facts.clone();
    let mut got = transfer(cx, piece, &facts, spent, extracted_at, cx.spool.begin()?).await?;
    let mut learned = Vec::new();
    let mut learn = |fact: Fact, evidence: String| {
        learned.push(LearnedFact { fact, evidence, learned_at: extracted_at });
    };
    let stream = Arc::clone(&piece.slice.stream);
    let window_end = |end| Fact::WindowEnd { family: stream.family.clone(), end };
    let what = piece.slice.to_string();
    let expected = cx.expects_rows(&piece.slice).await;
    // What others learn meanwhile says nothing of what was asked before.
    if let (Some(days), Some(window), None) = (&stream.days, piece.slice.window, got.window_end) {
        let has_last = |got: &Transfer| got.written.days_seen().contains(&window.last());
        let has_any = |got: &Transfer| !got.written.days_seen().is_empty();
        // What proves that the end was read as asked, and whether its absence is reason to ask otherwise.
        let (proves, doubtful): (&dyn Fn(&Transfer) -> bool, bool) = match (days.kind, days.end) {
            (DaysKind::Dated, WindowEnd::Inclusive) => (&has_last, true),
            // A body that is a row by itself, and a request without days, prove nothing.
            (_, WindowEnd::Undocumented) if days.sent && stream.rows != RowsAt::Body => (&has_any, expected.is_some()),
            _ => (&|_| false, false),
        };
        if proves(&got) {
            learn(window_end(WindowEnd::Inclusive), format!("{what} had rows with its last day as `end_date`"));
        } else if doubtful {
            let facts = RequestFacts { window_end: Some(WindowEnd::Exclusive), ..facts };
            let again = transfer(cx, piece, &facts, spent, extracted_at, cx.spool.begin_beside()?).await?;
            if proves(&again) {
                let evidence = format!("{what} had rows of its last day only with the day after as `end_date`");
                learn(window_end(WindowEnd::Exclusive), evidence);
                got = again;
            }
        }
    }
    if let (Some(by), true) = (expected, got.written.days_seen().is_empty()) {
        let doubt = Doubt::Expected { stream: by };
        return Err(RunError::Unproven { slice: what, doubt, transport: piece.transport });
    }
    let Transfer { written, told, incomplete, .. } = got;
    let standing = cx.standing(&piece.slice).await;
    let total = stream.total;
    let verified = tokio::task::spawn_blocking(move || written.verified_against(told, total, &standing)).await;
    let verified = verified.map_err(|_| RunError::WorkerPanicked { slice: what.clone() })??;
    let whole =
        verified.map_err(|doubt| RunError::Unproven { slice: what.clone(), doubt, transport: piece.transport })?;
    if piece.facts.window_end == Some(WindowEnd::Exclusive) {
        learn(window_end(WindowEnd::Exclusive), format!("{what} was whole with the day after its last as `end_date`"));
    }
    for member in &piece.facts.without {
        let evidence = format!("HTTP 422 with `{member}` in the request, and {what} was whole without it");
        learn(Fact::RejectedMember { stream: stream.name.clone(), member: member.clone() }, evidence);
    }
    if piece.events_lack {
        let evidence = format!("the event stream of {what} had no value for a requested column, its pages had");
        learn(Fact::EventsIncomplete { stream: stream.name.clone() }, evidence);
    }
    if let Some(refused) = &piece.stands_in_for {
        let evidence = format!("HTTP 422 for `{refused}`, and {what} was whole");
        learn(Fact::Fallback { stream: refused.clone(), fallback: stream.name.clone() }, evidence);
    }
    Ok(Reading { whole, learned, extracted_at, incomplete })
}

/// Carries the rows of one request, or one walk of pages, to files in the spool.
async fn transfer(
    cx: &RunContext<'_>,
    piece: &mut Piece,
    facts: &RequestFacts,
    spent: &AtomicU64,
    extracted_at: jiff::Timestamp,
    dir: SliceDir,
) -> Result<Transfer, RunError> {
    let fetched = match piece.fetched.take() {
        Some(fetched) => Some(fetched),
        None if !piece.again => match cx.read_as_parent(&piece.slice).await {
            // Some of its own requests failed: those that did not are worth having.
            Err(error) if piece.slice.stream.is_fan_out() && error.disposition().scope < FailureScope::Run => None,
            read => read?,
        },
        None => None,
    };
    let children = match &fetched {
        Some(_) => None,
        None => cx.children(&piece.slice).await?,
    };
    let piece = &*piece;
    let slice = &piece.slice;
    // Reading the parents may have told how the family reads `end_date`.
    let window_end = match &fetched {
        Some(fetched) => fetched.window_end,
        None => facts.window_end.or(cx.facts(&slice.stream).window_end),
    };
    let facts = &RequestFacts { window_end, ..facts.clone() };
    let stream = &slice.stream;
    let schema = cx.schema(stream);
    let footer = footer(cx, stream);
    let provenance =
        Provenance { run_id: cx.run_id, extracted_at, scope: slice.scope.clone(), window: slice.window, footer };
    let paged = piece.transport == Transport::Pages;
    let compression = cx.settings.destinations.compression;
    let mut writer = SliceWriter::new(slice, &schema.arrow, provenance, compression, paged, dir);
    let mut due = match children {
        Some(children) => Some(cx.due(slice, children, writer.schema()).await?),
        None => None,
    };
    let kept = due.as_ref().map(Due::kept).unwrap_or_default();
    let kept_any = kept.iter().any(|batch| 0 < batch.num_rows());
    // Rows of requests that fail are taken over too, once it is known which these are.
    let (stand_in, standing_in) = oneshot::channel();
    let asked_names = stream.positional_names().map(|(dimensions, metrics)| {
        let without = |names: Vec<String>, list: &str| {
            names.into_iter().filter(|name| !facts.without.contains(&format!("{list}.{name}"))).collect()
        };
        Positions { dimensions: without(dimensions, "dimensions"), metrics: without(metrics, "metrics") }
    });
    let (sender, receiver) = mpsc::channel(IN_FLIGHT);
    let decoder = Decoder::new(schema).with_scope(&slice.scope);
    let protection = Protection::of(stream, cx.settings.salt.as_ref());
    // A thread of its own for each slice in flight, of which there are as many as `api.concurrency`.
    let working = tokio::task::spawn_blocking(move || {
        // Rows of the table as it stands are protected already.
        kept.iter().try_for_each(|batch| writer.keep(batch))?;
        decode_and_write(receiver, decoder, writer, asked_names, protection, standing_in)
    });
    let extracting = async {
        match (fetched, &mut due) {
            (Some(fetched), _) => {
                spent.fetch_add(fetched.requests, Ordering::Relaxed);
                replay(fetched, sender).await.map(Answers::whole)
            }
            (None, Some(due)) => {
                let children = std::mem::take(&mut due.children);
                let answers = cx.ask_children(piece, facts, children, kept_any, sender, spent).await?;
                // Nobody takes them when writing has failed, which is told first.
                stand_in.send(due.rows_of(&answers.failed)).ok();
                Ok(answers)
            }
            (None, None) => {
                let most_pages = most_pages(cx, slice, piece.transport);
                let asked = SliceRequest { slice, transport: piece.transport, facts, variables: &Variables::new() };
                extract(&asked, &cx.settings.client, sender, most_pages, spent).await.map(Answers::whole)
            }
        }
    };
    // When writing fails its channel closes, which ends extracting: the writer's error is the cause, so it comes first.
    let (told, worked) = tokio::join!(extracting, working);
    let worked = worked.map_err(|_| RunError::WorkerPanicked { slice: slice.to_string() })??;
    let Answers { told, incomplete, .. } = told?;
    cx.tell_drift(&stream.name, &worked.drift);
    if !worked.absent.is_empty() && piece.transport == Transport::Events {
        return Err(RunError::MissingColumns { slice: slice.to_string(), columns: worked.absent });
    }
    Ok(Transfer { window_end, written: worked.written, told, incomplete })
}

async fn replay(fetched: Fetched, blocks: mpsc::Sender<Block>) -> Result<ResponseTotals, RunError> {
    for block in fetched.blocks {
        if blocks.send(block).await.is_err() {
            break;
        }
    }
    Ok(fetched.told)
}

/// The most pages that are worth it: none are too many where pages are the only way.
fn most_pages(cx: &RunContext<'_>, slice: &Slice, transport: Transport) -> Option<u64> {
    let chosen = !cx.settings.event_streams && slice.stream.pagination.is_offset();
    let only_way = slice.stream.event_stream.is_none();
    if transport == Transport::Events || only_way || chosen {
        return None;
    }
    let days = slice.window.map_or(1, |window| window.len_days().unsigned_abs());
    Some(MOST_PAGES_A_DAY * days)
}

/// What the footer of a file of `stream` says for a ledger that must be made again: whose account this is, what the table
/// means beside its columns, and which salt its texts were hashed with.
fn footer(cx: &RunContext<'_>, stream: &Stream) -> Vec<(&'static str, String)> {
    let meaning = TableMeaning::of(stream);
    let mut pairs =
        vec![("organizations", serde_json::json!(cx.organizations).to_string()), ("request", meaning.request)];
    if !meaning.protected.is_empty() {
        pairs.push(("protected", serde_json::json!(meaning.protected).to_string()));
    }
    if cx.list_snapshots && stream.days.is_none() {
        pairs.push(("snapshot_request", TableMeaning::of(&history_of(stream)).request));
    }
    if let Some(salt) = cx.settings.salt.as_ref().filter(|_| stream.has_hashed_columns()) {
        pairs.push(("salt", salt.fingerprint()));
    }
    pairs
}
