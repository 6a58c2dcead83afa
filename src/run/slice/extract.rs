//! One attempt, from its request to verified files in the spool.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::api::{RequestOptions, Transport};
use crate::decode::{Decoder, TableSchema};
use crate::ledger::{Fact, LearnedFact, TableMeaning};
use crate::model::block::Positions;
use crate::model::day::Day;
use crate::model::event::Event;
use crate::model::format::format_count;
use crate::model::history::history_of;
use crate::model::stream::{Stream, WindowEnd};
use crate::run::error::RunError;
use crate::run::slice::attempt::SliceAttempt;
use crate::run::slice::context::SliceContext;
use crate::run::slice::decode::decode_and_write;
use crate::run::slice::end_date::{WindowResponse, resolve_end_date};
use crate::run::slice::gates::expects_rows;
use crate::run::slice::lost_columns::{is_left_out, lost_columns, unknown_missing};
use crate::run::slice::prefetch::Prefetched;
use crate::run::slice::source::{RowSource, Streamed};
use crate::write::{Doubt, Protection, Provenance, SliceDir, SliceWriter, UnverifiedSlice, VerifiedSlice, WriteError};

/// Blocks between the request and the decoder: enough to keep both busy, few enough to bound memory.
const BLOCKS_IN_FLIGHT: usize = 2;

/// A verified slice, and what was learned on the way.
pub struct Extraction {
    pub whole: VerifiedSlice,
    pub learned: Vec<LearnedFact>,
    pub extracted_at: Timestamp,
    /// What is missing although everything else is complete.
    pub incomplete: Option<String>,
    /// Expected columns that no row has.
    pub missing_columns: Vec<String>,
    /// A column of each day that would lose its values.
    pub lost_columns: BTreeMap<Option<Day>, String>,
    /// The member that was left out of the request, so that its column is null.
    pub without: Option<String>,
    /// How `end_date` was known to be read.
    pub window_end: Option<WindowEnd>,
}

/// Extracts an attempt and verifies that it is complete.
///
/// # Errors
/// The first stage that failed; the spool is then empty again, and published files are kept.
pub async fn extract(
    cx: &SliceContext<'_>,
    attempt: &mut SliceAttempt,
    requests: &AtomicU64,
) -> Result<Extraction, RunError> {
    let extracted_at = cx.now();
    let mut prefetched = attempt.prefetched.take();
    let attempt = &*attempt;
    let slice = &attempt.slice;
    let must_have_rows = expects_rows(&cx.ledger, slice).await;
    // If the end was exclusive a week ago, no rows show nothing.
    let is_in_doubt = must_have_rows.is_some() || cx.account.window_end(&slice.stream) == Some(WindowEnd::Exclusive);
    let mut is_first = true;
    let request = |options| {
        // A second request must not wait for room that the first one's files take.
        let dir = if std::mem::take(&mut is_first) { cx.spool.create_slice_dir() } else { cx.spool.create_extra_dir() };
        transfer(cx, attempt, options, prefetched.take(), requests, extracted_at, dir)
    };
    let (response, proven) = resolve_end_date(slice, &attempt.options, is_in_doubt, request).await?;
    let (written, Streamed { totals, incomplete }, missing_columns) = response.rows;
    let unproven = |doubt| RunError::Unproven { slice: slice.to_string(), doubt, transport: attempt.transport };
    if let Some(stream) = must_have_rows.filter(|_| !response.has_rows) {
        return Err(unproven(Doubt::Expected { stream }));
    }
    let published = cx.ledger.published_days(slice).await;
    let verified = cx.worker.run(slice, move || written.verify(totals, &published)).await??;
    let whole = verified.map_err(unproven)?;
    let lost_columns = lost_columns(cx, slice, &attempt.options, &whole).await?;
    if !lost_columns.is_empty() && attempt.transport == Transport::Events {
        let columns = lost_columns.into_values().collect::<BTreeSet<_>>().into_iter().collect();
        return Err(RunError::MissingColumns { slice: slice.to_string(), columns });
    }
    // Pages without rows or columns do not show that the event stream lacked any.
    let has_all = whole.totals.rows > 0 && missing_columns.is_empty() && lost_columns.is_empty();
    let is_shown = |(fact, _): &&(Fact, String)| has_all || !matches!(fact, Fact::EventsIncomplete { .. });
    let learned = proven.into_iter().chain(
        attempt
            .shows
            .iter()
            .filter(is_shown)
            .map(|(fact, seen)| (fact.clone(), format!("{seen}, and {slice} was complete then"))),
    );
    let learned = learned.map(|(fact, evidence)| LearnedFact::new(fact, evidence, extracted_at)).collect();
    let without = attempt.options.without.iter().next().cloned();
    let window_end = response.window_end;
    Ok(Extraction { whole, learned, extracted_at, incomplete, missing_columns, lost_columns, without, window_end })
}

