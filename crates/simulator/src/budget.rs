//! The rate limit: a number of requests in each fixed window of time.

use std::time::Duration;

use jiff::Timestamp;

/// Counts requests in windows that begin at multiples of `period` since 1970.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u32,
    period_seconds: i64,
    window: i64,
    used: u32,
}

/// What the headers of one response tell about the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowance {
    /// Whether the request may be answered.
    pub(super) granted: bool,
    /// Requests allowed in a window.
    pub(super) limit: u32,
    /// Requests left in this window.
    pub(super) remaining: u32,
    /// When the window ends, in Unix seconds.
    pub(super) reset: i64,
}

impl Budget {
    pub(super) fn new(limit: u32, period: Duration) -> Self {
        Self { limit, period_seconds: (period.as_secs() as i64).max(1), window: i64::MIN, used: 0 }
    }

    /// Takes `cost` requests at `now`, if so many are left.
    pub(super) fn take(&mut self, now: Timestamp, cost: u32) -> Allowance {
        let window = now.as_second().div_euclid(self.period_seconds);
        if window != self.window {
            (self.window, self.used) = (window, 0);
        }
        let granted = cost <= self.limit - self.used;
        self.used += if granted { cost } else { 0 };
        Allowance {
            granted,
            limit: self.limit,
            remaining: self.limit - self.used,
            reset: (window + 1) * self.period_seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_is_whole_again_when_the_window_ends() {
        let mut budget = Budget::new(2, Duration::from_secs(60));
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(budget.take(at(61), 1), Allowance { granted: true, limit: 2, remaining: 1, reset: 120 });
        assert!(budget.take(at(62), 1).granted);
        assert!(!budget.take(at(119), 1).granted);
        assert_eq!(budget.take(at(120), 1), Allowance { granted: true, limit: 2, remaining: 1, reset: 180 });
        assert!(!budget.take(at(120), 2).granted, "a request is taken whole or not at all");
        assert!(budget.take(at(120), 1).granted);
    }
}
