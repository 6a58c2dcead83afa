//! A body on its way to the client: compressed, slowed down, damaged or cut off as faults demand.

use std::io::{self, Write as _};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::active_faults::{AppliedFaults, last_fault};
use super::fault::FaultKind;
use super::response_body::ResponseBody;

/// How long bytes have to reach the client before the connection breaks; otherwise the break overtakes them.
const BREAK_DELAY: Duration = Duration::from_millis(20);

/// A body on its way to the client.
struct BodyTransfer {
    body: ResponseBody,
    /// Made and not yet sent.
    pending: Bytes,
    sent: u64,
    gzip: Option<FaultyGzip>,
    truncate_at: Option<u64>,
    stall_at: Option<u64>,
    /// Bytes of each piece, and the pause before it.
    drip: Option<(usize, Duration)>,
    is_broken: bool,
}

/// Makes an HTTP body of `body`.
pub(crate) fn transfer(body: ResponseBody, faults: &AppliedFaults) -> Body {
    let drip = last_fault!(faults, FaultKind::Drip { bytes, milliseconds } => (*bytes, *milliseconds));
    let transfer = BodyTransfer {
        body,
        pending: Bytes::new(),
        sent: 0,
        gzip: last_fault!(faults, FaultKind::Gzip { ends_at, damaged_at } => FaultyGzip::new(*ends_at, *damaged_at)),
        truncate_at: last_fault!(faults, FaultKind::Truncate { bytes } => *bytes),
        stall_at: last_fault!(faults, FaultKind::Stall { bytes } => *bytes),
        drip: drip.map(|(bytes, pause)| (bytes.max(1), Duration::from_millis(pause))),
        is_broken: false,
    };
    Body::from_stream(futures::stream::unfold(transfer, |mut transfer| async move {
        let piece = transfer.next_piece().await?;
        Some((piece, transfer))
    }))
}

impl BodyTransfer {
    async fn next_piece(&mut self) -> Option<io::Result<Bytes>> {
        if self.is_broken {
            return None;
        }
        while self.pending.is_empty() {
            let chunk = self.body.next_chunk();
            self.pending = match &mut self.gzip {
                None => Bytes::from(chunk?),
                Some(gzip) => match gzip.compress(chunk.as_deref()) {
                    Ok(bytes) => Bytes::from(bytes?),
                    Err(error) => return Some(Err(error)),
                },
            };
        }
        let mut length = self.pending.len();
        if let Some((bytes, pause)) = self.drip {
            tokio::time::sleep(pause).await;
            length = length.min(bytes);
        }
        let sent = self.sent;
        let cut = |length: usize, limit: Option<u64>| match limit {
            Some(limit) => limit.saturating_sub(sent).min(length as u64) as usize,
            None => length,
        };
        length = cut(length, self.truncate_at);
        if length == 0 {
            tokio::time::sleep(BREAK_DELAY).await;
            self.is_broken = true;
            return Some(Err(io::Error::new(io::ErrorKind::ConnectionReset, "the simulator broke the connection")));
        }
        length = cut(length, self.stall_at);
        if length == 0 {
            std::future::pending::<()>().await;
        }
        self.sent += length as u64;
        Some(Ok(self.pending.split_to(length)))
    }
}

/// A compressor whose output may end early or be damaged.
#[derive(Debug)]
struct FaultyGzip {
    encoder: GzEncoder<Vec<u8>>,
    /// Compressed bytes so far.
    written: u64,
    ends_at: Option<u64>,
    damaged_at: Option<u64>,
}

impl FaultyGzip {
    fn new(ends_at: Option<u64>, damaged_at: Option<u64>) -> Self {
        Self { encoder: GzEncoder::new(Vec::new(), Compression::fast()), written: 0, ends_at, damaged_at }
    }

    /// Compresses a piece of the body, possibly to nothing yet; without a piece, returns the rest. `None` is the end.
    fn compress(&mut self, piece: Option<&[u8]>) -> io::Result<Option<Vec<u8>>> {
        match piece {
            Some(piece) => self.encoder.write_all(piece)?,
            None => self.encoder.try_finish()?,
        }
        let mut bytes = std::mem::take(self.encoder.get_mut());
        let remaining = self.ends_at.map(|end| end.saturating_sub(self.written));
        if remaining == Some(0) || (piece.is_none() && bytes.is_empty()) {
            return Ok(None);
        }
        bytes.truncate(remaining.map_or(bytes.len(), |remaining| remaining as usize));
        let damaged = self.damaged_at.and_then(|at| at.checked_sub(self.written));
        if let Some(byte) = damaged.and_then(|at| bytes.get_mut(at as usize)) {
            *byte = !*byte;
        }
        self.written += bytes.len() as u64;
        Ok(Some(bytes))
    }
}
