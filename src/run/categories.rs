//! Categories that appeared in the account, and those that are gone from it: each told once.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::config::OnShrink;
use crate::ledger::{Entry, Fact, LearnedFact, State};
use crate::model::format::format_count;
use crate::model::scope::Scope;
use crate::run::discover::Discovered;

/// Names that are written out where many categories come or go at once.
const WRITTEN_OUT: usize = 5;

/// What changed since the last run that looked.
#[derive(Debug, Default)]
pub struct Changes {
    /// What the ledger is to keep of it, so that it is not told again.
    pub entries: Vec<Entry>,
    /// Categories that came, in words.
    pub news: Vec<String>,
    /// Categories that went, in words.
    pub warnings: Vec<String>,
    /// That so many are not there that somebody must look at it, in words.
    pub doubt: Option<String>,
}

/// Compares the categories that were `found` with those the lake knows. Of those that appeared, only the ones the job
/// wants are told, which are among `scopes`; the others are news to the first job that wants them. Where all or more than
/// half of those that were there are not, none of them counts as gone before `on_shrink` says so.
pub fn changes(
    state: &State,
    found: &Discovered,
    scopes: &[Scope],
    on_shrink: OnShrink,
    learned_at: Timestamp,
) -> Changes {
    let wanted: BTreeSet<&str> =
        scopes.iter().filter_map(|scope| scope.category.as_ref()).map(|category| category.id.as_str()).collect();
    let exported = exported(state);
    let kept = |id: &str| state.facts.category_present(id);
    let learned =
        |fact, evidence: &str| Entry::Learned(LearnedFact { fact, evidence: evidence.to_owned(), learned_at });
    let is_first_look =
        exported.is_empty() && !found.categories.iter().any(|(category, _)| kept(&category.id).is_some());
    let mut changes = Changes::default();
    let (mut new, mut back) = (Vec::new(), Vec::new());
    for (category, _) in &found.categories {
        let (id, name) = (category.id.as_str(), category.name.as_str());
        match kept(id) {
            Some(false) => back.push(name),
            Some(true) => continue,
            // Exported before the ledger kept any of this, or seen by the first run.
            None if is_first_look || exported.contains_key(id) => {}
            None if wanted.contains(id) => new.push(name),
            None => continue,
        }
        changes.entries.push(learned(Fact::Category { id: id.to_owned(), present: true }, "the API lists it"));
    }
    let is_found = |id: &str| found.categories.iter().any(|(category, _)| category.id == id);
    let were: Vec<(&str, &str)> =
        exported.iter().filter(|(id, _)| kept(id) != Some(false)).map(|(id, name)| (*id, *name)).collect();
    let mut gone: Vec<(&str, &str)> = were.iter().filter(|(id, _)| !is_found(id)).copied().collect();
    let are = were.len() - gone.len();
    let doubtful = are * 2 < were.len();
    let awaited = state.facts.categories_shrunk();
    let seen = doubtful.then_some(are as u64);
    let stays = match on_shrink {
        OnShrink::Confirm => awaited != seen,
        OnShrink::Accept => false,
        OnShrink::Keep => true,
    };
    if doubtful && stays {
        gone.clear();
        let then = match on_shrink {
            OnShrink::Keep => "`on_shrink = \"keep\"` counts none of them as gone",
            OnShrink::Confirm | OnShrink::Accept => "they count as gone when the next run sees the same",
        };
        changes.doubt = Some(format!("{are} of {} categories are there; {then}", were.len()));
    }
    if awaited != seen {
        let evidence = format!("the API lists {are} of {} known categories", were.len());
        changes.entries.push(learned(Fact::CategoriesShrunk { present: seen }, &evidence));
    }
    changes.entries.extend(
        gone.iter().map(|(id, _)| {
            learned(Fact::Category { id: (*id).to_owned(), present: false }, "the API no longer lists it")
        }),
    );
    let gone: Vec<&str> = gone.into_iter().map(|(_, name)| name).collect();
    changes
        .news
        .extend(told(&new, ["is new: its history follows as backfill", "are new: their history follows as backfill"]));
    changes.news.extend(told(&back, ["is in the account again", "are in the account again"]));
    changes.warnings.extend(told(
        &gone,
        ["is no longer in the account; its data stays", "are no longer in the account; their data stays"],
    ));
    changes
}

/// Categories of which something was exported, id and name.
fn exported(state: &State) -> BTreeMap<&str, &str> {
    let scopes = state.coverage.values().flat_map(|scopes| scopes.values());
    let categories = scopes.filter_map(|coverage| coverage.scope.category.as_ref());
    categories.map(|category| (category.id.as_str(), category.name.as_str())).collect()
}

/// `names` and what is said of one or of many; nothing of none.
fn told(names: &[&str], [one, many]: [&str; 2]) -> Option<String> {
    let distinct: BTreeSet<&str> = names.iter().copied().collect();
    let quoted: Vec<String> = distinct.iter().take(WRITTEN_OUT).map(|name| format!("{name:?}")).collect();
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
        assert_eq!(told(&[], verbs), None);
        assert_eq!(told(&["b"], verbs).unwrap(), "category \"b\" is new");
        assert_eq!(told(&["b", "a"], verbs).unwrap(), "categories \"a\", \"b\" are new");
        let many = ["a", "b", "c", "d", "e", "f", "g"];
        assert_eq!(told(&many, verbs).unwrap(), "categories \"a\", \"b\", \"c\", \"d\", \"e\" and 2 others are new");
    }
}
