//! Days as a strip: one drawn path for each state, however many days there are, so that equal neighbours cost nothing.
//! Every state has a colour and a shape of its own; both come from the style.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::model::day_status::DayStatus;
use crate::status::DayCell;

/// The class of each state.
pub(super) fn class(status: DayStatus) -> &'static str {
    match status {
        DayStatus::Suspect => "s",
        DayStatus::Missing => "m",
        DayStatus::Stale => "t",
        DayStatus::Provisional => "p",
        DayStatus::Final => "f",
        DayStatus::Empty => "e",
        DayStatus::NotEntitled => "x",
    }
}

/// The states of `days`.
pub(super) fn states(days: &[Option<DayCell>]) -> Vec<Option<DayStatus>> {
    days.iter().map(|cell| cell.as_ref().map(|cell| cell.worst)).collect()
}

/// The strip of `days`, oldest first.
pub(super) fn strip(days: &[Option<DayStatus>]) -> Markup {
    let paths = DayStatus::ALL.into_iter().filter_map(|status| Some((class(status), path(days, status)?)));
    html! {
        svg viewBox=(format!("0 0 {} 1", days.len().max(1))) preserveAspectRatio="none" role="img" {
            title { (words(days)) }
            @for (class, path) in paths { path class=(class) d=(path) {} }
        }
    }
}

/// A strip as large as one day: a sign for a legend.
pub(super) fn sign(status: DayStatus) -> Markup {
    let path = path(&[Some(status)], status).unwrap_or_default();
    html! {
        svg.sign viewBox="0 0 1 1" aria-hidden="true" { path class=(class(status)) d=(path) {} }
    }
}

/// A line through the middle of every run of days in `status`; none where there is none.
fn path(days: &[Option<DayStatus>], status: DayStatus) -> Option<String> {
    let mut path = String::new();
    let mut at = 0;
    for run in days.chunk_by(|one, next| one == next) {
        if run[0] == Some(status) {
            // Writing to a string cannot fail.
            write!(path, "M{at} .5h{}", run.len()).ok()?;
        }
        at += run.len();
    }
    (!path.is_empty()).then_some(path)
}

/// How many days are in which state, the worst first.
fn words(days: &[Option<DayStatus>]) -> String {
    let count = |status: DayStatus| days.iter().filter(|day| **day == Some(status)).count();
    let counts = DayStatus::ALL.into_iter().map(|status| (count(status), status)).filter(|(count, _)| 0 < *count);
    let words: Vec<String> = counts.map(|(count, status)| format!("{count} {status}")).collect();
    if words.is_empty() { "no days".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_neighbours_are_one_line() {
        use DayStatus::{Final, Missing};
        let days = [Some(Final), Some(Final), None, Some(Missing), Some(Final)];
        assert_eq!(path(&days, Final).as_deref(), Some("M0 .5h2M4 .5h1"));
        assert_eq!(path(&days, Missing).as_deref(), Some("M3 .5h1"));
        assert_eq!(path(&days, DayStatus::Empty), None);
        assert_eq!(words(&days), "1 missing, 3 final");
    }
}
