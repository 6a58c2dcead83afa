//! Known objects that their list no longer has. A list that is shorter than before may be a part of itself, so the objects count as gone
//! only when the next run finds the same.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::config::{AssetChoice, JobConfig, OnShrink};
use crate::ledger::{Entry, Fact, LearnedFact, State};
use crate::model::format::format_count;
use crate::model::scope::Scope;
use crate::model::stream::DiscoveredObject;
use crate::run::prepare::discover::Discovered;

/// How many names are listed.
const MAX_LISTED_NAMES: usize = 5;

/// What is missing since the last run that looked.
#[derive(Debug, Default)]
pub struct MissingObjects {
    /// Facts for the ledger: what is missing now.
    pub entries: Vec<Entry>,
    /// Lists that a person must look at, and why.
    pub problems: Vec<(DiscoveredObject, String)>,
}

/// Compares organizations, domains and assets with those that were exported. Categories have rules of their own.
pub fn missing_objects(state: &State, found: &Discovered, job: &JobConfig, at: Timestamp) -> MissingObjects {
    let mut missing = MissingObjects::default();
    for object in [DiscoveredObject::Organization, DiscoveredObject::Domain, DiscoveredObject::Asset] {
        let mut known = exported(state, object);
        known.retain(|id, _| !is_found(found, job, object, id));
        let before: BTreeSet<&String> = state.facts.missing(object).iter().collect();
        let ids: Vec<String> = known.keys().cloned().collect();
        let is_new = ids.iter().any(|id| !before.contains(id));
        let is_problem = match job.on_shrink {
            OnShrink::Confirm => is_new,
            OnShrink::Accept => false,
            OnShrink::Keep => !ids.is_empty(),
        };
        if is_problem {
            missing.problems.push((object, problem(object, &known, job.on_shrink)));
        }
        if is_new || ids.len() != before.len() {
            let evidence = format!("{} known before were not found", ids.len());
            missing.entries.push(Entry::Learned(LearnedFact::new(Fact::Missing { object, ids }, evidence, at)));
        }
    }
    missing
}

/// The objects for which something was exported, and their names.
fn exported(state: &State, object: DiscoveredObject) -> BTreeMap<String, String> {
    let mut known = BTreeMap::new();
    if object == DiscoveredObject::Organization {
        known.extend(state.organizations.iter().map(|id| (id.clone(), id.clone())));
    }
    let scopes = state.coverage.values().flat_map(|scopes| scopes.values()).map(|coverage| &coverage.scope);
    known.extend(scopes.filter_map(|scope| subject(scope, object)));
    known
}

/// The id and the name of the object of a scope. An asset belongs to its category.
fn subject(scope: &Scope, object: DiscoveredObject) -> Option<(String, String)> {
    let named = match object {
        DiscoveredObject::Organization => scope.organization.as_ref()?,
        DiscoveredObject::Category => scope.category.as_ref()?,
        DiscoveredObject::Asset => scope.asset.as_ref()?,
        DiscoveredObject::Domain => scope.domain.as_ref()?,
    };
    let id = match (object, &scope.category) {
        (DiscoveredObject::Asset, Some(category)) => asset_id(&category.id, &named.id),
        _ => named.id.clone(),
    };
    Some((id, named.name.clone()))
}

fn asset_id(category: &str, asset: &str) -> String {
    format!("{category}/{asset}")
}

fn is_found(found: &Discovered, job: &JobConfig, object: DiscoveredObject, id: &str) -> bool {
    match object {
        DiscoveredObject::Organization => found.organizations.iter().any(|organization| organization.id == id),
        DiscoveredObject::Category => found.categories.iter().any(|(category, _)| category.id == id),
        DiscoveredObject::Domain => found.domains.iter().any(|(domain, _)| domain.id == id),
        DiscoveredObject::Asset => {
            let is_listed = |category: &str| found.categories.iter().any(|(listed, _)| listed.id == category);
            // With its category an asset is missing, too.
            if !id.split_once('/').is_some_and(|(category, _)| is_listed(category)) {
                return true;
            }
            // One asset may change its owner. A list without any owned one is in doubt.
            let has_owned =
                job.assets != AssetChoice::Owned || found.assets.iter().any(|asset| asset.is_owned != Some(false));
            has_owned && found.assets.iter().any(|asset| asset_id(&asset.category, &asset.named.id) == id)
        }
    }
}

fn problem(object: DiscoveredObject, missing: &BTreeMap<String, String>, on_shrink: OnShrink) -> String {
    let names: BTreeSet<&String> = missing.values().collect();
    let listed: Vec<String> = names.iter().take(MAX_LISTED_NAMES).map(|name| format!("{name:?}")).collect();
    let then = match on_shrink {
        OnShrink::Keep => "`on_shrink = \"keep\"` counts none of them as gone",
        OnShrink::Confirm | OnShrink::Accept => "they count as gone if the next run finds the same",
    };
    let known = format_count(missing.len() as u64, &format!("known {}", object.name()));
    let more = if names.len() > listed.len() { " and others" } else { "" };
    format!("not listed: {known} ({}{more}); published files are kept, and {then}", listed.join(", "))
}
