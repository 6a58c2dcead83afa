//! `[tables]`: tables for query engines, made from the Parquet files of the destination.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::destination::{DestinationConfig, Location, StoreOptions, location, real_path};
use super::problem::Problems;
use super::select::select;
use super::settings::section;
use super::units::{ByteSize, WholeDays, word};
use crate::catalog::Catalog;
use crate::model::OWN_DIRECTORY;

section! {
    /// Delta Lake tables, made from the Parquet files of the destination after each run. Off unless `url` is set.
    #[derive(PartialEq)]
    pub struct TablesConfig {
        /// Where to publish the tables, written like `destination.url`: a directory or prefix of its own, outside of the lake. Each
        /// stream is a table in a directory with its name. Default: none, no tables.
        #[schemars(extend("minLength" = 1, "examples" = ["s3://my-bucket/profound-tables"]))]
        pub url: Option<String> = None,
        /// The format of the tables: `delta`.
        #[serde(deserialize_with = "word")]
        pub format: TableFormat = TableFormat::Delta,
        /// Options of the object store, as for `[destination]`. Default: those of `[destination]`, if both are of the same kind.
        #[schemars(extend("examples" = [{ "region": "eu-central-1" }]))]
        pub options: StoreOptions = StoreOptions::default(),
        /// How long files that a commit replaced are kept for readers of earlier versions.
        pub retention: WholeDays = WholeDays(7),
        /// Size at which a file of a compacted month is followed by another, at least `1MiB`.
        pub target_file_bytes: ByteSize = ByteSize(128 * bytesize::MIB),
        /// Streams that get a table, written like the `streams` of a job. Only streams of the lake get one.
        #[schemars(extend("minItems" = 1))]
        pub streams: Vec<String> = vec!["*".to_owned()],
    }
}

/// The format of tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TableFormat {
    /// Delta Lake, protocol 1 and 2, which every engine reads.
    #[default]
    Delta,
}

impl TablesConfig {
    /// The object store of the tables; `None` without tables.
    pub fn destination(&self, lake: &DestinationConfig) -> Option<DestinationConfig> {
        let url = self.url.clone()?;
        let scheme = |url: &str| url.trim().split_once("://").map(|(scheme, _)| scheme.to_owned());
        let is_same_kind = scheme(&url) == scheme(&lake.url);
        let options = if self.options.is_empty() && is_same_kind { &lake.options } else { &self.options };
        Some(DestinationConfig { url, options: options.clone(), ..lake.clone() })
    }

    /// The streams that get a table. Empty for a configuration that was not checked.
    pub fn streams(&self, catalog: &Catalog) -> BTreeSet<String> {
        select(catalog, &self.streams).unwrap_or_default().into_iter().map(|stream| stream.name.clone()).collect()
    }

    pub(super) fn check(&self, lake: &DestinationConfig, catalog: &Catalog, problems: &mut Problems) {
        let Some(destination) = self.destination(lake) else { return };
        DestinationConfig { options: self.options.clone(), ..destination }.check("tables", problems);
        let root = |url: &str| match location(url) {
            Ok(Location::Local(path)) => Some((String::new(), real_path(&path))),
            Ok(Location::Store(url)) => {
                let bucket = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
                // Without slashes at the end.
                Some((bucket, PathBuf::from(url.path()).components().collect()))
            }
            Err(_) => None,
        };
        let roots = self.url.as_deref().and_then(root).zip(root(&lake.url));
        let is_within = |one: &Path, other: &Path| one.starts_with(other);
        match roots {
            Some(((bucket, tables), (other, lake))) if bucket == other => {
                let instead = "write a directory or prefix of its own, next to the lake";
                if is_within(&tables, &lake) {
                    let what = "the tables are in the lake, where readers would find their files among its own";
                    problems.error("tables.url", what, instead);
                } else if is_within(&lake, &tables) {
                    problems.error("tables.url", "the lake is in the directory of the tables", instead);
                } else if tables.components().any(|part| part.as_os_str() == OWN_DIRECTORY) {
                    let what =
                        format!("this is inside the `{OWN_DIRECTORY}` of a lake, which belongs to that lake alone");
                    problems.error("tables.url", what, instead);
                }
            }
            _ => {}
        }
        if let Err(found) = select(catalog, &self.streams) {
            found.into_iter().for_each(|found| problems.error("tables.streams", found.what, found.instead));
        }
    }
}
