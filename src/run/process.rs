//! One planned slice, from the first request to its record: tries, halves, falls back, or leaves it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;

use crate::api::{ApiError, Asked, RequestFacts, Transport};
use crate::decode::Decoder;
use crate::ledger::{DayEntry, Entry, SliceEntry, TableMeaning, Written as DayWritten};
use crate::model::block::{Block, Positions};
use crate::model::coverage::ScopeCoverage;
use crate::model::day::Day;
use crate::model::event::{Event, SliceDone};
use crate::model::slice::Slice;
use crate::model::stream::{Fallback, WindowEnd};
use crate::model::told::Told;
use crate::run::context::{RunContext, fallback_name, window_end_name, without_name};
use crate::run::discover::Fetched;
use crate::run::error::RunError;
use crate::run::extract::extract;
use crate::run::work::decode_and_write;
use crate::write::{Doubt, Provenance, SliceWriter, WholeDay, WholeSlice, Written};

/// Blocks on their way from extraction to decoding: enough to keep both busy, few enough to bound memory.
const IN_FLIGHT: usize = 2;
/// Files of a slice that are published at once.
const UPLOADS: usize = 8;
/// Requests a day of window that pages may cost where an event stream broke.
const MOST_PAGES_A_DAY: u64 = 20;
/// Damaged answers in a row before the rest of a slice is left for the next run: a month is halved down to a day, which
/// is asked again and then page by page.
const MOST_DAMAGED: u32 = 8;
/// The same where the server said that it cannot answer: each of those was asked several times already.
const MOST_BUSY: u32 = 2;

/// What came of a planned slice.
#[derive(Debug, Default)]
pub struct Processed {
    /// What was published, a stream and its figures each.
    pub done: Vec<(String, SliceDone)>,
    /// What someone must look at.
    pub failed: Vec<(Slice, String)>,
    /// What is left for the next run.
    pub left: Vec<Slice>,
    /// What the account may not read.
    pub not_entitled: Vec<Slice>,
    /// What stops the whole run.
    pub fatal: Option<RunError>,
}

/// A part of a planned slice, and how it is asked for.
struct Piece {
    slice: Slice,
    transport: Transport,
    facts: RequestFacts,
    /// The stream that the account refused, for which this one stands in.
    stands_in_for: Option<String>,
    /// Whether the same request was made before.
    again: bool,
    fetched: Option<Fetched>,
}

/// A slice that was read, and what was learned on the way.
struct Reading {
    whole: WholeSlice,
    learned: Vec<(String, String)>,
    extracted_at: jiff::Timestamp,
}

