//! The scopes that the filters of a job leave, and its streams.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use icu_normalizer::ComposingNormalizerBorrowed;

use crate::config::{AssetChoice, JobConfig};
use crate::model::coverage::Coverage;
use crate::model::format::format_count;
use crate::model::scope::{Named, Scope, ScopeKind};
use crate::model::stream::Stream;
use crate::run::error::RunError;
use crate::run::prepare::discover::{Discovered, DiscoveredAsset};

/// How many names a warning lists.
const MAX_LISTED_NAMES: usize = 5;

/// The scopes of a job in this account.
#[derive(Debug, Default)]
pub struct JobScopes {
    pub scopes: BTreeMap<ScopeKind, Vec<Scope>>,
    /// Filters that match nothing, or more than one object.
    pub warnings: Vec<String>,
}

/// Applies the filters of `job` to what was discovered.
///
/// # Errors
/// [`RunError::ConfigMismatch`] if a filter leaves nothing at all, which is certainly a mistake.
pub fn resolve_scopes(job: &JobConfig, found: &Discovered, known: &Coverage) -> Result<JobScopes, RunError> {
    let mut warnings = unknown_owners(found);
    let organizations = choose(job, "organizations", &job.organizations, &found.organizations, &mut warnings)?;
    let chosen = |id: &String| organizations.iter().any(|organization| organization.id == *id);
    // An unknown owner is no reason to leave an object out: the list may be damaged. A filter leaves out owners that it does not name.
    let is_wanted = |owner: &String| job.organizations.is_empty() || owner.is_empty() || chosen(owner);
    let owned_by_chosen: Vec<&Named> = found
        .categories
        .iter()
        .filter(|(_, owners)| owners.iter().any(is_wanted))
        .map(|(category, _)| category)
        .collect();
    let categories = choose(job, "categories", &job.categories, owned_by_chosen.iter().copied(), &mut warnings)?;
    let all_domains: Vec<(&Named, &String)> =
        found.domains.iter().filter(|(_, owner)| is_wanted(owner)).map(|(domain, owner)| (domain, owner)).collect();
    let hosts = choose(job, "domains", &job.domains, all_domains.iter().map(|(domain, _)| *domain), &mut warnings)?;

    let organization_scope =
        |organization: &Named| Scope { organization: Some(organization.clone()), ..Scope::default() };
    let category_scope = |category: &Named| Scope { category: Some(category.clone()), ..Scope::default() };
    let assets = assets(job, found, &categories, &mut warnings);
    let domains = all_domains.iter().filter(|(domain, _)| hosts.contains(domain)).flat_map(|(domain, owner)| {
        let owners = owners_of(domain, owner, &organizations, known).into_iter();
        owners.map(|organization| Scope { organization, domain: Some((*domain).clone()), ..Scope::default() })
    });
    let scopes = [
        (ScopeKind::Account, vec![Scope::default()]),
        (ScopeKind::Organization, organizations.iter().map(organization_scope).collect()),
        (ScopeKind::Category, categories.iter().map(category_scope).collect()),
        (ScopeKind::CategoryAsset, assets),
        (ScopeKind::Domain, domains.collect()),
    ];
    Ok(JobScopes { scopes: scopes.into(), warnings })
}

/// Warnings about objects whose owner is not listed.
fn unknown_owners(found: &Discovered) -> Vec<String> {
    let is_listed = |owner: &String| found.organizations.iter().any(|organization| organization.id == *owner);
    let categories = found.categories.iter().filter(|(_, owners)| !owners.iter().any(is_listed));
    let domains = found.domains.iter().filter(|(_, owner)| !is_listed(owner));
    let named = categories.map(|(named, _)| ("category", named)).chain(domains.map(|(named, _)| ("domain", named)));
    let named: Vec<String> = named.map(|(object, named)| format!("{object} {:?}", named.name)).collect();
    let first = named.iter().take(MAX_LISTED_NAMES).cloned().collect::<Vec<_>>().join(", ");
    match named.len() {
        0 => Vec::new(),
        count => vec![format!(
            "{} without a listed organization, requested nevertheless: {first}",
            format_count(count as u64, "object")
        )],
    }
}

