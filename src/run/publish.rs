//! A verified slice to the destination, and what the ledger must say of it.

use std::collections::BTreeSet;

use crate::config::OnShrink;
use crate::destination::retry_write;
use crate::ledger::{DayEntry, Entry, Fact, LearnedFact, SliceEntry, TableMeaning, Written as DayWritten};
use crate::model::content_hash::ContentHash;
use crate::model::counters::Counters;
use crate::model::coverage::{DayState, ScopeCoverage};
use crate::model::day::Day;
use crate::model::proof::Proof;
use crate::model::slice::Slice;
use crate::model::window::Window;
use crate::run::context::RunContext;
use crate::run::error::RunError;
use crate::run::history::{publish_snapshot, snapshot_slice};
use crate::run::read::{Piece, Reading};
use crate::run::together::together;
use crate::write::WholeDay;

/// Files of a slice that are published at once.
const UPLOADS: usize = 8;

/// What was published, and days that wait for another run to confirm them.
pub struct PublishedSlice {
    pub done: Counters,
    pub suspect: Option<String>,
}

pub async fn publish(
    cx: &RunContext<'_>,
    piece: &Piece,
    reading: Reading,
    requests: u64,
) -> Result<PublishedSlice, RunError> {
    let slice = &piece.slice;
    let Reading { whole, mut learned, extracted_at, incomplete } = reading;
    let forgotten = cx.forgotten(slice).await?;
    let (before, based_on) = cx.coverage_and_number(slice).await;
    let (shrunk, days): (Vec<&WholeDay>, Vec<&WholeDay>) = whole
        .days
        .iter()
        .filter(|day| !forgotten.contains(&day.day))
        .partition(|day| is_shrunk(day, before.as_ref(), cx.on_shrink));
    let touched: Vec<Option<Day>> = days.iter().map(|day| day.day).collect();
    let publishing = days.into_iter().map(|day| publish_day(cx, slice, day, before.as_ref()));
    let published = together(publishing, UPLOADS).await;
    let mut entries: Vec<DayEntry> = match published {
        Ok(entries) => entries,
        Err(error) => return Err(leave_stale(cx, slice, touched, error).await),
    };
    // A list that is doubtful is no snapshot either.
    let sound = forgotten.is_empty() && shrunk.is_empty() && incomplete.is_none();
    let mut snapshot = snapshot_slice(cx, slice, extracted_at).filter(|_| sound);
    if let Some(to) = &snapshot
        && !cx.forgotten(to).await?.is_empty()
    {
        snapshot = None;
    }
    let of_snapshot = match &snapshot {
        Some(to) => match publish_snapshot(cx, slice, to, &whole, extracted_at).await {
            Ok(entries) => entries,
            Err(error) => {
                let days = to.window.into_iter().flat_map(Window::days).map(Some).collect();
                let error = leave_stale(cx, to, days, error).await;
                return Err(leave_stale(cx, slice, touched, error).await);
            }
        },
        None => Vec::new(),
    };
    let written: BTreeSet<Option<Day>> = whole.days.iter().map(|day| day.day).collect();
    let is_empty = |day: &Option<Day>| !written.contains(day) && !forgotten.contains(day);
    entries.extend(slice.recorded_days().into_iter().filter(is_empty).map(|day| empty_day(slice, day)));
    let mut done = Counters {
        slices: 1,
        rows: whole.told.rows,
        files: entries.iter().filter(|day| day.written == DayWritten::File).count() as u64,
        unchanged: entries.iter().filter(|day| day.written == DayWritten::Unchanged).count() as u64,
        bytes: entries.iter().filter(|day| day.written == DayWritten::File).map(|day| day.bytes).sum(),
        requests,
        outside_rows: whole.outside,
        ..Counters::default()
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
    add_files(&mut done, &of_snapshot);
    record.extend(of_snapshot);
    let suspect = shrunk_words(&shrunk, before.as_ref(), cx.on_shrink);
    if let Some(problem) = &suspect {
        let awaiting = shrunk.iter().map(|day| day_entry(day, DayWritten::Nothing, None)).collect();
        record.push(cx.suspect(slice, problem, awaiting));
    }
    if let Some(problem) = &incomplete {
        record.push(cx.suspect(slice, problem, Vec::new()));
    }
    if let Some(salt) = cx.settings.salt.as_ref().filter(|_| slice.stream.has_hashed_columns()) {
        let (fact, evidence) = (Fact::Salt { fingerprint: salt.fingerprint() }, format!("{slice} was hashed with it"));
        learned.push(LearnedFact { fact, evidence, learned_at: extracted_at });
    }
    record.extend(learned.into_iter().filter_map(|learned| cx.learn(learned)));
    cx.committer.commit(record, based_on).await?;
    Ok(PublishedSlice { done, suspect: suspect.or(incomplete) })
}

/// Marks files stale that may be new without a record, so that the next run settles them. Where even this cannot be
/// recorded, the end of the run cannot either, and the days of a run that never ended are doubtful anyway.
async fn leave_stale(cx: &RunContext<'_>, slice: &Slice, days: Vec<Option<Day>>, error: RunError) -> RunError {
    let (stream, scope) = (&slice.stream.name, &slice.scope);
    let stale = days.into_iter().map(|day| Entry::Stale { stream: stream.clone(), scope: scope.clone(), day });
    cx.committer.commit(stale.collect(), u64::MAX).await.ok();
    error
}

/// Counts the files that `entries` say were written.
fn add_files(done: &mut Counters, entries: &[Entry]) {
    for entry in entries {
        let Entry::Slice(slice) = entry else {
            continue;
        };
        for day in slice.days.iter().filter(|day| day.written == DayWritten::File) {
            done.files += 1;
            done.bytes += day.bytes;
        }
    }
}

/// Whether a day would lose all or more than half of its rows, and must not.
fn is_shrunk(day: &WholeDay, before: Option<&ScopeCoverage>, on_shrink: OnShrink) -> bool {
    let Some(state) = before.and_then(|before| before.state(day.day)) else {
        return false;
    };
    let stays = match on_shrink {
        OnShrink::Confirm => !is_awaited(state, day.rows),
        OnShrink::Accept => false,
        OnShrink::Keep => true,
    };
    // Without a proof nothing is known of the rows, since the table has got another meaning.
    state.read_at.is_some() && state.proof.is_some() && day.rows * 2 < state.rows && stays
}

/// Whether the last reading brought as few rows, and waits for this one to confirm it.
fn is_awaited(state: &DayState, rows: u64) -> bool {
    state.suspect.as_ref().is_some_and(|suspect| suspect.awaiting == Some(rows))
}

fn shrunk_words(shrunk: &[&WholeDay], before: Option<&ScopeCoverage>, on_shrink: OnShrink) -> Option<String> {
    let first = shrunk.first()?;
    let had = before.and_then(|before| before.state(first.day)).map_or(0, |state| state.rows);
    let day = first.day.map_or_else(|| "the list".to_owned(), |day| day.to_string());
    let others = match shrunk.len() {
        1 => String::new(),
        many => format!(", and {} more days likewise", many - 1),
    };
    let then = match on_shrink {
        OnShrink::Keep => "`on_shrink = \"keep\"` keeps what stood",
        OnShrink::Confirm | OnShrink::Accept => "it is replaced when the next run reads the same",
    };
    Some(format!("{day} has {} rows where {had} were{others}; {then}", first.rows))
}

impl RunContext<'_> {
    /// What the ledger must say of a day whose file says the same already; none when it must be published.
    pub async fn unchanged(&self, slice: &Slice, day: &WholeDay, before: Option<&ScopeCoverage>) -> Option<DayEntry> {
        let stands = before.and_then(|before| before.state(day.day));
        let unchanged = stands
            .is_some_and(|state| state.file && !state.stale && state.rows == day.rows && state.hash == day.hash.into());
        match unchanged && !self.rewrite && !self.is_doubtful(slice, day.day).await {
            true => Some(day_entry(day, DayWritten::Unchanged, None)),
            false => None,
        }
    }
}