/// Reads, verifies, publishes and records `slice`. `fetched` is what discovery has read of it already.
pub async fn process(cx: &RunContext<'_>, slice: Slice, fetched: Option<Fetched>) -> Processed {
    let mut processed = Processed::default();
    let mut damaged_in_a_row = 0;
    let first = Piece {
        transport: cx.transport(&slice.stream),
        facts: cx.facts(&slice.stream),
        stands_in_for: None,
        again: false,
        fetched,
        slice,
    };
    let mut pieces = vec![first];
    while let Some(mut piece) = pieces.pop() {
        if !cx.may_begin() || processed.fatal.is_some() {
            processed.left.push(piece.slice);
            continue;
        }
        match cx.is_done_elsewhere(&piece.slice).await {
            Ok(false) => {}
            Ok(true) => continue,
            Err(error) => {
                processed.left.push(piece.slice);
                processed.fatal = Some(error);
                continue;
            }
        }
        cx.settings.events.tell(&Event::SliceStarted { slice: piece.slice.clone() });
        let spent = AtomicU64::new(0);
        let began = std::time::Instant::now();
        let result = match read(cx, &mut piece, &spent).await {
            Ok(reading) => publish(cx, &piece, reading, spent.load(Ordering::Relaxed)).await,
            Err(error) => Err(error),
        };
        let error = match result {
            Ok(mut done) => {
                done.done.took = began.elapsed();
                damaged_in_a_row = 0;
                cx.settings.events.tell(&Event::SliceDone { slice: piece.slice.clone(), done: done.done });
                processed.done.push((piece.slice.stream.name.clone(), done.done));
                processed.failed.extend(done.suspect.map(|problem| (piece.slice, problem)));
                continue;
            }
            Err(error) => error,
        };
        if is_damage(&error, piece.transport) {
            damaged_in_a_row += 1;
        }
        match remedy(cx, piece, &error, damaged_in_a_row) {
            Remedy::Again { pieces: again, words } => {
                let slice = again.last().map(|piece: &Piece| piece.slice.clone());
                if let Some(slice) = slice {
                    cx.settings.events.tell(&Event::SliceRetried { slice, problem: error.to_string(), remedy: words });
                }
                pieces.extend(again);
            }
            Remedy::NotEntitled(slice) => {
                if let Err(error) = not_entitled(cx, &slice, &error, &mut processed).await {
                    processed.fatal = Some(error);
                }
            }
            Remedy::Suspect(slice) => {
                leave(cx, &slice, &error, true, &mut processed);
                let entry = cx.suspect(&slice, &error.to_string(), Vec::new());
                processed.fatal = cx.committer.commit(vec![entry], u64::MAX).await.err().map(ledger_error);
            }
            Remedy::Fail(slice) => leave(cx, &slice, &error, true, &mut processed),
            Remedy::Stop(slice) => {
                leave(cx, &slice, &error, false, &mut processed);
                processed.fatal = Some(error);
            }
        }
    }
    processed
}

/// What is done about an error.
enum Remedy {
    /// Ask again, in another way; the last piece comes first.
    Again { pieces: Vec<Piece>, words: String },
    /// The account may not read it.
    NotEntitled(Slice),
    /// What stood stands; the next run tries again.
    Suspect(Slice),
    /// Asking again would not help.
    Fail(Slice),
    /// Nothing more can be asked in this run.
    Stop(Slice),
}

fn remedy(cx: &RunContext<'_>, piece: Piece, error: &RunError, damaged_in_a_row: u32) -> Remedy {
    match error {
        error if error.is_fatal() => Remedy::Stop(piece.slice),
        RunError::Api(ApiError::Unreachable { .. }) | RunError::Destination(_) => Remedy::Stop(piece.slice),
        RunError::Api(ApiError::NotEntitled { .. }) => Remedy::NotEntitled(piece.slice),
        RunError::Api(ApiError::Refused { status: 422, .. }) => fall_back(cx, piece),
        RunError::Api(ApiError::Busy { .. }) if MOST_BUSY < damaged_in_a_row => Remedy::Suspect(piece.slice),
        error if is_damage(error, piece.transport) => mend(piece, damaged_in_a_row),
        RunError::Doubt { .. } if !piece.again => Remedy::Again {
            pieces: vec![Piece { again: true, fetched: None, ..piece }],
            words: "reading it again".into(),
        },
        RunError::Doubt { .. } | RunError::TooManyPages { .. } => Remedy::Suspect(piece.slice),
        _ => Remedy::Fail(piece.slice),
    }
}

/// Whether an answer was hurt on its way. An event stream may be cut without a sign, and a shorter one may not.
fn is_damage(error: &RunError, transport: Transport) -> bool {
    match error {
        RunError::Doubt { doubt: Doubt::Total { rows, total }, .. } => transport == Transport::Events && rows < total,
        error => error.is_damage(),
    }
}

