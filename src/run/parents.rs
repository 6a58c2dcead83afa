//! The rows that a stream is asked for one by one: those of its parent, or what a user gave.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::api::{ApiError, RequestFacts, SliceRequest, Variables};
use crate::catalog::Catalog;
use crate::ledger::{Fact, LearnedFact};
use crate::model::block::Block;
use crate::model::proof::Proof;
use crate::model::response_totals::ResponseTotals;
use crate::model::slice::Slice;
use crate::model::stream::{Parent, Stream, Variant, WindowEnd};
use crate::run::context::RunContext;
use crate::run::discover::{Fetched, MOST_LIST_BYTES, at, hold, rows_of, too_long};
use crate::run::error::RunError;
use crate::write::{Doubt, proof_of};

/// One request of a slice that is made of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// What it is about.
    pub variables: Variables,
    /// When its parent last changed, where that is told.
    pub changed: Option<Timestamp>,
}

/// What the parents of a run are read into: each stream, scope and window once, whoever asks first.
#[derive(Debug, Default)]
pub struct ParentRows {
    read: Mutex<HashMap<String, Arc<OnceCell<Arc<Read>>>>>,
}

/// A parent that was read.
#[derive(Debug)]
struct Read {
    rows: Vec<Value>,
    /// As it came, until the parent's own slice takes it.
    fetched: Mutex<Option<Fetched>>,
}

impl RunContext<'_> {
    /// The requests that `slice` is made of, each once, in the order of the parent's rows; `None` for a single one.
    ///
    /// # Errors
    /// Why the parent cannot be read.
    pub async fn children(&self, slice: &Slice) -> Result<Option<Vec<Child>>, RunError> {
        let stream = &slice.stream;
        if let Some(parent) = &stream.parent {
            let rows = match self.settings.catalog.get(&parent.stream) {
                Some(stream) => self.parent_rows(&Slice { stream: Arc::clone(stream), ..slice.clone() }).await?,
                None => return Ok(Some(Vec::new())),
            };
            return Ok(Some(children_of(parent, &rows.rows)));
        }
        let parameters = match stream.parameters.is_empty() {
            true => return Ok(None),
            false => self.settings.parameters.get(&stream.name).cloned().unwrap_or_default(),
        };
        Ok(Some(parameters.into_iter().map(|variables| Child { variables, changed: None }).collect()))
    }

    /// What was read of `slice` because its rows are the parents of others, if anybody asked already or will ask.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub async fn read_as_parent(&self, slice: &Slice) -> Result<Option<Fetched>, RunError> {
        match self.is_parent(&slice.stream) {
            true => {
                let read = self.parent_rows(slice).await?;
                Ok(read.fetched.lock().unwrap_or_else(PoisonError::into_inner).take())
            }
            false => Ok(None),
        }
    }

    fn parent_rows<'b>(&'b self, slice: &'b Slice) -> BoxFuture<'b, Result<Arc<Read>, RunError>> {
        Box::pin(async move {
            let key = format!("{}/{}/{:?}", slice.stream.name, slice.scope.key(), slice.window);
            let cell = {
                let mut read = self.parents.read.lock().unwrap_or_else(PoisonError::into_inner);
                Arc::clone(read.entry(key).or_default())
            };
            let read = cell.get_or_try_init(|| async {
                let fetched = self.hold_all(slice).await?;
                Ok::<_, RunError>(Arc::new(Read { rows: rows_of(&fetched.blocks), fetched: Mutex::new(Some(fetched)) }))
            });
            Ok(Arc::clone(read.await?))
        })
    }

    /// Reads a slice whole into memory. Where nobody says how its `end_date` is read, and the answer is doubtful, it is
    /// asked with the day after as the end, and what is learned is remembered.
    async fn hold_all(&self, slice: &Slice) -> Result<Fetched, RunError> {
        let facts = self.facts(&slice.stream);
        let expected = self.expects_rows(slice).await;
        let first = self.hold_requests(slice, &facts).await;
        let refused = matches!(&first, Err(RunError::Api(ApiError::RequestRejected { status: 422, .. })));
        let lacking = |held: &Fetched| held.told.rows == 0 && expected.is_some();
        let undocumented = slice.stream.days.as_ref().is_some_and(|days| days.end == WindowEnd::Undocumented);
        let last = match undocumented && facts.window_end.is_none() {
            true if refused || first.as_ref().is_ok_and(lacking) => {
                let facts = RequestFacts { window_end: Some(WindowEnd::Exclusive), ..facts };
                let again = self.hold_requests(slice, &facts).await;
                if refused && again.is_ok() || again.as_ref().is_ok_and(|held| 0 < held.told.rows) {
                    let evidence = format!(
                        "{slice} was rejected or empty with its last day as `end_date`, and not with the day after"
                    );
                    let fact = Fact::WindowEnd { family: slice.stream.family.clone(), end: WindowEnd::Exclusive };
                    let entry = self.learn(LearnedFact { fact, evidence, learned_at: self.now() });
                    self.committer.commit(entry.into_iter().collect(), u64::MAX).await?;
                }
                again
            }
            _ => first,
        };
        match (last, expected) {
            (Ok(held), Some(stream)) if held.told.rows == 0 => Err(RunError::Unproven {
                slice: slice.to_string(),
                doubt: Doubt::Expected { stream },
                transport: self.transport(&slice.stream),
            }),
            (last, _) => last,
        }
    }

    /// Makes all requests of a slice, and holds what they bring in memory.
    async fn hold_requests(&self, slice: &Slice, facts: &RequestFacts) -> Result<Fetched, RunError> {
        let spent = AtomicU64::new(0);
        let transport = self.transport(&slice.stream);
        let Some(children) = self.children(slice).await? else {
            let variables = Variables::new();
            let asked = SliceRequest { slice, transport, facts, variables: &variables };
            let fetched = hold(&asked, &self.settings.client, &spent).await?;
            proof_of(&fetched.told, slice.stream.total).map_err(|doubt| RunError::Unproven {
                slice: slice.to_string(),
                doubt,
                transport,
            })?;
            return Ok(fetched);
        };
        let mut all = Fetched {
            blocks: Vec::new(),
            told: ResponseTotals::new(Proof::Body),
            requests: 0,
            window_end: facts.window_end,
        };
        let (mut answered, mut gone, mut bytes) = (0, None, 0);
        for child in children {
            let asked = SliceRequest { slice, transport, facts, variables: &child.variables };
            match hold(&asked, &self.settings.client, &spent).await {
                Ok(fetched) => {
                    answered += 1;
                    bytes += fetched.blocks.iter().map(Block::bytes).sum::<usize>();
                    if MOST_LIST_BYTES < bytes {
                        return Err(too_long(slice));
                    }
                    all.blocks.extend(fetched.blocks);
                    all.told.add_page(fetched.told.rows, None);
                    all.requests += fetched.requests;
                }
                // What the parent names may be gone by now.
                Err(error @ RunError::Api(ApiError::NotEntitled { status: 404, .. })) => gone = Some(error),
                Err(error) => return Err(error),
            }
        }
        match (answered, gone) {
            (0, Some(error)) => Err(error),
            _ => Ok(all),
        }
    }
}

