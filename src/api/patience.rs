//! How much of an answer is listened to: no answer is worth any number of bytes, or any time.

use std::time::Duration;

use tokio::time::Instant;

use crate::api::blocks::FramingError;

/// The longest event stream, inflated. A year of the largest stream of a large category is below a tenth of it.
pub const MOST_EVENT_BYTES: u64 = 64 << 30;
/// The longest page: 50,000 rows of a thousand bytes are 50 MB.
pub const MOST_PAGE_BYTES: u64 = 4 << 30;
/// The longest list that comes in one body. The longest seen have some thousand entries.
pub const MOST_LIST_BYTES: u64 = 256 << 20;
/// The longest that an answer may take, however steadily it comes.
const MOST_TIME: Duration = Duration::from_secs(6 * 3600);
/// Bytes may come for so many idle timeouts without a whole row: comments keep a connection alive while a query runs.
const ROWLESS_TIMEOUTS: u32 = 4;

/// How much of one answer has come, and since when.
#[derive(Debug)]
pub struct Patience {
    began: Instant,
    last_row: Instant,
    rows: u64,
    bytes: u64,
    most_bytes: u64,
    most_rowless: Duration,
}

impl Patience {
    /// Begins now. Silence alone is bounded by `idle_timeout`, elsewhere.
    pub fn new(idle_timeout: Duration, most_bytes: u64) -> Self {
        let now = Instant::now();
        Self { began: now, last_row: now, rows: 0, bytes: 0, most_bytes, most_rowless: idle_timeout * ROWLESS_TIMEOUTS }
    }

    /// More `bytes` came, and there are `rows` whole ones by now.
    ///
    /// # Errors
    /// [`FramingError::TooLong`] or [`FramingError::TooSlow`], after which nobody listens any more.
    pub fn hear(&mut self, bytes: usize, rows: u64) -> Result<(), FramingError> {
        let now = Instant::now();
        self.bytes += bytes as u64;
        if self.most_bytes < self.bytes {
            return Err(FramingError::TooLong { what: "the answer", limit: self.most_bytes });
        }
        if self.rows < rows {
            (self.rows, self.last_row) = (rows, now);
        }
        match (now - self.began, now - self.last_row) {
            (took, _) if MOST_TIME < took => Err(FramingError::TooSlow { what: "its end", waited: took }),
            (_, rowless) if self.most_rowless < rowless => {
                Err(FramingError::TooSlow { what: "a whole row", waited: rowless })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn answer_is_given_up_when_bytes_come_and_no_row_does() {
        let mut patience = Patience::new(Duration::from_secs(300), 1000);
        for row in 1..20 {
            tokio::time::advance(Duration::from_secs(1199)).await;
            assert_eq!(patience.hear(10, row), Ok(()));
        }
        tokio::time::advance(Duration::from_secs(1201)).await;
        let given_up = patience.hear(10, 19).unwrap_err();
        assert_eq!(given_up.to_string(), "1201 s passed without a whole row");
    }

    #[tokio::test(start_paused = true)]
    async fn answer_is_given_up_when_its_rows_never_end() {
        let mut patience = Patience::new(Duration::from_secs(300), 1000);
        let mut row = 0;
        let slow = loop {
            row += 1;
            tokio::time::advance(Duration::from_secs(200)).await;
            if let Err(error) = patience.hear(10, row) {
                break error;
            }
        };
        assert_eq!((row, slow), (109, FramingError::TooSlow { what: "its end", waited: Duration::from_secs(21_800) }));
        let mut patience = Patience::new(Duration::from_secs(300), 1000);
        assert_eq!(patience.hear(1000, 1), Ok(()));
        assert_eq!(patience.hear(1, 2), Err(FramingError::TooLong { what: "the answer", limit: 1000 }));
    }
}
