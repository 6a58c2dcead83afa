//! Much in few conditions: a plan that changed or an endpoint in trouble touches hundreds of streams and scopes at once, and
//! nobody reads hundreds of messages.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::alert::book::Book;
use crate::alert::condition::{Condition, Touched, Touches, key_of};
use crate::config::AlertEvent;
use crate::model::format::format_count;

/// So many subjects of an event have a condition each. What comes beyond shares one.
const ALONE_AT_MOST: usize = 3;
/// That more is touched is told again, but no sooner than so long after the last time.
const TOLD_ANEW_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// What of `event` is touched, by subject, as groups that are told as one each: the subject of the group, empty where it is
/// a shared one, and what of `touches` belongs to it. What stands in `book` stays where it is.
pub(super) fn grouped(event: AlertEvent, touches: Touches, book: &Book) -> Vec<(String, Touches)> {
    let shared_before = book.standing_as(&key_of(event, "")).and_then(|known| known.touched.as_ref());
    let of_event = |known: &&Condition| known.event == event && !known.subject.is_empty();
    let alone_before: BTreeSet<&str> = book.standing().filter(of_event).map(|known| known.subject.as_str()).collect();
    let (mut alone, mut shared, mut new) = (Vec::new(), Touches::new(), Vec::new());
    for (subject, parts) in touches {
        if alone_before.contains(subject.as_str()) {
            alone.push((subject, parts));
        } else if shared_before.is_some_and(|known| known.parts.contains_key(&subject)) {
            shared.insert(subject, parts);
        } else {
            new.push((subject, parts));
        }
    }
    match alone_before.len() + new.len() <= ALONE_AT_MOST {
        true => alone.extend(new),
        false => shared.extend(new),
    }
    let mut groups: Vec<_> =
        alone.into_iter().map(|(subject, parts)| (subject.clone(), Touches::from([(subject, parts)]))).collect();
    if !shared.is_empty() {
        groups.push((String::new(), shared));
    }
    groups
}

/// `condition` with what it touches now, at the level of what it touched before; one more where more is touched, and that
/// was not told for a while.
pub(super) fn grown(mut condition: Condition, mut parts: Touches, book: &Book, now: Timestamp) -> Condition {
    let Some(known) = book.standing_as(&condition.key()) else {
        condition.touched = Some(Touched { parts, told_at: now, has_grown: false });
        return condition;
    };
    let before = known.touched.clone().unwrap_or(Touched { parts: Touches::new(), told_at: now, has_grown: false });
    let is_new = |(subject, parts): (&String, &BTreeSet<String>)| {
        before.parts.get(subject).is_none_or(|before| !parts.is_subset(before))
    };
    let mut has_grown = before.has_grown || parts.iter().any(is_new);
    if condition.is_lasting {
        for (subject, before) in before.parts {
            parts.entry(subject).or_default().extend(before);
        }
    }
    (condition.level, condition.since) = (known.level, known.since.min(condition.since));
    let mut told_at = before.told_at;
    if has_grown && TOLD_ANEW_AFTER <= now.duration_since(told_at) {
        (condition.level, told_at, has_grown) = (known.level.saturating_add(1), now, false);
    }
    condition.touched = Some(Touched { parts, told_at, has_grown });
    condition
}

/// The first of `names`, and how many more there are.
pub(super) fn some_of(names: impl IntoIterator<Item = String>, what: &str) -> String {
    let mut names = names.into_iter();
    let first = names.next().unwrap_or_default();
    match names.count() {
        0 => first,
        more => format!("{first} and {}", format_count(more as u64, &format!("other {what}"))),
    }
}
