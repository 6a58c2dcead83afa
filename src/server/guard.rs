//! Checks on every request, and headers of every response.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::ServerState;

/// Limit until a response begins.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Only our own scripts and styles, no framing, no referrer.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Passes read-only requests for a host of ours.
pub(super) async fn guard(State(server): State<Arc<ServerState>>, request: Request, next: Next) -> Response {
    let mut response = match rejection(&server, &request) {
        Some(rejection) => rejection,
        None => match tokio::time::timeout(RESPONSE_TIMEOUT, next.run(request)).await {
            Ok(response) => response,
            Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "reading the ledger; retry in a moment\n").into_response(),
        },
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

fn rejection(server: &ServerState, request: &Request) -> Option<Response> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = [(header::ALLOW, "GET, HEAD")];
        return Some((StatusCode::METHOD_NOT_ALLOWED, allow, "this server is read-only\n").into_response());
    }
    let hosts = &server.cache.config().server.hosts;
    // Health checks of old load balancers send HTTP/1.0 without a host. A browser, which DNS rebinding leads here, always sends one.
    let is_health = matches!(request.uri().path(), "/livez" | "/readyz");
    let is_check = is_health && request.version() == Version::HTTP_10 && !request.headers().contains_key(header::HOST);
    let is_for_us = host_of(request.headers()).is_some_and(|host| is_ours(&host, hosts));
    if !is_for_us && !is_check {
        let message = "unknown host name: use the address, or add the name to `server.hosts`\n";
        return Some((StatusCode::MISDIRECTED_REQUEST, message).into_response());
    }
    None
}

/// The requested host without its port; `None` if the header is missing or repeated.
fn host_of(headers: &HeaderMap) -> Option<String> {
    let mut all = headers.get_all(header::HOST).iter();
    let host = all.next().filter(|_| all.next().is_none())?.to_str().ok()?;
    // The part after the last colon is a port, unless the colon belongs to an IPv6 address in brackets.
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    };
    Some(name.to_ascii_lowercase())
}

/// Whether a request for `host` is meant for this server. DNS rebinding can lead a browser here only under a name of the attacker, so
/// addresses are safe, and probes and Prometheus use them.
fn is_ours(host: &str, allowed: &[String]) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_address = match bare {
        Some(inside) => inside.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4()),
    };
    let name = host.trim_end_matches('.');
    is_address || name == "localhost" || allowed.iter().any(|one| one == "*" || one.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_answered(host: &str) -> bool {
        let headers: HeaderMap = [(header::HOST, host.parse().unwrap())].into_iter().collect();
        host_of(&headers).is_some_and(|host| is_ours(&host, &["exporter.example.com".to_owned()]))
    }

    #[test]
    fn only_addresses_localhost_and_listed_names_are_answered() {
        for host in
            ["localhost", "LOCALHOST:9464", "127.0.0.1:9464", "10.1.2.3", "[::1]:9464", "Exporter.example.com:80"]
        {
            assert!(is_answered(host), "{host}");
        }
        for host in [
            "",
            ":9464",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "example.com",
            "[::1",
            "::1x",
        ] {
            assert!(!is_answered(host), "{host}");
        }
    }

    #[test]
    fn request_with_two_hosts_or_none_is_rejected() {
        let mut headers = HeaderMap::new();
        assert_eq!(host_of(&headers), None);
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        headers.append(header::HOST, HeaderValue::from_static("evil.example"));
        assert_eq!(host_of(&headers), None);
    }
}
