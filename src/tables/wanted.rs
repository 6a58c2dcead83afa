//! What a table should hold, by the ledger: a pure function of its state and the time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::ledger::State;
use crate::model::coverage::{DayState, ScopeCoverage};
use crate::model::day::Day;
use crate::model::day_status::{DayStatus, Finality};
use crate::model::scope::{Scope, ScopePart};
use crate::model::stream::Stream;
use crate::tables::action::Texts;
use crate::tables::schema::{MONTH_COLUMN, partition_column};

/// The digits of a [`WantedDay::identity`].
const IDENTITY_BYTES: usize = 8;

/// The rows of one scope and month, or of one scope of a list: they are in files of their own.
#[derive(Debug, Clone)]
pub struct WantedPartition {
    pub scope: Scope,
    /// `None` for lists.
    pub month: Option<String>,
    /// Whether all days are final and no day can be added but by a backfill: the files of the days are compacted. Lists always are.
    pub is_final: bool,
    /// Days with rows.
    pub days: BTreeMap<Option<Day>, WantedDay>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedDay {
    /// Equal for equal rows of the same publication.
    pub identity: String,
    pub state: DayState,
}

/// The partitions of `table`, which `stream` describes, by their values in the log.
pub fn wanted(state: &State, table: &str, stream: &Stream, now: Timestamp) -> BTreeMap<Texts, WantedPartition> {
    let mut wanted: BTreeMap<Texts, WantedPartition> = BTreeMap::new();
    let finality = Finality::of_table(table, Some(stream));
    let scopes = state.coverage.get(table).into_iter().flat_map(BTreeMap::values);
    for ScopeCoverage { scope, whole, days, .. } in scopes {
        let whole = whole.iter().map(|state| (None, state));
        for (day, state) in days.iter().map(|(day, state)| (Some(*day), state)).chain(whole) {
            let month = day.map(Day::month);
            let values = partition_values(stream, scope, month.as_deref());
            let is_final = match (day, finality) {
                (Some(day), Some(finality)) => {
                    let last = day.next_month().plus(-1);
                    let is_over = finality.final_from(last, now).is_none_or(|from| from.to_timestamp() <= now);
                    let status = DayStatus::of(Some(state), finality.final_from(day, now));
                    is_over && matches!(status, DayStatus::Final | DayStatus::Empty)
                }
                _ => true,
            };
            let new = || WantedPartition { scope: scope.clone(), month, is_final: true, days: BTreeMap::new() };
            let partition = wanted.entry(values).or_insert_with(new);
            partition.is_final &= is_final;
            if state.file && state.rows > 0 {
                partition.days.insert(day, WantedDay { identity: identity(state), state: state.clone() });
            }
        }
    }
    wanted.retain(|_, partition| !partition.days.is_empty());
    wanted
}

fn partition_values(stream: &Stream, scope: &Scope, month: Option<&str>) -> Texts {
    let value =
        |part: &ScopePart| (partition_column(*part).to_owned(), scope.part(*part).map(|named| named.id.clone()));
    let month = month.map(|month| (MONTH_COLUMN.to_owned(), Some(month.to_owned())));
    stream.scope.parts().iter().map(value).chain(month).collect()
}

fn identity(state: &DayState) -> String {
    let changed_at = state.changed_at.map_or(0, |at| at.as_microsecond());
    let mut digest = Sha256::new();
    digest.update(state.hash.bytes());
    digest.update(changed_at.to_le_bytes());
    digest.update(state.rows.to_le_bytes());
    const_hex::encode(&digest.finalize()[..IDENTITY_BYTES])
}

/// A digest of `wanted` and of the `schema` of its table. Equal digests mean that there is nothing to publish.
pub fn digest(wanted: &BTreeMap<Texts, WantedPartition>, schema: &str) -> String {
    let mut digest = Sha256::new();
    let mut add = |text: &str| {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text);
    };
    add(schema);
    for (values, partition) in wanted {
        values.iter().for_each(|(name, value)| {
            add(name);
            add(value.as_deref().unwrap_or_default());
        });
        add(if partition.is_final { "final" } else { "open" });
        add(&encode_days(partition.days.iter().map(|(day, wanted)| (*day, wanted.identity.as_str()))));
    }
    const_hex::encode(&digest.finalize()[..16])
}

/// Days and their identities as the text of a tag.
pub fn encode_days<'a>(days: impl Iterator<Item = (Option<Day>, &'a str)>) -> String {
    let day = |(day, identity): (Option<Day>, &str)| match day {
        Some(day) => format!("{day}={identity}"),
        None => format!("={identity}"),
    };
    days.map(day).collect::<Vec<_>>().join(" ")
}

/// The days of a tag; `None` if this program did not write it.
pub fn decode_days(text: &str) -> Option<BTreeMap<Option<Day>, String>> {
    let day = |pair: &str| {
        let (day, identity) = pair.split_once('=')?;
        let day = if day.is_empty() { None } else { Some(day.parse().ok()?) };
        Some((day, identity.to_owned()))
    };
    text.split(' ').map(day).collect()
}
