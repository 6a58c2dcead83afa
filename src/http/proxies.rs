//! The proxy variables of the environment.

use hyper::Uri;
use url::Url;

use crate::http::roots::HttpClientError;

/// Those that reqwest reads.
const VARIABLES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// Rejects a proxy that reqwest cannot parse: it would be ignored without a word.
///
/// # Errors
/// [`HttpClientError::Proxy`] names the variable.
pub fn check_proxies() -> Result<(), HttpClientError> {
    check(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
}

fn check(value_of: impl Fn(&str) -> Option<String>) -> Result<(), HttpClientError> {
    let is_invalid = |name: &&str| value_of(name).is_some_and(|value| !value.trim().is_empty() && !is_address(&value));
    match VARIABLES.into_iter().find(|name| is_invalid(name)) {
        Some(variable) => Err(HttpClientError::Proxy { variable }),
        None => Ok(()),
    }
}

/// `host:port`, or a URL with a scheme that reqwest supports here.
fn is_address(value: &str) -> bool {
    let url = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    // What reqwest accepts, with a port that is a number.
    let is_uri = url.parse::<Uri>().is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    is_uri && Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn proxy_that_cannot_be_parsed_is_rejected_by_the_name_of_its_variable() {
        let check = |value: &str| super::check(|name| (name == "https_proxy").then(|| value.to_owned()));
        for value in
            ["", " ", "proxy:3128", "http://proxy:3128", "https://user:p%40ss@proxy:3128/", "http://[::1]:3128"]
        {
            assert!(check(value).is_ok(), "{value}");
        }
        for value in
            ["http://user:p@ss word@proxy:3128", "http://", "proxy:port", "socks5://proxy:1080", "http://proxy :3128"]
        {
            let error = check(value).unwrap_err();
            assert_eq!(error.to_string(), "the proxy in https_proxy is not an address", "{value}");
        }
    }
}
