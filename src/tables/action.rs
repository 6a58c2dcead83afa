//! Lines of a Delta log: the actions of protocol 1 (readers) and 2 (writers), as far as this program writes or needs them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The newest protocol that this program understands. A table with deletion vectors, column mapping or row tracking has a newer one.
pub const READER_VERSION: u32 = 1;
pub const WRITER_VERSION: u32 = 2;

/// Texts by name; in partition values, null is null.
pub type Texts = BTreeMap<String, Option<String>>;

/// One line of a commit, or one row of a checkpoint: exactly one member is set. Other actions carry no rows and are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Action {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_info: Option<CommitInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta_data: Option<MetaData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub txn: Option<Txn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add: Option<Add>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove: Option<Remove>,
}

/// Where a commit comes from. Every member is free for writers to choose.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CommitInfo {
    pub timestamp: i64,
    pub operation: String,
    pub operation_parameters: BTreeMap<String, Value>,
    pub engine_info: String,
    /// Unique: a commit whose response was lost is read back and compared.
    pub txn_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profound_export: Option<Marker>,
}

/// What a commit of this program says about the table after it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// A digest of everything that the table should hold. `None` if some of it could not be published.
    pub wanted: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Protocol {
    pub min_reader_version: u32,
    pub min_writer_version: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetaData {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub format: Format,
    /// The schema as JSON in JSON.
    pub schema_string: String,
    #[serde(default)]
    pub partition_columns: Vec<String>,
    #[serde(default)]
    pub configuration: Texts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_time: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    pub provider: String,
    #[serde(default)]
    pub options: Texts,
}

/// How far an application has published: engines and this program compare it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Txn {
    pub app_id: String,
    pub version: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<i64>,
}

/// A data file that readers see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Add {
    /// From the table, percent-encoded.
    pub path: String,
    pub partition_values: Texts,
    pub size: i64,
    pub modification_time: i64,
    pub data_change: bool,
    /// Bounds and counts, as JSON in JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Texts>,
}

/// A data file that readers no longer see; it is deleted once no reader can still need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Remove {
    pub path: String,
    #[serde(default)]
    pub deletion_timestamp: Option<i64>,
    pub data_change: bool,
    #[serde(default)]
    pub extended_file_metadata: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_values: Option<Texts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
}

impl Add {
    /// Its removal at `now`, in milliseconds.
    pub fn removed(&self, now: i64, data_change: bool) -> Remove {
        Remove {
            path: self.path.clone(),
            deletion_timestamp: Some(now),
            data_change,
            extended_file_metadata: Some(true),
            partition_values: Some(self.partition_values.clone()),
            size: Some(self.size),
        }
    }
}

macro_rules! action_from {
    ($($type:ident => $member:ident),+) => {
        $(impl From<$type> for Action {
            fn from(value: $type) -> Self {
                Self { $member: Some(value), ..Self::default() }
            }
        })+
    };
}
action_from!(CommitInfo => commit_info, Protocol => protocol, MetaData => meta_data, Txn => txn, Add => add, Remove => remove);
