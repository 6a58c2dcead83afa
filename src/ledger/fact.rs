//! What runs learn about the account and the destination, and keep for later runs.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::cost::{RequestCosts, RequestKind};
use crate::model::days::WindowEnd;
use crate::model::stream::DiscoveredObject;

/// One thing that no configuration or document says reliably, learned from what the API or the store did. A new fact of the same
/// kind and subject replaces the older one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// How the endpoints of a family read `end_date`; never [`WindowEnd::Undocumented`].
    WindowEnd { family: String, end: WindowEnd },
    /// The account may not request a member of the body (422), such as `include.citation_details`. Requests leave it out and its
    /// column is null. `None` once the API accepts it.
    RejectedMember { stream: String, member: Option<String> },
    /// The account may not request the grain of `stream` (422). `fallback`, with a table of its own, is requested instead. `None` once
    /// the API accepts the grain.
    Fallback { stream: String, fallback: Option<String> },
    /// The API accepts a member of the body only on pages of few rows (422 otherwise). `None` once it accepts the usual request.
    PageLimit { stream: String, limit: Option<u64> },
    /// The event stream cannot be used: it is rejected, not understood, without proof of its end, or lacks columns. Pages are requested
    /// instead.
    EventsIncomplete { stream: String },
    /// The store rejects the second create of the same object.
    CreateIfAbsent,
    /// Which salt texts of this lake are hashed with.
    Salt { fingerprint: String },
    /// Whether the account still has a category.
    Category { id: String, present: bool },
    /// How many categories were listed when most were missing. Read from lakes of earlier versions; [`Self::Missing`] replaces it.
    CategoriesShrunk { present: Option<u64> },
    /// Known objects that the last run did not find. They count as gone once a second run finds the same.
    Missing { object: DiscoveredObject, ids: Vec<String> },
    /// The assets that the customer owns or owned once, each after its category.
    OwnedAssets { ids: Vec<String> },
    /// How many requests of the budget one request of a kind takes.
    RequestCost { request: RequestKind, requests: u32 },
    /// How long a request takes on average; used for forecasts only.
    RequestDuration { milliseconds: u64 },
}

impl Fact {
    /// Distinguishes facts of one kind.
    fn subject(&self) -> &str {
        // Exhaustive on purpose: a new kind of fact must say what it is about.
        match self {
            Self::WindowEnd { family, .. } => family,
            Self::RejectedMember { stream, .. }
            | Self::Fallback { stream, .. }
            | Self::PageLimit { stream, .. }
            | Self::EventsIncomplete { stream } => stream,
            Self::Category { id, .. } => id,
            Self::Missing { object, .. } => object.name(),
            Self::RequestCost { request, .. } => request.name(),
            Self::CreateIfAbsent
            | Self::Salt { .. }
            | Self::CategoriesShrunk { .. }
            | Self::OwnedAssets { .. }
            | Self::RequestDuration { .. } => "",
        }
    }

    /// The stream and the reaction, if this is about a request that the API rejects.
    pub fn rejection(&self) -> Option<(&str, String)> {
        match self {
            Self::RejectedMember { stream, member } => Some((stream, format!("without `{}`", member.as_ref()?))),
            Self::Fallback { stream, fallback } => Some((stream, format!("as `{}`", fallback.as_ref()?))),
            Self::PageLimit { stream, limit } => Some((stream, format!("in pages of {} rows", (*limit)?))),
            _ => None,
        }
    }

    /// The same subject without a rejection: the API accepts the usual request.
    pub fn revoked(&self) -> Option<Self> {
        let stream = self.rejection()?.0.to_owned();
        match self {
            Self::RejectedMember { .. } => Some(Self::RejectedMember { stream, member: None }),
            Self::Fallback { .. } => Some(Self::Fallback { stream, fallback: None }),
            Self::PageLimit { .. } => Some(Self::PageLimit { stream, limit: None }),
            _ => None,
        }
    }

    fn replaces(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && self.subject() == other.subject()
    }
}

/// A fact, what proves it, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnedFact {
    #[serde(flatten)]
    pub fact: Fact,
    /// What was observed, in a sentence for operators.
    pub evidence: String,
    pub learned_at: Timestamp,
    /// When the same was last observed, if that was later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<Timestamp>,
}

/// How long a fact is believed without another observation.
const VALID_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

impl LearnedFact {
    pub fn new(fact: Fact, evidence: impl Into<String>, learned_at: Timestamp) -> Self {
        Self { fact, evidence: evidence.into(), learned_at, checked_at: None }
    }

