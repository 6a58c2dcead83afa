//! Verifies that the written rows are complete: the number that the API announced, without repetitions.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::day::Day;
use crate::model::proof::Proof;
use crate::model::response_totals::ResponseTotals;
use crate::model::stream::{Stream, Total};
use crate::write::day_file::DayFile;
use crate::write::error::WriteError;
use crate::write::filled_columns::FilledColumns;
use crate::write::parquet_file::{DayContent, SpooledFile};
use crate::write::row_keys::RowKeys;
use crate::write::slice_writer::{ROW_GROUP_BYTES, SliceWriter, UnverifiedSlice};
use crate::write::spool::SliceDir;

/// Pages that an event stream may cost besides itself, if its total does not count rows: their last cursor proves the end.
const MAX_CONFIRMING_PAGES: u64 = 2;

/// Why a slice may be incomplete.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    #[error("received {rows} of {total} announced rows")]
    Total { rows: u64, total: u64 },
    /// Rows were added or removed between two pages.
    /// Of an event stream that has no rows, or may be one page: nothing shows its end.
    #[error("received {rows} rows, and no total was announced")]
    NoTotal { rows: u64 },
    /// Of an event stream whose total, if any, counts something else than rows.
    #[error("received {rows} rows, and no total of rows was announced")]
    Entities { rows: u64 },
    #[error("the announced total changed from {first} to {later} while paging")]
    Moved { first: u64, later: u64 },
    #[error("the API announced that rows are missing: {announced}")]
    Incomplete { announced: String },
    #[error("the API sent the same cursor twice")]
    RepeatedCursor,
    #[error("{rows} rows arrived more than once")]
    RepeatedRows { rows: u64 },
    /// Another stream shows that this one has rows.
    #[error("received no rows, although `{stream}` shows that there are some")]
    Expected { stream: String },
}

/// A slice that is known to be complete. Only [`UnverifiedSlice::verify`] makes one, and only it can be published.
pub struct VerifiedSlice {
    /// Why the rows are known to be complete.
    pub proof: Proof,
    /// Oldest first. A day without rows is among them only if it must replace a published file.
    pub days: Vec<DayContent>,
    /// Why days of the window are not among them: they have a row that cannot be stored.
    pub unfit: BTreeMap<Option<Day>, String>,
    /// Rows outside the window, dropped after the total was compared.
    pub outside_rows: u64,
    /// Days of rows, also outside the window.
    pub days_seen: BTreeSet<Day>,
    pub totals: ResponseTotals,
    files: BTreeMap<Option<Day>, DayFile>,
    /// Of every footer.
    metadata: Vec<(String, String)>,
    // Keeps the files in the spool until the slice is published.
    dir: SliceDir,
}

impl VerifiedSlice {
    /// The columns of the rows of `day`, until its file is completed.
    pub fn filled_columns(&self, day: Option<Day>) -> Option<&FilledColumns> {
        self.files.get(&day).map(DayFile::filled_columns)
    }

    /// Completes the files of `days`, each of which may be requested once. Other days are never encoded, since nothing reads their files:
    /// on most nights that is nearly every day.
    ///
    /// # Errors
    /// [`WriteError`] if a file cannot be completed.
    pub fn encode(&mut self, days: &BTreeSet<Option<Day>>) -> Result<Vec<SpooledFile>, WriteError> {
        let mut encoded = Vec::with_capacity(days.len());
        let mut bytes: u64 = self.files.values().map(DayFile::disk_bytes).sum();
        for content in self.days.iter().filter(|content| days.contains(&content.day)) {
            let Some(file) = self.files.remove(&content.day) else {
                continue;
            };
            bytes -= file.disk_bytes();
            let mut own = self.metadata.clone();
            own.push(("profound_export.rows".to_owned(), content.rows.to_string()));
            own.extend(content.day.map(|day| ("profound_export.day".to_owned(), day.to_string())));
            let file = file.close(*content, self.dir.share(ROW_GROUP_BYTES), &own)?;
            bytes += file.bytes;
            self.dir.occupy(bytes)?;
            encoded.push(file);
        }
        Ok(encoded)
    }
}

