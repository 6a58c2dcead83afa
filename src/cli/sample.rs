//! `check --sample`: one small page of a stream.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::api::{ApiError, RequestOptions};
use crate::model::scope::{Scope, ScopeKind};
use crate::model::slice::Slice;
use crate::model::stream::{Days, Stream};
use crate::run::{Discovered, RunError, RunSettings, sample};

/// Within this many days, at least one month has ended.
const A_MONTH: i64 = 31;
const ROWS: u64 = 10;

/// Reads a small page of `stream` for the scope of its kind, and says what would not fit. Whether everything would.
pub async fn report(
    settings: &RunSettings,
    stream: &Arc<Stream>,
    scopes: &BTreeMap<ScopeKind, Scope>,
    found: &Discovered,
) -> (String, bool) {
    let options = RequestOptions { many_organizations: found.organizations.len() > 1, ..RequestOptions::default() };
    let Some(scope) = scopes.get(&stream.scope).cloned() else {
        return (format!("{}: no scope to request it for", stream.name), true);
    };
    let now = settings.clock.now();
    let last = |days: &Days| Some(days.span(days.complete(days.zone.today(now).plus(-A_MONTH), now).next_back()?));
    let window = stream.days.as_ref().and_then(last);
    let slice = Slice { stream: Arc::clone(stream), scope, window };
    let sample = match sample(&slice, settings, &options, ROWS).await {
        Ok(Some(sample)) => sample,
        Ok(None) => return (format!("{}: no scope to request it for", stream.name), true),
        Err(RunError::Api(ApiError::NotEntitled { status, .. })) => {
            return (format!("{}: not entitled (HTTP {status})", stream.name), true);
        }
        Err(error) => return (format!("{}: {error}", stream.name), false),
    };
    let fits = sample.misfits.is_empty();
    let mut text = if fits {
        format!("{}: {} rows fit", stream.name, sample.rows)
    } else {
        format!("{}: {} of {} rows would not fit", stream.name, sample.misfits.len(), sample.rows)
    };
    // Writing to a string cannot fail.
    for misfit in &sample.misfits {
        let _ = write!(text, "\n  {misfit}");
    }
    for (member, example) in &sample.drift {
        let _ = write!(text, "\n  new member `{member}`, for example {example}");
    }
    (text, fits)
}
