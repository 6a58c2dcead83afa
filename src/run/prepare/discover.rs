//! The organizations, categories, assets and domains of the account, from the lists that name them, requested once a run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde_json::Value;

use crate::api::{ApiError, Client, RequestOptions, SliceRequest, Transport, Variables};
use crate::catalog::Catalog;
use crate::ledger::State;
use crate::model::format::format_count;
use crate::model::scope::{Named, Scope};
use crate::model::slice::Slice;
use crate::model::stream::{DiscoveredObject, Stream};
use crate::run::disposition::FailureScope;
use crate::run::error::RunError;
use crate::run::slice::{Prefetched, json_rows, prefetch, value_at};

/// The objects of the account, each once.
#[derive(Debug, Default)]
pub struct Discovered {
    pub organizations: Vec<Named>,
    /// Each with the ids of the organizations that own it.
    pub categories: Vec<(Named, BTreeSet<String>)>,
    pub assets: Vec<DiscoveredAsset>,
    /// Each with the id of its organization.
    pub domains: Vec<(Named, String)>,
    /// Lists with rows that do not name their object, so that it cannot be requested.
    pub incomplete: Vec<(DiscoveredObject, String)>,
    /// The lists as they were received, so that streams among them are not requested twice.
    pub(in crate::run) lists: BTreeMap<String, Prefetched>,
}

/// An asset of a category.
#[derive(Debug)]
pub struct DiscoveredAsset {
    pub named: Named,
    /// The id of its category.
    pub category: String,
    /// Whether the customer owns it, if the list says so.
    pub is_owned: Option<bool>,
}

/// Requests the lists that name objects.
///
/// # Errors
/// [`RunError::Discovery`] when organizations or categories cannot be read: a wrong address must not look like an empty
/// account. Assets and domains that may not be read are none.
pub async fn discover(catalog: &Catalog, client: &Client) -> Result<Discovered, RunError> {
    let mut found = Discovered::default();
    for object in DiscoveredObject::ALL {
        let Some(stream) = catalog.discovering(object) else {
            continue;
        };
        let prefetched = match request_list(stream, client).await {
            Ok(prefetched) => prefetched,
            Err(RunError::Api(ApiError::NotEntitled { .. }))
                if matches!(object, DiscoveredObject::Asset | DiscoveredObject::Domain) =>
            {
                continue;
            }
            // A failure that ends every run says so itself. Any other means here that the account is unknown.
            Err(error) if error.disposition().scope == FailureScope::Run => return Err(error),
            Err(RunError::Api(error)) => return Err(RunError::Discovery(error)),
            Err(error) => return Err(error),
        };
        let what = format!("stream `{}`", stream.name);
        let mut unnamed = Vec::new();
        for (number, row) in json_rows(&what, &prefetched.blocks).map_err(RunError::Discovery)?.iter().enumerate() {
            unnamed.extend(found.add(object, stream, row).err().map(|member| (number + 1, member)));
        }
        if let Some((number, member)) = unnamed.first() {
            let rows = format_count(unnamed.len() as u64, "row");
            let problem = format!(
                "row {number} has no text as `{member}`: {rows} of the list name no {} that could be requested completely",
                object.name()
            );
            found.incomplete.push((object, problem));
        }
        found.lists.insert(stream.name.clone(), prefetched);
    }
    Ok(found)
}

async fn request_list(stream: &Arc<Stream>, client: &Client) -> Result<Prefetched, RunError> {
    let slice = Slice { stream: Arc::clone(stream), scope: Scope::default(), window: None };
    let (options, variables) = (RequestOptions::default(), Variables::new());
    let request = SliceRequest { slice: &slice, transport: Transport::Pages, options: &options, variables: &variables };
    let requests = AtomicU64::new(0);
    prefetch(&request, client, &requests).await
}

impl Discovered {
    /// What earlier runs found, by the scopes that the ledger has. It does not know owners: every category counts as one of each
    /// organization, and a domain as one of the first.
    pub fn from_ledger(state: &State) -> Self {
        let mut found = Self {
            organizations: state.organizations.iter().map(|id| Named { name: id.clone(), id: id.clone() }).collect(),
            ..Self::default()
        };
        let first = state.organizations.first().cloned().unwrap_or_default();
        let (mut categories, mut assets, mut domains) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for coverage in state.coverage.values().flat_map(BTreeMap::values) {
            let Scope { category, asset, domain, .. } = &coverage.scope;
            if let Some(category) = category {
                categories.insert(&category.id, (category.clone(), state.organizations.clone()));
                if let Some(named) = asset.clone() {
                    let asset = DiscoveredAsset { named, category: category.id.clone(), is_owned: None };
                    assets.insert((&category.id, asset.named.id.clone()), asset);
                }
            }
            if let Some(domain) = domain {
                domains.insert(&domain.id, (domain.clone(), first.clone()));
            }
        }
        found.categories = categories.into_values().collect();
        found.assets = assets.into_values().collect();
        found.domains = domains.into_values().collect();
        found
    }

    /// Ids of the organizations that the lists name, also as owners: a list of organizations may be shorter than the account.
    pub fn organization_ids(&self) -> impl Iterator<Item = &String> {
        let listed = self.organizations.iter().map(|organization| &organization.id);
        let owners =
            self.categories.iter().flat_map(|(_, owners)| owners).chain(self.domains.iter().map(|(_, owner)| owner));
        listed.chain(owners).filter(|id| !id.is_empty())
    }

    /// Adds the object of a row.
    ///
    /// # Errors
    /// The member without which it cannot be requested.
    fn add(&mut self, object: DiscoveredObject, stream: &Stream, row: &Value) -> Result<(), String> {
        let Some(fields) = &stream.discovers else {
            return Ok(());
        };
        let text = |path: &String| {
            let text = value_at(row, path).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
            text.map(str::to_owned).ok_or_else(|| path.clone())
        };
        let (id, name) = (text(&fields.id)?, text(&fields.name));
        let parent = fields.parent.as_ref().map(text).unwrap_or(Ok(String::new()));
        if object == DiscoveredObject::Asset {
            // Requests name an asset and its category. Others are requested by their ids, and an unknown owner leaves nothing out.
            name.clone().and(parent.clone())?;
        }
        let named = Named { name: name.unwrap_or_else(|_| id.clone()), id };
        let parent = parent.unwrap_or_default();
        let is_owned = fields.owned.as_deref().and_then(|path| value_at(row, path)).and_then(Value::as_bool);
        match object {
            DiscoveredObject::Organization => {
                if !self.organizations.contains(&named) {
                    self.organizations.push(named);
                }
            }
            // Rows repeat for each owning organization, and each object is requested once.
            DiscoveredObject::Category => match self.categories.iter_mut().find(|(known, _)| known.id == named.id) {
                Some((_, organizations)) => {
                    organizations.insert(parent);
                }
                None => self.categories.push((named, [parent].into())),
            },
            DiscoveredObject::Asset => {
                if !self.assets.iter().any(|known| known.named.id == named.id && known.category == parent) {
                    self.assets.push(DiscoveredAsset { named, category: parent, is_owned });
                }
            }
            DiscoveredObject::Domain => {
                if !self.domains.iter().any(|(known, organization)| known.id == named.id && *organization == parent) {
                    self.domains.push((named, parent));
                }
            }
        }
        Ok(())
    }
}
