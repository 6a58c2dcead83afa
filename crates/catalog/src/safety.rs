//! Whether a request can only read. There are no read-only keys, so what may be sent is decided here and nowhere else.

use crate::catalog::Catalog;
use crate::model::stream::{Method, Stream};
use crate::not_exported::{NotExported, NotExportedKind};

/// Why a declared request may not be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotARead {
    /// A path that could lead elsewhere than it says.
    #[error(
        "`{0}` is not a plain path: steps of letters, digits, `-`, `_` and `.`, and variables such as `{{category_id}}`"
    )]
    Path(String),
    /// A request that changes something.
    #[error("`POST {path}` is refused: `{}` {}, and streams only read", listed.request, listed.reason)]
    Writes {
        /// The path.
        path: String,
        /// What is known of it.
        listed: NotExported,
    },
    /// A request of which nobody says that it only reads.
    #[error("nothing says that `POST {0}` only reads")]
    Unknown(String),
}

/// Refuses a stream that could do more than read: a GET reads, a POST does when a stream of `known` asks the same path,
/// or when whoever declares it has `promised` that it is a query. The requests that change something are refused even so.
///
/// # Errors
/// [`NotARead`], for the request or for its event stream.
pub fn check_read(stream: &Stream, known: &Catalog, promised: bool) -> Result<(), NotARead> {
    // Without the list nothing could be told from a request that changes something.
    let listed = NotExported::all().map_err(|_| NotARead::Unknown(stream.request.path.clone()))?;
    let writing: Vec<&NotExported> = listed.iter().filter(|listed| listed.kind == NotExportedKind::Writes).collect();
    for path in [Some(&stream.request.path), stream.event_stream.as_ref()].into_iter().flatten() {
        if !is_plain(path) {
            return Err(NotARead::Path(path.clone()));
        }
        if stream.request.method == Method::Get {
            continue;
        }
        let request = format!("POST {path}");
        if let Some(listed) = writing.iter().find(|listed| listed.is(&request)) {
            return Err(NotARead::Writes { path: path.clone(), listed: NotExported::clone(listed) });
        }
        if !promised && !is_asked(path, known) {
            return Err(NotARead::Unknown(path.clone()));
        }
    }
    Ok(())
}

/// Whether nothing on the way can take the path for another one.
fn is_plain(path: &str) -> bool {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_.{}".contains(character);
    let step = |step: &str| !step.is_empty() && step != "." && step != ".." && step.chars().all(plain);
    path.strip_prefix('/').is_some_and(|steps| steps.split('/').all(step))
}

/// Whether a stream of `known` posts to `path`; the names of variables do not count.
fn is_asked(path: &str, known: &Catalog) -> bool {
    let same = |(one, two): (&str, &str)| one == two || two.starts_with('{');
    let asks = |other: &String| {
        path.split('/').count() == other.split('/').count() && path.split('/').zip(other.split('/')).all(same)
    };
    let posts = known.streams().filter(|stream| stream.request.method == Method::Post);
    posts.flat_map(|stream| [Some(&stream.request.path), stream.event_stream.as_ref()]).flatten().any(asks)
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
    fn post_is_a_read_when_a_built_in_stream_asks_it_or_the_user_says_so() {
        assert_eq!(checked("GET /v9/anything", None, false), Ok(()));
        assert_eq!(checked("POST /v2/reports/citations", None, false), Ok(()));
        assert_eq!(checked("POST /v2/reports/citations", Some("/v2/reports/citations/stream"), false), Ok(()));
        let unknown = "/v2/reports/weather".to_owned();
        assert_eq!(checked("POST /v2/reports/weather", None, false), Err(NotARead::Unknown(unknown.clone())));
        assert_eq!(checked("POST /v2/reports/weather", None, true), Ok(()));
        assert_eq!(checked("POST /v2/reports/citations", Some(&unknown), false), Err(NotARead::Unknown(unknown)));
    }

    #[test]
    fn request_that_changes_something_is_refused_whatever_is_promised() {
        for path in [
            "/v1/projects",
            "/V1/Projects",
            "/v1/{what}",
            "/v1/projects/{project_id}/archive",
            "/v1/projects/7/{what}",
            "/v1/agents/{agent_id}/runs",
        ] {
            let refused = checked(&format!("POST {path}"), None, true);
            assert!(matches!(refused, Err(NotARead::Writes { .. })), "{path}: {refused:?}");
            assert!(checked("POST /v2/reports/citations", Some(path), true).is_err(), "{path}");
        }
    }

    #[test]
    fn path_that_could_lead_elsewhere_is_refused() {
        for path in ["/v1/x/../projects", "/v1//projects", "/v1/projects/", "/v1/%70rojects", "/v1/x?y=z", "/v1/a b"] {
            assert!(matches!(checked(&format!("POST {path}"), None, true), Err(NotARead::Path(_))), "{path}");
        }
    }
}