/// What is tried once when the API refuses the request itself.
fn fall_back(cx: &RunContext<'_>, piece: Piece) -> Remedy {
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
    if let Some((older, newer)) = piece.slice.window.and_then(|window| window.halves()) {
        let half = |window| Piece {
            slice: piece.slice.over(window),
            transport: piece.transport,
            facts: piece.facts.clone(),
            stands_in_for: piece.stands_in_for.clone(),
            again: false,
            fetched: None,
        };
        return Remedy::Again { pieces: vec![half(older), half(newer)], words: "asking half the window".into() };
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

/// Reads a piece whole. Where a family's reading of `end_date` is not known yet and the last day is doubtful, the day
/// after is asked too, because the sources disagree about it.
async fn read(cx: &RunContext<'_>, piece: &mut Piece, spent: &AtomicU64) -> Result<Reading, RunError> {
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
                let asked = Asked { slice, transport: piece.transport, facts };
                extract(&asked, &cx.settings.client, sender, most_pages, spent).await
            }
        }
    };
    // When writing fails its channel closes, which ends extracting: the writer's error is the cause, so it comes first.
    let (told, worked) = tokio::join!(extracting, working);
    let (written, drift) = worked.map_err(|_| RunError::Worker { what: slice.to_string() })??;
    let told = told?;
    cx.tell_drift(&stream.name, &drift);
    Ok((written, told))
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
    let chosen = !cx.settings.event_streams
        && matches!(slice.stream.pagination, crate::model::stream::Pagination::Offset { .. });
    let only_way = slice.stream.event_stream.is_none();
    if transport == Transport::Events || only_way || chosen {
        return None;
    }
    let days = slice.window.map_or(1, |window| window.len_days().unsigned_abs());
    Some(MOST_PAGES_A_DAY * days)
}

/// What was published, and days that wait for another run to confirm them.
struct PublishedSlice {
    done: SliceDone,
    suspect: Option<String>,
}

async fn publish(
    cx: &RunContext<'_>,
    piece: &Piece,
    reading: Reading,
    requests: u64,
) -> Result<PublishedSlice, RunError> {
    let slice = &piece.slice;
    let Reading { whole, learned, extracted_at } = reading;
    let (before, based_on) = cx.coverage_and_number(slice).await;
    let (shrunk, days): (Vec<&WholeDay>, Vec<&WholeDay>) =
        whole.days.iter().partition(|day| is_shrunk(day, before.as_ref()));
    let mut entries: Vec<DayEntry> = futures::stream::iter(days)
        .map(|day| publish_day(cx, slice, day, before.as_ref()))
        .buffered(UPLOADS)
        .try_collect()
        .await?;
    let written: BTreeSet<Option<Day>> = whole.days.iter().map(|day| day.day).collect();
    let wanted: Vec<Option<Day>> = match slice.window {
        Some(window) => window.days().map(Some).collect(),
        None => vec![None],
    };
    entries.extend(wanted.into_iter().filter(|day| !written.contains(day)).map(|day| DayEntry {
        day,
        rows: 0,
        hash: hexadecimal(0),
        written: DayWritten::Nothing,
        bytes: 0,
        etag: None,
    }));
    let done = SliceDone {
        rows: whole.told.rows,
        files: entries.iter().filter(|day| day.written == DayWritten::File).count() as u64,
        unchanged: entries.iter().filter(|day| day.written == DayWritten::Unchanged).count() as u64,
        bytes: entries.iter().filter(|day| day.written == DayWritten::File).map(|day| day.bytes).sum(),
        requests,
        outside: whole.outside,
        took: std::time::Duration::ZERO,
    };
    let mut record = cx.table_entry(slice).await;
    let meaning = TableMeaning::of(&slice.stream);
    if !entries.is_empty() {
        record.push(Entry::Slice(SliceEntry {
            run: cx.run_id,
            stream: slice.stream.name.clone(),
            fingerprint: meaning.fingerprint(),
            scope: slice.scope.clone(),
            window: slice.window,
            proof: whole.proof,
            total: whole.told.total,
            rows: whole.told.rows,
            outside: whole.outside,
            requests,
            extracted_at,
            days: entries,
        }));
    }
    let suspect = shrunk_words(&shrunk, before.as_ref());
    if let Some(problem) = &suspect {
        let awaiting = shrunk.iter().map(|day| day_entry(day, DayWritten::Nothing, None)).collect();
        record.push(cx.suspect(slice, problem, awaiting));
    }
    for (name, value) in &learned {
        if cx.learned(name).as_ref() != Some(value) {
            cx.learn(name, value);
            record.push(Entry::Learned { name: name.clone(), value: value.clone() });
        }
    }
    cx.committer.commit(record, based_on).await.map_err(ledger_error)?;
    Ok(PublishedSlice { done, suspect })
}

