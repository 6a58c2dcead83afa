//! Data that `forget` removed, which no run requests again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::day::Day;
use crate::model::scope::{Scope, ScopePart};
use crate::model::window::Window;

/// Erasures by table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Forgotten(BTreeMap<String, Vec<Erasure>>);

/// One use of `forget` on a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Erasure {
    /// Ids of the removed scopes; empty for all scopes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scope: BTreeMap<ScopePart, String>,
    /// None for all days, future ones included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

impl Erasure {
    /// Whether `scope` was removed, at least on some days.
    pub fn has_scope(&self, scope: &Scope) -> bool {
        self.scope.iter().all(|(part, id)| scope.part(*part).is_some_and(|named| named.id == *id))
    }

    pub fn has_day(&self, day: Option<Day>) -> bool {
        self.window.is_none_or(|window| day.is_some_and(|day| window.contains(day)))
    }
}

impl Forgotten {
    pub const NOTHING: &'static Self = &Self(BTreeMap::new());

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn erasures(&self, stream: &str) -> &[Erasure] {
        self.0.get(stream).map_or(&[], Vec::as_slice)
    }

    /// Idempotent.
    pub fn add(&mut self, stream: &str, erasure: &Erasure) {
        let erasures = self.0.entry(stream.to_owned()).or_default();
        if !erasures.contains(erasure) {
            erasures.push(erasure.clone());
        }
    }

    /// Without a day: whether the list, or the whole scope, was removed.
    pub fn covers(&self, stream: &str, scope: &Scope, day: Option<Day>) -> bool {
        self.erasures(stream).iter().any(|erasure| erasure.has_day(day) && erasure.has_scope(scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::scope::Named;

    fn category(id: &str) -> Scope {
        Scope { category: Some(Named { id: id.into(), name: "Tea".into() }), ..Scope::default() }
    }

    #[test]
    fn only_the_named_scope_and_days_are_forgotten() {
        let day = |text: &str| Some(text.parse::<Day>().unwrap());
        let window = Window::inclusive("2026-03-01".parse().unwrap(), "2026-03-02".parse().unwrap());
        let scope = BTreeMap::from([(ScopePart::Category, "c".to_owned())]);
        let mut forgotten = Forgotten::default();
        forgotten.add("reports", &Erasure { scope: scope.clone(), window });
        forgotten.add("reports", &Erasure { scope: scope.clone(), window });
        assert_eq!(forgotten.erasures("reports").len(), 1);
        assert!(forgotten.covers("reports", &category("c"), day("2026-03-02")));
        assert!(!forgotten.covers("reports", &category("c"), day("2026-03-03")));
        assert!(!forgotten.covers("reports", &category("c"), None));
        assert!(!forgotten.covers("reports", &category("d"), day("2026-03-02")));
        assert!(!forgotten.covers("reports", &Scope::default(), day("2026-03-02")));
        assert!(!forgotten.covers("answers", &category("c"), day("2026-03-02")));

        forgotten.add("answers", &Erasure { scope, window: None });
        assert!(forgotten.covers("answers", &category("c"), None));
        assert!(forgotten.covers("answers", &category("c"), day("2030-01-01")));
    }

    #[test]
    fn erasure_is_the_same_text_in_records_as_ever() {
        let scope = BTreeMap::from([(ScopePart::Category, "c".to_owned())]);
        let window = Window::inclusive("2026-03-01".parse().unwrap(), "2026-03-02".parse().unwrap());
        let text = serde_json::to_string(&Erasure { scope, window }).unwrap();
        assert_eq!(text, r#"{"scope":{"category":"c"},"window":{"start":"2026-03-01","end":"2026-03-03"}}"#);
        assert_eq!(serde_json::to_string(&Erasure::default()).unwrap(), "{}");
    }
}
