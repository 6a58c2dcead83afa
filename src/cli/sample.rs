//! `check --sample`: one small page of each chosen stream.

use std::sync::Arc;

use crate::api::{ApiError, RequestFacts};
use crate::model::scope::ScopeKind;
use crate::model::slice::Slice;
use crate::model::stream::Stream;
use crate::model::window::Window;
use crate::run::{Discovered, Resolved, RunError, RunSettings, sample};

/// Rows of a small page.
const ROWS: u64 = 10;

/// Reads a small page of each of `streams` and says what would not fit. The number of streams that would fail.
pub async fn report(
    settings: &RunSettings,
    streams: &[Arc<Stream>],
    resolved: &Resolved,
    found: &Discovered,
) -> (String, usize) {
    let facts = RequestFacts { many_organizations: 1 < found.organizations.len(), ..RequestFacts::default() };
    let (mut text, mut misfitting) = (String::new(), 0);
    for stream in streams {
        let scope = resolved.scopes.get(&stream.scope).and_then(|scopes| scopes.first());
        let Some(scope) = scope.cloned().or((stream.scope == ScopeKind::Account).then(Default::default)) else {
            text.push_str(&format!("  {}: nothing to ask it for\n", stream.name));
            continue;
        };
        let window = stream.days.as_ref().map(|days| Window::day(days.zone.yesterday(settings.clock.now())));
        let slice = Slice { stream: Arc::clone(stream), scope, window };
        match sample(&slice, &settings.client, &facts, ROWS).await {
            Ok(sample) if sample.misfits.is_empty() => {
                text.push_str(&format!("  {}: {} rows fit\n", stream.name, sample.rows));
                for (member, example) in sample.drift {
                    text.push_str(&format!("    new member `{member}`, for example {example}\n"));
                }
            }
            Ok(sample) => {
                misfitting += 1;
                text.push_str(&format!(
                    "  {}: {} of {} rows would not fit\n",
                    stream.name,
                    sample.misfits.len(),
                    sample.rows
                ));
                sample.misfits.iter().for_each(|misfit| text.push_str(&format!("    {misfit}\n")));
            }
            Err(RunError::Api(ApiError::NotEntitled { status, .. })) => {
                text.push_str(&format!("  {}: not entitled (HTTP {status})\n", stream.name));
            }
            Err(error) => {
                misfitting += 1;
                text.push_str(&format!("  {}: {error}\n", stream.name));
            }
        }
    }
    (text, misfitting)
}
