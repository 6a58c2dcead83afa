//! The body of an error response: the API's message, and whether the API itself sent it.
//!
//! A status proves nothing about the account if a proxy, a CDN, an ingress or a captive portal sent it: they answer 401, 403 and 404
//! too. The API's own errors are JSON objects with `detail` (the vendor's document, and every recorded response).

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, SERVER, WWW_AUTHENTICATE};
use serde_json::Value;

use crate::api::key_leak::KeyForms;
use crate::error_text::escape_controls;
use crate::http::BodyDecoder;

/// Bytes that are read: a 422 repeats the request's body.
const MAX_BYTES: usize = 256 * 1024;
/// Bytes of the message that are kept.
const MAX_DETAIL_BYTES: usize = 2048;
/// Bytes of an unknown body that are kept.
const MAX_START_BYTES: usize = 200;
/// How long the body is waited for.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Members of the errors of gateways: RFC 9457, which Cloudflare and others use, and those of API gateways and frameworks.
const GATEWAY_MEMBERS: [&str; 14] = [
    "title",
    "type",
    "status",
    "instance",
    "error",
    "errors",
    "message",
    "Message",
    "fault",
    "statusCode",
    "error_code",
    "cloudflare_error",
    "timestamp",
    "path",
];
/// Headers of gateways that answer in the place of the server behind them.
const GATEWAY_HEADERS: [&str; 4] = ["proxy-authenticate", "cf-mitigated", "x-amzn-waf-action", "x-squid-error"];
/// Headers that proxies add to what they answer, and to what they pass on.
const PROXY_HEADERS: [&str; 5] = ["via", "x-cache", "x-iinfo", "x-sucuri-id", "x-bluecoat-via"];
/// Parts of `Server` that name a proxy.
const PROXY_SERVERS: [&str; 14] = [
    "zscaler",
    "akamaighost",
    "squid",
    "bluecoat",
    "netskope",
    "forcepoint",
    "mcafee",
    "fortigate",
    "fortiweb",
    "sophos",
    "bigip",
    "awselb",
    "cloudfront",
    "imperva",
];
/// The API sends these with every response, and a proxy passes them on.
const API_HEADERS: [&str; 2] = ["x-ratelimit-limit", "x-ratelimit-remaining"];
/// Schemes of `WWW-Authenticate` that the API does not use.
const GATEWAY_SCHEMES: [&str; 4] = ["basic", "digest", "ntlm", "negotiate"];

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ErrorBody {
    /// The API's message, or the first words of another body; without the key.
    pub detail: String,
    pub is_of_api: bool,
    /// `an unknown type` if there is none.
    pub content_type: String,
}

impl ErrorBody {
    /// Reads the body, or what arrives of it in time.
    pub(super) async fn read(mut response: reqwest::Response, idle_timeout: Duration, forms: &KeyForms) -> Self {
        let mut body = Vec::new();
        // Of an unknown encoding, the body is not the API's.
        let mut decoder = BodyDecoder::new(response.headers()).unwrap_or(BodyDecoder::Identity);
        while body.len() < MAX_BYTES {
            let Ok(Ok(Some(chunk))) = tokio::time::timeout(idle_timeout.min(TIMEOUT), response.chunk()).await else {
                body.extend(decoder.finish().unwrap_or_default());
                break;
            };
            let add = |bytes: &[u8]| {
                body.extend_from_slice(&bytes[..bytes.len().min(MAX_BYTES)]);
                if body.len() < MAX_BYTES { Ok(()) } else { Err(()) }
            };
            if decoder.decode(&chunk, |_| (), add).is_err() {
                break;
            }
        }
        Self::parse(response.headers(), &body, forms)
    }

