//! `[api]`: how the analytics API is reached.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::key;
use super::problem::Problems;
use super::units::{Period, WholeDays, day_schema, optional_day, word};
use crate::model::day::Day;

/// Requests an hour that the vendor documents; the account's own limit is learned from the API.
const DOCUMENTED_REQUESTS_PER_HOUR: u32 = 600;

/// How the analytics API is reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// Address of the API, without a path of its own. Default: the vendor's.
    #[serde(with = "address")]
    #[schemars(with = "String", extend("format" = "uri", "pattern" = "^https?://", "examples" = ["https://api.tryprofound.com"]))]
    pub base_url: Url,
    /// File that holds the API key, and nothing else. `PROFOUND_API_KEY` and `PROFOUND_API_KEY_FILE` come first.
    /// The key itself is never a setting, so all settings may be printed. Default: none.
    #[schemars(extend("examples" = ["/run/secrets/profound-api-key"]))]
    pub key_file: Option<PathBuf>,
    /// PEM file of certificate roots that the API's certificate may come from, beside those of the system: for a proxy or
    /// a gateway with a private CA. Default: none.
    #[schemars(extend("examples" = ["/etc/profound-export/ca.pem"]))]
    pub ca_file: Option<PathBuf>,
    /// How the key is sent. Default: `header`.
    #[serde(deserialize_with = "word")]
    #[schemars(extend("examples" = ["header"]))]
    pub auth: Auth,
    /// Requests left for other users of the key in every hour. Default: 60, a tenth of the 600 an hour that the vendor
    /// documents; the limit itself is learned from the API.
    #[schemars(extend("examples" = [60]))]
    pub reserve_requests: u32,
    /// Last day on which the key works; a warning comes fourteen days ahead. Default: none.
    #[serde(deserialize_with = "optional_day")]
    #[schemars(schema_with = "day_schema", extend("examples" = ["2027-06-30"]))]
    pub key_expires: Option<Day>,
    /// Longest wait for a connection. Default: 10s.
    #[schemars(extend("examples" = ["10s"]))]
    pub connect_timeout: Period,
    /// Longest silence in the middle of a response before it counts as stalled. Default: 5m.
    #[schemars(extend("examples" = ["5m"]))]
    pub idle_timeout: Period,
    /// Requests in flight at once, 1 to 16. Default: 4.
    #[schemars(extend("minimum" = 1, "maximum" = 16, "examples" = [4]))]
    pub concurrency: usize,
    /// Whether event streams are used, which bring a whole window in one request. `false` asks page by page, for
    /// proxies that cut event streams, and costs many more requests. Default: true.
    #[schemars(extend("examples" = [true]))]
    pub event_streams: bool,
    /// Longest window of one request, 1d to 366d, for streams whose rows carry their day; windows that fail are halved.
    /// Default: 31d.
    #[schemars(extend("examples" = ["31d"]))]
    pub max_window: WholeDays,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            // Cannot fail: the address is a constant, and every test that makes a default reads it.
            base_url: Url::parse("https://api.tryprofound.com").expect("the vendor's address is an address"),
            key_file: None,
            ca_file: None,
            auth: Auth::Header,
            reserve_requests: DOCUMENTED_REQUESTS_PER_HOUR / 10,
            key_expires: None,
            connect_timeout: Period(Duration::from_secs(10)),
            idle_timeout: Period(Duration::from_secs(300)),
            concurrency: 4,
            event_streams: true,
            max_window: WholeDays(31),
        }
    }
}

/// An address as text.
mod address {
    use serde::{Deserialize, Deserializer, Serializer, de};
    use url::Url;

    pub(super) fn serialize<S: Serializer>(url: &Url, serializer: S) -> Result<S::Ok, S::Error> {
        // A path of `/` alone is what parsing adds.
        serializer.serialize_str(url.as_str().trim_end_matches('/'))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
        let text = String::deserialize(deserializer)?;
        // The text is not repeated: it may hold a password.
        Url::parse(&text).map_err(|_| de::Error::custom("this is not an address with its scheme"))
    }
}

/// How the key is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// As `X-API-Key`.
    #[default]
    Header,
    /// As `Authorization: Bearer`.
    Bearer,
    /// As a parameter of every address. Proxies and servers write addresses into their logs.
    Query,
}

impl ApiConfig {
    pub(super) fn check(&self, problems: &mut Problems) {
        self.check_base_url(problems);
        match &self.key_file {
            Some(path) if path.as_os_str().is_empty() => {
                problems.error(
                    "api.key_file",
                    "the path is empty",
                    "write the path of the file, or leave the setting out",
                );
            }
            Some(path) if key::looks_like_a_key(path) => problems.error(
                "api.key_file",
                "this looks like the key itself, where the path of its file belongs",
                "put the key into a file and write that file's path; if it is the name of a file, write `./` before it",
            ),
            _ => {}
        }
        if self.ca_file.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            problems.error("api.ca_file", "the path is empty", "write the path of the file, or leave the setting out");
        }
        if self.auth == Auth::Query {
            problems.warn(
                "api.auth",
                "the key becomes part of every address, which proxies and servers write into their logs",
                "write `auth = \"header\"` unless something on the way removes headers",
            );
        }
        if DOCUMENTED_REQUESTS_PER_HOUR <= self.reserve_requests {
            problems.warn(
                "api.reserve_requests",
                format!(
                    "{} leaves no request to export with, unless the account's limit is above {DOCUMENTED_REQUESTS_PER_HOUR} an hour",
                    self.reserve_requests
                ),
                "write a number well below the limit, such as `reserve_requests = 60`",
            );
        }
        for (key, period) in [("api.connect_timeout", self.connect_timeout), ("api.idle_timeout", self.idle_timeout)] {
            if period.0.is_zero() {
                problems.error(
                    key,
                    "no request can be answered in no time",
                    "write a length of time above zero, such as `30s`",
                );
            }
        }
        if !(1..=16).contains(&self.concurrency) {
            problems.error(
                "api.concurrency",
                format!("`{}` is not between 1 and 16", self.concurrency),
                "write a number from 1 to 16; more would not be faster, for the hour's requests are the limit",
            );
        }
        if !(1..=366).contains(&self.max_window.0) {
            problems.error(
                "api.max_window",
                format!("`{}` is not between 1d and 366d", self.max_window),
                "write a number of days such as `31d`; shorter windows cost more requests, longer ones fail more often",
            );
        }
    }

    fn check_base_url(&self, problems: &mut Problems) {
        let key = "api.base_url";
        let url = &self.base_url;
        if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
            problems.error(
                key,
                "this is not an address of the web",
                "write it with its scheme, such as `https://api.tryprofound.com`",
            );
        } else if !url.username().is_empty() || url.password().is_some() {
            problems.error(
                key,
                "the address holds a user name or a password",
                "write the address without what stands before `@`",
            );
        } else if url.query().is_some() || url.fragment().is_some() {
            problems.error(key, "the address has a query or a fragment", "leave out `?` or `#` and what follows");
        } else if url.scheme() == "http" && !is_loopback(url) {
            problems.warn(key, "the key travels unencrypted", "write `https://` if the other side can");
        }
    }
}

/// Whether `url` stays on this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
