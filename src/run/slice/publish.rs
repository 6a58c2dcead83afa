//! Publishes a verified slice and commits it to the ledger.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::config::OnShrink;
use crate::destination::retry_write;
use crate::ledger::{DayEntry, Entry, Fact, FileChange, LearnedFact, SliceEntry, TableMeaning};
use crate::model::column::ColumnType;
use crate::model::content_hash::ContentHash;
use crate::model::counters::Counters;
use crate::model::coverage::ScopeCoverage;
use crate::model::day::Day;
use crate::model::event::Event;
use crate::model::proof::Proof;
use crate::model::slice::Slice;
use crate::model::stream::WindowEnd;
use crate::model::window::Window;
use crate::run::error::RunError;
use crate::run::slice::context::SliceContext;
use crate::run::slice::extract::Extraction;
use crate::run::slice::reopen::{assumed_end, reopened};
use crate::run::slice::run_to_completion::run_to_completion;
use crate::run::slice::snapshot::{snapshot_file, snapshot_slice};
use crate::write::{DayContent, SpooledFile, VerifiedSlice};

/// Files of a slice that are looked up or uploaded at the same time.
const MAX_UPLOADS: usize = 8;

/// A published and recorded slice.
pub struct PublishedSlice {
    pub counters: Counters,
    /// Why days keep their published files until another run confirms the new rows, or what is missing.
    pub suspect: Option<String>,
    /// Whether another process committed other rows for some of its days since `based_on`. Those days keep the other process's files and
    /// are marked stale.
    pub has_conflict: bool,
    /// Streams and scopes with days that must be extracted once more, because `end_date` is read otherwise than assumed.
    pub reopened: Vec<Slice>,
}

