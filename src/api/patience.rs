//! How much of an answer is listened to: no answer is worth any number of bytes, or any time.

use std::time::Duration;

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

/// How much of one answer has come, and how long it was listened to.
#[derive(Debug)]
pub struct Patience {
    took: Duration,
    rowless: Duration,
    rows: u64,
    bytes: u64,
    most_bytes: u64,
    most_rowless: Duration,
}

impl Patience {
    /// Nothing has come. Silence alone is bounded by `idle_timeout`, elsewhere.
    pub fn new(idle_timeout: Duration, most_bytes: u64) -> Self {
        let most_rowless = idle_timeout * ROWLESS_TIMEOUTS;
        Self { took: Duration::ZERO, rowless: Duration::ZERO, rows: 0, bytes: 0, most_bytes, most_rowless }
    }

    /// More `bytes` came after they were `waited` for, and there are `rows` whole ones by now. The time in which nobody
    /// listened, since the spool was full, does not count.
    ///
    /// # Errors
    /// [`FramingError::TooLong`] or [`FramingError::TooSlow`], after which nobody listens any more.
    pub fn hear(&mut self, bytes: usize, rows: u64, waited: Duration) -> Result<(), FramingError> {
        self.bytes += bytes as u64;
        if self.most_bytes < self.bytes {
            return Err(FramingError::TooLong { what: "the answer", limit: self.most_bytes });
        }
        self.took += waited;
        self.rowless = if self.rows < rows { Duration::ZERO } else { self.rowless + waited };
        self.rows = rows;
        if MOST_TIME < self.took {
            return Err(FramingError::TooSlow { what: "its end", waited: self.took });
        }
        match self.most_rowless < self.rowless {
            true => Err(FramingError::TooSlow { what: "a whole row", waited: self.rowless }),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(300);

    #[test]
    fn answer_is_given_up_when_bytes_come_and_no_row_does() {
        let mut patience = Patience::new(IDLE, 1000);
        for row in 1..10 {
            assert_eq!(patience.hear(10, row, IDLE), Ok(()));
        }
        assert!((0..4).all(|_| patience.hear(10, 9, IDLE).is_ok()));
        let given_up = patience.hear(10, 9, IDLE).unwrap_err();
        assert_eq!(given_up.to_string(), "1500 s passed without a whole row");
    }

    #[test]
    fn answer_is_given_up_when_its_rows_never_end() {
        let mut patience = Patience::new(IDLE, 1000);
        let slow = (1..).find_map(|row| patience.hear(1, row, IDLE).err());
        assert_eq!(slow, Some(FramingError::TooSlow { what: "its end", waited: MOST_TIME + IDLE }));
        let mut patience = Patience::new(IDLE, 1000);
        assert_eq!(patience.hear(1000, 1, IDLE), Ok(()));
        assert_eq!(patience.hear(1, 2, IDLE), Err(FramingError::TooLong { what: "the answer", limit: 1000 }));
    }
}
