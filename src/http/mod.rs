//! What every HTTP client of the program shares: the API's, the alerts', and OTLP's.

mod body_decoder;
mod headers;
mod proxies;
mod roots;

pub use body_decoder::BodyDecoder;
pub use headers::{MAX_RETRY_AFTER, parse_http_date, retry_after};
pub use proxies::check_proxies;
pub use roots::{HttpClientError, read_roots};

/// The start of every HTTP client. It never follows a redirect: a redirect would carry the API key, or the secret address of an
/// alert, to a host that is not configured.
pub fn client_builder() -> reqwest::ClientBuilder {
    install_tls();
    #[expect(clippy::disallowed_methods, reason = "the only place that starts a client")]
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("profound-export/", env!("CARGO_PKG_VERSION")))
}

/// Chooses the cryptography of TLS for the process. A client that is built before panics, so whatever builds one calls this first,
/// and not only `main`: tests and benchmarks have none. The second call and later ones do nothing.
pub fn install_tls() {
    rustls::crypto::ring::default_provider().install_default().ok();
}
