//! Known requests that no stream makes, and why.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::CatalogError;

const FILE: &str = "not_exported.toml";

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotExported {
    /// Method and path: `DELETE /v1/documents/{document_id}`. Streams cannot have every one of these methods.
    pub request: String,
    pub kind: NotExportedKind,
    /// Text that follows the request.
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotExportedKind {
    /// Changes the account, or starts work in it. No stream may make it.
    Writes,
    /// In neither the published document nor a current client of the vendor.
    Gone,
}

impl fmt::Display for NotExportedKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Writes => "writes",
            Self::Gone => "gone",
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NotExportedFile {
    writes: BTreeMap<String, String>,
    gone: BTreeMap<String, String>,
    grains: BTreeMap<String, String>,
}

impl NotExportedFile {
    fn embedded() -> Result<Self, CatalogError> {
        toml::from_str(include_str!("../not_exported.toml"))
            .map_err(|source| CatalogError::Syntax { file: FILE.to_owned(), source: Box::new(source) })
    }
}

impl NotExported {
    /// Grains and options of exported reports that no stream requests, with the reason: `visibility_v2: tag`.
    ///
    /// # Errors
    /// When the embedded file is invalid, which the tests rule out.
    pub fn grains() -> Result<BTreeMap<String, String>, CatalogError> {
        Ok(NotExportedFile::embedded()?.grains)
    }

    /// All requests, those that write first.
    ///
    /// # Errors
    /// When the embedded file is invalid, which the tests rule out.
    pub fn all() -> Result<Vec<Self>, CatalogError> {
        let file = NotExportedFile::embedded()?;
        let of_kind = |requests: BTreeMap<String, String>, kind| {
            requests.into_iter().map(move |(request, reason)| Self { request, kind, reason })
        };
        Ok(of_kind(file.writes, NotExportedKind::Writes).chain(of_kind(file.gone, NotExportedKind::Gone)).collect())
    }

    /// Whether `request` could be this one, whatever the names or values of its variables, in any case of letters.
    pub fn matches(&self, request: &str) -> bool {
        let (own, other) = (self.request.split(['/', ' ']), request.split(['/', ' ']));
        own.clone().count() == other.clone().count()
            && own
                .zip(other)
                .all(|(own, other)| own.eq_ignore_ascii_case(other) || own.contains('{') || other.contains('{'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_writes_is_listed() {
        let all = NotExported::all().unwrap();
        assert_eq!(all.iter().filter(|listed| listed.kind == NotExportedKind::Writes).count(), 24);
        assert!(all.iter().all(|listed| !listed.reason.is_empty() && listed.request.contains(" /v1/")));
    }

    #[test]
    fn grain_that_is_not_exported_belongs_to_a_stream() {
        let catalog = crate::Catalog::embedded().unwrap();
        for (grain, reason) in NotExported::grains().unwrap() {
            let (streams, what) = grain.split_once(": ").unwrap();
            assert!(!what.is_empty() && !reason.is_empty(), "{grain}");
            for name in streams.split(", ") {
                assert!(catalog.streams().any(|stream| stream.name.starts_with(name)), "{grain}");
            }
            for named in reason.split('`').skip(1).step_by(2).filter(|named| named.contains("_v")) {
                assert!(catalog.get(named).is_some(), "{grain}: there is no `{named}`");
            }
        }
    }

    #[test]
    fn requests_match_for_any_value_of_their_variables() {
        let all = NotExported::all().unwrap();
        let listed = |request: &str| all.iter().any(|listed| listed.matches(request));
        assert!(listed("POST /v1/agents/{agent_id}/runs"));
        assert!(listed("POST /v1/agents/{id}/runs"));
        assert!(listed("POST /v1/agents/6f1e/runs"));
        assert!(listed("POST /v1/agents/6f1e/{verb}"));
        assert!(!listed("GET /v1/agents/{agent_id}/runs"));
        assert!(!listed("POST /v1/agents/{agent_id}/runs/{run_id}"));
        assert!(!listed("POST /v1/prompts/answers"));
    }
}