    /// How the requests of a stream or family differ from what the catalog declares; `None` for other facts.
    pub fn difference(&self) -> Option<String> {
        match (&self.fact, self.fact.rejection()) {
            (Fact::RejectedMember { .. }, Some((stream, how))) => {
                Some(format!("`{stream}` is requested {how}, so that its column is null"))
            }
            (_, Some((stream, how))) => Some(format!("`{stream}` is requested {how}")),
            (Fact::EventsIncomplete { stream }, None) => Some(format!("`{stream}` is requested page by page")),
            (Fact::WindowEnd { family, end: WindowEnd::Exclusive }, None) => {
                Some(format!("`end_date` of `{family}` is the day after the last"))
            }
            _ => None,
        }
    }

    /// Such a difference with its dates and its evidence, for people.
    pub fn difference_since(&self) -> Option<String> {
        let day = |at: Timestamp| at.strftime("%-d %b").to_string();
        let checked = self.checked_at.map(|at| format!(", checked {}", day(at))).unwrap_or_default();
        Some(format!("{}, since {}{checked}: {}", self.difference()?, day(self.learned_at), self.evidence))
    }

    /// Whether it was observed so long ago that it must be observed once more.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now.duration_since(self.checked_at.unwrap_or(self.learned_at)).abs() >= VALID_FOR
    }
}

/// The facts that hold now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Facts(Vec<LearnedFact>);

impl Facts {
    /// What is observed once more keeps the time when it was learned.
    pub fn learn(&mut self, mut learned: LearnedFact) {
        if let Some(known) = self.0.iter().find(|known| known.fact == learned.fact) {
            (learned.learned_at, learned.checked_at) = (known.learned_at, Some(learned.learned_at));
        }
        self.0.retain(|known| !learned.fact.replaces(&known.fact));
        self.0.push(learned);
    }

    /// Whether this very fact is known, whatever its evidence, and need not be observed once more.
    pub fn is_valid(&self, fact: &Fact, now: Timestamp) -> bool {
        self.iter().any(|learned| learned.fact == *fact && !learned.is_expired(now))
    }

    /// Whether this very fact is known, whatever its evidence.
    pub fn contains(&self, fact: &Fact) -> bool {
        self.iter().any(|learned| learned.fact == *fact)
    }

    pub fn iter(&self) -> impl Iterator<Item = &LearnedFact> {
        self.0.iter()
    }

    fn find<'a, T>(&'a self, value: impl FnMut(&'a Fact) -> Option<T>) -> Option<T> {
        self.iter().map(|learned| &learned.fact).find_map(value)
    }

    pub fn window_end(&self, family: &str) -> Option<WindowEnd> {
        self.find(|fact| match fact {
            Fact::WindowEnd { family: of, end } if of == family => Some(*end),
            _ => None,
        })
    }

    /// Whether how a family reads `end_date` must be observed once more.
    pub fn is_window_end_expired(&self, family: &str, now: Timestamp) -> bool {
        let is_it = |fact: &Fact| matches!(fact, Fact::WindowEnd { family: of, .. } if of == family);
        self.iter().any(|learned| is_it(&learned.fact) && learned.is_expired(now))
    }

    pub fn rejected_member(&self, stream: &str) -> Option<&str> {
        self.find(|fact| match fact {
            Fact::RejectedMember { stream: of, member } if of == stream => member.as_deref(),
            _ => None,
        })
    }

    pub fn fallback(&self, stream: &str) -> Option<&str> {
        self.find(|fact| match fact {
            Fact::Fallback { stream: of, fallback } if of == stream => fallback.as_deref(),
            _ => None,
        })
    }

    pub fn page_limit(&self, stream: &str) -> Option<u64> {
        self.find(|fact| match fact {
            Fact::PageLimit { stream: of, limit } if of == stream => *limit,
            _ => None,
        })
    }

    /// Since when requests of `stream` leave out a member.
    pub fn without_member_since(&self, stream: &str) -> Option<Timestamp> {
        let is_rejected =
            |fact: &Fact| matches!(fact, Fact::RejectedMember { stream: of, member: Some(_) } if of == stream);
        self.iter().find(|learned| is_rejected(&learned.fact)).map(|learned| learned.learned_at)
    }

    /// Whether pages are requested in place of the event stream. Believed for a week: the same response shows it once more.
    pub fn events_incomplete(&self, stream: &str, now: Timestamp) -> bool {
        self.is_valid(&Fact::EventsIncomplete { stream: stream.to_owned() }, now)
    }

    /// The fingerprint of the salt.
    pub fn salt(&self) -> Option<&str> {
        self.find(|fact| match fact {
            Fact::Salt { fingerprint } => Some(fingerprint.as_str()),
            _ => None,
        })
    }

    /// Whether the account had the category when a run last looked; `None` if no run has seen it.
    pub fn category_present(&self, category: &str) -> Option<bool> {
        self.find(|fact| match fact {
            Fact::Category { id, present } if id == category => Some(*present),
            _ => None,
        })
    }

