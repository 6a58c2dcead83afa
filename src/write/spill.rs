//! Rows that wait on disk until their file is written, in Arrow's IPC format, which is cheap to write and read.

use std::io::Write;
use std::path::PathBuf;

use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::Schema;

use crate::write::error::WriteError;
use crate::write::private_file::{HashedReader, HashedWriter, create_file};

/// Batches in a spool file, in order of arrival.
pub struct Spill {
    path: PathBuf,
    writer: StreamWriter<HashedWriter>,
}

impl Spill {
    pub fn create(path: PathBuf, schema: &Schema) -> Result<Self, WriteError> {
        let file = create_file(&path)?;
        let started = IpcWriteOptions::default()
            .try_with_compression(Some(CompressionType::LZ4_FRAME))
            .and_then(|options| StreamWriter::try_new_with_options(file, schema, options));
        match started {
            Ok(writer) => Ok(Self { path, writer }),
            Err(source) => Err(WriteError::Spill { path, source }),
        }
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), WriteError> {
        self.writer.write(batch).map_err(|source| WriteError::Spill { path: self.path.clone(), source })
    }

    /// Approximate.
    pub fn bytes(&self) -> u64 {
        self.writer.get_ref().get_ref().bytes()
    }

    /// Passes every batch to `add`, one at a time, and removes the file.
    pub fn drain(mut self, mut add: impl FnMut(RecordBatch) -> Result<(), WriteError>) -> Result<(), WriteError> {
        let failed = |source| WriteError::Spill { path: self.path.clone(), source };
        self.writer.finish().and_then(|()| Ok(self.writer.get_mut().flush()?)).map_err(failed)?;
        let mut rows = StreamReader::try_new(HashedReader::open(&self.path)?, None).map_err(failed)?;
        for batch in rows.by_ref() {
            add(batch.map_err(failed)?)?;
        }
        rows.get_mut().finish(&self.writer.get_ref().get_ref().digest())?;
        // If this fails, the file is removed with the directory of the slice.
        std::fs::remove_file(&self.path).ok();
        Ok(())
    }
}