/// The organizations of a domain: its owner, or if that is unknown those for which it was exported before, or the only one.
fn owners_of(domain: &Named, owner: &str, organizations: &[Named], known: &Coverage) -> Vec<Option<Named>> {
    if let Some(listed) = organizations.iter().find(|organization| organization.id == *owner) {
        return vec![Some(listed.clone())];
    }
    let scopes = known.values().flat_map(|scopes| scopes.values()).map(|coverage| &coverage.scope);
    let before = scopes.filter(|scope| scope.domain.as_ref().is_some_and(|known| known.id == domain.id));
    let before: BTreeMap<&String, &Named> =
        before.filter_map(|scope| scope.organization.as_ref()).map(|named| (&named.id, named)).collect();
    match (owner, organizations) {
        ("", _) if !before.is_empty() => before.into_values().cloned().map(Some).collect(),
        ("", [only]) => vec![Some(only.clone())],
        ("", _) => vec![None],
        (id, _) => {
            let named = before.get(&id.to_owned()).map(|named| (*named).clone());
            vec![Some(named.unwrap_or_else(|| Named { id: id.to_owned(), name: id.to_owned() }))]
        }
    }
}

/// An accented letter is one character or two, depending on the keyboard and the system that a name comes from.
fn is_same_name(name: &str, other: &str) -> bool {
    let normalizer = ComposingNormalizerBorrowed::new_nfc();
    name == other || normalizer.normalize(name) == normalizer.normalize(other)
}

/// Those of `objects` that `wanted` names by id or name; all if it names none.
fn choose<'a>(
    job: &JobConfig,
    setting: &str,
    wanted: &[String],
    objects: impl IntoIterator<Item = &'a Named>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Named>, RunError> {
    let objects: Vec<&Named> = objects.into_iter().collect();
    if wanted.is_empty() {
        return Ok(objects.into_iter().cloned().collect());
    }
    let mut chosen: Vec<Named> = Vec::new();
    for text in wanted {
        let matching: Vec<&Named> = match objects.iter().find(|object| object.id == *text) {
            Some(by_id) => vec![by_id],
            None => objects.iter().copied().filter(|object| is_same_name(&object.name, text)).collect(),
        };
        // A host name may belong to two organizations, which is one domain each and no ambiguity.
        let ids: BTreeSet<&String> = matching.iter().map(|object| &object.id).collect();
        match ids.len() {
            0 => warnings.push(format!("`{setting}` of job `{}` names `{text}`, which the account does not have", job.name)),
            1 => {}
            many => warnings.push(format!(
                "`{setting}` of job `{}` names `{text}`, the name of {many} objects; all are exported (write an id to choose one)",
                job.name
            )),
        }
        chosen.extend(matching.into_iter().filter(|object| !chosen.contains(object)).cloned().collect::<Vec<_>>());
    }
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    let names: Vec<String> = objects.iter().map(|object| format!("{:?}", object.name)).collect();
    Err(RunError::ConfigMismatch {
        problem: format!("`{setting}` of job `{}` matches nothing in this account", job.name),
        hint: format!("the account has {}", names.join(", ")),
    })
}

fn assets(job: &JobConfig, found: &Discovered, categories: &[Named], warnings: &mut Vec<String>) -> Vec<Scope> {
    let wanted = |DiscoveredAsset { named: asset, is_owned, .. }: &DiscoveredAsset| match &job.assets {
        // Unknown is no reason to leave it out.
        AssetChoice::Owned => is_owned.unwrap_or(true),
        AssetChoice::All => true,
        AssetChoice::Named(names) => names.iter().any(|name| asset.id == *name || is_same_name(&asset.name, name)),
    };
    if let AssetChoice::Named(names) = &job.assets {
        let known = |name: &&String| {
            let is_named = |named: &Named| named.id == **name || is_same_name(&named.name, name);
            !found.assets.iter().any(|asset| is_named(&asset.named))
        };
        for missing in names.iter().filter(known) {
            warnings.push(format!("`assets` of job `{}` names `{missing}`, which the account does not have", job.name));
        }
    }
    let mut scopes = Vec::new();
    for category in categories {
        for asset in found.assets.iter().filter(|asset| asset.category == category.id && wanted(asset)) {
            let asset = Some(asset.named.clone());
            scopes.push(Scope { category: Some(category.clone()), asset, ..Scope::default() });
        }
    }
    scopes
}

