//! Draws the statuses of days as a row of colours in SVG, one path per status. Consecutive days with the same status are one line, which
//! keeps the page small. Colours and shapes are in `page.css`, by the letters of [`class`]: change both together.

use maud::{Markup, html};

use crate::model::day_status::DayStatus;
use crate::status::DayCell;

/// The CSS class.
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

pub(super) fn statuses(days: &[Option<DayCell>]) -> Vec<Option<DayStatus>> {
    days.iter().map(|cell| cell.as_ref().map(|cell| cell.worst)).collect()
}

/// Oldest first.
pub(super) fn strip(days: &[Option<DayStatus>]) -> Markup {
    let paths = DayStatus::ALL.into_iter().filter_map(|status| Some((class(status), path(days, status)?)));
    html! {
        svg viewBox=(format!("0 0 {} 1", days.len().max(1))) preserveAspectRatio="none" role="img" {
            title { (summary(days)) }
            @for (class, path) in paths { path class=(class) d=(path) {} }
        }
    }
}

/// The symbol of `status` for the legend.
pub(super) fn sign(status: DayStatus) -> Markup {
    let path = path(&[Some(status)], status).unwrap_or_default();
    html! {
        svg.sign viewBox="0 0 1 1" aria-hidden="true" { path class=(class(status)) d=(path) {} }
    }
}

/// A line through the middle of each series of days with `status`; `None` if no day has it.
fn path(days: &[Option<DayStatus>], status: DayStatus) -> Option<String> {
    let mut path = String::new();
    let mut at = 0;
    for run in days.chunk_by(|one, next| one == next) {
        if run[0] == Some(status) {
            path.push_str(&format!("M{at} .5h{}", run.len()));
        }
        at += run.len();
    }
    (!path.is_empty()).then_some(path)
}

/// Number of days by status, the most urgent first.
fn summary(days: &[Option<DayStatus>]) -> String {
    let count = |status: DayStatus| days.iter().filter(|day| **day == Some(status)).count();
    let counts = DayStatus::ALL.into_iter().map(|status| (count(status), status)).filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, status)| format!("{count} {status}")).collect();
    if counts.is_empty() { "no days".to_owned() } else { counts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_neighbours_share_a_line() {
        use DayStatus::{Final, Missing};
        let days = [Some(Final), Some(Final), None, Some(Missing), Some(Final)];
        assert_eq!(path(&days, Final).as_deref(), Some("M0 .5h2M4 .5h1"));
        assert_eq!(path(&days, Missing).as_deref(), Some("M3 .5h1"));
        assert_eq!(path(&days, DayStatus::Empty), None);
        assert_eq!(summary(&days), "1 missing, 3 final");
    }
}
