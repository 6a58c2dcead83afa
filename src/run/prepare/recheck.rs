//! Requests that the API rejected before are tried once more: what was learned from a rejection is not believed for ever.

use jiff::{SignedDuration, Timestamp};

use crate::api::{ApiError, RequestOptions, Transport};
use crate::ledger::{Entry, Fact, LearnedFact, State};
use crate::model::coverage::ScopeCoverage;
use crate::model::slice::Slice;
use crate::model::stream::{Fallback, Stream};
use crate::plan::Wanted;
use crate::run::disposition::FailureScope;
use crate::run::error::RunError;
use crate::run::sample::sample;
use crate::run::settings::RunSettings;
use crate::run::slice::{rejects_grain, rejects_member};

/// Rows of a page that shows whether a request is accepted.
const ROWS: u64 = 10;
/// Within this many days, at least one month has ended.
const A_MONTH: i64 = 31;

/// The result of trying one rejected request once more.
#[derive(Debug)]
pub struct Recheck {
    /// What was learned before.
    pub learned: LearnedFact,
    /// Whether the API accepts the request now; `None` if the response says neither.
    pub is_accepted: Option<bool>,
    /// For the ledger: the fact as it is now, and the days that are extracted once more.
    pub entries: Vec<Entry>,
}

/// Tries the rejected requests of `wanted`: all of them, or those whose fact has expired.
///
/// # Errors
/// What ends the run.
pub async fn recheck(
    settings: &RunSettings,
    state: &State,
    wanted: &Wanted,
    many_organizations: bool,
    all: bool,
    now: Timestamp,
) -> Result<Vec<Recheck>, RunError> {
    let mut rechecks = Vec::new();
    for learned in state.facts.iter() {
        let Some((stream, revoked)) = learned.fact.rejection().zip(learned.fact.revoked()) else {
            continue;
        };
        let Some(stream) = settings.catalog.get(stream.0) else {
            continue;
        };
        // Days that keep their published files because of the rejection wait for its end.
        let mut coverage = state.coverage.get(&stream.name).into_iter().flat_map(|scopes| scopes.values());
        if !all && !learned.is_expired(now) && !coverage.any(ScopeCoverage::is_suspect) {
            continue;
        }
        let is_wanted = |name: &str| wanted.streams.iter().any(|other| other.name == name);
        let is_fallback = state.facts.fallback(&stream.name).is_some_and(is_wanted);
        let scope = wanted.scopes.get(&stream.scope).and_then(|scopes| scopes.first());
        let (true, Some(scope)) = (is_fallback || is_wanted(&stream.name), scope) else {
            continue;
        };
        let last = stream
            .days
            .as_ref()
            .and_then(|days| Some(days.span(days.complete(days.zone.today(now).plus(-A_MONTH), now).next_back()?)));
        let slice = Slice { stream: stream.clone(), scope: scope.clone(), window: last };
        let window_end = state.facts.window_end(&stream.family);
        let options = RequestOptions { many_organizations, window_end, ..RequestOptions::default() };
        let is_accepted = is_accepted(settings, &slice, &options).await?;
        let again = |fact, evidence: String| Entry::Learned(LearnedFact::new(fact, evidence, now));
        let entries = match is_accepted {
            Some(true) => {
                let mut entries = vec![again(revoked, format!("the API accepted the usual request for {slice}"))];
                if matches!(learned.fact, Fact::RejectedMember { .. }) {
                    entries.extend(extracted_since(state, stream, learned.learned_at));
                }
                entries
            }
            Some(false) => vec![again(learned.fact.clone(), format!("HTTP 422 once more for {slice}"))],
            None => Vec::new(),
        };
        rechecks.push(Recheck { learned: learned.clone(), is_accepted, entries });
    }
    Ok(rechecks)
}

/// Whether the API accepts the usual request for `slice`. A rejection counts if it is about the declared part, twice.
async fn is_accepted(
    settings: &RunSettings,
    slice: &Slice,
    options: &RequestOptions,
) -> Result<Option<bool>, RunError> {
    for _ in 0..2 {
        match sample(slice, settings, Transport::Pages, options, ROWS).await {
            Ok(Some(_)) => return Ok(Some(true)),
            Err(RunError::Api(ApiError::RequestRejected { status: 422, detail, .. }))
                if is_about(&detail, &slice.stream, settings) => {}
            Err(error) if error.disposition().scope == FailureScope::Run => return Err(error),
            Ok(None) | Err(_) => return Ok(None),
        }
    }
    Ok(Some(false))
}

fn is_about(detail: &str, stream: &Stream, settings: &RunSettings) -> bool {
    match &stream.on_422 {
        Some(Fallback::Stream(coarser)) => {
            settings.catalog.get(coarser).is_some_and(|coarser| rejects_grain(detail, stream, coarser))
        }
        Some(Fallback::Without(member) | Fallback::SmallPages { without: member, .. }) => {
            rejects_member(detail, stream, member)
        }
        None => false,
    }
}

/// Marks the days of `stream` stale that were extracted since `learned_at`: they lack the column that the API accepts now.
fn extracted_since(state: &State, stream: &Stream, learned_at: Timestamp) -> Vec<Entry> {
    let scopes = state.coverage.get(&stream.name).into_iter().flat_map(|scopes| scopes.values());
    let of_scope = |coverage: &ScopeCoverage| -> Vec<Entry> {
        let is_bare = |at: Timestamp| at >= learned_at - SignedDuration::from_secs(1);
        let bare = coverage.states().filter(|(_, state)| state.rows > 0);
        let bare = bare.filter(|(_, state)| state.extracted_at.is_some_and(|at| is_bare(at.to_timestamp())));
        bare.map(|(day, _)| Entry::Stale { stream: stream.name.clone(), scope: coverage.scope.clone(), day }).collect()
    };
    scopes.flat_map(of_scope).collect()
}