/// Publishes the files of a verified slice, and of its snapshot, and commits one record about both. `based_on` is the last record
/// before the first request of the slice.
///
/// # Errors
/// Why a file cannot be published or the record not be committed. Files that may have been replaced are recorded as stale.
pub async fn publish(
    cx: &SliceContext<'_>,
    slice: &Slice,
    extraction: Extraction,
    requests: u64,
    based_on: u64,
) -> Result<PublishedSlice, RunError> {
    let Extraction { mut whole, mut learned, extracted_at, incomplete, without, window_end, .. } = extraction;
    let (missing, lost) = (extraction.missing_columns, extraction.lost_columns);
    let forgotten = cx.ledger.forgotten_days(slice, &cx.settings.clock).await?;
    let newer = cx.ledger.days_extracted_elsewhere(slice, based_on).await;
    let unfinished = unfinished_days(slice, cx.now());
    if !unfinished.is_empty() && cx.account.first_report(format!("stream {}", slice.stream.name), "unfinished days") {
        let message = format!("{slice} has days that have not ended by the API's clock; a later run extracts them");
        cx.settings.events.emit(&Event::Warning { message });
    }
    let kept = forgotten.iter().chain(&newer).chain(&unfinished).chain(whole.unfit.keys());
    let kept: BTreeSet<Option<Day>> = kept.copied().collect();
    let before = cx.ledger.coverage(slice).await;
    let mut conflicts = Vec::new();
    for day in newer.difference(&forgotten).copied() {
        // The record of this slice removes its window from the plans of killed runs, which may have overwritten the other's file.
        let is_overwritten = cx.ledger.may_be_overwritten(slice, day).await;
        if is_overwritten || !has_recorded_rows(&whole, before.as_ref(), day) {
            conflicts.push(day);
        }
    }
    let with_column_until = cx.account.without_member_since(&slice.stream);
    let loses_column = |day: &DayContent| {
        without.is_some()
            && cx.options.on_shrink != OnShrink::Accept
            && has_other_columns(day, before.as_ref(), with_column_until)
    };
    let (bare, days): (Vec<DayContent>, Vec<DayContent>) =
        whole.days.iter().copied().filter(|day| !kept.contains(&day.day)).partition(loses_column);
    let (shrunk, days): (Vec<DayContent>, Vec<DayContent>) = days.into_iter().partition(|day| {
        let lacks_column = lost.contains_key(&day.day) || (day.rows > 0 && !missing.is_empty());
        must_be_confirmed(day, before.as_ref(), cx.options.on_shrink)
            && (lacks_column || is_shrunk(day, before.as_ref(), whole.proof))
    });
    let (mut entries, mut changed) = (Vec::new(), BTreeSet::new());
    let published = days.iter().map(|day| unchanged(cx, slice, day, before.as_ref()));
    for (day, published) in days.iter().zip(run_to_completion(published, MAX_UPLOADS).await?) {
        match published {
            Some(entry) => entries.push(entry),
            None => drop(changed.insert(day.day)),
        }
    }
    // A list that is suspect must not become a snapshot.
    let is_sound =
        forgotten.is_empty() && newer.is_empty() && shrunk.is_empty() && bare.is_empty() && incomplete.is_none();
    let mut snapshot = if is_sound { due_snapshot(cx, slice, &whole, extracted_at).await? } else { None };
    let mut encoded = changed.clone();
    // The snapshot is made from the file of the list.
    encoded.extend(snapshot.iter().filter(|(_, entry)| entry.is_none()).map(|_| None));
    let files;
    (whole, files) = encode(cx, slice, whole, encoded).await?;
    let uploads = files.iter().filter(|file| changed.contains(&file.content.day));
    let uploads = uploads.map(|file| publish_file(cx, slice, file));
    let uploaded = async {
        let published = run_to_completion(uploads, MAX_UPLOADS).await?;
        sync(cx, slice, changed.iter().copied()).await?;
        Ok(published)
    };
    match uploaded.await {
        Ok(published) => entries.extend(published),
        Err(error) => return Err(mark_stale(cx, slice, changed, error).await),
    }
    if let Some((to, entry @ None)) = &mut snapshot
        && let Some(list) = files.first()
    {
        match publish_snapshot(cx, slice, to, list).await {
            Ok(day) => *entry = Some(day),
            Err(error) => {
                let days = to.window.into_iter().flat_map(Window::days).map(Some);
                let error = mark_stale(cx, to, days, error).await;
                return Err(mark_stale(cx, slice, changed, error).await);
            }
        }
    }
    let snapshot = snapshot.and_then(|(to, entry)| Some((to, entry?)));
    let written: BTreeSet<Option<Day>> = whole.days.iter().map(|day| day.day).collect();
    let is_empty = |day: &Option<Day>| !written.contains(day) && !kept.contains(day);
    entries.extend(slice.recorded_days().into_iter().filter(is_empty).map(|day| empty_day(slice, day)));

    let is_passed_over = |day: &Option<Day>| forgotten.contains(day) || newer.contains(day) || unfinished.contains(day);
    let unfit: Vec<(Option<Day>, &String)> =
        whole.unfit.iter().map(|(day, problem)| (*day, problem)).filter(|(day, _)| !is_passed_over(day)).collect();
    let suspect = shrunk_problem(&shrunk, before.as_ref(), &missing, &lost, cx.options.on_shrink);
    let counters = counters(&whole, requests, entries.iter().chain(snapshot.iter().map(|(_, day)| day)));
    let (mut record, mut reopened) = reopened_by(cx, slice, &learned).await;
    record.extend(cx.ledger.table_entry(slice).await);
    if !entries.is_empty() {
        record.push(slice_entry(cx, slice, Some(&whole), requests, extracted_at, entries));
    }
    if let Some((to, day)) = snapshot {
        record.extend(cx.ledger.table_entry(&to).await);
        // The requests are counted for the list.
        record.push(slice_entry(cx, &to, Some(&whole), 0, extracted_at, vec![day]));
    }
    record.extend(stale_entries(slice, conflicts.iter().copied()));
    // Another slice has learned meanwhile how `end_date` is read, and this one could not show it.
    let is_outdated = slice.stream.days.as_ref().is_some_and(|days| {
        let learned = cx.account.window_end(&slice.stream);
        days.kind.is_single() && learned.is_some() && assumed_end(days, learned) != assumed_end(days, window_end)
    });
    if is_outdated && reopened.is_empty() {
        record.extend(stale_entries(slice, slice.recorded_days()));
        reopened.push(slice.clone());
    }
    if let Some(problem) = &suspect {
        let unconfirmed = shrunk.iter().map(|day| day_entry(day, FileChange::Absent, 0, None)).collect();
        record.push(cx.ledger.suspect_entry(slice, problem, unconfirmed));
    }
    let bare_problem = without.filter(|_| !bare.is_empty()).map(|member| {
        format!("`{member}` was rejected (HTTP 422); the published file, which may have its column, is kept")
    });
    if let Some(problem) = &bare_problem {
        for day in &bare {
            let window = day.day.zip(slice.stream.days.as_ref()).map(|(day, days)| days.span(day));
            let of_day = Slice { window, ..slice.clone() };
            record.push(cx.ledger.suspect_entry(&of_day, problem, Vec::new()));
        }
    }
    for (day, problem) in &unfit {
        let slice = day.map_or_else(|| slice.clone(), |day| slice.with_window(Window::from_day(day)));
        record.push(cx.ledger.suspect_entry(&slice, problem, Vec::new()));
    }
    if let Some(problem) = &incomplete {
        record.push(cx.ledger.suspect_entry(slice, problem, Vec::new()));
    }
    let outside = outside_problem(slice, &whole, window_end);
    if let Some(problem) = &outside {
        if cx.account.first_report(format!("days of {}", slice.stream.name), "outside") {
            cx.settings.events.emit(&Event::Warning { message: format!("{slice}: {problem}") });
        }
        record.push(cx.ledger.suspect_entry(slice, problem, Vec::new()));
    }
    if let Some(salt) = cx.settings.salt.as_ref().filter(|_| slice.stream.has_hashed_columns()) {
        let (fact, evidence) = (Fact::Salt { fingerprint: salt.fingerprint() }, format!("{slice} was hashed with it"));
        learned.push(LearnedFact::new(fact, evidence, extracted_at));
    }
    record.extend(learned.into_iter().filter_map(|learned| cx.account.learn(learned)));
    cx.ledger.commit(record, Some(based_on)).await?;
    let suspect = suspect.or(bare_problem).or_else(|| unfit_problem(&unfit)).or(incomplete).or(outside);
    Ok(PublishedSlice { counters, suspect, has_conflict: !conflicts.is_empty(), reopened })
}

