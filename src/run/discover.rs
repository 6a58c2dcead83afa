//! What the account holds: organizations, categories, assets, domains. Read once a run, from the lists that name them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use tokio::sync::mpsc;

use crate::api::{ApiError, Client, RequestFacts, SliceRequest, Transport, Variables};
use crate::catalog::Catalog;
use crate::model::block::Block;
use crate::model::response_totals::ResponseTotals;
use crate::model::scope::{Named, Scope};
use crate::model::slice::Slice;
use crate::model::stream::{DiscoveredObject, Stream, WindowEnd};
use crate::run::disposition::FailureScope;
use crate::run::error::RunError;
use crate::run::extract::extract;

/// Bytes of a list that are held in memory; the largest account known has far less.
pub const MOST_LIST_BYTES: usize = 256 * 1024 * 1024;

/// What the account holds, each object once.
#[derive(Debug, Default)]
pub struct Discovered {
    /// Organizations of the key.
    pub organizations: Vec<Named>,
    /// Categories, each with the organizations that own it.
    pub categories: Vec<(Named, BTreeSet<String>)>,
    /// Assets, each with the id of its category and whether the customer owns it.
    pub assets: Vec<(Named, String, bool)>,
    /// Domains, each with the id of its organization.
    pub domains: Vec<(Named, String)>,
    /// The lists as they came, so that streams among them are not asked twice.
    pub(super) lists: BTreeMap<String, Fetched>,
}

/// What was read already, and is held in memory.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its rows.
    pub blocks: Vec<Block>,
    /// What the API told.
    pub told: ResponseTotals,
    /// Requests it cost.
    pub requests: u64,
    /// How `end_date` was known to be read when it was asked, if it was.
    pub window_end: Option<WindowEnd>,
}

/// Asks the lists that name objects.
///
/// # Errors
/// [`RunError::Account`] when organizations or categories cannot be read: a wrong address must not look like an empty
/// account. Assets and domains that may not be read are none.
pub async fn discover(catalog: &Catalog, client: &Client) -> Result<Discovered, RunError> {
    let mut found = Discovered::default();
    for object in
        [DiscoveredObject::Organization, DiscoveredObject::Category, DiscoveredObject::Asset, DiscoveredObject::Domain]
    {
        let Some(stream) = catalog.discovering(object) else {
            continue;
        };
        let fetched = match fetch(stream, client).await {
            Ok(fetched) => fetched,
            Err(RunError::Api(ApiError::NotEntitled { .. }))
                if matches!(object, DiscoveredObject::Asset | DiscoveredObject::Domain) =>
            {
                continue;
            }
            // What ends every run says so itself. Any other failure means here that the account is unknown.
            Err(error) if error.disposition().scope == FailureScope::Run => return Err(error),
            Err(RunError::Api(error)) => return Err(RunError::Discovery(error)),
            Err(error) => return Err(error),
        };
        for row in rows_of(&fetched.blocks) {
            found.add(object, stream, &row);
        }
        found.lists.insert(stream.name.clone(), fetched);
    }
    Ok(found)
}

async fn fetch(stream: &Arc<Stream>, client: &Client) -> Result<Fetched, RunError> {
    let slice = Slice { stream: Arc::clone(stream), scope: Scope::default(), window: None };
    let (facts, variables) = (RequestFacts::default(), Variables::new());
    let asked = SliceRequest { slice: &slice, transport: Transport::Pages, facts: &facts, variables: &variables };
    let spent = AtomicU64::new(0);
    hold(&asked, client, &spent).await
}

/// Reads what is `asked` into memory.
///
/// # Errors
/// [`RunError::Api`], also when it is too long to be held.
pub async fn hold(asked: &SliceRequest<'_>, client: &Client, spent: &AtomicU64) -> Result<Fetched, RunError> {
    let before = spent.load(Ordering::Relaxed);
    let (sender, mut receiver) = mpsc::channel::<Block>(2);
    let collecting = async {
        let (mut blocks, mut bytes) = (Vec::new(), 0);
        while let Some(block) = receiver.recv().await {
            bytes += block.bytes();
            if MOST_LIST_BYTES < bytes {
                return None;
            }
            blocks.push(block);
        }
        Some(blocks)
    };
    let (told, blocks) = tokio::join!(extract(asked, client, sender, None, spent), collecting);
    let told = told?;
    let Some(blocks) = blocks else {
        return Err(too_long(asked.slice));
    };
    Ok(Fetched { blocks, told, requests: spent.load(Ordering::Relaxed) - before, window_end: asked.facts.window_end })
}

/// What a list that cannot be held in memory is answered with.
pub fn too_long(slice: &Slice) -> RunError {
    let problem = format!("the list is longer than {MOST_LIST_BYTES} bytes");
    ApiError::broken(slice.to_string(), problem).into()
}

/// Every row of `blocks`, as JSON.
pub fn rows_of(blocks: &[Block]) -> Vec<Value> {
    let rows = |block: &Block| match block {
        // Rows that are not JSON are refused when the list itself is decoded.
        Block::Rows { json, .. } => serde_json::from_slice::<Vec<Value>>(json).unwrap_or_default(),
        Block::Positions(_) | Block::EndOfPage => Vec::new(),
    };
    blocks.iter().flat_map(rows).collect()
}

impl Discovered {
    fn add(&mut self, object: DiscoveredObject, stream: &Stream, row: &Value) {
        let Some(fields) = &stream.discovers else {
            return;
        };
        let text = |path: &str| at(row, path).and_then(Value::as_str).map(str::to_owned);
        let Some(id) = text(&fields.id).filter(|id| !id.is_empty()) else {
            return;
        };
        let named = Named { name: text(&fields.name).unwrap_or_else(|| id.clone()), id };
        let parent = fields.parent.as_deref().and_then(text).unwrap_or_default();
        let owned = fields.owned.as_deref().and_then(|path| at(row, path)).and_then(Value::as_bool).unwrap_or(false);
        match object {
            DiscoveredObject::Organization => {
                if !self.organizations.contains(&named) {
                    self.organizations.push(named);
                }
            }
            // Rows repeat per owning organization: each object is asked for once.
            DiscoveredObject::Category => match self.categories.iter_mut().find(|(known, _)| known.id == named.id) {
                Some((_, organizations)) => {
                    organizations.insert(parent);
                }
                None => self.categories.push((named, [parent].into())),
            },
            DiscoveredObject::Asset => {
                if !self.assets.iter().any(|(known, category, _)| known.id == named.id && *category == parent) {
                    self.assets.push((named, parent, owned));
                }
            }
            DiscoveredObject::Domain => {
                if !self.domains.iter().any(|(known, organization)| known.id == named.id && *organization == parent) {
                    self.domains.push((named, parent));
                }
            }
        }
    }
}

/// The value at a dotted path.
pub fn at<'a>(row: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(row, |value, step| value.get(step))
}
