//! The CPU half of a slice: blocks to record batches to files. Runs on a thread of its own, beside the extraction.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::PathBuf;

use arrow::array::RecordBatch;
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;

use crate::decode::{Decoder, Drift};
use crate::model::block::{Block, Positions};
use crate::run::error::RunError;
use crate::write::{Protection, SliceWriter, WriteError, Written};

/// Bytes of rows of a protected stream that may wait in memory for the names of their values.
const HELD_BYTES: usize = 64 * 1024 * 1024;

/// Takes `blocks` to files until the channel closes. `asked` binds positional rows where no response does; `protection`
/// comes before anything touches the disk.
///
/// # Errors
/// [`RunError::Decode`] or [`RunError::Write`]; the channel then closes, which ends the extraction.
pub fn decode_and_write(
    mut blocks: Receiver<Block>,
    decoder: Decoder,
    writer: SliceWriter,
    asked: Option<Positions>,
    protection: Protection,
    standing_in: oneshot::Receiver<Vec<RecordBatch>>,
) -> Result<Worked, RunError> {
    let mut waiting = match protection.is_empty() {
        true => WaitingRoom::OnDisk { path: writer.waiting_room(), file: None },
        false => WaitingRoom::InMemory { stream: writer.stream().to_owned(), held: Vec::new(), bytes: 0 },
    };
    let mut line = Line { decoder, protection, writer };
    while let Some(block) = blocks.blocking_recv() {
        match block {
            Block::Rows { json, rows } => match line.decoder.needs_positions() {
                true => waiting.admit(json, rows)?,
                false => line.take(&json, rows)?,
            },
            Block::Positions(positions) => {
                line.decoder.bind(&positions);
                waiting.empty(&mut line)?;
            }
            Block::EndOfPage => {
                // Names are sent sorted, so that the order of the request and the API's own coincide.
                if let (true, Some(asked)) = (line.decoder.needs_positions(), &asked) {
                    line.decoder.bind(asked);
                }
                waiting.empty(&mut line)?;
                line.decoder.end_page();
            }
        }
    }
    let Line { decoder, mut writer, .. } = line;
    // Without a word nothing stands in.
    standing_in.blocking_recv().unwrap_or_default().iter().try_for_each(|batch| writer.keep(batch))?;
    Ok(Worked { drift: decoder.drift().clone(), absent: decoder.missing_columns(), written: writer.finish() })
}

/// The way of rows to their files. There is no other, so none is written unprotected.
struct Line {
    decoder: Decoder,
    protection: Protection,
    writer: SliceWriter,
}

impl Line {
    fn take(&mut self, json: &[u8], rows: usize) -> Result<(), RunError> {
        let batch = self.decoder.decode(json, rows)?;
        let stream = || self.writer.stream().to_owned();
        let batch = self.protection.apply(batch).map_err(|source| WriteError::Shape { stream: stream(), source })?;
        Ok(self.writer.write(&batch)?)
    }
}

/// What came of the blocks of one transfer.
pub struct Worked {
    /// The files.
    pub written: Written,
    /// Members the catalog does not know.
    pub drift: Drift,
    /// Columns that were asked for by name and that no row held.
    pub absent: Vec<String>,
}

/// Holds blocks whose positions are not known yet, because a body sent `data` before `info`. What is to be protected
/// waits in memory, since it may not touch the disk as it came.
enum WaitingRoom {
    OnDisk { path: PathBuf, file: Option<BufWriter<File>> },
    InMemory { stream: String, held: Vec<(Vec<u8>, usize)>, bytes: usize },
}

impl WaitingRoom {
    fn admit(&mut self, json: Vec<u8>, rows: usize) -> Result<(), WriteError> {
        match self {
            Self::OnDisk { path, file } => {
                let admitted = (|| {
                    let file = match file {
                        Some(file) => file,
                        None => file.insert(BufWriter::new(File::create(&*path)?)),
                    };
                    file.write_all(&(json.len() as u64).to_le_bytes())?;
                    file.write_all(&(rows as u64).to_le_bytes())?;
                    file.write_all(&json)
                })();
                admitted.map_err(|source| WriteError::Disk { path: path.clone(), source })
            }
            Self::InMemory { stream, held, bytes } => {
                *bytes += json.len();
                held.push((json, rows));
                match *bytes <= HELD_BYTES {
                    true => Ok(()),
                    false => Err(WriteError::Unprotected { stream: stream.clone(), limit_bytes: HELD_BYTES }),
                }
            }
        }
    }

    fn empty(&mut self, line: &mut Line) -> Result<(), RunError> {
        match self {
            Self::OnDisk { path, file } => {
                let Some(mut file) = file.take() else {
                    return Ok(());
                };
                let disk = |source| WriteError::Disk { path: path.clone(), source };
                file.flush().map_err(disk)?;
                drop(file);
                let mut file = BufReader::new(File::open(&*path).map_err(disk)?);
                while let Some(length) = read_number(&mut file).map_err(disk)? {
                    let rows = read_number(&mut file).map_err(disk)?.unwrap_or_default();
                    let mut json = vec![0; length as usize];
                    file.read_exact(&mut json).map_err(disk)?;
                    line.take(&json, rows as usize)?;
                }
            }
            Self::InMemory { held, bytes, .. } => {
                *bytes = 0;
                for (json, rows) in held.drain(..) {
                    line.take(&json, rows)?;
                }
            }
        }
        Ok(())
    }
}

fn read_number(file: &mut impl Read) -> std::io::Result<Option<u64>> {
    let mut bytes = [0; 8];
    match file.read(&mut bytes[..1])? {
        0 => Ok(None),
        _ => file.read_exact(&mut bytes[1..]).map(|()| Some(u64::from_le_bytes(bytes))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_may_not_wait_on_disk_wait_in_memory_until_they_are_too_many() {
        let mut waiting = WaitingRoom::InMemory { stream: "logs_raw".into(), held: Vec::new(), bytes: 0 };
        assert!(waiting.admit(vec![b' '; HELD_BYTES], 1).is_ok());
        let refused = waiting.admit(vec![b' '], 1).unwrap_err();
        assert!(refused.to_string().starts_with("stream `logs_raw` sends the names of its values after"), "{refused}");
    }
}
