//! Whether a lake, its tables and this account belong together.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::{Partition, Salt};
use crate::layout::Layout;
use crate::ledger::{Entry, State, TableMeaning};
use crate::model::coverage::ScopeCoverage;
use crate::model::history::history_name;
use crate::model::stream::Stream;
use crate::run::error::RunError;
use crate::run::prepare::discover::Discovered;

/// The entries that admit the account to the lake: its root, or organizations that are new.
///
/// # Errors
/// [`RunError::ConfigMismatch`] if the lake belongs to another account or has another layout.
pub fn admit(state: &State, found: &Discovered, partition: Partition, lake: &str) -> Result<Vec<Entry>, RunError> {
    let organizations: BTreeSet<String> =
        found.organizations.iter().map(|organization| organization.id.clone()).collect();
    let name = Layout { partition }.name();
    let Some(laid_out) = &state.partition else {
        let organizations = organizations.into_iter().collect();
        return Ok(vec![Entry::Root { organizations, partition: name.into(), url: Some(lake.to_owned()) }]);
    };
    if laid_out != name {
        return Err(RunError::ConfigMismatch {
            problem: format!("the lake at `{lake}` has partition `{laid_out}`, and the configuration says `{name}`"),
            hint: format!(
                "write `partition = \"{laid_out}\"`, or choose a new `destination.url`: a lake has one layout"
            ),
        });
    }
    if !state.organizations.is_empty() && state.organizations.is_disjoint(&organizations) {
        return Err(RunError::ConfigMismatch {
            problem: format!(
                "the lake at `{lake}` belongs to another account: none of its organizations is one of this key"
            ),
            hint: "choose another `destination.url` for this key, or use the key the lake was made with".into(),
        });
    }
    let added: Vec<String> = organizations.difference(&state.organizations).cloned().collect();
    Ok(if added.is_empty() { Vec::new() } else { vec![Entry::Organizations { added }] })
}

/// Checks that the rows of `streams` fit the existing tables.
///
/// # Errors
/// [`RunError::ConfigMismatch`] that names every stream that does not.
pub fn check_tables(state: &State, streams: &[Arc<Stream>]) -> Result<(), RunError> {
    let conflicts: Vec<String> = conflicts(state, streams)
        .into_iter()
        .map(|(stream, _, conflict)| format!("`{}`: {conflict}", stream.name))
        .collect();
    if conflicts.is_empty() {
        return Ok(());
    }
    Err(RunError::ConfigMismatch {
        problem: format!("the meaning of tables would change: {}", conflicts.join("; ")),
        hint: "`backfill JOB --from DAY --to DAY --force` gives these tables their new meaning, and every day is then \
                   extracted once more; or export under a new destination, or leave these streams out (`!name`)"
            .into(),
    })
}

/// The entries that redefine the tables of `streams`. All their days and lists are then stale.
///
/// # Errors
/// [`RunError::ConfigMismatch`] if files would be elsewhere, or snapshots cannot be taken once more.
pub fn redefine_tables(state: &State, streams: &[Arc<Stream>]) -> Result<Vec<Entry>, RunError> {
    let conflicts = conflicts(state, streams);
    let moved: Vec<String> = conflicts
        .iter()
        .filter(|(stream, ..)| !has_same_paths(state, stream))
        .map(|(stream, ..)| format!("`{}`", stream.name))
        .collect();
    if !moved.is_empty() {
        return Err(RunError::ConfigMismatch {
            problem: format!(
                "files of these tables would have other paths than the published ones: {}",
                moved.join(", ")
            ),
            hint: "give the stream another name, export under a new destination, or leave it out (`!name`)".into(),
        });
    }
    let kept: Vec<String> = conflicts
        .iter()
        .map(|(stream, ..)| history_name(&stream.name))
        .filter(|history| state.coverage.contains_key(history))
        .map(|history| format!("`{history}`"))
        .collect();
    if !kept.is_empty() {
        return Err(RunError::ConfigMismatch {
            problem: format!("snapshots cannot be taken once more in another form: {}", kept.join(", ")),
            hint:
                "export under a new destination, leave these streams out (`!name`), or `forget` their snapshots first"
                    .into(),
        });
    }
    let entry = |(stream, meaning, _): (&Arc<Stream>, _, _)| Entry::Table { stream: stream.name.clone(), meaning };
    Ok(conflicts.into_iter().map(entry).collect())
}

/// Whether the files of a stream have the paths of the published ones, so that each replaces one of them.
fn has_same_paths(state: &State, stream: &Stream) -> bool {
    let has_same_path = |coverage: &ScopeCoverage| {
        let has_same_parts = coverage.scope.parts().map(|(part, _)| part).eq(stream.scope.parts().iter().copied());
        has_same_parts && if stream.days.is_some() { coverage.whole.is_none() } else { coverage.days.is_empty() }
    };
    state.coverage.get(&stream.name).is_none_or(|scopes| scopes.values().all(has_same_path))
}

/// Streams whose rows do not fit their tables: their meaning now, and the conflict.
fn conflicts<'a>(state: &State, streams: &'a [Arc<Stream>]) -> Vec<(&'a Arc<Stream>, TableMeaning, String)> {
    let conflict = |stream: &'a Arc<Stream>| {
        let now = TableMeaning::from_stream(stream);
        let conflict = state.tables.get(&stream.name)?.conflict(&now)?;
        Some((stream, now, conflict))
    };
    streams.iter().filter_map(conflict).collect()
}

/// Checks that texts are hashed with the same salt as before: otherwise the same text would have two hashes.
///
/// # Errors
/// [`RunError::ConfigMismatch`].
pub fn check_salt(state: &State, streams: &[Arc<Stream>], salt: Option<&Salt>) -> Result<(), RunError> {
    let hashes = streams.iter().any(|stream| stream.has_hashed_columns());
    match (state.facts.salt(), salt) {
        _ if !hashes => Ok(()),
        (_, None) => Err(RunError::ConfigMismatch {
            problem: "columns are to be hashed, but there is no salt".into(),
            hint: "name its file as `salt_file` under `[privacy]`".into(),
        }),
        (Some(before), Some(salt)) if before != salt.fingerprint() => Err(RunError::ConfigMismatch {
            problem: "texts of this lake were hashed with another salt, so the same text would get another hash".into(),
            hint: "name the file of that salt as `privacy.salt_file`, or export under a new destination".into(),
        }),
        _ => Ok(()),
    }
}
