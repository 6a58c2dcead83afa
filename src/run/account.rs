//! Whether a lake, its tables and this account belong together.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::{Partition, Salt};
use crate::ledger::{Entry, State, TableMeaning};
use crate::model::stream::Stream;
use crate::run::discover::Discovered;
use crate::run::error::RunError;

/// What the first record must say, or what must be added to it; refuses a lake of another account or layout.
///
/// # Errors
/// [`RunError::Refused`].
pub fn admit(state: &State, found: &Discovered, partition: Partition, lake: &str) -> Result<Vec<Entry>, RunError> {
    let organizations: BTreeSet<String> =
        found.organizations.iter().map(|organization| organization.id.clone()).collect();
    let name = partition_name(partition);
    let Some(laid_out) = &state.partition else {
        return Ok(vec![Entry::Root { organizations: organizations.into_iter().collect(), partition: name.into() }]);
    };
    if laid_out != name {
        return Err(RunError::Refused {
            problem: format!(
                "the lake at `{lake}` is laid out with partition `{laid_out}`, and the configuration says `{name}`"
            ),
            hint: format!(
                "write `partition = \"{laid_out}\"`, or choose a new `destination.url`: two layouts never mix"
            ),
        });
    }
    if !state.organizations.is_empty() && state.organizations.is_disjoint(&organizations) {
        return Err(RunError::Refused {
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
/// [`RunError::Refused`] that names every such stream.
pub fn check_tables(state: &State, streams: &[Arc<Stream>]) -> Result<(), RunError> {
    let conflicts: Vec<String> = streams
        .iter()
        .filter_map(|stream| {
            let conflict = state.tables.get(&stream.name)?.conflict(&TableMeaning::of(stream))?;
            Some(format!("`{}`: {conflict}", stream.name))
        })
        .collect();
    match conflicts.is_empty() {
        true => Ok(()),
        false => Err(RunError::Refused {
            problem: format!("tables would change their meaning: {}", conflicts.join("; ")),
            hint: "export under a new destination, or leave these streams out (`!name`) until the old tables are no longer needed".into(),
        }),
    }
}

/// The name under which the ledger keeps which salt texts were hashed with.
pub const SALT_NAME: &str = "privacy/salt";

/// Refuses to hash with another salt than before: the same text would stand under two hashes.
///
/// # Errors
/// [`RunError::Refused`].
pub fn check_salt(state: &State, streams: &[Arc<Stream>], salt: Option<&Salt>) -> Result<(), RunError> {
    let hashes = streams.iter().any(|stream| stream.hashes());
    match (state.learned.get(SALT_NAME), salt) {
        _ if !hashes => Ok(()),
        (_, None) => Err(RunError::Refused {
            problem: "columns are to be hashed, and no salt is given".into(),
            hint: "name its file as `salt_file` under `[privacy]`".into(),
        }),
        (Some(before), Some(salt)) if *before != salt.fingerprint() => Err(RunError::Refused {
            problem: "texts of this lake were hashed with another salt, so the same text would get another hash".into(),
            hint: "name the file of that salt as `privacy.salt_file`, or export under a new destination".into(),
        }),
        _ => Ok(()),
    }
}

/// The name of a layout in configuration and ledger.
pub fn partition_name(partition: Partition) -> &'static str {
    match partition {
        Partition::Day => "day",
        Partition::Month => "month",
        Partition::None => "none",
    }
}
