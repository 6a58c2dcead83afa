//! The sections of `jobs.toml`: every setting with its type, meaning, default and an example, declared once. The schema, the
//! reference and `profound-export config` follow from here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use super::units::{ByteSize, Period, WholeDays, day_schema, optional_day, word};
use crate::model::day::Day;

/// Requests an hour that the vendor documents; the account's own limit is learned from the API.
pub(super) const DOCUMENTED_REQUESTS_PER_HOUR: u32 = 600;
/// Where `serve` shows the status page by default.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);
/// In place of an address: no status page.
pub(super) const LISTEN_OFF: &str = "off";

/// A section: each setting with its default. An example is needed only where the default is none or empty.
macro_rules! section {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident { $($(#[$of_field:meta])* pub $field:ident: $type:ty = $default:expr,)+ }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[$of_field])* pub $field: $type,)+ }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }
    };
}
pub(super) use section;

section! {
    /// How the program reaches the analytics API.
    #[derive(PartialEq)]
    pub struct ApiConfig {
        /// URL of the API, without a path. The default is the vendor's.
        #[serde(with = "base_url")]
        #[schemars(with = "String", extend("format" = "uri", "pattern" = "^https?://"))]
        // Cannot fail: the URL is a constant, and every test that makes a default parses it.
        pub base_url: Url = Url::parse("https://api.tryprofound.com").expect("the vendor's URL is valid"),
        /// File that holds the API key and nothing else. `PROFOUND_API_KEY` and `PROFOUND_API_KEY_FILE` have precedence. The
        /// key itself is never a setting, so that settings can be printed and shared. Default: none.
        #[schemars(extend("examples" = ["/run/secrets/profound-api-key"]))]
        pub key_file: Option<PathBuf> = None,
        /// PEM file of CA certificates to trust in addition to those of the system, for a proxy or gateway with a private
        /// CA. Default: none.
        #[schemars(extend("examples" = ["/etc/profound-export/ca.pem"]))]
        pub ca_file: Option<PathBuf> = None,
        /// How requests carry the key: `header` (`X-API-Key`), `bearer` (`Authorization`) or `query` (in the URL, which
        /// proxies and servers write to their logs).
        #[serde(deserialize_with = "word")]
        pub auth: Auth = Auth::Header,
        /// Requests of every rate-limit window to leave for other users of the key. The vendor documents 600 requests an
        /// hour; the program learns the account's limit from the API.
        pub reserve_requests: u32 = DOCUMENTED_REQUESTS_PER_HOUR / 10,
        /// Last day on which the key works, `YYYY-MM-DD`. Warnings begin 14 days before. Default: none.
        #[serde(deserialize_with = "optional_day")]
        #[schemars(schema_with = "day_schema", extend("examples" = ["2027-06-30"]))]
        pub key_expires: Option<Day> = None,
        /// Longest wait for a connection.
        pub connect_timeout: Period = Period(Duration::from_secs(10)),
        /// Longest pause within a response before the request counts as stalled and is retried.
        pub idle_timeout: Period = Period(Duration::from_secs(300)),
        /// Requests in flight at the same time, 1 to 16. More is not faster: the rate limit decides.
        #[schemars(extend("minimum" = 1, "maximum" = 16))]
        pub concurrency: usize = 4,
        /// Whether to use event streams (SSE), which bring a whole window in one request. Set `false` if a proxy cuts long
        /// responses: the program then requests page by page, which costs many more requests.
        pub event_streams: bool = true,
        /// Longest window of one request, `1d` to `366d`, for streams whose rows carry their day. A window that fails is
        /// halved automatically.
        pub max_window: WholeDays = WholeDays(31),
    }
}

/// How requests carry the key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// As `X-API-Key`.
    #[default]
    Header,
    /// As `Authorization: Bearer`.
    Bearer,
    /// As a parameter of every URL. Proxies and servers write URLs to their logs.
    Query,
}

mod base_url {
    use serde::{Deserialize, Deserializer, Serializer, de};
    use url::Url;

    pub(super) fn serialize<S: Serializer>(url: &Url, serializer: S) -> Result<S::Ok, S::Error> {
        // Parsing adds the path `/`, which users do not write.
        serializer.serialize_str(url.as_str().trim_end_matches('/'))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
        // The text is not repeated: it may hold a password.
        Url::parse(&String::deserialize(deserializer)?).map_err(|_| de::Error::custom("this is not a URL"))
    }
}

section! {
    /// Local directory in which files are completed and verified before they are published.
    pub struct SpoolConfig {
        /// The directory, private to the user that runs the program; created if missing. Default: `spool` in
        /// `$CACHE_DIRECTORY` or `$STATE_DIRECTORY` (systemd), or `profound-export/spool` in `$XDG_CACHE_HOME`; without them
        /// `_profound_export/spool` in a local lake, or `~/.cache/profound-export/spool`.
        #[schemars(extend("examples" = ["/var/tmp/profound-export"]))]
        pub dir: Option<PathBuf> = None,
        /// Most bytes in the directory, at least `64MiB`. When it is full, extraction waits.
        pub max_bytes: ByteSize = ByteSize(8 * bytesize::GIB),
    }
}

section! {
    /// The status page and the endpoints that machines read. Read-only.
    pub struct ServerConfig {
        /// IP address and port of the status page, such as `127.0.0.1:9464` or `0.0.0.0:9464`, or `off`. The page has no
        /// password and shows names of categories and error messages. Default: `127.0.0.1:9464` for `serve`, off for `run`.
        #[schemars(extend("examples" = ["127.0.0.1:9464"]))]
        pub listen: Option<String> = None,
        /// Host names under which the page may be requested, in addition to `localhost` and IP addresses, such as
        /// `exporter.example.com`. Other names are rejected, so that no other site can read the page through a browser (DNS
        /// rebinding). `*` allows all.
        #[schemars(extend("examples" = [["exporter.example.com"]]))]
        pub hosts: Vec<String> = Vec::new(),
    }
}

impl ServerConfig {
    /// Where `serve` shows the page; `None` where it is switched off.
    pub fn of_serve(&self) -> Option<SocketAddr> {
        if self.listen.is_none() { Some(DEFAULT_LISTEN) } else { self.of_run() }
    }

    /// Where `run` shows the page; `None` unless an address is set.
    pub fn of_run(&self) -> Option<SocketAddr> {
        self.listen.as_deref()?.trim().parse().ok()
    }
}

section! {
    /// Metrics of commands that end before Prometheus can scrape them.
    pub struct MetricsConfig {
        /// File for the textfile collector of node_exporter, replaced after every run. Its directory must exist and its name
        /// must end in `.prom`. Default: none.
        #[schemars(extend("examples" = ["/var/lib/node_exporter/textfile/profound_export.prom"]))]
        pub textfile: Option<PathBuf> = None,
    }
}

section! {
    /// Keeping personal data out of the files.
    pub struct PrivacyConfig {
        /// File that holds the salt of hashes: at least 16 random bytes. Keep it as long as the lake, because another salt
        /// gives every text another hash. Required where a job has `hash`. The salt itself is never a setting. Default: none.
        #[schemars(extend("examples" = ["/run/secrets/profound-salt"]))]
        pub salt_file: Option<PathBuf> = None,
    }
}

section! {
    /// What to export, when, and how far back.
    pub struct JobConfig {
        /// Name of the job on the command line, in reports and metrics: at most 63 lower case letters, digits, `-` and `_`,
        /// a letter or digit first. Required.
        #[schemars(extend("pattern" = "^[a-z0-9][a-z0-9_-]{0,62}$", "examples" = ["nightly"]))]
        pub name: String = String::new(),
        /// Schedule as a cron expression: minute, hour, day of the month, month, day of the week, optionally with seconds
        /// first. If both day fields are set, either is enough. Default: none, the job runs only by hand.
        #[schemars(extend("examples" = ["30 6 * * *"]))]
        pub cron: Option<String> = None,
        /// IANA time zone of `cron`. The vendor's days end at midnight in the default zone.
        pub timezone: String = "America/New_York".to_owned(),
        /// Streams to export: tiers (`minimal`, `core`, `wide`, `everything`), names, or prefixes such as `visibility_*`. A
        /// leading `!` excludes.
        #[schemars(extend("minItems" = 1, "examples" = [["core", "!personas"]]))]
        pub streams: Vec<String> = vec!["core".to_owned()],
        /// Organizations to export, by ID or name; a name selects every organization that has it. Empty means all.
        #[schemars(extend("examples" = [["Acme"]]))]
        pub organizations: Vec<String> = Vec::new(),
        /// Categories to export, by ID or name; a name selects every category that has it. Empty means all.
        #[schemars(extend("examples" = [["Running shoes"]]))]
        pub categories: Vec<String> = Vec::new(),
        /// Domains to export, by ID or name. Empty means all.
        #[schemars(extend("examples" = [["example.com"]]))]
        pub domains: Vec<String> = Vec::new(),
        /// Assets for which to request streams that need one request an asset: `"owned"`, `"all"` (with competitors, which
        /// costs more requests) or a list of IDs and names.
        pub assets: AssetChoice = AssetChoice::Owned,
        /// From this number of categories on, lists that rarely change (tags, topics and the like) are refreshed once a week
        /// instead of by every run; 0 means always once a week.
        pub weekly_refresh_min_categories: u32 = 50,
        /// First day to export, `YYYY-MM-DD`. Default: 30 days before the first run, then remembered.
        #[serde(deserialize_with = "optional_day")]
        #[schemars(schema_with = "day_schema", extend("examples" = ["2026-01-01"]))]
        pub start: Option<Day> = None,
        /// Number of days after its end during which a day is re-extracted, because the vendor still restates it. Default:
        /// the lookback of each stream.
        #[schemars(extend("examples" = ["5d"]))]
        pub lookback: Option<WholeDays> = None,
        /// Longest duration of a run; the next run continues with what is deferred. Default: until the next scheduled run.
        #[schemars(extend("examples" = ["4h"]))]
        pub deadline: Option<Period> = None,
        /// Keeps a daily snapshot of every list (prompts, assets, categories and the like) in a table of its own,
        /// `<stream>_history`. Costs no request.
        pub list_snapshots: bool = false,
        /// What to do with a day or list that would lose more than half of its rows, or all values of a column: `"confirm"`
        /// replaces it when the next run extracts as many rows, `"accept"` at once, `"keep"` never. Until then the published
        /// file is kept and the day is suspect.
        pub on_shrink: OnShrink = OnShrink::Confirm,
        /// Columns to write as null, as `stream.column`, or `logs_raw*.ip` for every stream with that prefix. Applied before
        /// anything reaches the disk.
        #[schemars(extend("examples" = [["integrations.account"]]))]
        pub drop: Vec<String> = Vec::new(),
        /// Text columns to replace with their SHA-256, salted with the salt of `[privacy]`; written like those of `drop`.
        #[schemars(extend("examples" = [["logs_raw.ip"]]))]
        pub hash: Vec<String> = Vec::new(),
    }
}

/// What to do with a day or list that would lose more than half of its rows, or all values of a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnShrink {
    /// Replace it when the next run extracts as many rows.
    #[default]
    Confirm,
    /// Replace it at once.
    Accept,
    /// Never replace it.
    Keep,
}

