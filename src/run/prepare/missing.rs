//! Known objects that their list no longer has. A list that is shorter than before may be a part of itself, so the objects count as gone
//! only when the next run finds the same.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::config::{AssetChoice, JobConfig, OnShrink};
use crate::ledger::{Entry, Fact, LearnedFact, State};
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
    /// Categories that count as gone from now on, id and name.
    pub gone_categories: BTreeMap<String, String>,
}

/// Compares what the lists have with what was exported.
pub fn missing_objects(state: &State, found: &Discovered, job: &JobConfig, at: Timestamp) -> MissingObjects {
    let mut missing = MissingObjects::default();
    let owned = owned_assets(state, found);
    for object in DiscoveredObject::ALL {
        let before: BTreeSet<&String> = state.facts.missing(object).iter().collect();
        let mut known = exported(state, object);
        known.retain(|id, _| match object {
            // Those that are gone for good have a fact of their own.
            DiscoveredObject::Category if state.facts.category_present(id) == Some(false) => false,
            // Another owner is a doubt only for jobs that leave out what the customer does not own; others keep what those found.
            DiscoveredObject::Asset if is_found(found, object, id) => {
                owned.lost.contains(id) && (job.assets == AssetChoice::Owned || before.contains(id))
            }
            _ => !is_found(found, object, id),
        });
        let is_new = known.keys().any(|id| !before.contains(id));
        let (is_problem, is_believed) = match job.on_shrink {
            OnShrink::Confirm => (is_new, !is_new),
            OnShrink::Accept => (false, true),
            OnShrink::Keep => (!known.is_empty(), false),
        };
        if is_problem {
            missing.problems.push((object, problem(object, &known, job.on_shrink)));
        }
        if is_believed && object == DiscoveredObject::Category {
            missing.gone_categories = std::mem::take(&mut known);
        }
        let ids: Vec<String> = known.into_keys().collect();
        if ids.len() != before.len() || ids.iter().any(|id| !before.contains(id)) {
            let evidence = format!("{} known before were not found", ids.len());
            missing.entries.push(Entry::Learned(LearnedFact::new(Fact::Missing { object, ids }, evidence, at)));
        }
    }
    missing.entries.extend(owned.seen.map(|ids| {
        Entry::Learned(LearnedFact::new(Fact::OwnedAssets { ids }, "the list of assets says that they are owned", at))
    }));
    missing
}

/// Which assets the customer owns, as the list says now and said before.
struct OwnedAssets {
    /// Owned before, and not now.
    lost: BTreeSet<String>,
    /// All that were ever owned, if the ledger does not know some of them.
    seen: Option<Vec<String>>,
}

fn owned_assets(state: &State, found: &Discovered) -> OwnedAssets {
    let with = |is_owned: bool| {
        let assets = found.assets.iter().filter(move |asset| asset.is_owned == Some(is_owned));
        assets.map(|asset| asset_id(&asset.category, &asset.named.id)).collect::<BTreeSet<String>>()
    };
    let before: BTreeSet<String> = state.facts.owned_assets().iter().cloned().collect();
    let now = with(true);
    // Rows repeat for each organization.
    let lost = with(false).difference(&now).filter(|id| before.contains(*id)).cloned().collect();
    let seen = (!now.is_subset(&before)).then(|| before.union(&now).cloned().collect());
    OwnedAssets { lost, seen }
}

/// The objects for which something was exported, and their names.
pub fn exported(state: &State, object: DiscoveredObject) -> BTreeMap<String, String> {
    let mut known = BTreeMap::new();
    if object == DiscoveredObject::Organization {
        known.extend(state.organizations.iter().map(|id| (id.clone(), id.clone())));
    }
    let scopes = state.coverage.values().flat_map(|scopes| scopes.values()).map(|coverage| &coverage.scope);
    known.extend(scopes.filter_map(|scope| subject(scope, object)));
    known
}

/// The id and the name of the object of a scope. An asset belongs to its category, and a domain to its organization, if that is known.
fn subject(scope: &Scope, object: DiscoveredObject) -> Option<(String, String)> {
    let named = match object {
        DiscoveredObject::Organization => scope.organization.as_ref()?,
        DiscoveredObject::Category => scope.category.as_ref()?,
        DiscoveredObject::Asset => scope.asset.as_ref()?,
        DiscoveredObject::Domain => scope.domain.as_ref()?,
    };
    let id = match (object, &scope.category, &scope.organization) {
        (DiscoveredObject::Asset, Some(category), _) => asset_id(&category.id, &named.id),
        (DiscoveredObject::Domain, _, owner) => domain_id(owner.as_ref().map_or("", |owner| &owner.id), &named.id),
        _ => named.id.clone(),
    };
    Some((id, named.name.clone()))
}

fn asset_id(category: &str, asset: &str) -> String {
    format!("{category}/{asset}")
}

/// Two organizations may have domains of the same name.
fn domain_id(organization: &str, domain: &str) -> String {
    format!("{organization}/{domain}")
}

fn is_found(found: &Discovered, object: DiscoveredObject, id: &str) -> bool {
    match object {
        DiscoveredObject::Organization => found.organizations.iter().any(|organization| organization.id == id),
        DiscoveredObject::Category => found.categories.iter().any(|(category, _)| category.id == id),
        DiscoveredObject::Domain => {
            let Some((organization, name)) = id.split_once('/') else {
                return false;
            };
            // An owner that is unknown, then or now, may be any.
            let is_it = |owner: &str| owner == organization || owner.is_empty() || organization.is_empty();
            found.domains.iter().any(|(domain, owner)| domain.id == name && is_it(owner))
        }
        DiscoveredObject::Asset => {
            let is_listed = |category: &str| found.categories.iter().any(|(listed, _)| listed.id == category);
            // With its category an asset is missing, too.
            !id.split_once('/').is_some_and(|(category, _)| is_listed(category))
                || found.assets.iter().any(|asset| asset_id(&asset.category, &asset.named.id) == id)
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
    let number = missing.len();
    let what = if number == 1 { object.name().to_owned() } else { object.plural() };
    let more = if names.len() > listed.len() { " and others" } else { "" };
    format!("not listed: {number} known {what} ({}{more}); published files are kept, and {then}", listed.join(", "))
}
