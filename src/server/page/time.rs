//! Times: short for people, exact for programs. The script adds the viewer's local time.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{Markup, html};

/// `Sat 28 Nov 06:12 UTC`.
pub(super) fn stamp(at: Timestamp) -> Markup {
    stamp_in(at, &TimeZone::UTC)
}

/// As [`stamp`], in `zone`.
pub(super) fn stamp_in(at: Timestamp, zone: &TimeZone) -> Markup {
    let exact = at.strftime("%Y-%m-%dT%H:%M:%SZ");
    html! { time datetime=(exact) { (at.to_zoned(zone.clone()).strftime("%a %-d %b %H:%M %Z")) } }
}

/// `06:12 UTC`, where the day is obvious.
pub(super) fn clock(at: Timestamp) -> Markup {
    html! { time datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ")) { (at.strftime("%H:%M UTC")) } }
}

/// Zero if `from` is later.
pub(super) fn between(from: Timestamp, to: Timestamp) -> std::time::Duration {
    to.duration_since(from).try_into().unwrap_or_default()
}