/// Assets for which to request streams that need one request an asset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "AssetText")]
pub enum AssetChoice {
    #[default]
    Owned,
    /// Competitors too.
    All,
    /// By ID or name.
    Named(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "this is not `\"owned\"`, `\"all\"` or a list of names")]
enum AssetText {
    Word(String),
    Names(Vec<String>),
}

impl TryFrom<AssetText> for AssetChoice {
    type Error = String;

    fn try_from(text: AssetText) -> Result<Self, String> {
        match text {
            AssetText::Names(names) if names.is_empty() => Err("the list is empty".to_owned()),
            AssetText::Names(names) => Ok(Self::Named(names)),
            AssetText::Word(word) => match word.as_str() {
                "owned" => Ok(Self::Owned),
                "all" => Ok(Self::All),
                name => Err(format!("`{name}` is neither `owned` nor `all`; names are a list: `[\"{name}\"]`")),
            },
        }
    }
}

impl Serialize for AssetChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Owned => serializer.serialize_str("owned"),
            Self::All => serializer.serialize_str("all"),
            Self::Named(names) => names.serialize(serializer),
        }
    }
}

impl JsonSchema for AssetChoice {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AssetChoice".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "enum": ["owned", "all"] },
            { "type": "array", "items": { "type": "string" }, "minItems": 1 },
        ] })
    }
}
