//! The rate limit: requests sent, external requests, free and reserved requests.

use maud::{Markup, html};

use super::time::clock;
use crate::model::format::{format_count, format_number};
use crate::observe::RateLimitView;
use crate::server::page_data::PageData;

/// Width of the gauge in SVG units.
const WIDTH: u64 = 600;

pub(super) fn rate_limit(data: &PageData) -> Markup {
    let Some(view) = data.activity.rate_limit else {
        let is_known = data.status.is_some();
        return html! {
            @if is_known {
                section #rate-limit { h2 { "Rate limit" } p { "Not known: this process has not sent a request yet." } }
            }
        };
    };
    let is_reset = view.resets_at.is_some_and(|at| at <= data.now);
    let shares = Shares::new(view, is_reset);
    let parts = [
        ("used", shares.sent, "g-spent", 12),
        ("used by others", shares.external, "g-others", 9),
        ("reserved for others", shares.reserved, "g-kept", 6),
        ("free", shares.free, "g-free", 3),
    ];
    html! {
        section #rate-limit {
            h2 { "Rate limit" }
            (gauge(&parts, view.limit))
            p {
                @for (index, (name, count, class, height)) in parts.iter().filter(|(_, count, class, _)| *count > 0 || *class != "g-others").enumerate() {
                    @if index > 0 { ", " }
                    svg.sign viewBox="0 0 12 12" aria-hidden="true" { rect.(class) y=(12 - height) width="12" height=(height) {} } " "
                    b { (format_number(*count)) } " " (name)
                }
                " of " (format_number(view.limit.into())) " requests. "
                @match view.resets_at {
                    Some(at) => { @if is_reset { "Reset at " } @else { "Resets at " } (clock(at)) "." }
                    None => { "As of " (clock(view.observed_at)) "." }
                }
            }
            @if let Some(until) = data.activity.rate_limited_until.filter(|until| *until > data.now) {
                p {
                    strong { "Rate limit reached, waiting until " (clock(until)) "." }
                    @if let Some(run) = &data.activity.run {
                        @let slices = run.planned_slices.unwrap_or_default().saturating_sub(run.finished_slices) as u64;
                        " " (format_count(slices, "slice")) " of " code { (run.job) } " to go."
                    }
                }
            }
        }
    }
}

/// Name, requests, class, and the height of the bar: parts differ in more than colour.
type Part = (&'static str, u64, &'static str, u64);

fn gauge(parts: &[Part], limit: u32) -> Markup {
    let mut x = 0;
    let bars = parts.iter().map(|(_, count, class, height)| {
        let bar = (x, count * WIDTH / u64::from(limit.max(1)), class, height);
        x += bar.1;
        bar
    });
    html! {
        svg.gauge viewBox=(format!("0 0 {WIDTH} 12")) preserveAspectRatio="none" aria-hidden="true" {
            @for (x, width, class, height) in bars {
                @if width > 0 { rect.(class) x=(x) y=(12 - height) width=(width) height=(height) {} }
            }
        }
    }
}

/// The requests of one rate-limit window. They add up to its limit.
#[derive(Debug, PartialEq, Eq)]
struct Shares {
    sent: u64,
    /// Sent by others with the same key.
    external: u64,
    free: u64,
    reserved: u64,
}

impl Shares {
    fn new(view: RateLimitView, is_reset: bool) -> Self {
        let limit = u64::from(view.limit);
        let sent = if is_reset { 0 } else { u64::from(view.own_requests).min(limit) };
        let remaining = view.remaining.filter(|_| !is_reset).map_or(limit - sent, u64::from).min(limit - sent);
        let reserved = u64::from(view.reserved).min(remaining);
        Self { sent, external: limit - sent - remaining, free: remaining - reserved, reserved }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_limit() {
        let seen = |limit, remaining, reserved, spent| RateLimitView {
            limit,
            remaining,
            reserved,
            own_requests: spent,
            external_requests: 0,
            resets_at: None,
            observed_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let shares = |view| Shares::new(view, false);
        assert_eq!(shares(seen(600, Some(180), 60, 400)), Shares { sent: 400, external: 20, free: 120, reserved: 60 });
        assert_eq!(shares(seen(600, None, 60, 540)), Shares { sent: 540, external: 0, free: 0, reserved: 60 });
        assert_eq!(shares(seen(600, Some(10), 60, 100)), Shares { sent: 100, external: 490, free: 0, reserved: 10 });
        for (limit, remaining, reserved, spent) in [(0, Some(9), 60, 5), (10, Some(900), 60, 5), (10, None, 3, 50)] {
            for is_reset in [true, false] {
                let Shares { sent, external, free, reserved } =
                    Shares::new(seen(limit, remaining, reserved, spent), is_reset);
                assert_eq!(sent + external + free + reserved, u64::from(limit));
            }
        }
    }
}