    fn parse(headers: &HeaderMap, body: &[u8], forms: &KeyForms) -> Self {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.map(|value| value.split(';').next().unwrap_or(value).trim().to_lowercase());
        let is_json = content_type.as_deref().is_none_or(|name| name == "application/json");
        let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
        let object = serde_json::from_slice::<Value>(body).ok();
        let detail = object.as_ref().and_then(api_detail).filter(|_| is_json && !has_gateway_header(headers));
        let is_of_api = detail.is_some();
        let (text, max_bytes) = match detail {
            // On one line, and without the sequences that terminals obey.
            Some(detail) => (escape_controls(&detail.replace(['\n', '\r', '\t'], " ")), MAX_DETAIL_BYTES),
            None => (first_words(&String::from_utf8_lossy(body)), MAX_START_BYTES),
        };
        // Masked before it is cut, so that no key is cut in two.
        let mut detail = forms.mask(&text);
        detail.truncate(detail.floor_char_boundary(max_bytes));
        Self { detail, is_of_api, content_type: content_type.unwrap_or_else(|| "an unknown type".to_owned()) }
    }
}

/// The text of `detail`, if `body` has the form of the API's errors.
fn api_detail(body: &Value) -> Option<String> {
    let members = body.as_object()?;
    if GATEWAY_MEMBERS.iter().any(|member| members.contains_key(*member)) {
        return None;
    }
    match members.get("detail")? {
        Value::String(detail) => Some(detail.clone()),
        Value::Array(problems) => Some(problems.iter().map(validation_problem).collect::<Vec<_>>().join("; ")),
        Value::Object(detail) => Some(Value::Object(detail.clone()).to_string()),
        _ => None,
    }
}

/// One problem of a 422, as FastAPI reports it: place and message.
fn validation_problem(problem: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let message = problem.get("msg").filter(|message| message.is_string()).unwrap_or(problem);
    match problem.get("loc").and_then(Value::as_array) {
        Some(steps) => format!("{}: {}", steps.iter().map(text).collect::<Vec<_>>().join("."), text(message)),
        None => text(message),
    }
}

fn has_gateway_header(headers: &HeaderMap) -> bool {
    let scheme = |value: &reqwest::header::HeaderValue| {
        let text = value.to_str().unwrap_or_default().to_lowercase();
        GATEWAY_SCHEMES.iter().any(|scheme| text.starts_with(scheme))
    };
    GATEWAY_HEADERS.iter().any(|name| headers.contains_key(*name))
        || headers.get_all(WWW_AUTHENTICATE).iter().any(scheme)
        || (is_of_proxy(headers) && !API_HEADERS.iter().any(|name| headers.contains_key(*name)))
}

fn is_of_proxy(headers: &HeaderMap) -> bool {
    let server = headers.get(SERVER).and_then(|value| value.to_str().ok()).unwrap_or_default().to_lowercase();
    PROXY_HEADERS.iter().any(|name| headers.contains_key(*name))
        || PROXY_SERVERS.iter().any(|name| server.contains(name))
}