/// The files of `days` of `whole`, none of which is published yet.
async fn encode(
    cx: &SliceContext<'_>,
    slice: &Slice,
    mut whole: VerifiedSlice,
    days: BTreeSet<Option<Day>>,
) -> Result<(VerifiedSlice, Vec<SpooledFile>), RunError> {
    if days.is_empty() {
        return Ok((whole, Vec::new()));
    }
    Ok(cx.worker.run(slice, move || whole.encode(&days).map(|files| (whole, files))).await??)
}

/// Rows of an exact window are outside it. With instants, the API's days begin at another hour than ours, so as many rows are missing at
/// the other end; with dates, it answers for other days. `window_end` is how `end_date` was known to be read.
fn outside_problem(slice: &Slice, whole: &VerifiedSlice, window_end: Option<WindowEnd>) -> Option<String> {
    let (days, window) = (slice.stream.days.as_ref()?, slice.window?);
    let column = slice.stream.columns.iter().find(|column| column.name == days.column)?;
    let (is_outside, meaning) = match column.data_type {
        // A few rows at the edge are late; an hour of a day are many.
        ColumnType::Timestamp => {
            let rows_a_day = whole.totals.rows / u64::try_from(window.len_days()).unwrap_or(1).max(1);
            let meaning = format!("so the API's days are not those of {}", days.zone.name());
            (whole.outside_rows * 100 > rows_a_day, meaning)
        }
        // The day after the window is requested where `end_date` may be exclusive.
        _ => {
            let is_open = window_end.unwrap_or(days.end) == WindowEnd::Exclusive;
            let is_requested = |day: &Day| window.contains(*day) || (is_open && *day == window.end);
            let other = whole.days_seen.iter().find(|day| !is_requested(day));
            (other.is_some(), other.map(|day| format!("such as {day}")).unwrap_or_default())
        }
    };
    (is_outside && days.margin == 0 && days.sent).then(|| {
        let (outside, rows) = (whole.outside_rows, whole.totals.rows);
        format!("{outside} of {rows} rows are of other days than requested, {meaning}; rows of the requested days may be missing")
    })
}

/// Days of the slice that have not ended. The run was planned with a clock that was ahead, and corrected since.
fn unfinished_days(slice: &Slice, now: Timestamp) -> BTreeSet<Option<Day>> {
    let Some(days) = &slice.stream.days else {
        return BTreeSet::new();
    };
    let has_not_ended = |day: &Option<Day>| day.is_some_and(|day| days.final_at(day, 0) > now);
    slice.recorded_days().into_iter().filter(has_not_ended).collect()
}

