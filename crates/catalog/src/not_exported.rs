//! Requests that no stream makes, and why.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::catalog::CatalogError;

const FILE: &str = "not_exported.toml";

/// A request that no stream makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotExported {
    /// Method and path, written `DELETE /v1/documents/{document_id}`. May have a method that no stream can have.
    pub request: String,
    /// What kind of request it is.
    pub kind: NotExportedKind,
    /// Why it is not exported, in words that go after the request.
    pub reason: String,
}

/// What kind of request is not exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotExportedKind {
    /// It changes what the account holds, or starts work in it. No stream may make it.
    Writes,
    /// Neither the published document nor a current client of the vendor knows it.
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
}

impl NotExported {
    /// Everything that is known and not exported, those that write first.
    ///
    /// # Errors
    /// Only when the embedded file is wrong, which the tests rule out.
    pub fn all() -> Result<Vec<Self>, CatalogError> {
        let file: NotExportedFile = toml::from_str(include_str!("../not_exported.toml"))
            .map_err(|source| CatalogError::Syntax { file: FILE.to_owned(), source: Box::new(source) })?;
        let of_kind = |requests: BTreeMap<String, String>, kind| {
            requests.into_iter().map(move |(request, reason)| Self { request, kind, reason })
        };
        Ok(of_kind(file.writes, NotExportedKind::Writes).chain(of_kind(file.gone, NotExportedKind::Gone)).collect())
    }

    /// Whether `request` could be this one, whatever its variables are called and whatever stands in their place, and
    /// however a server spells it.
    pub fn is(&self, request: &str) -> bool {
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
    fn requests_are_known_whatever_stands_for_their_variables() {
        let all = NotExported::all().unwrap();
        let listed = |request: &str| all.iter().any(|listed| listed.is(request));
        assert!(listed("POST /v1/agents/{agent_id}/runs"));
        assert!(listed("POST /v1/agents/{id}/runs"));
        assert!(listed("POST /v1/agents/6f1e/runs"));
        assert!(listed("POST /v1/agents/6f1e/{verb}"));
        assert!(!listed("GET /v1/agents/{agent_id}/runs"));
        assert!(!listed("POST /v1/agents/{agent_id}/runs/{run_id}"));
        assert!(!listed("POST /v1/prompts/answers"));
    }
}
