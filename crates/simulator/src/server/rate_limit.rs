//! The rate limit: a number of requests in each fixed window of time.

use std::time::Duration;

use jiff::Timestamp;

/// Counts requests in windows that begin at multiples of `period` since 1970.
#[derive(Debug)]
pub(crate) struct FixedWindow {
    limit: u32,
    period_seconds: i64,
    /// The number of the present window since 1970; `None` before the first request.
    number: Option<i64>,
    used: u32,
}

/// What the headers of one response announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WindowStatus {
    /// Whether the request is within the limit.
    pub(crate) is_granted: bool,
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    /// When the window ends, in Unix seconds.
    pub(crate) reset: i64,
}

impl FixedWindow {
    pub(crate) fn new(limit: u32, period: Duration) -> Self {
        Self { limit, period_seconds: (period.as_secs() as i64).max(1), number: None, used: 0 }
    }

    /// Takes `cost` requests at `now`, if so many remain.
    pub(crate) fn take(&mut self, now: Timestamp, cost: u32) -> WindowStatus {
        let number = now.as_second().div_euclid(self.period_seconds);
        if self.number != Some(number) {
            (self.number, self.used) = (Some(number), 0);
        }
        let is_granted = cost <= self.limit - self.used;
        self.used += if is_granted { cost } else { 0 };
        let reset = (number + 1) * self.period_seconds;
        WindowStatus { is_granted, limit: self.limit, remaining: self.limit - self.used, reset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_requests_remain_when_a_window_begins() {
        let mut window = FixedWindow::new(2, Duration::from_secs(60));
        let mut take = |second, cost| window.take(Timestamp::from_second(second).unwrap(), cost);
        assert_eq!(take(59, 1), WindowStatus { is_granted: true, limit: 2, remaining: 1, reset: 60 });
        assert!(!take(59, 2).is_granted);
        assert!(take(59, 1).is_granted);
        assert!(!take(59, 1).is_granted);
        assert_eq!(take(60, 2), WindowStatus { is_granted: true, limit: 2, remaining: 0, reset: 120 });
    }
}
