//! What runs learn about the account and the destination, and keep for later runs.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::cost::{RequestCosts, RequestKind};
use crate::model::days::WindowEnd;

/// One thing that no configuration or document says reliably, learned from what the API or the store did. A new fact of the same
/// kind and subject replaces the older one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// How the endpoints of a family read `end_date`; never [`WindowEnd::Undocumented`].
    WindowEnd { family: String, end: WindowEnd },
    /// The account may not request a member of the body (422), such as `include.citation_details`. Requests leave it out and its
    /// column is null.
    RejectedMember { stream: String, member: String },
    /// The account may not request the grain of `stream` (422). `fallback`, with a table of its own, is requested instead.
    Fallback { stream: String, fallback: String },
    /// The event stream lacks columns that the request names. Pages are requested instead.
    EventsIncomplete { stream: String },
    /// The store rejects the second create of the same object.
    CreateIfAbsent,
    /// Which salt texts of this lake are hashed with.
    Salt { fingerprint: String },
    /// Whether the account still has a category.
    Category { id: String, present: bool },
    /// More than half of the known categories were missing and only `present` were listed. They count as gone when the next run sees
    /// the same number. `None` once they are confirmed or listed.
    CategoriesShrunk { present: Option<u64> },
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
            Self::RejectedMember { stream, .. } | Self::Fallback { stream, .. } | Self::EventsIncomplete { stream } => {
                stream
            }
            Self::Category { id, .. } => id,
            Self::RequestCost { request, .. } => request.name(),
            Self::CreateIfAbsent | Self::Salt { .. } | Self::CategoriesShrunk { .. } | Self::RequestDuration { .. } => {
                ""
            }
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
}

/// The facts that hold now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Facts(Vec<LearnedFact>);

impl Facts {
    pub fn learn(&mut self, learned: LearnedFact) {
        self.0.retain(|known| !learned.fact.replaces(&known.fact));
        self.0.push(learned);
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

    pub fn rejected_member(&self, stream: &str) -> Option<&str> {
        self.find(|fact| match fact {
            Fact::RejectedMember { stream: of, member } if of == stream => Some(member.as_str()),
            _ => None,
        })
    }

    pub fn fallback(&self, stream: &str) -> Option<&str> {
        self.find(|fact| match fact {
            Fact::Fallback { stream: of, fallback } if of == stream => Some(fallback.as_str()),
            _ => None,
        })
    }

    pub fn events_incomplete(&self, stream: &str) -> bool {
        self.contains(&Fact::EventsIncomplete { stream: stream.to_owned() })
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

    /// How many categories were listed when most were missing, until the next run confirms that.
    pub fn categories_shrunk(&self) -> Option<u64> {
        self.find(|fact| match fact {
            Fact::CategoriesShrunk { present } => *present,
            _ => None,
        })
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
        LearnedFact { fact, evidence: "seen".into(), learned_at: "2026-03-10T16:00:00Z".parse().unwrap() }
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
        facts.learn(learned(Fact::CategoriesShrunk { present: Some(2) }));
        facts.learn(learned(Fact::CategoriesShrunk { present: None }));
        assert_eq!(facts.iter().count(), 5);
        assert_eq!(facts.window_end("reports_v2"), Some(WindowEnd::Exclusive));
        assert_eq!(facts.window_end("answers_v2"), Some(WindowEnd::Inclusive));
        assert_eq!((facts.costs().cost(RequestKind::Events), facts.costs().cost(RequestKind::Page)), (4, 2));
        assert_eq!(facts.categories_shrunk(), None);
    }

    #[test]
    fn stored_form_of_facts_does_not_change() {
        let facts = [
            Fact::WindowEnd { family: "reports_v2".into(), end: WindowEnd::Exclusive },
            Fact::RejectedMember { stream: "answers_v2".into(), member: "include.citation_details".into() },
            Fact::Fallback { stream: "visibility_v2".into(), fallback: "visibility_v2_by_day".into() },
            Fact::EventsIncomplete { stream: "visibility_v1".into() },
            Fact::CreateIfAbsent,
            Fact::Salt { fingerprint: "9f86d081884c7d65".into() },
            Fact::Category { id: "c".into(), present: false },
            Fact::CategoriesShrunk { present: Some(2) },
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
