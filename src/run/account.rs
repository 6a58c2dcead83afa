//! Whether a lake, its tables and this account belong together.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::{Partition, Salt};
use crate::layout::Layout;
use crate::ledger::{Entry, State, TableMeaning};
use crate::model::coverage::ScopeCoverage;
use crate::model::history::history_name;
use crate::model::scope::{Scope, ScopePart};
use crate::model::stream::Stream;
use crate::run::discover::Discovered;
use crate::run::error::RunError;

/// What the first record must say, or what must be added to it; refuses a lake of another account or layout.
///
/// # Errors
/// [`RunError::ConfigMismatch`].
pub fn admit(state: &State, found: &Discovered, partition: Partition, lake: &str) -> Result<Vec<Entry>, RunError> {
    let organizations: BTreeSet<String> =
        found.organizations.iter().map(|organization| organization.id.clone()).collect();
    let name = Layout { partition }.name();
    let Some(laid_out) = &state.partition else {
        return Ok(vec![Entry::Root { organizations: organizations.into_iter().collect(), partition: name.into() }]);
    };
    if laid_out != name {
        return Err(RunError::ConfigMismatch {
            problem: format!(
                "the lake at `{lake}` is laid out with partition `{laid_out}`, and the configuration says `{name}`"
            ),
            hint: format!(
                "write `partition = \"{laid_out}\"`, or choose a new `destination.url`: two layouts never mix"
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

/// Refuses streams whose rows would not fit the tables that are there.
///
/// # Errors
/// [`RunError::ConfigMismatch`] that names every such stream.
pub fn check_tables(state: &State, streams: &[Arc<Stream>]) -> Result<(), RunError> {
    let conflicts: Vec<String> = conflicts(state, streams)
        .into_iter()
        .map(|(stream, _, conflict)| format!("`{}`: {conflict}", stream.name))
        .collect();
    match conflicts.is_empty() {
        true => Ok(()),
        false => Err(RunError::ConfigMismatch {
            problem: format!("tables would change their meaning: {}", conflicts.join("; ")),
            hint: "`backfill JOB --from DAY --to DAY --force` gives these tables their new meaning, and every day is then read \
                   again; or export under a new destination, or leave these streams out (`!name`)"
                .into(),
        }),
    }
}

/// What must be recorded so that the tables of `streams` mean from now on what these say. All that stands of them is then
/// to be read again.
///
/// # Errors
/// [`RunError::ConfigMismatch`] where that is not possible.
pub fn remake_tables(state: &State, streams: &[Arc<Stream>]) -> Result<Vec<Entry>, RunError> {
    let conflicts = conflicts(state, streams);
    let moved: Vec<String> = conflicts
        .iter()
        .filter(|(stream, ..)| !lies_alike(state, stream))
        .map(|(stream, ..)| format!("`{}`", stream.name))
        .collect();
    if !moved.is_empty() {
        return Err(RunError::ConfigMismatch {
            problem: format!(
                "files of these tables would lie elsewhere, beside those that stand: {}",
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
    match kept.is_empty() {
        true => {
            let entry =
                |(stream, meaning, _): (&Arc<Stream>, _, _)| Entry::Table { stream: stream.name.clone(), meaning };
            Ok(conflicts.into_iter().map(entry).collect())
        }
        false => Err(RunError::ConfigMismatch {
            problem: format!("snapshots cannot be taken again in another form: {}", kept.join(", ")),
            hint:
                "export under a new destination, leave these streams out (`!name`), or `forget` their snapshots first"
                    .into(),
        }),
    }
}

/// Whether the files of a stream lie where those that stand do, so that each replaces one of them.
fn lies_alike(state: &State, stream: &Stream) -> bool {
    let is_alike = |coverage: &ScopeCoverage| {
        let Scope { organization, category, asset, domain } = &coverage.scope;
        let there = [
            (ScopePart::Organization, organization.is_some()),
            (ScopePart::Category, category.is_some()),
            (ScopePart::Asset, asset.is_some()),
            (ScopePart::Domain, domain.is_some()),
        ];
        let of_scope = there.iter().all(|(part, there)| stream.scope.parts().contains(part) == *there);
        of_scope && if stream.days.is_some() { coverage.whole.is_none() } else { coverage.days.is_empty() }
    };
    state.coverage.get(&stream.name).is_none_or(|scopes| scopes.values().all(is_alike))
}

/// Streams whose rows would not fit their tables: what they mean now, and why that does not fit.
fn conflicts<'a>(state: &State, streams: &'a [Arc<Stream>]) -> Vec<(&'a Arc<Stream>, TableMeaning, String)> {
    let conflict = |stream: &'a Arc<Stream>| {
        let now = TableMeaning::of(stream);
        let conflict = state.tables.get(&stream.name)?.conflict(&now)?;
        Some((stream, now, conflict))
    };
    streams.iter().filter_map(conflict).collect()
}

/// Refuses to hash with another salt than before: the same text would stand under two hashes.
///
/// # Errors
/// [`RunError::ConfigMismatch`].
pub fn check_salt(state: &State, streams: &[Arc<Stream>], salt: Option<&Salt>) -> Result<(), RunError> {
    let hashes = streams.iter().any(|stream| stream.has_hashed_columns());
    match (state.facts.salt(), salt) {
        _ if !hashes => Ok(()),
        (_, None) => Err(RunError::ConfigMismatch {
            problem: "columns are to be hashed, and no salt is given".into(),
            hint: "name its file as `salt_file` under `[privacy]`".into(),
        }),
        (Some(before), Some(salt)) if before != salt.fingerprint() => Err(RunError::ConfigMismatch {
            problem: "texts of this lake were hashed with another salt, so the same text would get another hash".into(),
            hint: "name the file of that salt as `privacy.salt_file`, or export under a new destination".into(),
        }),
        _ => Ok(()),
    }
}
