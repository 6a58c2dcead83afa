//! Whether a request is read-only. The API has no read-only keys, so this check alone decides what may be sent.

use crate::catalog::Catalog;
use crate::model::stream::{Method, Stream};
use crate::not_exported::{NotExported, NotExportedKind};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotARead {
    /// A path that a server or proxy may take for another one.
    #[error(
        "`{0}` is not a plain path: steps of letters, digits, `-`, `_` and `.`, and variables such as `{{category_id}}`"
    )]
    Path(String),
    #[error("`POST {path}` is denied: `{}` {}, and streams are read-only", listed.request, listed.reason)]
    Writes { path: String, listed: NotExported },
    #[error("`POST {0}` is not known to be read-only")]
    Unknown(String),
}

/// Rejects a stream that may do more than read. A GET is read-only; a POST if a stream of `known` requests the same path, or
/// if its declaration `promised` so. Requests that are known to write are rejected in any case.
///
/// # Errors
/// For the request or for its event stream.
pub fn check_read(stream: &Stream, known: &Catalog, promised: bool) -> Result<(), NotARead> {
    // Without the list, a request that writes could not be recognized.
    let listed = NotExported::all().map_err(|_| NotARead::Unknown(stream.request.path.clone()))?;
    let writes: Vec<&NotExported> = listed.iter().filter(|listed| listed.kind == NotExportedKind::Writes).collect();
    for path in [Some(&stream.request.path), stream.event_stream.as_ref()].into_iter().flatten() {
        if !is_plain(path) {
            return Err(NotARead::Path(path.clone()));
        }
        if stream.request.method == Method::Get {
            continue;
        }
        let request = format!("POST {path}");
        if let Some(listed) = writes.iter().find(|listed| listed.matches(&request)) {
            return Err(NotARead::Writes { path: path.clone(), listed: NotExported::clone(listed) });
        }
        if !promised && !is_requested(path, known) {
            return Err(NotARead::Unknown(path.clone()));
        }
    }
    Ok(())
}

/// Whether no server or proxy can take the path for another one.
fn is_plain(path: &str) -> bool {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_.{}".contains(character);
    let step = |step: &str| !step.is_empty() && step != "." && step != ".." && step.chars().all(plain);
    path.strip_prefix('/').is_some_and(|steps| steps.split('/').all(step))
}

/// Whether a stream of `known` posts to `path`; the names of variables do not count.
fn is_requested(path: &str, known: &Catalog) -> bool {
    let same = |(one, two): (&str, &str)| one == two || two.starts_with('{');
    let requests = |other: &String| {
        path.split('/').count() == other.split('/').count() && path.split('/').zip(other.split('/')).all(same)
    };
    let posts = known.streams().filter(|stream| stream.request.method == Method::Post);
    posts.flat_map(|stream| [Some(&stream.request.path), stream.event_stream.as_ref()]).flatten().any(requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(request: &str, event_stream: Option<&str>, promised: bool) -> Result<(), NotARead> {
        let catalog = Catalog::embedded().unwrap();
        let mut stream = Stream::clone(catalog.get("models").unwrap());
        stream.request = serde_json::from_value(request.into()).unwrap();
        stream.event_stream = event_stream.map(str::to_owned);
        check_read(&stream, &catalog, promised)
    }

    #[test]
    fn post_needs_a_built_in_stream_or_a_promise() {
        assert_eq!(checked("GET /v9/anything", None, false), Ok(()));
        assert_eq!(checked("POST /v2/reports/citations", None, false), Ok(()));
        assert_eq!(checked("POST /v2/reports/citations", Some("/v2/reports/citations/stream"), false), Ok(()));
        let unknown = "/v2/reports/weather".to_owned();
        assert_eq!(checked("POST /v2/reports/weather", None, false), Err(NotARead::Unknown(unknown.clone())));
        assert_eq!(checked("POST /v2/reports/weather", None, true), Ok(()));
        assert_eq!(checked("POST /v2/reports/citations", Some(&unknown), false), Err(NotARead::Unknown(unknown)));
    }

    #[test]
    fn request_that_writes_is_rejected_despite_a_promise() {
        for path in [
            "/v1/projects",
            "/V1/Projects",
            "/v1/{what}",
            "/v1/projects/{project_id}/archive",
            "/v1/projects/7/{what}",
            "/v1/agents/{agent_id}/runs",
        ] {
            let result = checked(&format!("POST {path}"), None, true);
            assert!(matches!(result, Err(NotARead::Writes { .. })), "{path}: {result:?}");
            assert!(checked("POST /v2/reports/citations", Some(path), true).is_err(), "{path}");
        }
    }

    #[test]
    fn ambiguous_path_is_rejected() {
        for path in ["/v1/x/../projects", "/v1//projects", "/v1/projects/", "/v1/%70rojects", "/v1/x?y=z", "/v1/a b"] {
            assert!(matches!(checked(&format!("POST {path}"), None, true), Err(NotARead::Path(_))), "{path}");
        }
    }
}