/// The words of `body`, without the tags of HTML, control characters and long blanks.
fn first_words(body: &str) -> String {
    let mut text = String::new();
    let mut is_tag = false;
    for character in body.chars() {
        match character {
            '<' => is_tag = true,
            '>' if is_tag => {
                is_tag = false;
                text.push(' ');
            }
            _ if is_tag => {}
            _ if character.is_control() => text.push(' '),
            _ => text.push(character),
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(headers: &[(&'static str, &'static str)], body: &str) -> ErrorBody {
        let headers = headers.iter().map(|(name, value)| {
            (reqwest::header::HeaderName::from_static(name), reqwest::header::HeaderValue::from_static(value))
        });
        ErrorBody::parse(&headers.collect(), body.as_bytes(), &KeyForms::default().with_key("key-of-the-test"))
    }

    const JSON: (&str, &str) = ("content-type", "application/json");

    #[test]
    fn errors_of_the_api_are_recognized() {
        for (body, detail) in [
            (r#"{"detail":"Invalid API key"}"#, "Invalid API key"),
            (r#"{"detail":[{"loc":["body","limit"],"msg":"too large","type":"x"}]}"#, "body.limit: too large"),
            (r#"{"detail":{"code":7}}"#, r#"{"code":7}"#),
        ] {
            let parsed = parse(&[("content-type", "application/json; charset=utf-8")], body);
            assert_eq!((parsed.detail.as_str(), parsed.is_of_api), (detail, true), "{body}");
            assert!(parse(&[], body).is_of_api, "{body} without a content type");
            assert!(parse(&[JSON], &format!("\u{feff}{body}")).is_of_api, "{body} after a byte order mark");
        }
        let long = format!(r#"{{"detail":[{{"loc":["body"],"msg":"no","input":"{}"}}]}}"#, "x".repeat(10_000));
        assert!(parse(&[JSON], &long).is_of_api, "a 422 repeats the request");
    }

    #[test]
    fn errors_of_gateways_are_not_the_apis() {
        for (headers, body) in [
            (vec![("content-type", "text/html")], "<html><body><h1>403 Forbidden</h1>nginx</body></html>"),
            (vec![("content-type", "text/html")], r#"{"detail":"Forbidden"}"#),
            (vec![("content-type", "text/plain")], "RBAC: access denied"),
            (vec![("content-type", "text/plain")], "error code: 1020"),
            (vec![], ""),
            (vec![JSON], ""),
            (vec![JSON], "[]"),
            (vec![JSON], r#""Forbidden""#),
            (vec![JSON], r#"{"message":"Forbidden"}"#),
            (vec![JSON], r#"{"Message":"User is not authorized"}"#),
            (vec![JSON], r#"{"error":{"code":403,"message":"denied","status":"PERMISSION_DENIED"}}"#),
            (vec![JSON], r#"{"fault":{"faultstring":"Invalid ApiKey","detail":{"errorcode":"oauth.v2"}}}"#),
            (vec![JSON], r#"{"detail":"blocked","title":"Error 1020","status":403,"cloudflare_error":true}"#),
            (vec![JSON], r#"{"detail":null}"#),
            (vec![("content-type", "application/problem+json")], r#"{"detail":"Access denied"}"#),
            (vec![JSON, ("cf-mitigated", "challenge")], r#"{"detail":"Forbidden"}"#),
            (vec![JSON, ("www-authenticate", "Basic realm=\"proxy\"")], r#"{"detail":"Unauthorized"}"#),
            (vec![JSON, ("proxy-authenticate", "Negotiate")], r#"{"detail":"Unauthorized"}"#),
            (vec![JSON, ("via", "1.1 proxy.example")], r#"{"detail":"Forbidden"}"#),
            (vec![JSON, ("server", "Zscaler/6.2")], r#"{"detail":"Forbidden"}"#),
            (vec![JSON, ("server", "AkamaiGHost")], r#"{"detail":"Forbidden"}"#),
        ] {
            assert!(!parse(&headers, body).is_of_api, "{headers:?} {body}");
        }
        let passed_on = [JSON, ("via", "1.1 proxy.example"), ("x-ratelimit-limit", "600")];
        assert!(parse(&passed_on, r#"{"detail":"Forbidden"}"#).is_of_api, "a proxy passes on what the API answers");
        assert!(parse(&[JSON, ("server", "cloudflare")], r#"{"detail":"Forbidden"}"#).is_of_api);
        assert!(parse(&[JSON, ("www-authenticate", "Bearer")], r#"{"detail":"Invalid API key"}"#).is_of_api);
    }

    #[tokio::test]
    async fn compressed_error_of_the_api_is_recognized() {
        for encoding in ["gzip", "X-GZIP"] {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut gzip, br#"{"detail":"Invalid API key"}"#).unwrap();
            let response = axum::http::Response::builder()
                .status(401)
                .header("content-type", "application/json")
                .header("content-encoding", encoding)
                .body(gzip.finish().unwrap())
                .unwrap();
            let body = ErrorBody::read(response.into(), TIMEOUT, &KeyForms::default()).await;
            assert_eq!((body.detail.as_str(), body.is_of_api), ("Invalid API key", true), "{encoding}");
        }
    }

    #[test]
    fn control_characters_of_the_api_are_escaped() {
        let parsed = parse(&[JSON], r#"{"detail":"no\u001b[2J\nsuch\u0007 key\u009b1m"}"#);
        assert_eq!(parsed.detail, "no\\u{1b}[2J such\\u{7} key\\u{9b}1m");
    }

    #[test]
    fn first_words_of_a_page_have_no_tags_and_no_key() {
        let page = parse(&[("content-type", "text/html")], "<html>\n<b>Just a\u{7} moment</b> key-of-the-test</html>");
        assert_eq!(page.detail, "Just a moment ***");
        assert_eq!(page.content_type, "text/html");
    }
}
