//! Error responses, in the wording of the API.

use axum::http::StatusCode;
use serde_json::{Value, json};

/// A status other than 200, and its `detail`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ErrorResponse {
    pub(crate) status: StatusCode,
    pub(crate) detail: Value,
}

impl ErrorResponse {
    pub(crate) fn new(status: StatusCode, detail: &str) -> Self {
        Self { status, detail: json!(detail) }
    }

    /// 404 for an object that does not exist.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, &format!("{what} not found"))
    }

    /// 422 for a combination that a report does not support.
    pub(crate) fn unsupported(detail: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 422 for one value of the request.
    pub(crate) fn invalid(place: &[&str], message: &str, kind: &str, input: &Value) -> Self {
        let detail = json!([{ "loc": place, "msg": message, "type": kind, "input": input }]);
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, detail }
    }

    /// 422 for a missing parameter.
    pub(crate) fn missing(place: &[&str], input: &Value) -> Self {
        Self::invalid(place, "Field required", "missing", input)
    }
}
