//! The requests of a fan-out: one for each row of the parent, or for each set of parameters that a user supplies.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;

use crate::api::{ApiError, RequestOptions, SliceRequest, Variables};
use crate::catalog::Catalog;
use crate::ledger::LearnedFact;
use crate::model::block::Block;
use crate::model::proof::Proof;
use crate::model::response_totals::ResponseTotals;
use crate::model::slice::Slice;
use crate::model::stream::{Parent, Stream, Variant};
use crate::run::error::RunError;
use crate::run::slice::context::SliceContext;
use crate::run::slice::end_date::{WindowResponse, resolve_end_date};
use crate::run::slice::gates::expects_rows;
use crate::run::slice::parent_cache::ParentRows;
use crate::run::slice::prefetch::{MAX_PREFETCHED_BYTES, Prefetched, prefetch_verified, too_long, value_at};
use crate::write::Doubt;

/// One request of a slice that is made of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    pub variables: Variables,
    /// When its parent last changed, if the parent says so.
    pub changed: Option<Timestamp>,
}

/// The requests that `slice` is made of, each once, in the order of the parent's rows; `None` for a single request.
///
/// # Errors
/// Why the parent cannot be requested.
pub async fn children(cx: &SliceContext<'_>, slice: &Slice) -> Result<Option<Vec<Child>>, RunError> {
    let stream = &slice.stream;
    if let Some(parent) = &stream.parent {
        let Some(of_parent) = cx.settings.catalog.get(&parent.stream) else {
            return Ok(Some(Vec::new()));
        };
        let parents = parent_rows(cx, &Slice { stream: Arc::clone(of_parent), ..slice.clone() }).await?;
        return Ok(Some(children_of(parent, &parents.rows)));
    }
    if stream.parameters.is_empty() {
        return Ok(None);
    }
    let supplied = cx.settings.parameters.get(&stream.name).cloned().unwrap_or_default();
    Ok(Some(supplied.into_iter().map(|variables| Child { variables, changed: None }).collect()))
}

/// The rows of `slice`, requested once however many slices need them.
///
/// # Errors
/// Why they cannot be requested.
pub fn parent_rows<'b>(cx: &'b SliceContext<'_>, slice: &'b Slice) -> BoxFuture<'b, Result<Arc<ParentRows>, RunError>> {
    Box::pin(cx.parents.get_or_request(slice, prefetch_slice(cx, slice)))
}

/// Requests a whole slice into memory.
async fn prefetch_slice(cx: &SliceContext<'_>, slice: &Slice) -> Result<Prefetched, RunError> {
    let options = cx.account.request_options(&slice.stream);
    let must_have_rows = expects_rows(&cx.ledger, slice).await;
    let request = async |options| {
        let rows = prefetch_requests(cx, slice, options).await?;
        Ok(WindowResponse { window_end: rows.window_end, has_rows: rows.totals.rows > 0, has_last_day: None, rows })
    };
    let (response, proven) = resolve_end_date(slice, &options, must_have_rows.is_some(), request).await?;
    if let Some((fact, evidence)) = proven {
        let learned = cx.account.learn(LearnedFact::new(fact, evidence, cx.now()));
        cx.ledger.commit(learned.into_iter().collect(), None).await?;
    }
    match must_have_rows {
        Some(stream) if !response.has_rows => Err(RunError::Unproven {
            slice: slice.to_string(),
            doubt: Doubt::Expected { stream },
            transport: cx.account.transport(&slice.stream),
        }),
        _ => Ok(response.rows),
    }
}

/// Sends all requests of a slice and holds their rows in memory.
async fn prefetch_requests(
    cx: &SliceContext<'_>,
    slice: &Slice,
    options: RequestOptions,
) -> Result<Prefetched, RunError> {
    let requests = AtomicU64::new(0);
    let transport = cx.account.transport(&slice.stream);
    let Some(children) = children(cx, slice).await? else {
        let variables = Variables::new();
        let request = SliceRequest { slice, transport, options: &options, variables: &variables };
        return prefetch_verified(&request, &cx.settings.client, &requests).await;
    };
    let mut all = Prefetched {
        blocks: Vec::new(),
        totals: ResponseTotals::new(Proof::Body),
        requests: 0,
        window_end: options.window_end,
    };
    let (mut succeeded, mut gone, mut bytes) = (0, None, 0);
    for child in children {
        let request = SliceRequest { slice, transport, options: &options, variables: &child.variables };
        match prefetch_verified(&request, &cx.settings.client, &requests).await {
            Ok(prefetched) => {
                succeeded += 1;
                bytes += prefetched.blocks.iter().map(Block::bytes).sum::<usize>();
                if bytes > MAX_PREFETCHED_BYTES {
                    return Err(too_long(slice));
                }
                all.blocks.extend(prefetched.blocks);
                all.totals.add_page(prefetched.totals.rows, None);
                all.requests += prefetched.requests;
            }
            // What the parent names may be deleted by now.
            Err(error @ RunError::Api(ApiError::NotEntitled { status: 404, .. })) => gone = Some(error),
            Err(error) => return Err(error),
        }
    }
    match gone {
        Some(error) if succeeded == 0 => Err(error),
        _ => Ok(all),
    }
}

/// The requests that `parent`'s rows stand for, each once.
pub fn children_of(parent: &Parent, rows: &[Value]) -> Vec<Child> {
    let whole = [Variant::default()];
    let variants = if parent.variants.is_empty() { &whole[..] } else { &parent.variants };
    let mut seen = BTreeSet::new();
    let mut children = Vec::new();
    for row in rows {
        let bound: Option<Variables> =
            parent.bind.iter().map(|(name, path)| Some((name.clone(), text_at(row, path)?))).collect();
        // A row without the values that a request needs has no children.
        let Some(bound) = bound else {
            continue;
        };
        let changed = parent.changed.as_ref().and_then(|path| text_at(row, path)).and_then(|at| at.parse().ok());
        let applies =
            |variant: &&Variant| variant.when.iter().all(|(path, text)| text_at(row, path).as_ref() == Some(text));
        for variant in variants.iter().filter(applies) {
            let mut variables = bound.clone();
            variables.extend(variant.set.clone());
            if seen.insert(variables.clone()) {
                children.push(Child { variables, changed });
            }
        }
    }
    children
}

/// The text, number or boolean at a dotted path, as text.
fn text_at(row: &Value, path: &str) -> Option<String> {
    match value_at(row, path)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is_true) => Some(is_true.to_string()),
        _ => None,
    }
}

/// The names of all streams that are parents of `streams`, or parents of their parents.
pub fn ancestors_of(streams: &[Arc<Stream>], catalog: &Catalog) -> BTreeSet<String> {
    let mut ancestors = BTreeSet::new();
    let mut open: Vec<Arc<Stream>> = streams.to_vec();
    while let Some(stream) = open.pop() {
        if let Some(parent) = &stream.parent
            && ancestors.insert(parent.stream.clone())
        {
            open.extend(catalog.get(&parent.stream).cloned());
        }
    }
    ancestors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parent(text: &str) -> Parent {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn each_child_is_requested_once_per_variant_of_its_parent() {
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
        let variables: Vec<String> = children.iter().map(|child| format!("{:?}", child.variables)).collect();
        assert_eq!(
            variables,
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
