//! Answers that are not data, in the words the service uses.

use axum::http::StatusCode;
use serde_json::{Value, json};

/// A status other than 200, and its `detail`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) detail: Value,
}

impl Refusal {
    /// A refusal with a text.
    pub(super) fn new(status: StatusCode, detail: &str) -> Self {
        Self { status, detail: json!(detail) }
    }

    /// 401 for a request without a key.
    pub(super) fn key_missing() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "API Key missing in query parameters or headers")
    }

    /// 401 for a key that is wrong, expired or revoked.
    pub(super) fn key_invalid() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Invalid API key")
    }

    /// 404 for what does not exist.
    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, &format!("{what} not found"))
    }

    /// 422 for a combination that a report does not support.
    pub(super) fn unsupported(detail: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 422 for one value of the request, with its place.
    pub(super) fn invalid(place: &[&str], message: &str, kind: &str, input: &Value) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            detail: json!([{ "loc": place, "msg": message, "type": kind, "input": input }]),
        }
    }

    /// 422 for a member that is not there.
    pub(super) fn missing(name: &str, body: &Value) -> Self {
        Self::invalid(&["body", name], "Field required", "missing", body)
    }
}
