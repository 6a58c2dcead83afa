//! The days of one stream and scope, in little memory.

use std::collections::VecDeque;
use std::ops::Index;

use crate::model::compact_timestamp::CompactTimestamp;
use crate::model::content_hash::ContentHash;
use crate::model::day::Day;
use crate::model::proof::Proof;
use crate::model::window::Window;

/// The ledger state of one day or list. A large lake has more than a million of them, so it is small, and rare parts are boxed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayState {
    /// The last complete extraction; none while all were suspect.
    pub extracted_at: Option<CompactTimestamp>,
    /// The last extraction with other rows than before.
    pub changed_at: Option<CompactTimestamp>,
    pub rows: u64,
    pub hash: ContentHash,
    pub proof: Option<Proof>,
    /// Whether a file is published.
    pub file: bool,
    /// Of the file.
    pub bytes: u64,
    /// Another writer may have replaced the file, or `verify` found it damaged.
    pub stale: bool,
    /// Why the last extraction was not published; the published file was kept.
    pub suspect: Option<Box<Suspect>>,
    /// Whether the stream's signal announces rows; none for streams without a signal.
    pub signal: Option<bool>,
}

/// An extraction without proof of completeness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    pub problem: String,
    /// Its rows, if they were so few that another run must confirm them.
    pub unconfirmed: Option<u64>,
}

impl DayState {
    pub fn unknown() -> Self {
        Self {
            extracted_at: None,
            changed_at: None,
            rows: 0,
            hash: ContentHash::default(),
            proof: None,
            file: false,
            bytes: 0,
            stale: false,
            suspect: None,
            signal: None,
        }
    }

    pub fn problem(&self) -> Option<&str> {
        self.suspect.as_ref().map(|suspect| suspect.problem.as_str())
    }
}

/// Days to reserve at a time, at least. Doubling would leave a third of the memory unused.
const RESERVED_DAYS: usize = 32;

/// A map from days to states in contiguous memory, oldest first. A run appends the newest days, an automatic backfill prepends
/// older ones; both are cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DayStates(VecDeque<(Day, DayState)>);

impl DayStates {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, day: &Day) -> Option<&DayState> {
        self.find(*day).ok().map(|at| &self.0[at].1)
    }

    /// Inserts an unknown state for a new day.
    pub fn state_mut(&mut self, day: Day) -> &mut DayState {
        let at = match self.find(day) {
            Ok(at) => at,
            Err(at) => {
                if self.0.len() == self.0.capacity() {
                    self.0.reserve_exact(RESERVED_DAYS.max(self.0.len() / 8));
                }
                self.0.insert(at, (day, DayState::unknown()));
                at
            }
        };
        &mut self.0[at].1
    }

    pub fn insert(&mut self, day: Day, state: DayState) {
        *self.state_mut(day) = state;
    }

    pub fn remove(&mut self, window: Window) {
        let place = |day: Day| self.find(day).unwrap_or_else(|at| at);
        let days = place(window.start)..place(window.end);
        self.0.drain(days);
    }

    pub fn shrink_to_fit(&mut self) {
        self.0.shrink_to_fit();
    }

    pub fn first(&self) -> Option<(&Day, &DayState)> {
        self.iter().next()
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Day, &DayState)> + ExactSizeIterator {
        self.0.iter().map(|(day, state)| (day, state))
    }

    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Day> + ExactSizeIterator {
        self.0.iter().map(|(day, _)| day)
    }

    pub fn values(&self) -> impl DoubleEndedIterator<Item = &DayState> + ExactSizeIterator {
        self.0.iter().map(|(_, state)| state)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Day, &mut DayState)> {
        self.0.iter_mut().map(|(day, state)| (*day, state))
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut DayState> {
        self.0.iter_mut().map(|(_, state)| state)
    }

    /// The known days of `window`.
    pub fn range(&self, window: Window) -> impl DoubleEndedIterator<Item = (&Day, &DayState)> + ExactSizeIterator {
        let place = |day: Day| self.find(day).unwrap_or_else(|at| at);
        self.0.range(place(window.start)..place(window.end)).map(|(day, state)| (day, state))
    }

    /// The index of `day`, or where to insert it.
    fn find(&self, day: Day) -> Result<usize, usize> {
        self.0.binary_search_by(|(found, _)| found.cmp(&day))
    }
}

impl Index<&Day> for DayStates {
    type Output = DayState;

    fn index(&self, day: &Day) -> &DayState {
        self.get(day).expect("a known day")
    }
}

impl FromIterator<(Day, DayState)> for DayStates {
    fn from_iter<I: IntoIterator<Item = (Day, DayState)>>(days: I) -> Self {
        let mut states = Self::default();
        days.into_iter().for_each(|(day, state)| states.insert(day, state));
        states
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn days_are_found_and_ordered_as_in_a_map(
            days in prop::collection::vec((-40_i32..40, 0_u64..9), 0..120),
            (start, length) in (-50_i32..50, 1_i64..60),
        ) {
            let days = days.into_iter().map(|(day, rows)| (Day::from_epoch_days(day), rows));
            let mut map = BTreeMap::new();
            let mut states = DayStates::default();
            for (day, rows) in days {
                map.insert(day, DayState { rows, ..DayState::unknown() });
                states.state_mut(day).rows = rows;
            }
            prop_assert!(states.iter().eq(map.iter()));
            prop_assert!(states.iter().rev().eq(map.iter().rev()));
            prop_assert_eq!((states.len(), states.is_empty()), (map.len(), map.is_empty()));
            prop_assert_eq!(states.first(), map.iter().next());
            let start = Day::from_epoch_days(start);
            let window = Window::new(start, start.plus(length)).unwrap();
            prop_assert!(states.range(window).eq(map.range(window.start..window.end)));
            for day in window.days() {
                prop_assert_eq!(states.get(&day), map.get(&day));
            }
            states.remove(window);
            map.retain(|day, _| !window.contains(*day));
            prop_assert!(states.iter().eq(map.iter()));
        }
    }

    #[test]
    fn ordinary_day_takes_72_bytes() {
        assert_eq!(size_of::<(Day, DayState)>(), 72);
    }

    #[test]
    fn room_is_made_for_few_days_more_than_there_are() {
        let days = (0..365).map(|day| (Day::from_epoch_days(-day), DayState::unknown()));
        let states: DayStates = days.collect();
        assert!(states.0.capacity() <= 365 + 365 / 8, "{}", states.0.capacity());
    }
}
