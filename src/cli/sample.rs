//! `check --sample`: the first rows of a stream, requested as a run requests them.

use std::sync::Arc;

use crate::api::{ApiError, RequestOptions};
use crate::model::scope::Scope;
use crate::model::slice::Slice;
use crate::model::stream::{Days, Stream};
use crate::run::{AccountFacts, RunError, RunSettings, sample};

/// Within this many days, at least one month has ended.
const A_MONTH: i64 = 31;
const ROWS: u64 = 10;
/// Misfits to show: an event stream has more rows.
const MISFITS_SHOWN: usize = 10;

/// Requests the first rows of `stream` for `scope`: what would not fit, and whether everything would.
pub async fn report(
    settings: &RunSettings,
    stream: &Arc<Stream>,
    scope: Option<Scope>,
    account: &AccountFacts,
) -> (String, bool) {
    let options = RequestOptions { many_organizations: account.organizations.len() > 1, ..RequestOptions::default() };
    let no_scope = || ("no scope to request it for".to_owned(), true);
    let Some(scope) = scope else { return no_scope() };
    let now = settings.clock.now();
    let last = |days: &Days| Some(days.span(days.complete(days.zone.today(now).plus(-A_MONTH), now).next_back()?));
    let window = stream.days.as_ref().and_then(last);
    let slice = Slice { stream: Arc::clone(stream), scope, window };
    let sample = match sample(&slice, settings, account.transport(stream), &options, ROWS).await {
        Ok(Some(sample)) => sample,
        Ok(None) => return no_scope(),
        Err(RunError::Api(ApiError::NotEntitled { status, .. })) => {
            return (format!("not entitled (HTTP {status})"), true);
        }
        Err(error) => return (error.to_string(), false),
    };
    let mut text = match sample.misfits.len() {
        0 => format!("{} rows fit", sample.rows),
        misfits => format!("{misfits} of {} rows would not fit", sample.rows),
    };
    if let Some(problem) = &sample.no_events {
        text.push_str(&format!("\n  page by page: {problem}"));
    }
    for misfit in sample.misfits.iter().take(MISFITS_SHOWN) {
        text.push_str(&format!("\n  {misfit}"));
    }
    for (member, example) in &sample.drift {
        text.push_str(&format!("\n  new member `{member}`, for example {example}"));
    }
    (text, sample.misfits.is_empty())
}
