//! The CPU half of a slice: blocks to record batches to files, a block at a time on the thread that all slices share.

use std::io::{Read, Write};
use std::path::PathBuf;

use arrow_array::RecordBatch;
use tokio::sync::mpsc::Receiver;

use crate::decode::{DecodeError, Decoder, Drift, Misfit};
use crate::model::block::{Block, Positions};
use crate::run::error::RunError;
use crate::write::{
    HashedReader, HashedWriter, Protection, SliceWriter, UnverifiedSlice, Worker, WriteError, create_file,
};

/// Bytes of rows of a protected stream that may wait in memory for the names of their values.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// Rows on their way to the decoder.
pub enum RowInput {
    Block(Block),
    /// Rows of the published file, whose requests are not repeated or failed.
    Published(RecordBatch),
}

impl RowInput {
    /// Approximate bytes of its rows in a file that is not compressed.
    fn bytes(&self) -> u64 {
        match self {
            Self::Block(Block::Rows { json, .. }) => json.len() as u64,
            Self::Block(Block::Positions(_) | Block::EndOfPage) => 0,
            Self::Published(batch) => batch.get_array_memory_size() as u64,
        }
    }
}

/// The files of an attempt, and what its decoder saw.
pub struct Decoded {
    pub written: UnverifiedSlice,
    pub drift: Drift,
    /// Requested columns that no row had.
    pub missing_columns: Vec<String>,
    /// The first value that did not fit, if it leaves nothing to publish.
    pub misfit: Option<DecodeError>,
}

/// Writes `rows` to files until the channel closes. `requested_names` bind positional rows if no response names them.
/// `protection` is applied before anything is on disk.
///
/// # Errors
/// [`RunError::Decode`] or [`RunError::Write`]. The channel then closes, which ends the requests.
pub async fn decode_and_write(
    worker: &Worker,
    mut rows: Receiver<RowInput>,
    decoder: Decoder,
    writer: SliceWriter,
    requested_names: Option<Positions>,
    protection: Protection,
) -> Result<Decoded, RunError> {
    let slice = writer.slice().clone();
    let waiting = if protection.is_empty() {
        WaitingRows::OnDisk { path: writer.waiting_blocks_file(), file: None, blocks: Vec::new() }
    } else {
        WaitingRows::InMemory { stream: writer.slice().stream.name.clone(), blocks: Vec::new(), bytes: 0 }
    };
    let line = Line { decoder, protection, writer, misfit: None };
    let mut table = Box::new(Table { line, waiting, requested_names });
    while let Some(input) = rows.recv().await {
        table.line.writer.wait_for_space(input.bytes()).await?;
        table = worker.run(&slice, move || table.add(input).map(|()| table)).await??;
    }
    // The rows that still wait in memory are written when the slice is verified.
    table.line.writer.wait_for_space(0).await?;
    let Line { decoder, writer, misfit, .. } = table.line;
    let written = writer.finish();
    Ok(Decoded {
        drift: decoder.drift().clone(),
        missing_columns: decoder.missing_columns(),
        misfit: misfit.filter(|_| written.is_unfit()),
        written,
    })
}

/// The rows of a slice that arrived so far.
struct Table {
    line: Line,
    waiting: WaitingRows,
    requested_names: Option<Positions>,
}

impl Table {
    fn add(&mut self, input: RowInput) -> Result<(), RunError> {
        let Self { line, waiting, requested_names } = self;
        match input {
            // Rows of a published file are protected already.
            RowInput::Published(batch) => line.writer.keep(&batch)?,
            RowInput::Block(Block::Rows { json, rows }) if line.decoder.needs_positions() => {
                waiting.push(json, rows)?
            }
            RowInput::Block(Block::Rows { json, rows }) => line.write(&json, rows)?,
            RowInput::Block(Block::Positions(positions)) => {
                line.decoder.bind(&positions);
                waiting.drain_to(line)?;
            }
            RowInput::Block(Block::EndOfPage) => {
                // Names are sent sorted, so the order of the request and the API's own are the same.
                if let Some(names) = requested_names.as_ref().filter(|_| line.decoder.needs_positions()) {
                    line.decoder.bind(names);
                }
                waiting.drain_to(line)?;
                line.decoder.end_page();
            }
        }
        Ok(())
    }
}

