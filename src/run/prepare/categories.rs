//! Categories that are new in the account or gone from it, each reported once.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::ledger::{Entry, Fact, LearnedFact, State};
use crate::model::format::format_count;
use crate::model::scope::Scope;
use crate::model::stream::DiscoveredObject;
use crate::run::prepare::discover::Discovered;
use crate::run::prepare::missing::exported;

/// How many names of new or gone categories are listed.
const MAX_LISTED_NAMES: usize = 5;

/// What changed since the last run that compared categories.
#[derive(Debug, Default)]
pub struct CategoryChanges {
    /// Facts for the ledger, so that nothing is reported twice.
    pub entries: Vec<Entry>,
    /// New categories.
    pub notices: Vec<String>,
    /// Categories that are gone.
    pub warnings: Vec<String>,
}

/// Compares the discovered categories with those of the lake. New ones are reported if they are among the job's `scopes`; the
/// others are new for the first job that exports them. `gone` are those that count as gone now, id and name.
pub fn category_changes(
    state: &State,
    found: &Discovered,
    scopes: &[Scope],
    gone: &BTreeMap<String, String>,
    learned_at: Timestamp,
) -> CategoryChanges {
    let wanted: BTreeSet<&str> =
        scopes.iter().filter_map(|scope| scope.category.as_ref()).map(|category| category.id.as_str()).collect();
    let exported = exported(state, DiscoveredObject::Category);
    let kept = |id: &str| state.facts.category_present(id);
    let learned = |fact, evidence: &str| Entry::Learned(LearnedFact::new(fact, evidence, learned_at));
    let is_first_look =
        exported.is_empty() && !found.categories.iter().any(|(category, _)| kept(&category.id).is_some());
    let mut changes = CategoryChanges::default();
    let (mut new, mut back) = (Vec::new(), Vec::new());
    for (category, _) in &found.categories {
        let (id, name) = (category.id.as_str(), category.name.as_str());
        match kept(id) {
            Some(false) => back.push(name),
            Some(true) => continue,
            // Exported before the ledger kept this fact, or listed in the first run.
            None if is_first_look || exported.contains_key(id) => {}
            None if wanted.contains(id) => new.push(name),
            None => continue,
        }
        changes.entries.push(learned(Fact::Category { id: id.to_owned(), present: true }, "the API lists it"));
    }
    let no_longer =
        |id: &String| learned(Fact::Category { id: id.clone(), present: false }, "the API no longer lists it");
    changes.entries.extend(gone.keys().map(no_longer));
    let gone: Vec<&str> = gone.values().map(String::as_str).collect();
    changes.notices.extend(sentence(
        &new,
        ["is new: its earlier days follow as backfill", "are new: their earlier days follow as backfill"],
    ));
    changes.notices.extend(sentence(&back, ["is back in the account", "are back in the account"]));
    changes.warnings.extend(sentence(
        &gone,
        ["is no longer in the account; its data is kept", "are no longer in the account; their data is kept"],
    ));
    changes
}

/// A sentence about `names`, which says `one` or `many` of them; `None` without names.
fn sentence(names: &[&str], [one, many]: [&str; 2]) -> Option<String> {
    let distinct: BTreeSet<&str> = names.iter().copied().collect();
    let quoted: Vec<String> = distinct.iter().take(MAX_LISTED_NAMES).map(|name| format!("{name:?}")).collect();
    let more = match names.len().saturating_sub(quoted.len()) {
        0 => String::new(),
        more => format!(" and {}", format_count(more as u64, "other")),
    };
    match names.len() {
        0 => None,
        1 => Some(format!("category {} {one}", quoted.join(", "))),
        _ => Some(format!("categories {}{more} {many}", quoted.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_cut_short() {
        let verbs = ["is new", "are new"];
        assert_eq!(sentence(&[], verbs), None);
        assert_eq!(sentence(&["b"], verbs).unwrap(), "category \"b\" is new");
        assert_eq!(sentence(&["b", "a"], verbs).unwrap(), "categories \"a\", \"b\" are new");
        let many = ["a", "b", "c", "d", "e", "f", "g"];
        assert_eq!(
            sentence(&many, verbs).unwrap(),
            "categories \"a\", \"b\", \"c\", \"d\", \"e\" and 2 others are new"
        );
    }
}
