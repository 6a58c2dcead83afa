//! The CPU half of a slice: blocks to record batches to files. Runs on a thread of its own, beside the extraction.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::PathBuf;

use tokio::sync::mpsc::Receiver;

use crate::decode::{Decoder, Drift};
use crate::model::block::{Block, Positions};
use crate::run::error::RunError;
use crate::write::{SliceWriter, WriteError, Written};

/// Takes `blocks` to files until the channel closes. `asked` binds positional rows where no response does.
///
/// # Errors
/// [`RunError::Decode`] or [`RunError::Write`]; the channel then closes, which ends the extraction.
pub fn decode_and_write(
    mut blocks: Receiver<Block>,
    mut decoder: Decoder,
    mut writer: SliceWriter,
    asked: Option<Positions>,
) -> Result<Worked, RunError> {
    let mut waiting = WaitingRoom::new(writer.waiting_room());
    while let Some(block) = blocks.blocking_recv() {
        match block {
            Block::Rows { json, rows } => match decoder.needs_positions() {
                true => waiting.admit(&json, rows)?,
                false => writer.write(&decoder.decode(&json, rows)?)?,
            },
            Block::Positions(positions) => {
                decoder.bind(&positions);
                waiting.empty(&mut decoder, &mut writer)?;
            }
            Block::EndOfPage => {
                // Names are sent sorted, so that the order of the request and the API's own coincide.
                if let (true, Some(asked)) = (decoder.needs_positions(), &asked) {
                    decoder.bind(asked);
                }
                waiting.empty(&mut decoder, &mut writer)?;
                decoder.end_page();
            }
        }
    }
    Ok(Worked { drift: decoder.drift().clone(), absent: decoder.absent(), written: writer.finish() })
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

/// Holds blocks on disk whose positions are not known yet, because a body sent `data` before `info`.
struct WaitingRoom {
    path: PathBuf,
    file: Option<BufWriter<File>>,
}

impl WaitingRoom {
    fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    fn admit(&mut self, json: &[u8], rows: usize) -> Result<(), WriteError> {
        let path = self.path.clone();
        let disk = |source| WriteError::Disk { path, source };
        let admitted = (|| {
            let file = match &mut self.file {
                Some(file) => file,
                None => self.file.insert(BufWriter::new(File::create(&self.path)?)),
            };
            file.write_all(&(json.len() as u64).to_le_bytes())?;
            file.write_all(&(rows as u64).to_le_bytes())?;
            file.write_all(json)
        })();
        admitted.map_err(disk)
    }

    fn empty(&mut self, decoder: &mut Decoder, writer: &mut SliceWriter) -> Result<(), RunError> {
        let Some(mut file) = self.file.take() else {
            return Ok(());
        };
        let disk = |source| WriteError::Disk { path: self.path.clone(), source };
        file.flush().map_err(disk)?;
        drop(file);
        let mut file = BufReader::new(File::open(&self.path).map_err(disk)?);
        while let Some(length) = read_number(&mut file).map_err(disk)? {
            let rows = read_number(&mut file).map_err(disk)?.unwrap_or_default();
            let mut json = vec![0; length as usize];
            file.read_exact(&mut json).map_err(disk)?;
            writer.write(&decoder.decode(&json, rows as usize)?)?;
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