/// The only way from rows to files, so no row is written unprotected.
struct Line {
    decoder: Decoder,
    protection: Protection,
    writer: SliceWriter,
    /// The first value that did not fit its column.
    misfit: Option<DecodeError>,
}

impl Line {
    fn write(&mut self, json: &[u8], rows: usize) -> Result<(), RunError> {
        let (batch, misfits) = self.decoder.decode_with_misfits(json, rows)?;
        for Misfit { row, problem } in misfits {
            self.writer.reject(&batch, row, &problem);
            self.misfit.get_or_insert(problem);
        }
        let stream = || self.writer.slice().stream.name.clone();
        let batch = self.protection.apply(batch).map_err(|source| WriteError::Shape { stream: stream(), source })?;
        Ok(self.writer.write(&batch)?)
    }
}

/// Blocks whose positions are not known yet, because a body sent `data` before `info`. Rows that are to be protected wait in
/// memory, since they must not be on disk in clear text.
enum WaitingRows {
    /// With the length and the rows of each block in the file.
    OnDisk {
        path: PathBuf,
        file: Option<HashedWriter>,
        blocks: Vec<(usize, usize)>,
    },
    InMemory {
        stream: String,
        blocks: Vec<(Vec<u8>, usize)>,
        bytes: usize,
    },
}

impl WaitingRows {
    fn push(&mut self, json: Vec<u8>, rows: usize) -> Result<(), WriteError> {
        match self {
            Self::OnDisk { path, file, blocks } => {
                blocks.push((json.len(), rows));
                let file = match file {
                    Some(file) => file,
                    None => file.insert(create_file(path)?),
                };
                file.write_all(&json).map_err(|source| WriteError::Disk { path: path.clone(), source })
            }
            Self::InMemory { stream, blocks, bytes } => {
                *bytes += json.len();
                blocks.push((json, rows));
                if *bytes > MAX_WAITING_BYTES {
                    return Err(WriteError::Unprotected { stream: stream.clone(), limit_bytes: MAX_WAITING_BYTES });
                }
                Ok(())
            }
        }
    }

    fn drain_to(&mut self, line: &mut Line) -> Result<(), RunError> {
        match self {
            Self::OnDisk { path, file, blocks } => {
                let Some(mut file) = file.take() else {
                    return Ok(());
                };
                let disk = |source| WriteError::Disk { path: path.clone(), source };
                file.flush().map_err(disk)?;
                let mut written = HashedReader::open(path)?;
                for (length, rows) in blocks.drain(..) {
                    let mut json = vec![0; length];
                    written.read_exact(&mut json).map_err(disk)?;
                    line.write(&json, rows)?;
                }
                written.finish(&file.get_ref().digest())?;
                // Later pages may have rows to wait, too.
                std::fs::remove_file(&*path).map_err(disk)?;
            }
            Self::InMemory { blocks, bytes, .. } => {
                *bytes = 0;
                for (json, rows) in blocks.drain(..) {
                    line.write(&json, rows)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protected_rows_wait_in_memory_up_to_a_limit() {
        let mut waiting = WaitingRows::InMemory { stream: "logs_raw".into(), blocks: Vec::new(), bytes: 0 };
        assert!(waiting.push(vec![b' '; MAX_WAITING_BYTES], 1).is_ok());
        let error = waiting.push(vec![b' '], 1).unwrap_err();
        assert!(error.to_string().starts_with("stream `logs_raw` names its columns only after"), "{error}");
    }
}