/// The days that what was `learned` reopens: the entries, and the streams and scopes.
async fn reopened_by(cx: &SliceContext<'_>, slice: &Slice, learned: &[LearnedFact]) -> (Vec<Entry>, Vec<Slice>) {
    let proven = learned.iter().find_map(|learned| match &learned.fact {
        Fact::WindowEnd { family, end } => Some((family.clone(), *end)),
        _ => None,
    });
    let (Some((family, end)), before) = (proven, cx.account.window_end(&slice.stream)) else {
        return (Vec::new(), Vec::new());
    };
    let (catalog, started_at) = (&cx.settings.catalog, cx.account.started_at);
    let (slices, entries) = cx.ledger.read(|state| reopened(state, catalog, &family, before, end, started_at)).await;
    (entries, slices)
}

/// Records that the days of `slice` have no rows, because its gate says so.
///
/// # Errors
/// [`RunError::SharedLedger`].
pub async fn publish_nothing(cx: &SliceContext<'_>, slice: &Slice) -> Result<(), RunError> {
    let unfinished = unfinished_days(slice, cx.now());
    let days = slice.recorded_days().into_iter().filter(|day| !unfinished.contains(day));
    let days = days.map(|day| empty_day(slice, day)).collect();
    let mut record = Vec::from_iter(cx.ledger.table_entry(slice).await);
    record.push(slice_entry(cx, slice, None, 0, cx.now(), days));
    cx.ledger.commit(record, None).await
}

/// The entry of a published slice; `whole` is `None` if its gate is closed.
fn slice_entry(
    cx: &SliceContext<'_>,
    slice: &Slice,
    whole: Option<&VerifiedSlice>,
    requests: u64,
    extracted_at: Timestamp,
    days: Vec<DayEntry>,
) -> Entry {
    Entry::Slice(SliceEntry {
        run: cx.ledger.run_id,
        stream: slice.stream.name.clone(),
        fingerprint: TableMeaning::from_stream(&slice.stream).fingerprint(),
        scope: slice.scope.clone(),
        window: slice.window,
        proof: whole.map_or(Proof::Gate, |whole| whole.proof),
        total: whole.and_then(|whole| whole.totals.total),
        rows: whole.map_or(0, |whole| whole.totals.rows),
        outside_rows: whole.map_or(0, |whole| whole.outside_rows),
        requests,
        extracted_at,
        days,
    })
}

fn counters<'a>(whole: &VerifiedSlice, requests: u64, days: impl Iterator<Item = &'a DayEntry>) -> Counters {
    let rows = whole.totals.rows;
    let of_slice = Counters { slices: 1, requests, rows, outside_rows: whole.outside_rows, ..Counters::default() };
    days.fold(of_slice, |mut counters, day| {
        match day.file {
            FileChange::Published => {
                counters.files += 1;
                counters.bytes += day.bytes;
            }
            FileChange::Unchanged => counters.unchanged += 1,
            FileChange::Absent => {}
        }
        counters
    })
}

/// Records files as stale that may be new without a record, so that the next run replaces them. If even this cannot be
/// recorded, the end of the run cannot either, and the days of a run that never ended are extracted once more anyway.
async fn mark_stale(
    cx: &SliceContext<'_>,
    slice: &Slice,
    days: impl IntoIterator<Item = Option<Day>>,
    error: RunError,
) -> RunError {
    cx.ledger.commit(stale_entries(slice, days).collect(), None).await.ok();
    error
}

/// Whether the ledger records the same rows for `day`.
fn has_recorded_rows(whole: &VerifiedSlice, before: Option<&ScopeCoverage>, day: Option<Day>) -> bool {
    let Some(state) = before.and_then(|before| before.state(day)).filter(|state| !state.stale) else {
        return false;
    };
    match whole.days.iter().find(|file| file.day == day) {
        Some(file) => state.file && state.rows == file.rows && state.hash == file.hash.into(),
        None => !state.file,
    }
}

