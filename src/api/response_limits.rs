//! Bounds on one response: no response may bring any number of bytes, or take any time.

use std::time::Duration;

use crate::api::blocks::FramingError;

/// The longest event stream, decompressed. A year of the largest stream of a large category is less than a tenth of it.
pub const MAX_EVENT_STREAM_BYTES: u64 = 64 << 30;
/// The longest page: 50,000 rows of a thousand bytes are 50 MB.
pub const MAX_PAGE_BYTES: u64 = 4 << 30;
/// The longest list that comes in one body. The longest seen have some thousand entries.
pub const MAX_LIST_BYTES: u64 = 256 << 20;
const MAX_TIME: Duration = Duration::from_secs(6 * 3600);
/// Bytes may arrive for this many idle timeouts without a whole row: comments keep a connection alive while a query runs.
const MAX_ROWLESS_TIMEOUTS: u32 = 4;

/// How much of one response has arrived, and how long that took.
#[derive(Debug)]
pub struct ResponseLimits {
    elapsed: Duration,
    since_last_row: Duration,
    rows: u64,
    bytes: u64,
    max_bytes: u64,
    max_rowless: Duration,
}

impl ResponseLimits {
    /// Silence alone is bounded by `idle_timeout`, elsewhere.
    pub fn new(idle_timeout: Duration, max_bytes: u64) -> Self {
        let max_rowless = idle_timeout * MAX_ROWLESS_TIMEOUTS;
        Self { elapsed: Duration::ZERO, since_last_row: Duration::ZERO, rows: 0, bytes: 0, max_bytes, max_rowless }
    }

    /// Another `bytes` arrived `waited` after they were asked for, and there are `rows` whole rows now. Time in which the response
    /// was not read because the spool was busy does not count.
    ///
    /// # Errors
    /// [`FramingError::TooLong`] or [`FramingError::TooSlow`], after which the response is not read further.
    pub fn record(&mut self, bytes: usize, rows: u64, waited: Duration) -> Result<(), FramingError> {
        self.bytes += bytes as u64;
        if self.bytes > self.max_bytes {
            return Err(FramingError::TooLong { what: "the response", limit: self.max_bytes });
        }
        self.elapsed += waited;
        self.since_last_row = if rows > self.rows { Duration::ZERO } else { self.since_last_row + waited };
        self.rows = rows;
        if self.elapsed > MAX_TIME {
            return Err(FramingError::TooSlow { what: "its end", waited: self.elapsed });
        }
        if self.since_last_row > self.max_rowless {
            return Err(FramingError::TooSlow { what: "a whole row", waited: self.since_last_row });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(300);

    #[test]
    fn response_without_a_whole_row_for_long_is_rejected() {
        let mut limits = ResponseLimits::new(IDLE, 1000);
        for row in 1..10 {
            assert_eq!(limits.record(10, row, IDLE), Ok(()));
        }
        assert!((0..4).all(|_| limits.record(10, 9, IDLE).is_ok()));
        let error = limits.record(10, 9, IDLE).unwrap_err();
        assert_eq!(error.to_string(), "1500 s passed without a whole row");
    }

    #[test]
    fn response_without_an_end_is_rejected() {
        let mut limits = ResponseLimits::new(IDLE, 1000);
        let slow = (1..).find_map(|row| limits.record(1, row, IDLE).err());
        assert_eq!(slow, Some(FramingError::TooSlow { what: "its end", waited: MAX_TIME + IDLE }));
        let mut limits = ResponseLimits::new(IDLE, 1000);
        assert_eq!(limits.record(1000, 1, IDLE), Ok(()));
        assert_eq!(limits.record(1, 2, IDLE), Err(FramingError::TooLong { what: "the response", limit: 1000 }));
    }
}