impl UnverifiedSlice {
    /// Compares the rows with the announced totals. Days in `published` have a published file that a file without rows must replace.
    ///
    /// # Errors
    /// A [`Doubt`] if the slice may be incomplete, whose spool files are then removed, or a [`WriteError`] if the keys of its rows
    /// cannot be read.
    pub fn verify(
        self,
        totals: ResponseTotals,
        published: &BTreeSet<Option<Day>>,
    ) -> Result<Result<VerifiedSlice, Doubt>, WriteError> {
        let Self(mut writer) = self;
        let repeated_rows = writer.keys.take().map_or(Ok(0), RowKeys::repeated)?;
        let has_days = writer.slice.window.is_some_and(|window| window.len_days() > 1);
        let entities = writer.entities.take().filter(|_| has_days).map(RowKeys::count).transpose()?;
        let proof = match check(&totals, &writer.slice.stream, entities, repeated_rows) {
            Ok(proof) => proof,
            Err(doubt) => return Ok(Err(doubt)),
        };
        for day in published {
            writer.open(*day);
        }
        let SliceWriter { files, unfit, .. } = &mut writer;
        unfit.retain(|day, _| files.contains_key(day));
        files.retain(|day, _| !unfit.contains_key(day));
        let metadata = writer.metadata(&totals, proof);
        let SliceWriter { slice, files, outside_rows, seen, dir, signalled, unfit, .. } = writer;
        let content = |(day, file): (&Option<Day>, &DayFile)| {
            let signal = slice.stream.signal.as_ref().map(|_| signalled.contains(day));
            DayContent { day: *day, rows: file.rows(), hash: file.hash(), signal }
        };
        let days = files.iter().map(content).collect();
        Ok(Ok(VerifiedSlice { proof, days, unfit, outside_rows, days_seen: seen, totals, files, metadata, dir }))
    }
}

fn check(totals: &ResponseTotals, stream: &Stream, entities: Option<u64>, repeated_rows: u64) -> Result<Proof, Doubt> {
    match (proof_of(totals, stream, entities), repeated_rows) {
        (Err(doubt @ (Doubt::RepeatedCursor | Doubt::Moved { .. } | Doubt::Incomplete { .. })), _) => Err(doubt),
        (proof, 0) => proof,
        (_, rows) => Err(Doubt::RepeatedRows { rows }),
    }
}

/// Why a response with these totals is complete. `entities` are the different ones of a grouped report over several days.
///
/// # Errors
/// Why it may be incomplete.
pub fn proof_of(totals: &ResponseTotals, stream: &Stream, entities: Option<u64>) -> Result<Proof, Doubt> {
    if totals.repeated_cursor {
        return Err(Doubt::RepeatedCursor);
    }
    if let Some((first, later)) = totals.moved {
        return Err(Doubt::Moved { first, later });
    }
    if let Some(announced) = totals.incomplete.clone() {
        return Err(Doubt::Incomplete { announced });
    }
    let rows = totals.rows;
    let is_event_stream = totals.end == Proof::StreamEnd;
    let is_few =
        |rows: u64| stream.pagination.limit().is_some_and(|limit| rows.div_ceil(limit) <= MAX_CONFIRMING_PAGES);
    match (totals.total, stream.total) {
        // Without a key there is only one row, whatever the total counts.
        (Some(_), _) if stream.key.is_empty() && rows > 0 => Ok(totals.end),
        (Some(total), Total::Rows | Total::AtLeast) if rows < total => Err(Doubt::Total { rows, total }),
        (Some(total), Total::AtLeast) if is_event_stream => proof_of_entities(total, rows, entities, is_few(total)),
        (Some(total), Total::Rows | Total::AtLeast) if rows == total => Ok(Proof::Total),
        (Some(total), Total::Rows) => Err(Doubt::Total { rows, total }),
        (None, _) if is_event_stream && (rows == 0 || stream.pagination.is_offset()) => Err(Doubt::NoTotal { rows }),
        (None, _) if is_event_stream && is_few(rows) => Err(Doubt::Entities { rows }),
        (Some(_), Total::AtLeast | Total::Unrelated) | (None, _) => Ok(totals.end),
    }
}

/// The proof of an event stream whose total counts rows or entities: the documents leave it open.
fn proof_of_entities(total: u64, rows: u64, entities: Option<u64>, is_few: bool) -> Result<Proof, Doubt> {
    // One row of each entity may be all rows, or those of the first day.
    let is_ambiguous = rows > 0 && entities == Some(rows);
    let is_short = entities.is_some_and(|entities| entities < total);
    let is_doubtful = if rows == total { is_ambiguous && is_few } else { is_few || is_short };
    if is_doubtful {
        return Err(Doubt::Entities { rows });
    }
    Ok(if rows == total { Proof::Total } else { Proof::AtLeast })
}
