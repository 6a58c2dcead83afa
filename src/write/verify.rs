//! Whether what was written is what the API announced.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::day::Day;
use crate::model::proof::Proof;
use crate::model::response_totals::ResponseTotals;
use crate::model::stream::Total;
use crate::write::day_file::DayFile;
use crate::write::error::WriteError;
use crate::write::parquet_file::WholeDay;
use crate::write::slice_writer::Written;
use crate::write::spool::SliceDir;

/// Why a slice is not believed to be whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// Fewer or more rows than announced.
    #[error("{rows} rows came of {total} announced")]
    Total {
        /// Rows that came.
        rows: u64,
        /// Rows announced.
        total: u64,
    },
    /// The announced total changed from one page to another.
    #[error("the announced total moved from {first} to {later} while paging")]
    Moved {
        /// On an earlier page.
        first: u64,
        /// On a later page.
        later: u64,
    },
    /// A cursor that was already followed.
    #[error("the API sent the same cursor twice")]
    RepeatedCursor,
    /// Rows that came on more than one page.
    #[error("{rows} rows came twice while paging")]
    RepeatedRows {
        /// How many more than distinct ones.
        rows: u64,
    },
    /// Nothing came although another stream says that there is something.
    #[error("no rows came, although `{stream}` says that there are some")]
    Expected {
        /// The stream that says so.
        stream: String,
    },
}

/// A slice that is known to be whole: only [`Written::verified_against`] makes one, and only it can be published.
#[derive(Debug)]
pub struct WholeSlice {
    /// How the end is known.
    pub proof: Proof,
    /// The files, one a day, oldest first. A day without rows has a file only where one must be replaced.
    pub days: Vec<WholeDay>,
    /// Rows outside the wanted days, dropped after the total was compared.
    pub outside: u64,
    /// What the API told.
    pub told: ResponseTotals,
    // Keeps the files until the slice is published.
    _dir: SliceDir,
}

impl Written {
    /// Compares what came with what was announced, and completes the files.
    ///
    /// `standing` are the days for which a file stands that must not survive a day without rows.
    ///
    /// # Errors
    /// A [`Doubt`] when the slice is not whole, or a [`WriteError`] when a file cannot be completed. The spool is
    /// then empty again.
    pub fn verified_against(
        mut self,
        told: ResponseTotals,
        total: Total,
        standing: &BTreeSet<Option<Day>>,
    ) -> Result<Result<WholeSlice, Doubt>, WriteError> {
        let proof = match self.check(&told, total) {
            Ok(proof) => proof,
            Err(doubt) => return Ok(Err(doubt)),
        };
        for day in standing {
            self.open(*day)?;
        }
        let metadata = self.metadata(&told, proof);
        let signals: BTreeMap<Option<Day>, Option<bool>> =
            self.days_written().map(|day| (day, self.signal(day))).collect();
        let (files, outside, mut dir) = self.into_parts();
        let mut days = Vec::with_capacity(files.len());
        let mut bytes: u64 = files.values().map(DayFile::disk_bytes).sum();
        for (day, file) in files {
            let rows = file.rows();
            bytes -= file.disk_bytes();
            dir.reserve(bytes + file.expected_bytes())?;
            let mut own = metadata.clone();
            own.push(("profound_export.rows".to_owned(), rows.to_string()));
            own.extend(day.map(|day| ("profound_export.day".to_owned(), day.to_string())));
            let whole = file.close(day, &own)?;
            bytes += whole.bytes;
            dir.occupy(bytes)?;
            days.push(WholeDay { signal: signals.get(&day).copied().flatten(), ..whole });
        }
        Ok(Ok(WholeSlice { proof, days, outside, told, _dir: dir }))
    }

    fn check(&mut self, told: &ResponseTotals, total: Total) -> Result<Proof, Doubt> {
        match (proof_of(told, total), self.repeated_rows()) {
            (Err(doubt @ (Doubt::RepeatedCursor | Doubt::Moved { .. })), _) => Err(doubt),
            (proof, 0) => proof,
            (_, rows) => Err(Doubt::RepeatedRows { rows }),
        }
    }
}

/// How the end of what was `told` is known, when its total counts what `total` says.
///
/// # Errors
/// Why it is not believed to be whole.
pub fn proof_of(told: &ResponseTotals, total: Total) -> Result<Proof, Doubt> {
    if told.repeated_cursor {
        return Err(Doubt::RepeatedCursor);
    }
    if let Some((first, later)) = told.moved {
        return Err(Doubt::Moved { first, later });
    }
    let Some(announced) = told.total else {
        return Ok(told.end);
    };
    match total {
        Total::Rows if told.rows == announced => Ok(Proof::Total),
        Total::AtLeast if announced <= told.rows => Ok(Proof::AtLeast),
        Total::Unrelated => Ok(told.end),
        _ => Err(Doubt::Total { rows: told.rows, total: announced }),
    }
}
