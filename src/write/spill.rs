//! Rows that wait on disk until their file is written, in Arrow's IPC format, which is cheap to write and read.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::PathBuf;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};

use crate::write::error::WriteError;

/// Batches in a spool file, in order of arrival.
pub struct Spill {
    path: PathBuf,
    writer: StreamWriter<Counted>,
}

impl Spill {
    pub fn create(path: PathBuf, schema: &Schema) -> Result<Self, WriteError> {
        let file = File::create(&path).map_err(|source| WriteError::Disk { path: path.clone(), source })?;
        let counted = Counted { inner: BufWriter::new(file), bytes: 0 };
        let started = IpcWriteOptions::default()
            .try_with_compression(Some(CompressionType::LZ4_FRAME))
            .and_then(|options| StreamWriter::try_new_with_options(counted, schema, options));
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
        self.writer.get_ref().bytes
    }

    /// Passes every batch to `add`, one at a time, and removes the file.
    pub fn drain(mut self, mut add: impl FnMut(RecordBatch) -> Result<(), WriteError>) -> Result<(), WriteError> {
        let failed = |source| WriteError::Spill { path: self.path.clone(), source };
        self.writer.finish().and_then(|()| Ok(self.writer.get_mut().flush()?)).map_err(failed)?;
        let file = File::open(&self.path).map_err(|source| WriteError::Disk { path: self.path.clone(), source })?;
        for batch in StreamReader::try_new(BufReader::new(file), None).map_err(failed)? {
            add(batch.map_err(failed)?)?;
        }
        // If this fails, the file is removed with the directory of the slice.
        std::fs::remove_file(&self.path).ok();
        Ok(())
    }
}

/// Counts the written bytes.
struct Counted {
    inner: BufWriter<File>,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}