/// The requests that `parent`'s rows stand for, each once.
pub fn children_of(parent: &Parent, rows: &[Value]) -> Vec<Child> {
    let whole = [Variant::default()];
    let variants = if parent.variants.is_empty() { &whole[..] } else { &parent.variants };
    let mut seen = BTreeSet::new();
    let mut children = Vec::new();
    for row in rows {
        let taken: Option<Variables> =
            parent.bind.iter().map(|(name, path)| Some((name.clone(), text_at(row, path)?))).collect();
        // A row that does not say what its children are asked by has none.
        let Some(taken) = taken else {
            continue;
        };
        let changed = parent.changed.as_ref().and_then(|path| text_at(row, path)).and_then(|at| at.parse().ok());
        let is_for = |variant: &&Variant| {
            let says = |(path, text): (&String, &String)| text_at(row, path).as_ref() == Some(text);
            variant.when.iter().all(says)
        };
        for variant in variants.iter().filter(is_for) {
            let mut variables = taken.clone();
            variables.extend(variant.set.clone());
            if seen.insert(variables.clone()) {
                children.push(Child { variables, changed });
            }
        }
    }
    children
}

/// The text, number or truth at a dotted path, as text.
fn text_at(row: &Value, path: &str) -> Option<String> {
    match at(row, path)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is_true) => Some(is_true.to_string()),
        _ => None,
    }
}

/// The names of all streams that are parents of `streams`, or parents of their parents.
pub fn ancestors_of(streams: &[Arc<Stream>], catalog: &Catalog) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<Arc<Stream>> = streams.to_vec();
    while let Some(stream) = open.pop() {
        if let Some(parent) = &stream.parent
            && found.insert(parent.stream.clone())
        {
            open.extend(catalog.get(&parent.stream).cloned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parent(text: &str) -> Parent {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn children_are_asked_once_each_in_the_variants_that_their_parent_is_for() {
        let parent = parent(
            r#"stream = "agents"
            bind = { agent_id = "id" }
            changed = "updated_at"
            variants = [{ set = { version = "published" }, when = { status = "published" } }, { set = { version = "draft" } }]"#,
        );
        let rows = [
            json!({"id": "a", "status": "published", "updated_at": "2026-03-01T00:00:00Z"}),
            json!({"id": "b", "status": "draft", "updated_at": "yesterday"}),
            json!({"id": "a", "status": "published", "updated_at": "2026-03-01T00:00:00Z"}),
            json!({"id": null, "status": "published"}),
        ];
        let children = children_of(&parent, &rows);
        let said: Vec<String> = children.iter().map(|child| format!("{:?}", child.variables)).collect();
        assert_eq!(
            said,
            [
                r#"{"agent_id": "a", "version": "published"}"#,
                r#"{"agent_id": "a", "version": "draft"}"#,
                r#"{"agent_id": "b", "version": "draft"}"#,
            ]
        );
        assert_eq!(children[0].changed, "2026-03-01T00:00:00Z".parse().ok());
        assert_eq!(children[2].changed, None);
    }
}