    /// The assets that the customer owns or owned once.
    pub fn owned_assets(&self) -> &[String] {
        let ids = self.find(|fact| match fact {
            Fact::OwnedAssets { ids } => Some(ids.as_slice()),
            _ => None,
        });
        ids.unwrap_or_default()
    }

    /// Known objects that the last run did not find.
    pub fn missing(&self, object: DiscoveredObject) -> &[String] {
        let ids = self.find(|fact| match fact {
            Fact::Missing { object: of, ids } if *of == object => Some(ids.as_slice()),
            _ => None,
        });
        ids.unwrap_or_default()
    }

    /// What requests cost; one each where nothing was learned.
    pub fn costs(&self) -> RequestCosts {
        self.iter().fold(RequestCosts::default(), |costs, learned| match learned.fact {
            Fact::RequestCost { request, requests } => costs.with(request, requests),
            _ => costs,
        })
    }

    pub fn request_duration(&self) -> Option<Duration> {
        self.find(|fact| match fact {
            Fact::RequestDuration { milliseconds } => Some(Duration::from_millis(*milliseconds)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(fact: Fact) -> LearnedFact {
        LearnedFact::new(fact, "seen", "2026-03-10T16:00:00Z".parse().unwrap())
    }

    #[test]
    fn newer_fact_of_the_same_kind_and_subject_replaces_the_older() {
        let end = |family: &str, end| learned(Fact::WindowEnd { family: family.into(), end });
        let cost = |request, requests| learned(Fact::RequestCost { request, requests });
        let mut facts = Facts::default();
        facts.learn(end("reports_v2", WindowEnd::Inclusive));
        facts.learn(end("answers_v2", WindowEnd::Inclusive));
        facts.learn(end("reports_v2", WindowEnd::Exclusive));
        facts.learn(cost(RequestKind::Events, 3));
        facts.learn(cost(RequestKind::Page, 2));
        facts.learn(cost(RequestKind::Events, 4));
        facts.learn(learned(Fact::OwnedAssets { ids: Vec::new() }));
        facts.learn(learned(Fact::OwnedAssets { ids: vec!["c/a".into()] }));
        assert_eq!(facts.iter().count(), 5);
        assert_eq!(facts.window_end("reports_v2"), Some(WindowEnd::Exclusive));
        assert_eq!(facts.window_end("answers_v2"), Some(WindowEnd::Inclusive));
        assert_eq!((facts.costs().cost(RequestKind::Events), facts.costs().cost(RequestKind::Page)), (4, 2));
        assert_eq!(facts.owned_assets(), ["c/a"]);
    }

    #[test]
    fn fact_expires_after_a_week_unless_it_is_observed_once_more() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let fact = Fact::EventsIncomplete { stream: "visibility_v1".into() };
        let mut facts = Facts::default();
        facts.learn(learned(fact.clone()));
        assert!(
            facts.is_valid(&fact, at("2026-03-17T15:59:59Z")) && !facts.is_valid(&fact, at("2026-03-17T16:00:00Z"))
        );
        facts.learn(LearnedFact::new(fact.clone(), "seen", at("2026-03-18T16:00:00Z")));
        assert!(facts.is_valid(&fact, at("2026-03-20T16:00:00Z")));
        assert_eq!(facts.iter().next().unwrap().learned_at, at("2026-03-10T16:00:00Z"));
    }

    #[test]
    fn stored_form_of_facts_does_not_change() {
        let facts = [
            Fact::WindowEnd { family: "reports_v2".into(), end: WindowEnd::Exclusive },
            Fact::RejectedMember { stream: "answers_v2".into(), member: Some("include.citation_details".into()) },
            Fact::RejectedMember { stream: "answers_v2".into(), member: None },
            Fact::Fallback { stream: "visibility_v2".into(), fallback: Some("visibility_v2_by_day".into()) },
            Fact::PageLimit { stream: "factcheck_claims_v2".into(), limit: Some(5) },
            Fact::EventsIncomplete { stream: "visibility_v1".into() },
            Fact::CreateIfAbsent,
            Fact::Salt { fingerprint: "9f86d081884c7d65".into() },
            Fact::Category { id: "c".into(), present: false },
            Fact::CategoriesShrunk { present: Some(2) },
            Fact::Missing { object: DiscoveredObject::Asset, ids: vec!["c/a".into()] },
            Fact::OwnedAssets { ids: vec!["c/a".into()] },
            Fact::RequestCost { request: RequestKind::Events, requests: 3 },
            Fact::RequestDuration { milliseconds: 450 },
        ];
        let stored: Vec<String> =
            facts.iter().map(|fact| serde_json::to_string(&learned(fact.clone())).unwrap()).collect();
        insta::assert_snapshot!(stored.join("\n"));
        for (fact, stored) in facts.into_iter().zip(stored) {
            assert_eq!(serde_json::from_str::<LearnedFact>(&stored).unwrap(), learned(fact));
        }
    }
}
