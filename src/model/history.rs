//! The state of daily snapshots of lists.

use jiff::Timestamp;

use crate::model::coverage::DayState;
use crate::model::day::Day;

pub use catalog::model::history::*;

/// The state of a snapshot in one word. A day without one is not missing: it cannot be taken any more.
pub fn snapshot_state(state: &DayState, day: Day, now: Timestamp) -> &'static str {
    match state {
        state if state.suspect.is_some() => "suspect",
        state if state.stale || snapshot_day(now) <= day => "provisional",
        state if state.rows == 0 => "empty",
        _ => "final",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_is_provisional_while_its_day_lasts_and_final_after_it() {
        let day: Day = "2026-03-10".parse().unwrap();
        let state = DayState { rows: 3, ..DayState::unknown() };
        assert_eq!(snapshot_state(&state, day, "2026-03-10T23:59:59Z".parse().unwrap()), "provisional");
        assert_eq!(snapshot_state(&state, day, "2026-03-11T00:00:00Z".parse().unwrap()), "final");
        let stale = DayState { stale: true, ..state };
        assert_eq!(snapshot_state(&stale, day, "2026-03-12T00:00:00Z".parse().unwrap()), "provisional");
    }
}
