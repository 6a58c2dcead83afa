//! Rows that wait on disk until their file is written, in Arrow's IPC format, which is cheap to write and read.

use std::io::{self, Write};
use std::path::PathBuf;

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, SchemaRef};
use lz4_flex::frame::{FrameDecoder, FrameEncoder};

use crate::write::error::WriteError;
use crate::write::private_file::{HashedReader, HashedWriter, create_file};

/// Batches in a spool file, in order of arrival.
///
/// The file is a sequence of LZ4 frames, each with an IPC stream. IPC could compress, too, but it compresses every buffer of every column
/// on its own, with 128 KiB of memory for each.
pub struct Spill {
    path: PathBuf,
    schema: SchemaRef,
    file: HashedWriter,
    frames: u32,
}

impl Spill {
    pub fn create(path: PathBuf, schema: SchemaRef) -> Result<Self, WriteError> {
        Ok(Self { file: create_file(&path)?, path, schema, frames: 0 })
    }

    /// Appends the batches, which have the schema of the spill.
    pub fn write(&mut self, batches: &[RecordBatch]) -> Result<(), WriteError> {
        self.frames += 1;
        self.write_frame(batches).map_err(|source| WriteError::Spill { path: self.path.clone(), source })
    }

    fn write_frame(&mut self, batches: &[RecordBatch]) -> Result<(), ArrowError> {
        let mut stream = StreamWriter::try_new(FrameEncoder::new(&mut self.file), &self.schema)?;
        batches.iter().try_for_each(|batch| stream.write(batch))?;
        stream.into_inner()?.finish().map_err(io::Error::from)?;
        Ok(())
    }

    /// Approximate.
    pub fn bytes(&self) -> u64 {
        self.file.get_ref().bytes()
    }

    /// Passes every batch to `add`, one at a time, and removes the file.
    pub fn drain(mut self, mut add: impl FnMut(RecordBatch) -> Result<(), WriteError>) -> Result<(), WriteError> {
        let failed = |source| WriteError::Spill { path: self.path.clone(), source };
        self.file.flush().map_err(|source| failed(source.into()))?;
        let mut frames = FrameDecoder::new(HashedReader::open(&self.path)?);
        for _ in 0..self.frames {
            for batch in StreamReader::try_new(&mut frames, None).map_err(failed)? {
                add(batch.map_err(failed)?)?;
            }
            // To the end of the frame, behind that of the stream.
            io::copy(&mut frames, &mut io::sink()).map_err(|source| failed(source.into()))?;
        }
        frames.get_mut().finish(&self.file.get_ref().digest())?;
        // If this fails, the file is removed with the directory of the slice.
        std::fs::remove_file(&self.path).ok();
        Ok(())
    }
}