/// `streams`, each once, with those replaced that have a fallback.
pub fn with_fallbacks(streams: &[Arc<Stream>], fallback: impl Fn(&str) -> Option<Arc<Stream>>) -> Vec<Arc<Stream>> {
    let mut all: Vec<Arc<Stream>> = Vec::new();
    for stream in streams {
        let stream = fallback(&stream.name).unwrap_or_else(|| Arc::clone(stream));
        if !all.iter().any(|other| other.name == stream.name) {
            all.push(stream);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(id: &str, name: &str) -> Named {
        Named { id: id.into(), name: name.into() }
    }

    fn asset(named: Named, category: &str, is_owned: bool) -> DiscoveredAsset {
        DiscoveredAsset { named, category: category.into(), is_owned: Some(is_owned) }
    }

    #[test]
    fn name_is_the_same_in_every_unicode_form() {
        assert!(is_same_name("Caf\u{e9}", "Cafe\u{301}") && !is_same_name("Caf\u{e9}", "Cafe"));
    }

    fn account() -> Discovered {
        Discovered {
            organizations: vec![named("o1", "One"), named("o2", "Two")],
            categories: vec![
                (named("c1", "Tea"), ["o1".to_owned(), "o2".to_owned()].into()),
                (named("c2", "Coffee"), ["o2".to_owned()].into()),
                (named("c3", "Tea"), ["o1".to_owned()].into()),
            ],
            assets: vec![
                asset(named("a1", "Acme"), "c1", true),
                asset(named("a2", "Rival"), "c1", false),
                asset(named("a1", "Acme"), "c2", true),
            ],
            domains: vec![
                (named("x.example", "x.example"), "o1".into()),
                (named("x.example", "x.example"), "o2".into()),
            ],
            ..Discovered::default()
        }
    }

    fn texts(resolved: &JobScopes, kind: ScopeKind) -> Vec<String> {
        resolved.scopes[&kind].iter().map(|scope| scope.key().to_string()).collect()
    }

    #[test]
    fn job_without_filters_takes_everything_once_and_owned_assets() {
        let resolved = resolve_scopes(&JobConfig::default(), &account(), &Coverage::new()).unwrap();
        assert_eq!(texts(&resolved, ScopeKind::Category), ["category=c1", "category=c2", "category=c3"]);
        assert_eq!(texts(&resolved, ScopeKind::CategoryAsset), ["category=c1/asset=a1", "category=c2/asset=a1"]);
        assert_eq!(
            texts(&resolved, ScopeKind::Domain),
            ["organization=o1/domain=x.example", "organization=o2/domain=x.example"]
        );
        assert!(resolved.warnings.is_empty());
    }

    #[test]
    fn name_of_several_categories_selects_all_with_a_warning() {
        let job = JobConfig { categories: vec!["Tea".into(), "c2".into()], ..JobConfig::default() };
        let resolved = resolve_scopes(&job, &account(), &Coverage::new()).unwrap();
        assert_eq!(texts(&resolved, ScopeKind::Category), ["category=c1", "category=c3", "category=c2"]);
        assert!(resolved.warnings[0].contains("the name of 2 objects"), "{:?}", resolved.warnings);
    }

    #[test]
    fn organizations_limit_categories_and_domains() {
        let job = JobConfig { organizations: vec!["Two".into()], assets: AssetChoice::All, ..JobConfig::default() };
        let resolved = resolve_scopes(&job, &account(), &Coverage::new()).unwrap();
        assert_eq!(texts(&resolved, ScopeKind::Category), ["category=c1", "category=c2"]);
        assert_eq!(texts(&resolved, ScopeKind::CategoryAsset).len(), 3);
        assert_eq!(texts(&resolved, ScopeKind::Domain), ["organization=o2/domain=x.example"]);
    }

    #[test]
    fn filter_without_a_match_is_rejected_with_the_available_names() {
        let job = JobConfig { name: "nightly".into(), categories: vec!["Te".into()], ..JobConfig::default() };
        let refused = resolve_scopes(&job, &account(), &Coverage::new()).unwrap_err();
        assert_eq!(refused.to_string(), "`categories` of job `nightly` matches nothing in this account");
        assert!(refused.hint().unwrap().contains("\"Coffee\""));
    }
}
