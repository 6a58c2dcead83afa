//! How many days are due, by reason.

/// Why a day is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It was never read.
    Missing,
    /// It was read before it was final.
    Lookback,
    /// It lies before everything that was read.
    History,
    /// Its last reading was doubtful, or a run that was killed may have overwritten it.
    Retry,
}

/// How many days are due, by reason. A list counts as one day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Due {
    /// Never read.
    pub missing: u32,
    /// Read before they were final.
    pub lookback: u32,
    /// Before everything that was read: the first day wanted is earlier than it was, or has not been reached yet.
    pub history: u32,
    /// Doubtful, or perhaps overwritten by a run that was killed.
    pub retry: u32,
}

impl Due {
    /// One day that is due for `reason`.
    pub(super) fn one(reason: Reason) -> Self {
        let mut due = Self::default();
        match reason {
            Reason::Missing => due.missing = 1,
            Reason::Lookback => due.lookback = 1,
            Reason::History => due.history = 1,
            Reason::Retry => due.retry = 1,
        }
        due
    }

    /// All of them.
    pub fn days(self) -> u32 {
        self.missing + self.lookback + self.history + self.retry
    }

    /// Whether nothing is due but what lies before everything that was read.
    pub(super) fn is_history(self) -> bool {
        0 < self.history && self.history == self.days()
    }

    /// The same days, as history where they were never read.
    pub(super) fn of_the_past(self) -> Self {
        Self { missing: 0, history: self.history + self.missing, ..self }
    }
}

impl std::ops::AddAssign for Due {
    fn add_assign(&mut self, other: Self) {
        self.missing += other.missing;
        self.lookback += other.lookback;
        self.history += other.history;
        self.retry += other.retry;
    }
}