pub async fn publish_day(
    cx: &RunContext<'_>,
    slice: &Slice,
    day: &WholeDay,
    before: Option<&ScopeCoverage>,
) -> Result<DayEntry, RunError> {
    if let Some(entry) = cx.unchanged(slice, day, before).await {
        return Ok(entry);
    }
    let destinations = &cx.settings.destinations;
    let path = destinations.layout.path_for(&slice.stream, &slice.scope, day.day);
    // What was extracted is not asked for once more because the store had a hiccup.
    let is_wanted = || !cx.settings.cancel.is_cancelled();
    let published = retry_write(|| destinations.lake.publish(&day.path, &path), is_wanted).await?;
    Ok(day_entry(day, DayWritten::File, published.etag))
}

fn day_entry(day: &WholeDay, written: DayWritten, etag: Option<String>) -> DayEntry {
    let WholeDay { rows, bytes, signal, .. } = *day;
    DayEntry { day: day.day, rows, hash: day.hash.into(), written, bytes, etag, signal }
}

/// Records that there is nothing to read on the days of `slice`, as another stream told.
///
/// # Errors
/// [`RunError::SharedLedger`].
pub async fn publish_nothing(cx: &RunContext<'_>, slice: &Slice) -> Result<(), RunError> {
    let mut record = cx.table_entry(slice).await;
    record.push(Entry::Slice(SliceEntry {
        run: cx.run_id,
        stream: slice.stream.name.clone(),
        fingerprint: TableMeaning::of(&slice.stream).fingerprint(),
        scope: slice.scope.clone(),
        window: slice.window,
        proof: Proof::Gate,
        total: None,
        rows: 0,
        outside: 0,
        requests: 0,
        extracted_at: cx.now(),
        days: slice.recorded_days().into_iter().map(|day| empty_day(slice, day)).collect(),
    }));
    Ok(cx.committer.commit(record, u64::MAX).await?)
}

/// A day without rows, for which no file stands.
pub fn empty_day(slice: &Slice, day: Option<Day>) -> DayEntry {
    DayEntry {
        day,
        rows: 0,
        hash: ContentHash::default(),
        written: DayWritten::Nothing,
        bytes: 0,
        etag: None,
        signal: slice.stream.signal.as_ref().map(|_| false),
    }
}
