//! What a hostile body contains before its first row, made while it is sent.

use super::active_faults::{AppliedFaults, last_fault};
use super::fault::{FaultKind, FloodForm};

/// Bytes of one piece of filling.
const FILLING_BYTES: usize = 64 * 1024;

const MEGABYTE: u64 = 1024 * 1024;

/// An opening, a filling of any length, and a closing.
#[derive(Debug)]
pub(crate) struct OversizedBody {
    opening: Vec<u8>,
    filling: Vec<u8>,
    /// Bytes of filling that are still to be sent; `None` is endless.
    remaining: Option<u64>,
    closing: Vec<u8>,
}

impl OversizedBody {
    /// What `faults` put before the rows of an event stream or a list, if anything.
    pub(crate) fn new(faults: &AppliedFaults, is_event_stream: bool) -> Option<Self> {
        let (before, after) = if is_event_stream { ("event: result\ndata: ", "\n\n") } else { ("", ",") };
        let row = |opening: &str, filling: Vec<u8>, remaining, closing: &str| Self {
            opening: format!("{before}{{\"filling\":{opening}").into_bytes(),
            filling,
            remaining,
            closing: format!("{closing}}}{after}").into_bytes(),
        };
        if let Some(levels) = last_fault!(faults, FaultKind::DeepNesting { levels } => *levels) {
            return Some(row(&"[".repeat(levels), Vec::new(), Some(0), &"]".repeat(levels)));
        }
        let (form, megabytes) = last_fault!(faults, FaultKind::Flood { of, megabytes } => (*of, *megabytes))?;
        let remaining = megabytes.map(|megabytes| megabytes.saturating_mul(MEGABYTE));
        match form {
            FloodForm::Rows => None,
            FloodForm::Text => Some(row("\"", vec![b'x'; FILLING_BYTES], remaining, "\"")),
            FloodForm::Blanks => {
                let comments = b": nothing yet\n\n".repeat(FILLING_BYTES / 15);
                let filling = if is_event_stream { comments } else { vec![b' '; FILLING_BYTES] };
                Some(Self { opening: Vec::new(), filling, remaining, closing: Vec::new() })
            }
        }
    }

    /// Adds the next piece to `out`; returns whether more pieces follow.
    pub(crate) fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        out.append(&mut self.opening);
        if self.remaining == Some(0) {
            out.append(&mut self.closing);
            return false;
        }
        out.extend_from_slice(&self.filling);
        self.remaining = self.remaining.map(|remaining| remaining.saturating_sub(self.filling.len() as u64));
        true
    }
}

/// About how many rows are as large as the flood of rows in `faults`, if there is one; the outer `None` is no flood, and
/// rows without end are as many as fit into an exabyte.
pub(crate) fn flood_rows(faults: &AppliedFaults) -> Option<u64> {
    let megabytes = last_fault!(faults, FaultKind::Flood { of: FloodForm::Rows, megabytes } => *megabytes)?;
    // A row of less than a hundred bytes is rare.
    Some(megabytes.unwrap_or(MEGABYTE * MEGABYTE).saturating_mul(MEGABYTE) / 100)
}
