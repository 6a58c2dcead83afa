//! The rows of parents, requested once a run.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::model::slice::Slice;
use crate::run::error::RunError;
use crate::run::slice::prefetch::{Prefetched, json_rows};

/// The rows of each parent, scope and window, requested once by the first slice that needs them.
#[derive(Debug, Default)]
pub struct ParentCache(Mutex<HashMap<String, Arc<OnceCell<Arc<ParentRows>>>>>);

#[derive(Debug)]
pub struct ParentRows {
    pub rows: Vec<Value>,
    /// As they were received, until the parent's own slice takes them.
    pub prefetched: Mutex<Option<Prefetched>>,
}

impl ParentCache {
    /// The rows of `slice`, from `request` unless another slice has requested them.
    ///
    /// # Errors
    /// Those of `request`, which the next caller may try again.
    pub async fn get_or_request(
        &self,
        slice: &Slice,
        request: impl Future<Output = Result<Prefetched, RunError>>,
    ) -> Result<Arc<ParentRows>, RunError> {
        let key = format!("{}/{}/{:?}", slice.stream.name, slice.scope.key(), slice.window);
        let cell = Arc::clone(self.0.lock().entry(key).or_default());
        let rows = cell.get_or_try_init(async || {
            let prefetched = request.await?;
            let rows = json_rows(&slice.to_string(), &prefetched.blocks)?;
            Ok::<_, RunError>(Arc::new(ParentRows { rows, prefetched: Mutex::new(Some(prefetched)) }))
        });
        Ok(Arc::clone(rows.await?))
    }
}
