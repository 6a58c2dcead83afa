//! What hostile answers hold before their first row, made while it is sent.

use super::effects::Effects;
use super::fault::FloodForm;

/// Bytes of a piece of filling.
const FILL_BYTES: usize = 64 * 1024;

/// An opening, a filling of any length, and a closing.
#[derive(Debug)]
pub(super) struct Stuffing {
    open: Vec<u8>,
    fill: Vec<u8>,
    /// Bytes of filling that are still to come.
    left: u64,
    close: Vec<u8>,
}

impl Stuffing {
    /// What `effects` put before the rows of an event stream or of a list, if anything.
    pub(super) fn of(effects: &Effects, event: bool) -> Option<Self> {
        let (before, after) = if event { ("event: result\ndata: ", "\n\n") } else { ("", ",") };
        let row = |inner_open: &str, fill: &[u8], left, inner_close: &str| Self {
            open: format!("{before}{{\"stuffing\":{inner_open}").into_bytes(),
            fill: fill.to_vec(),
            left,
            close: format!("{inner_close}}}{after}").into_bytes(),
        };
        if let Some(levels) = effects.deep {
            return Some(row(&"[".repeat(levels), b"", 0, &"]".repeat(levels)));
        }
        match effects.flood? {
            (FloodForm::Rows, _) => None,
            (FloodForm::Text, bytes) => Some(row("\"", &[b'x'; FILL_BYTES], bytes, "\"")),
            (FloodForm::Blanks, bytes) => {
                let comments = b": nothing yet\n\n".repeat(FILL_BYTES / 15);
                let fill = if event { comments } else { vec![b' '; FILL_BYTES] };
                Some(Self { open: Vec::new(), fill, left: bytes, close: Vec::new() })
            }
        }
    }

    /// Adds the next piece to `out`; whether more follow.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> bool {
        out.append(&mut self.open);
        if 0 < self.left && !self.fill.is_empty() {
            out.extend_from_slice(&self.fill);
            self.left = self.left.saturating_sub(self.fill.len() as u64);
            return true;
        }
        out.append(&mut self.close);
        false
    }
}
