//! Verifies that the written rows are complete: the number that the API announced, without repetitions.

use std::collections::BTreeSet;

use crate::model::day::Day;
use crate::model::proof::Proof;
use crate::model::response_totals::ResponseTotals;
use crate::model::stream::Total;
use crate::write::day_file::DayFile;
use crate::write::error::WriteError;
use crate::write::parquet_file::SpooledFile;
use crate::write::slice_writer::{RowKeys, SliceWriter, UnverifiedSlice};
use crate::write::spool::SliceDir;

/// Why a slice may be incomplete.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    #[error("received {rows} of {total} announced rows")]
    Total { rows: u64, total: u64 },
    /// Rows were added or removed between two pages.
    #[error("the announced total changed from {first} to {later} while paging")]
    Moved { first: u64, later: u64 },
    #[error("the API sent the same cursor twice")]
    RepeatedCursor,
    #[error("{rows} rows arrived more than once")]
    RepeatedRows { rows: u64 },
    /// Another stream shows that this one has rows.
    #[error("received no rows, although `{stream}` shows that there are some")]
    Expected { stream: String },
}

/// A slice that is known to be complete. Only [`UnverifiedSlice::verify`] makes one, and only it can be published.
#[derive(Debug)]
pub struct VerifiedSlice {
    /// Why the rows are known to be complete.
    pub proof: Proof,
    /// One file per day, oldest first. A day without rows has a file only if it must replace a published one.
    pub days: Vec<SpooledFile>,
    /// Rows outside the window, dropped after the total was compared.
    pub outside_rows: u64,
    pub totals: ResponseTotals,
    // Keeps the files in the spool until the slice is published.
    _dir: SliceDir,
}

impl UnverifiedSlice {
    /// Compares the rows with the announced totals and completes the files. Days in `published` have a published file that a file without
    /// rows must replace.
    ///
    /// # Errors
    /// A [`Doubt`] if the slice may be incomplete, or a [`WriteError`] if a file cannot be completed. Its spool files are then removed.
    pub fn verify(
        self,
        totals: ResponseTotals,
        total: Total,
        published: &BTreeSet<Option<Day>>,
    ) -> Result<Result<VerifiedSlice, Doubt>, WriteError> {
        let Self(mut writer) = self;
        let repeated_rows = writer.keys.as_mut().map_or(0, RowKeys::repeated);
        let proof = match check(&totals, total, repeated_rows) {
            Ok(proof) => proof,
            Err(doubt) => return Ok(Err(doubt)),
        };
        for day in published {
            writer.open(*day)?;
        }
        let metadata = writer.metadata(&totals, proof);
        let SliceWriter { slice, files, outside_rows, mut dir, signalled, .. } = writer;
        let mut days = Vec::with_capacity(files.len());
        let mut bytes: u64 = files.values().map(DayFile::disk_bytes).sum();
        for (day, file) in files {
            let rows = file.rows();
            bytes -= file.disk_bytes();
            dir.reserve(bytes + file.expected_bytes())?;
            let mut own = metadata.clone();
            own.push(("profound_export.rows".to_owned(), rows.to_string()));
            own.extend(day.map(|day| ("profound_export.day".to_owned(), day.to_string())));
            let file = file.close(day, &own)?;
            bytes += file.bytes;
            dir.occupy(bytes)?;
            let signal = slice.stream.signal.as_ref().map(|_| signalled.contains(&day));
            days.push(SpooledFile { signal, ..file });
        }
        Ok(Ok(VerifiedSlice { proof, days, outside_rows, totals, _dir: dir }))
    }
}

fn check(totals: &ResponseTotals, total: Total, repeated_rows: u64) -> Result<Proof, Doubt> {
    match (proof_of(totals, total), repeated_rows) {
        (Err(doubt @ (Doubt::RepeatedCursor | Doubt::Moved { .. })), _) => Err(doubt),
        (proof, 0) => proof,
        (_, rows) => Err(Doubt::RepeatedRows { rows }),
    }
}

/// Why a response with these totals is complete; `total` says what the announced total counts.
///
/// # Errors
/// Why it may be incomplete.
pub fn proof_of(totals: &ResponseTotals, total: Total) -> Result<Proof, Doubt> {
    if totals.repeated_cursor {
        return Err(Doubt::RepeatedCursor);
    }
    if let Some((first, later)) = totals.moved {
        return Err(Doubt::Moved { first, later });
    }
    let Some(announced) = totals.total else {
        return Ok(totals.end);
    };
    match total {
        Total::Rows if totals.rows == announced => Ok(Proof::Total),
        Total::AtLeast if announced <= totals.rows => Ok(Proof::AtLeast),
        Total::Unrelated => Ok(totals.end),
        _ => Err(Doubt::Total { rows: totals.rows, total: announced }),
    }
}