fn stale_entries(slice: &Slice, days: impl IntoIterator<Item = Option<Day>>) -> impl Iterator<Item = Entry> {
    let (stream, scope) = (slice.stream.name.clone(), slice.scope.clone());
    days.into_iter().map(move |day| Entry::Stale { stream: stream.clone(), scope: scope.clone(), day })
}

/// Whether a day would lose too many of its rows, and must not: more than half if their number is proven, otherwise more than a tenth,
/// since the end of an event stream may be missing.
fn is_shrunk(day: &DayContent, before: Option<&ScopeCoverage>, proof: Proof) -> bool {
    let Some(state) = before.and_then(|before| before.state(day.day)) else {
        return false;
    };
    // Without a proof the rows are of another table meaning, and their number says nothing.
    let too_few = match proof {
        Proof::AtLeast | Proof::StreamEnd => day.rows * 10 < state.rows * 9,
        Proof::Total | Proof::Body | Proof::CursorEnd | Proof::Gate => day.rows * 2 < state.rows,
    };
    state.extracted_at.is_some() && state.proof.is_some() && too_few
}

/// Whether a day with less than expected must wait for another run.
fn must_be_confirmed(day: &DayContent, before: Option<&ScopeCoverage>, on_shrink: OnShrink) -> bool {
    // The last run found as many rows, and waits for this one to confirm them.
    let suspect = || before.and_then(|before| before.state(day.day)).and_then(|state| state.suspect.as_ref());
    match on_shrink {
        OnShrink::Confirm => suspect().is_none_or(|suspect| suspect.unconfirmed != Some(day.rows)),
        OnShrink::Accept => false,
        OnShrink::Keep => true,
    }
}

/// Whether the published file of a day has other rows, and was requested with the member that is left out now, which was until `until`.
fn has_other_columns(day: &DayContent, before: Option<&ScopeCoverage>, until: Option<Timestamp>) -> bool {
    let Some(state) = before.and_then(|before| before.state(day.day)) else {
        return false;
    };
    let had_member = until.is_none_or(|until| state.extracted_at.is_some_and(|at| at.to_timestamp() < until));
    state.file && had_member && state.hash != day.hash.into()
}

fn shrunk_problem(
    shrunk: &[DayContent],
    before: Option<&ScopeCoverage>,
    missing: &[String],
    lost: &BTreeMap<Option<Day>, String>,
    on_shrink: OnShrink,
) -> Option<String> {
    let first = shrunk.first()?;
    let day = first.day.map_or_else(|| "the list".to_owned(), |day| day.to_string());
    let found = match (missing, lost.get(&first.day)) {
        ([], None) => {
            let had = before.and_then(|before| before.state(first.day)).map_or(0, |state| state.rows);
            format!("{day} has {} rows, {had} before", first.rows)
        }
        ([], Some(column)) => format!("{day} has no value of `{column}`, and the published file has some"),
        (missing, _) => format!("no row of {day} has `{}`, which every request names", missing.join("`, `")),
    };
    let others = match shrunk.len() {
        1 => String::new(),
        many => format!(", likewise {} more days", many - 1),
    };
    let then = match on_shrink {
        OnShrink::Keep => "`on_shrink = \"keep\"` keeps the published file",
        OnShrink::Confirm | OnShrink::Accept => "the published file is replaced if the next run finds the same",
    };
    Some(format!("{found}{others}; {then}"))
}

fn unfit_problem(unfit: &[(Option<Day>, &String)]) -> Option<String> {
    let (day, problem) = unfit.first()?;
    let day = day.map_or_else(|| "the list".to_owned(), |day| day.to_string());
    let others = match unfit.len() {
        1 => String::new(),
        many => format!("; {} more days have such values", many - 1),
    };
    Some(format!("{day} is not published: {problem}{others}"))
}

/// The snapshot that `list` leaves, and its entry if nothing is to be written: the list never had a row, so it has no file, or the
/// snapshot of the same day has the same rows.
async fn due_snapshot(
    cx: &SliceContext<'_>,
    list: &Slice,
    whole: &VerifiedSlice,
    extracted_at: Timestamp,
) -> Result<Option<(Slice, Option<DayEntry>)>, RunError> {
    let Some(to) = snapshot_slice(cx, list, extracted_at) else {
        return Ok(None);
    };
    if !cx.ledger.forgotten_days(&to, &cx.settings.clock).await?.is_empty() {
        return Ok(None);
    }
    let day = to.window.map(|window| window.start);
    let entry = match whole.days.first() {
        None => Some(empty_day(&to, day)),
        Some(content) => {
            let before = cx.ledger.coverage(&to).await;
            unchanged(cx, &to, &DayContent { day, ..*content }, before.as_ref()).await?
        }
    };
    Ok(Some((to, entry)))
}

