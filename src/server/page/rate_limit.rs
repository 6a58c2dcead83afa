//! The budget of the hour: what is spent, what is kept for others, what is free.

use maud::{Markup, html};

use super::PageData;
use super::time::clock;
use crate::model::format::format_number;
use crate::observe::RateLimitView;

/// The width of the gauge in units of its picture.
const WIDTH: u64 = 600;

pub(super) fn rate_limit(data: &PageData) -> Markup {
    let Some(budget) = data.doing.budget else {
        return html! {};
    };
    let has_turned = budget.resets_at.is_some_and(|at| at <= data.now);
    let parts = Parts::of(budget, has_turned);
    let figures = [
        ("spent", parts.spent, "g-spent"),
        ("by others", parts.others, "g-others"),
        ("free", parts.free, "g-free"),
        ("kept for others", parts.reserved, "g-kept"),
    ];
    let mut at = 0;
    let bars = figures.map(|(_, count, class)| {
        let (x, width) = (at, count * WIDTH / u64::from(budget.limit.max(1)));
        at += width;
        (x, width, class)
    });
    html! {
        section #hour {
            h2 { "The hour" }
            svg.gauge viewBox=(format!("0 0 {WIDTH} 12")) preserveAspectRatio="none" aria-hidden="true" {
                @for (x, width, class) in bars {
                    @if 0 < width { rect.(class) x=(x) y="0" width=(width) height="12" {} }
                }
            }
            p {
                @for (index, (words, count, class)) in figures.iter().filter(|(words, count, _)| 0 < *count || *words == "free").enumerate() {
                    @if 0 < index { ", " }
                    svg.sign viewBox="0 0 1 1" aria-hidden="true" { rect.(class) width="1" height="1" {} } " "
                    b { (format_number(*count)) } " " (words)
                }
                " of " (format_number(budget.limit.into())) " requests. "
                @match (budget.resets_at, has_turned) {
                    (Some(at), true) => { "The hour turned at " (clock(at)) "." }
                    (Some(at), false) => { "The hour turns at " (clock(at)) "." }
                    (None, _) => { "As of " (clock(budget.at)) "." }
                }
            }
            @if let Some(until) = data.doing.waits_until.filter(|until| data.now < *until) {
                p {
                    strong { "Waiting until " (clock(until)) "." }
                    @if let Some(run) = &data.doing.run {
                        " " (format_number(run.planned.unwrap_or_default().saturating_sub(run.over) as u64)) " slices of `" (run.job) "` wait for it."
                    }
                }
            }
        }
    }
}

/// The requests of an hour.
#[derive(Debug, PartialEq, Eq)]
struct Parts {
    spent: u64,
    others: u64,
    free: u64,
    reserved: u64,
}

impl Parts {
    fn of(budget: RateLimitView, has_turned: bool) -> Self {
        let limit = u64::from(budget.limit);
        let reserved = u64::from(budget.reserved).min(limit);
        let spent = if has_turned { 0 } else { u64::from(budget.spent).min(limit) };
        let remaining = budget.remaining.filter(|_| !has_turned).map_or(limit - spent, u64::from).min(limit - spent);
        let others = limit - spent - remaining;
        let reserved = reserved.min(remaining);
        Self { spent, others, free: remaining - reserved, reserved }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_to_the_limit_whatever_is_told() {
        let seen = |limit, remaining, reserved, spent| RateLimitView {
            limit,
            remaining,
            reserved,
            spent,
            foreign: 0,
            resets_at: None,
            at: jiff::Timestamp::UNIX_EPOCH,
        };
        let parts = |budget| Parts::of(budget, false);
        assert_eq!(parts(seen(600, Some(180), 60, 400)), Parts { spent: 400, others: 20, free: 120, reserved: 60 });
        assert_eq!(parts(seen(600, None, 60, 540)), Parts { spent: 540, others: 0, free: 0, reserved: 60 });
        assert_eq!(parts(seen(600, Some(10), 60, 100)), Parts { spent: 100, others: 490, free: 0, reserved: 10 });
        for (limit, remaining, reserved, spent) in [(0, Some(9), 60, 5), (10, Some(900), 60, 5), (10, None, 3, 50)] {
            for has_turned in [true, false] {
                let Parts { spent, others, free, reserved } =
                    Parts::of(seen(limit, remaining, reserved, spent), has_turned);
                assert_eq!(spent + others + free + reserved, u64::from(limit));
            }
        }
    }
}