/// Whether a day would lose all or more than half of its rows, and no earlier run has read it so.
fn is_shrunk(day: &WholeDay, before: Option<&ScopeCoverage>) -> bool {
    let Some(state) = before.and_then(|before| before.state(day.day)) else {
        return false;
    };
    state.read_at.is_some() && day.rows * 2 < state.rows && state.awaiting != Some(day.rows)
}

fn shrunk_words(shrunk: &[&WholeDay], before: Option<&ScopeCoverage>) -> Option<String> {
    let first = shrunk.first()?;
    let had = before.and_then(|before| before.state(first.day)).map_or(0, |state| state.rows);
    let day = first.day.map_or_else(|| "the list".to_owned(), |day| day.to_string());
    let others = match shrunk.len() {
        1 => String::new(),
        many => format!(", and {} more days likewise", many - 1),
    };
    Some(format!(
        "{day} has {} rows where {had} were{others}; it is replaced when the next run reads the same",
        first.rows
    ))
}

async fn publish_day(
    cx: &RunContext<'_>,
    slice: &Slice,
    day: &WholeDay,
    before: Option<&ScopeCoverage>,
) -> Result<DayEntry, RunError> {
    let stands = before.and_then(|before| before.state(day.day));
    let unchanged = stands.is_some_and(|state| {
        state.file && !state.stale && state.rows == day.rows && state.hash == hexadecimal(day.hash)
    });
    if unchanged && !cx.rewrite && !cx.is_doubtful(slice, day.day).await {
        return Ok(day_entry(day, DayWritten::Unchanged, None));
    }
    let destinations = &cx.settings.destinations;
    let path = destinations.layout.data_path(&slice.stream.name, &slice.scope, day.day);
    let published = destinations.lake.publish(&day.path, &path).await?;
    Ok(day_entry(day, DayWritten::File, published.etag))
}

fn day_entry(day: &WholeDay, written: DayWritten, etag: Option<String>) -> DayEntry {
    DayEntry { day: day.day, rows: day.rows, hash: hexadecimal(day.hash), written, bytes: day.bytes, etag }
}

fn hexadecimal(hash: u128) -> String {
    format!("{hash:032x}")
}

fn leave(cx: &RunContext<'_>, slice: &Slice, error: &RunError, failed: bool, processed: &mut Processed) {
    let problem = error.to_string();
    cx.settings.events.tell(&Event::SliceLeft { slice: slice.clone(), problem: problem.clone(), failed });
    match failed {
        true => processed.failed.push((slice.clone(), problem)),
        false => processed.left.push(slice.clone()),
    }
}

async fn not_entitled(
    cx: &RunContext<'_>,
    slice: &Slice,
    error: &RunError,
    processed: &mut Processed,
) -> Result<(), RunError> {
    let before = cx.coverage_of(slice).await;
    let could_before = before.is_some_and(|before| before.had_rows() && before.not_entitled.is_none());
    let detail = match error {
        RunError::Api(ApiError::NotEntitled { status, detail, .. }) => format!("HTTP {status}: {detail}"),
        other => other.to_string(),
    };
    cx.settings.events.tell(&Event::NotEntitled { slice: slice.clone(), detail: detail.clone(), could_before });
    let (stream, scope) = (slice.stream.name.clone(), slice.scope.clone());
    match could_before {
        true => processed.failed.push((slice.clone(), format!("may not be read any more ({detail})"))),
        false => processed.not_entitled.push(slice.clone()),
    }
    let entry = Entry::NotEntitled { run: cx.run_id, stream, scope, detail };
    cx.committer.commit(vec![entry], u64::MAX).await.map_err(ledger_error)
}

fn ledger_error(error: Arc<crate::ledger::LedgerError>) -> RunError {
    RunError::Shared(error)
}