/// Publishes the snapshot `to` of a list, whose file is `file`. A second one of the same day replaces the first.
async fn publish_snapshot(
    cx: &SliceContext<'_>,
    list: &Slice,
    to: &Slice,
    file: &SpooledFile,
) -> Result<DayEntry, RunError> {
    let (copy, _dir) = snapshot_file(cx, list, to, file).await?;
    let published = publish_file(cx, to, &copy).await?;
    sync(cx, to, [published.day]).await?;
    Ok(published)
}

/// Waits until no power cut can undo that the files of `days` were published: the record that names them comes next.
async fn sync(
    cx: &SliceContext<'_>,
    slice: &Slice,
    days: impl IntoIterator<Item = Option<Day>>,
) -> Result<(), RunError> {
    let destinations = &cx.settings.destinations;
    let path = |day| destinations.layout.path_for(&slice.stream, &slice.scope, day);
    let paths: Vec<_> = days.into_iter().map(path).collect();
    Ok(retry_write(|| destinations.lake.sync(&paths), || !cx.settings.cancel.is_cancelled()).await?)
}

async fn publish_file(cx: &SliceContext<'_>, slice: &Slice, file: &SpooledFile) -> Result<DayEntry, RunError> {
    let destinations = &cx.settings.destinations;
    let path = destinations.layout.path_for(&slice.stream, &slice.scope, file.content.day);
    // The rows must not be requested once more because the store was unavailable for a moment.
    let is_wanted = || !cx.settings.cancel.is_cancelled();
    let published = retry_write(|| destinations.lake.publish(&file.path, &file.sha256, &path), is_wanted).await?;
    Ok(day_entry(&file.content, FileChange::Published, file.bytes, published.etag))
}

/// The entry of a day whose published file has the same rows; `None` if it must be published. The ledger says which rows were published;
/// only the store says whether the file is still there.
///
/// # Errors
/// [`RunError::Destination`].
async fn unchanged(
    cx: &SliceContext<'_>,
    slice: &Slice,
    day: &DayContent,
    before: Option<&ScopeCoverage>,
) -> Result<Option<DayEntry>, RunError> {
    let Some(state) = before.and_then(|before| before.state(day.day)) else {
        return Ok(None);
    };
    let is_same = state.file && !state.stale && state.rows == day.rows && state.hash == day.hash.into();
    if !is_same || cx.options.rewrite || cx.ledger.may_be_overwritten(slice, day.day).await {
        return Ok(None);
    }
    let destinations = &cx.settings.destinations;
    let path = destinations.layout.path_for(&slice.stream, &slice.scope, day.day);
    let is_wanted = || !cx.settings.cancel.is_cancelled();
    let found = match retry_write(|| destinations.lake.size(&path), is_wanted).await? {
        Some(bytes) if bytes == state.bytes => return Ok(Some(day_entry(day, FileChange::Unchanged, bytes, None))),
        Some(bytes) => format!("has {bytes} bytes, and {} were published", state.bytes),
        None => "is missing".to_owned(),
    };
    if cx.account.first_report(format!("files of {}", slice.stream.name), "not as published") {
        let message = format!(
            "`{path}` {found}: its rows are published once more, as are those of similar files; `verify` finds the files of days that no run requests"
        );
        cx.settings.events.emit(&Event::Warning { message });
    }
    Ok(None)
}

fn day_entry(content: &DayContent, file: FileChange, bytes: u64, etag: Option<String>) -> DayEntry {
    let DayContent { day, rows, hash, signal } = *content;
    DayEntry { day, rows, hash: hash.into(), file, bytes, etag, signal }
}

/// A day without rows and without a file.
fn empty_day(slice: &Slice, day: Option<Day>) -> DayEntry {
    DayEntry {
        day,
        rows: 0,
        hash: ContentHash::default(),
        file: FileChange::Absent,
        bytes: 0,
        etag: None,
        signal: slice.stream.signal.as_ref().map(|_| false),
    }
}
