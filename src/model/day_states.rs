//! The days of one stream of one scope, in little room.

use std::collections::VecDeque;
use std::ops::Index;

use crate::model::coverage::DayState;
use crate::model::day::Day;
use crate::model::window::Window;

/// Days that are made room for at a time, at least. Doubling would leave a third of the room empty.
const ROOM: usize = 32;

/// What is known of each day, oldest first: a map, as one run of memory.
///
/// Days come at the end, night by night, and before the first, when history is read newest first; both are cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DayStates(VecDeque<(Day, DayState)>);

impl DayStates {
    /// How many days are known.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is known of `day`.
    pub fn get(&self, day: &Day) -> Option<&DayState> {
        self.find(*day).ok().map(|at| &self.0[at].1)
    }

    /// The same, to change it; a day of which nothing is known yet becomes one that is known.
    pub fn state_mut(&mut self, day: Day) -> &mut DayState {
        let at = match self.find(day) {
            Ok(at) => at,
            Err(at) => {
                if self.0.len() == self.0.capacity() {
                    self.0.reserve_exact(ROOM.max(self.0.len() / 8));
                }
                self.0.insert(at, (day, DayState::unknown()));
                at
            }
        };
        &mut self.0[at].1
    }

    /// Puts `state` in the place of whatever was known of `day`.
    pub fn insert(&mut self, day: Day, state: DayState) {
        *self.state_mut(day) = state;
    }

    /// Takes out the days of `window`.
    pub fn remove(&mut self, window: Window) {
        let place = |day: Day| self.find(day).unwrap_or_else(|at| at);
        let days = place(window.start)..place(window.end);
        self.0.drain(days);
    }

    /// Gives back the room that is kept for more days.
    pub fn shrink_to_fit(&mut self) {
        self.0.shrink_to_fit();
    }

    /// The oldest day, and what is known of it.
    pub fn first(&self) -> Option<(&Day, &DayState)> {
        self.iter().next()
    }

    /// Days and what is known of them, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Day, &DayState)> + ExactSizeIterator {
        self.0.iter().map(|(day, state)| (day, state))
    }

    /// The days, oldest first.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Day> + ExactSizeIterator {
        self.0.iter().map(|(day, _)| day)
    }

    /// What is known of each day, oldest first.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &DayState> + ExactSizeIterator {
        self.0.iter().map(|(_, state)| state)
    }

    /// The same, to change it.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut DayState> {
        self.0.iter_mut().map(|(_, state)| state)
    }

    /// Those of the days of `window` that are known, oldest first.
    pub fn range(&self, window: Window) -> impl DoubleEndedIterator<Item = (&Day, &DayState)> + ExactSizeIterator {
        let place = |day: Day| self.find(day).unwrap_or_else(|at| at);
        self.0.range(place(window.start)..place(window.end)).map(|(day, state)| (day, state))
    }

    /// Where `day` is, or where it would be.
    fn find(&self, day: Day) -> Result<usize, usize> {
        self.0.binary_search_by(|(found, _)| found.cmp(&day))
    }
}

impl Index<&Day> for DayStates {
    type Output = DayState;

    /// What is known of a day that is known to be there.
    fn index(&self, day: &Day) -> &DayState {
        &self.0[self.find(*day).unwrap_or(usize::MAX)].1
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
        fn days_are_found_and_ordered_as_in_a_map_whatever_order_they_came_in(
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
