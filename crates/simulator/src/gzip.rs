//! A body on its way through a compressor that may be broken.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Compresses a body piece by piece.
#[derive(Debug)]
pub(super) struct Gzip {
    encoder: GzEncoder<Vec<u8>>,
    /// Compressed bytes so far.
    made: u64,
    ends_at: u64,
    damaged_at: Option<u64>,
}

impl Gzip {
    pub(super) fn new((ends_at, damaged_at): (Option<u64>, Option<u64>)) -> Self {
        let encoder = GzEncoder::new(Vec::new(), Compression::fast());
        Self { encoder, made: 0, ends_at: ends_at.unwrap_or(u64::MAX), damaged_at }
    }

    /// What a piece of the body comes to, possibly nothing yet; without a piece, the rest. `None` after the end.
    pub(super) fn take(&mut self, piece: Option<&[u8]>) -> io::Result<Option<Vec<u8>>> {
        match piece {
            Some(piece) => self.encoder.write_all(piece)?,
            None => self.encoder.try_finish()?,
        }
        let mut bytes = std::mem::take(self.encoder.get_mut());
        if self.ends_at <= self.made || (piece.is_none() && bytes.is_empty()) {
            return Ok(None);
        }
        bytes.truncate(usize::try_from(self.ends_at - self.made).unwrap_or(usize::MAX));
        let damaged = self.damaged_at.and_then(|at| usize::try_from(at.checked_sub(self.made)?).ok());
        if let Some(byte) = damaged.and_then(|at| bytes.get_mut(at)) {
            *byte = !*byte;
        }
        self.made += bytes.len() as u64;
        Ok(Some(bytes))
    }
}