/// Streams the rows of one request, one walk of pages or one fan-out to files in `dir`.
async fn transfer(
    cx: &SliceContext<'_>,
    attempt: &SliceAttempt,
    options: RequestOptions,
    prefetched: Option<Prefetched>,
    requests: &AtomicU64,
    extracted_at: Timestamp,
    dir: Result<SliceDir, WriteError>,
) -> Result<WindowResponse<(UnverifiedSlice, Streamed, Vec<String>)>, RunError> {
    let (slice, stream) = (&attempt.slice, &attempt.slice.stream);
    let schema = Arc::new(TableSchema::new(stream));
    let footer = footer(cx, stream);
    let provenance =
        Provenance { run_id: cx.ledger.run_id, extracted_at, scope: slice.scope.clone(), window: slice.window, footer };
    let compression = cx.settings.destinations.compression;
    let writer = SliceWriter::new(slice, &schema.arrow, provenance, compression, dir?);
    let source = RowSource::open(cx, attempt, prefetched, writer.schema()).await?;
    let window_end = match &source {
        RowSource::Prefetched(prefetched) => prefetched.window_end,
        // Another slice, or a parent of this one, may have learned it since the attempt was planned.
        _ => options.window_end.or(cx.account.request_options(stream).window_end),
    };
    let options = RequestOptions { window_end, ..options };
    let requested_names = requested_names(stream, &options);
    let decoder = Decoder::new(schema).with_scope(&slice.scope);
    let protection = Protection::new(stream, cx.settings.salt.as_ref());
    let (sender, receiver) = mpsc::channel(BLOCKS_IN_FLIGHT);
    let writing = decode_and_write(&cx.worker, receiver, decoder, writer, requested_names, protection);
    let streaming = source.stream(cx, attempt, &options, sender, requests);
    // If writing fails, its channel closes and the requests end: the writer's error is the cause, so it is returned first.
    let (streamed, decoded) = tokio::join!(streaming, writing);
    let decoded = decoded?;
    let streamed = streamed?;
    cx.account.report_drift(&cx.settings.events, &stream.name, &decoded.drift);
    if streamed.totals.replaced > 0 && cx.account.first_report(format!("stream {}", stream.name), "half surrogates") {
        let count = format_count(streamed.totals.replaced, "half surrogate");
        let message = format!("{count} in texts of {slice} replaced by U+FFFD: the API cut a character in two");
        cx.settings.events.emit(&Event::Warning { message });
    }
    let mut missing = decoded.missing_columns;
    missing.retain(|column| !is_left_out(&options, column));
    let missing = unknown_missing(cx, slice, missing).await?;
    if !missing.is_empty() && attempt.transport == Transport::Events {
        return Err(RunError::MissingColumns { slice: slice.to_string(), columns: missing });
    }
    if let Some(misfit) = decoded.misfit {
        return Err(misfit.into());
    }
    let days = decoded.written.days_seen();
    let has_last_day = slice.window.map(|window| days.contains(&window.last()));
    Ok(WindowResponse {
        window_end,
        has_rows: !days.is_empty(),
        has_last_day,
        rows: (decoded.written, streamed, missing),
    })
}

/// The names of positional values, as the request sends them.
fn requested_names(stream: &Stream, options: &RequestOptions) -> Option<Positions> {
    let (dimensions, metrics) = stream.positional_names()?;
    let sent = |names: Vec<String>, list: &str| {
        names.into_iter().filter(|name| !options.without.contains(&format!("{list}.{name}"))).collect()
    };
    Some(Positions { dimensions: sent(dimensions, "dimensions"), metrics: sent(metrics, "metrics") })
}

/// What the footer of a file says for `ledger rebuild`: whose account this is, what the table means besides its columns, and
/// which salt its texts are hashed with.
fn footer(cx: &SliceContext<'_>, stream: &Arc<Stream>) -> Vec<(&'static str, String)> {
    let meaning = TableMeaning::from_stream(stream);
    let organizations = serde_json::json!(cx.account.organizations).to_string();
    let mut pairs = vec![("organizations", organizations), ("request", meaning.request)];
    if !meaning.protected.is_empty() {
        pairs.push(("protected", serde_json::json!(meaning.protected).to_string()));
    }
    if cx.options.list_snapshots && stream.days.is_none() {
        pairs.push(("snapshot_request", TableMeaning::from_stream(&history_of(stream)).request));
    }
    if let Some(salt) = cx.settings.salt.as_ref().filter(|_| stream.has_hashed_columns()) {
        pairs.push(("salt", salt.fingerprint()));
    }
    pairs
}
