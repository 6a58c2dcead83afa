//! What runs find in the data: doubtful readings, what may not be read any more, members that are not known.

use std::collections::BTreeSet;

use crate::alert::condition::{Condition, Touches, key_of};
use crate::alert::rules::Facts;
use crate::alert::rules::grouped::{grouped, grown, some_of};
use crate::config::AlertEvent;
use crate::model::format::format_count;

impl Facts<'_> {
    /// Readings that could not be proven whole: the scopes of each stream.
    pub(super) fn suspects(&self) -> Vec<Condition> {
        let suspects = || self.status.iter().flat_map(|status| &status.suspects);
        let mut touches = Touches::new();
        for suspect in suspects() {
            touches.entry(suspect.stream.clone()).or_default().insert(suspect.scope.clone());
        }
        let condition = |(subject, touches): (String, Touches)| {
            let mut own = suspects().filter(|suspect| touches.contains_key(&suspect.stream));
            let first = own.next()?;
            let first_words = format!("{}{}: {}", first.days_prefix(), first.scope, first.problem);
            let what = match touches.len() {
                1 => match own.count() {
                    0 => format!("`{}`, {first_words}", first.stream),
                    more => format!(
                        "`{}`, {first_words} and {}",
                        first.stream,
                        format_count(more as u64, "other doubtful reading")
                    ),
                },
                streams => format!(
                    "readings of {} could not be proven whole, such as `{}`, {first_words}",
                    format_count(streams as u64, "stream"),
                    first.stream
                ),
            };
            let condition = Condition {
                what,
                affected: "these days hold what was read before, or nothing".into(),
                to_do: "nothing, if the next run heals it; if it stays, the API and the catalog disagree: `profound-export check --sample`".into(),
                ..Condition::of(AlertEvent::StreamSuspect, subject, self.now)
            };
            Some(grown(condition, touches, self.book, self.now))
        };
        grouped(AlertEvent::StreamSuspect, touches, self.book).into_iter().filter_map(condition).collect()
    }

    /// What was lost as this process heard, or was told as lost before, for as long as the API says so: the scopes of each
    /// stream.
    pub(super) fn not_entitled(&self) -> Vec<Condition> {
        let refused = || {
            let refused = self.status.iter().flat_map(|status| &status.not_entitled);
            refused.flat_map(|told| told.streams.iter().map(move |stream| (stream, told)))
        };
        let shared = self.book.standing_as(&key_of(AlertEvent::NotEntitled, ""));
        let is_told = |stream: &str, scope: &str| {
            let alone = self.book.standing_as(&key_of(AlertEvent::NotEntitled, stream));
            [alone, shared].into_iter().flatten().any(|known| known.touches(stream, scope))
        };
        let heard = |stream: &str, scope: &str| self.heard.lost.get(&(stream.to_owned(), scope.to_owned()));
        let mut touches = Touches::new();
        for (stream, told) in refused() {
            if heard(stream, &told.scope).is_some() || is_told(stream, &told.scope) {
                touches.entry(stream.clone()).or_default().insert(told.scope.clone());
            }
        }
        let condition = |(subject, touches): (String, Touches)| {
            let is_own = |stream: &str, scope: &str| touches.get(stream).is_some_and(|scopes| scopes.contains(scope));
            let own = || refused().filter(|(stream, told)| is_own(stream, &told.scope));
            let since = own().map(|(stream, told)| heard(stream, &told.scope).map_or(told.at, |(at, _)| *at)).min()?;
            let (_, first) = own().next()?;
            let scopes: BTreeSet<&String> = touches.values().flatten().collect();
            let condition = Condition {
                what: format!(
                    "the account may not read {} of {} any more: {}",
                    some_of(in_backticks(&touches), "stream"),
                    some_of(scopes.into_iter().cloned(), "scope"),
                    first.detail
                ),
                affected: "the tables keep what they have, and get no newer".into(),
                to_do: "ask the vendor whether the plan or the rights of the key changed; else leave the streams out of the job".into(),
                ..Condition::of(AlertEvent::NotEntitled, subject, since)
            };
            Some(grown(condition, touches, self.book, self.now))
        };
        grouped(AlertEvent::NotEntitled, touches, self.book).into_iter().filter_map(condition).collect()
    }

    /// Members that this version does not know: the streams of each, since what is added to one answer is added to many.
    pub(super) fn drift(&self) -> Vec<Condition> {
        let mut touches = Touches::new();
        for (stream, member) in self.heard.drift.keys() {
            touches.entry(member.clone()).or_default().insert(stream.clone());
        }
        let condition = |(subject, touches): (String, Touches)| {
            let own = self.heard.drift.iter().filter(|((_, member), _)| touches.contains_key(member));
            let since = own.map(|(_, since)| *since).min().unwrap_or(self.now);
            let streams: BTreeSet<&String> = touches.values().flatten().collect();
            let (holds, kept) = match touches.len() {
                1 => ("a member", "it is"),
                _ => ("members", "they are"),
            };
            let condition = Condition {
                is_lasting: true,
                what: format!(
                    "rows of {} hold {holds} that this version does not know: {}",
                    some_of(streams.into_iter().map(|stream| format!("`{stream}`")), "stream"),
                    some_of(in_backticks(&touches), "member")
                ),
                affected: format!("nothing is lost: {kept} kept in the column `_extra`"),
                to_do: "a later version may give it a column; until then read it from `_extra`".into(),
                ..Condition::of(AlertEvent::SchemaDrift, subject, since)
            };
            grown(condition, touches, self.book, self.now)
        };
        grouped(AlertEvent::SchemaDrift, touches, self.book).into_iter().map(condition).collect()
    }
}

fn in_backticks(names: &Touches) -> impl Iterator<Item = String> {
    names.keys().map(|name| format!("`{name}`"))
}
