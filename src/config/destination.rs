//! `[destination]`: where to publish the Parquet files.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use object_store::aws::AmazonS3ConfigKey;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use super::problem::{InvalidValue, Problems, did_you_mean, listed};
use super::settings::section;
use super::units::{as_text, word};
use crate::model::OWN_DIRECTORY;

/// Printed in place of a secret.
pub const MASK: &str = "********";

/// The options that users write by hand.
const COMMON_OPTIONS: [&str; 9] = [
    "endpoint",
    "region",
    "allow_http",
    "virtual_hosted_style_request",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "skip_signature",
    "server_side_encryption",
];

section! {
    /// Where to publish the Parquet files.
    #[derive(PartialEq)]
    pub struct DestinationConfig {
        /// A path, `file:///path` or `s3://bucket/prefix`; `gs://` and `az://` if the program is built with them. A relative
        /// path of a file starts at the directory of that file.
        #[schemars(extend("minLength" = 1, "examples" = ["s3://my-bucket/profound"]))]
        pub url: String = "./lake".to_owned(),
        /// Options of the object store, such as `endpoint` and `region`. The usual `AWS_*` variables and instance roles work
        /// too. Secret values are masked when printed. Default: none.
        #[schemars(extend("examples" = [{ "region": "eu-central-1" }]))]
        pub options: StoreOptions = StoreOptions::default(),
        /// Compression of the files: `zstd(1)` to `zstd(19)`, `snappy`, `lz4` or `none`.
        pub compression: Compression = Compression::default(),
        /// Directories by time: `day`, `month` or `none`. Every file holds one day of one stream and scope.
        #[serde(deserialize_with = "word")]
        pub partition: Partition = Partition::Day,
        /// Accepts a store that lets two writers create the same object. Set `true` only if exactly one process writes to
        /// the destination; otherwise two runs can overwrite each other.
        pub single_writer: bool = false,
    }
}

/// Directories by time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Partition {
    /// `day=2026-11-21/`.
    #[default]
    Day,
    /// `month=2026-11/`.
    Month,
    /// No directories: files are named by day.
    None,
}

/// Compression of Parquet files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Zstandard with its level, 1 to 19.
    Zstd(i32),
    /// Larger and faster than Zstandard.
    Snappy,
    /// As `LZ4_RAW`.
    Lz4,
    None,
}

impl Default for Compression {
    fn default() -> Self {
        Self::Zstd(3)
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let level = |text: &str| text.strip_prefix("zstd(")?.strip_suffix(')')?.parse().ok();
        let compression = match text {
            "zstd" => Self::default(),
            "snappy" => Self::Snappy,
            "lz4" => Self::Lz4,
            "none" => Self::None,
            _ => Self::Zstd(level(text).filter(|level| (1..=19).contains(level)).unwrap_or_default()),
        };
        // Compared as text, because `zstd(03)` and `zstd(+3)` are numbers too.
        if text == "zstd" || compression.to_string() == text && compression != Self::Zstd(0) {
            Ok(compression)
        } else {
            Err(format!("`{text}` is not `zstd(1)` to `zstd(19)`, `snappy`, `lz4` or `none`"))
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zstd(level) => write!(out, "zstd({level})"),
            Self::Snappy => out.write_str("snappy"),
            Self::Lz4 => out.write_str("lz4"),
            Self::None => out.write_str("none"),
        }
    }
}

as_text!(Compression, r"^(zstd(\(([1-9]|1[0-9])\))?|snappy|lz4|none)$");

/// Options of the object store. Printed and serialized with every secret masked.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreOptions(BTreeMap<String, String>);

impl StoreOptions {
    /// Every option with its true value: for the object store, never to be printed.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Names of the options whose values are secrets.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|name| is_secret(name))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every option as it may be printed.
    pub fn masked(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().map(|(name, value)| (name, if is_secret(name) { MASK } else { value }))
    }
}

/// Whether `path` is that of the options of an object store.
pub(super) fn is_store_options(path: &str) -> bool {
    matches!(path, "destination.options" | "tables.options")
}

/// Whether `path` is that of one option of an object store.
pub(super) fn is_store_option(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(options, _)| is_store_options(options))
}

fn is_secret(name: &str) -> bool {
    let is_harmless = ["_id", "_file", "_path", "_enabled", "_uri"].iter().any(|end| name.ends_with(end));
    let words = ["secret", "token", "password", "key", "credential", "sas", "proxy_url"];
    // An endpoint may hold a user and a password too, but a plain one is worth seeing.
    !is_harmless && !name.contains("endpoint") && words.iter().any(|word| name.contains(word))
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.masked()).finish()
    }
}

impl Serialize for StoreOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.masked())
    }
}

impl<'de> Deserialize<'de> for StoreOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let options = BTreeMap::<String, OptionText>::deserialize(deserializer)?;
        let text = |text| match text {
            OptionText::Text(text) => text,
            OptionText::Boolean(value) => value.to_string(),
            OptionText::Number(number) => number.to_string(),
        };
        Ok(Self(options.into_iter().map(|(name, value)| (name, text(value))).collect()))
    }
}

impl JsonSchema for StoreOptions {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StoreOptions".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": { "type": ["string", "boolean", "integer"] } })
    }
}

/// Object stores read text; users write `allow_http = true`.
#[derive(Deserialize)]
#[serde(untagged)]
enum OptionText {
    Text(String),
    Boolean(bool),
    Number(i64),
}

/// A parsed destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A directory of this machine, relative to the working directory unless absolute.
    Local(PathBuf),
    /// A bucket or container, and the prefix of every path in it.
    Store(Url),
}

/// Parses `destination.url`.
pub(super) fn location(text: &str) -> Result<Location, InvalidValue> {
    let wrong = |what: &str, instead: String| Err(InvalidValue::new(what, instead));
    let text = text.trim();
    if text.is_empty() {
        return wrong("the destination is empty", "write a path, or a URL such as `s3://bucket/prefix`".to_owned());
    }
    check_expanded(text)?;
    let Some((scheme, rest)) = text.split_once("://") else {
        return match text.split_once(':') {
            Some((scheme @ ("s3" | "gs" | "az"), rest)) => {
                wrong("the URL lacks a slash", format!("write `{scheme}://{}`", rest.trim_start_matches('/')))
            }
            Some(("file", rest)) => {
                wrong("the URL lacks a slash", format!("write `file:///{}`", rest.trim_start_matches('/')))
            }
            _ => Ok(Location::Local(PathBuf::from(text))),
        };
    };
    let feature = match scheme {
        "file" => {
            let path = Url::parse(text).ok().filter(|_| rest.starts_with('/')).and_then(|url| url.to_file_path().ok());
            let instead =
                format!("write `file:///{}`, with three slashes, or the path alone", rest.trim_start_matches('/'));
            return path
                .map(Location::Local)
                .ok_or_else(|| InvalidValue::new("the URL must hold an absolute path", instead));
        }
        "s3" => None,
        "gs" => Some("gcs").filter(|_| !cfg!(feature = "gcs")),
        "az" => Some("azure").filter(|_| !cfg!(feature = "azure")),
        _ => {
            let instead = "write a path, `file:///path`, `s3://bucket/prefix`, `gs://` or `az://`";
            return wrong(&format!("`{scheme}://` is not a kind of destination"), instead.to_owned());
        }
    };
    if let Some(feature) = feature {
        let instead = format!("build it with `--features {feature}` (or `full`, as releases are), or use `s3://`");
        return wrong(&format!("this program was built without the feature `{feature}`"), instead);
    }
    let Some(url) = Url::parse(text).ok().filter(|url| url.host_str().is_some_and(|host| !host.is_empty())) else {
        return wrong("the URL names no bucket", format!("write `{scheme}://bucket/prefix`"));
    };
    check_plain_url(&url, "; credentials come from `AWS_*` variables or `[destination.options]`")?;
    Ok(Location::Store(url))
}

/// `path` as an absolute one, with links resolved as far as it exists.
pub(super) fn real_path(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let existing = absolute.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let rest = |above: &Path| absolute.strip_prefix(above).map(Path::to_owned).unwrap_or_default();
    // Joined by components: an empty rest adds no slash.
    existing.map_or(absolute.clone(), |(above, real)| real.components().chain(rest(above).components()).collect())
}

/// Rejects what a shell would replace: nothing else does, so the text would be the name of a directory.
pub(super) fn check_expanded(text: &str) -> Result<(), InvalidValue> {
    let home = || std::env::var("HOME").ok().filter(|home| !home.is_empty());
    let expanded = |rest: &str| home().map(|home| format!("write `{}`", Path::new(&home).join(rest).display()));
    let (what, instead) = if text == "~" || text.starts_with("~/") {
        ("`~` is not expanded", expanded(text[1..].trim_start_matches('/')))
    } else if let Some(rest) = ["$HOME/", "${HOME}/"].iter().find_map(|start| text.strip_prefix(start)) {
        ("`$HOME` is not expanded", expanded(rest))
    } else if text.starts_with('~') {
        ("`~` is not expanded", None)
    } else if text.match_indices('$').any(|(at, _)| {
        text[at + 1..].starts_with(|next: char| next == '{' || next == '(' || next == '_' || next.is_ascii_alphabetic())
    }) {
        ("variables are not expanded here", None)
    } else {
        return Ok(());
    };
    Err(InvalidValue::new(what, instead.unwrap_or_else(|| "write the path or URL itself".to_owned())))
}

/// Rejects credentials, a query and a fragment. The URL is not repeated: it may hold a password.
pub(super) fn check_plain_url(url: &Url, advice: &str) -> Result<(), InvalidValue> {
    if !url.username().is_empty() || url.password().is_some() {
        let instead = format!("write the URL without the part before `@`{advice}");
        Err(InvalidValue::new("the URL holds a user name or a password", instead))
    } else if url.query().is_some() || url.fragment().is_some() {
        let instead = format!("remove `?` or `#` and the part after it{advice}");
        Err(InvalidValue::new("the URL has a query or a fragment", instead))
    } else {
        Ok(())
    }
}

impl DestinationConfig {
    /// Where the files go. `Ok` for every checked configuration.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub fn location(&self) -> Result<Location, InvalidValue> {
        location(&self.url)
    }

    /// The lake, the spool and other lakes do not contain each other.
    pub(super) fn check_nesting(&self, spool: Option<&Path>, problems: &mut Problems) {
        let lake = match self.location() {
            Ok(Location::Local(path)) => real_path(&path),
            Ok(Location::Store(url)) => PathBuf::from(url.path()),
            Err(_) => return,
        };
        if lake.components().any(|part| part.as_os_str() == OWN_DIRECTORY) {
            let what =
                format!("this is inside the `{OWN_DIRECTORY}` of another lake, which belongs to that lake alone");
            problems.error("destination.url", what, "write a directory of its own");
        }
        let (Some(spool), Ok(Location::Local(_))) = (spool.map(real_path), self.location()) else {
            return;
        };
        let instead = "write a directory outside of the lake, or leave the setting out";
        if spool.starts_with(&lake) && !spool.starts_with(lake.join(OWN_DIRECTORY).join("spool")) {
            let what = "the spool is the lake or inside it, where readers would find its unfinished files";
            problems.error("spool.dir", what, instead);
        } else if lake.starts_with(&spool) {
            problems.error("spool.dir", "the lake is inside the spool", instead);
        }
    }

    pub(super) fn check(&self, section: &str, problems: &mut Problems) {
        match self.location() {
            Err(fault) => problems.invalid(&format!("{section}.url"), fault),
            Ok(Location::Local(_)) if self.options.0.is_empty() => {}
            Ok(Location::Local(_)) => {
                let names = listed(self.options.0.keys().map(String::as_str));
                let what = format!("a local directory has no options; {names} would have no effect");
                let instead = "remove them, or set `url` to an object store such as `s3://bucket/prefix`";
                problems.warn(&format!("{section}.options"), what, instead);
            }
            Ok(Location::Store(url)) => self.check_options(section, url.scheme(), problems),
        }
    }

    fn check_options(&self, section: &str, scheme: &str, problems: &mut Problems) {
        for name in self.options.0.keys() {
            let is_known = match scheme {
                "s3" => name.parse::<AmazonS3ConfigKey>().is_ok(),
                #[cfg(feature = "gcs")]
                "gs" => name.parse::<object_store::gcp::GoogleConfigKey>().is_ok(),
                #[cfg(feature = "azure")]
                "az" => name.parse::<object_store::azure::AzureConfigKey>().is_ok(),
                _ => true,
            };
            if !is_known {
                let known = listed(COMMON_OPTIONS);
                let otherwise = format!("known are {known}, and the other options of the Rust crate `object_store`");
                let what = format!("no such option of `{scheme}://`");
                problems.error(
                    &format!("{section}.options.{name}"),
                    what,
                    did_you_mean(name, COMMON_OPTIONS, otherwise),
                );
            }
        }
        let option = |name: &str| self.options.0.get(name).or_else(|| self.options.0.get(&format!("aws_{name}")));
        let is_unencrypted = |name: &&str| option(name).is_some_and(|endpoint| endpoint.starts_with("http://"));
        if let Some(name) = ["endpoint", "endpoint_url"].into_iter().find(is_unencrypted)
            && option("allow_http").is_none_or(|value| value != "true")
        {
            problems.error(
                &format!("{section}.options.{name}"),
                "`http://` is not encrypted and must be allowed",
                "write `https://`, or add `allow_http = true`",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_parsed() {
        for (text, path) in
            [("./lake", "./lake"), ("/data/my lake", "/data/my lake"), ("file:///data/my%20lake", "/data/my lake")]
        {
            assert_eq!(location(text), Ok(Location::Local(path.into())), "{text}");
        }
        assert!(matches!(location("s3://bucket/prefix"), Ok(Location::Store(_))));
    }

    #[test]
    fn wrong_destination_names_the_remedy() {
        let mut cases = vec![
            ("s3:/bucket/x", "write `s3://bucket/x`"),
            ("file:/data", "write `file:///data`"),
            ("file://data/lake", "write `file:///data/lake`, with three slashes, or the path alone"),
            ("s3:///prefix", "write `s3://bucket/prefix`"),
            ("hdfs://x/y", "write a path, `file:///path`, `s3://bucket/prefix`, `gs://` or `az://`"),
            ("", "write a path, or a URL such as `s3://bucket/prefix`"),
        ];
        if cfg!(not(feature = "gcs")) {
            cases
                .push(("gs://bucket/x", "build it with `--features gcs` (or `full`, as releases are), or use `s3://`"));
        }
        for (text, instead) in cases {
            assert_eq!(location(text).unwrap_err().instead, instead, "{text}");
        }
        assert!(!format!("{:?}", location("s3://AKIA:hidden@bucket").unwrap_err()).contains("hidden"));
    }

    #[test]
    fn compressions_are_parsed_as_they_are_shown() {
        for text in ["zstd(1)", "zstd(19)", "snappy", "lz4", "none"] {
            assert_eq!(text.parse::<Compression>().unwrap().to_string(), text);
        }
        for text in ["zstd(0)", "zstd(20)", "zstd(03)", "zstd()", "gzip", "Snappy", ""] {
            assert!(text.parse::<Compression>().is_err(), "{text}");
        }
    }

    #[test]
    fn secret_options_are_masked_when_printed() {
        let options: StoreOptions = serde_json::from_str(
            r#"{"secret_access_key": "s3cr3t", "access_key_id": "AKIA1", "region": "eu", "token": "s3cr3t", "account_key": "s3cr3t",
                "sas_key": "s3cr3t", "allow_http": true, "client_secret": "s3cr3t", "proxy_url": "http://u:s3cr3t@proxy"}"#,
        )
        .unwrap();
        let shown = format!("{options:?} {}", serde_json::to_string(&options).unwrap());
        assert!(!shown.contains("s3cr3t"), "{shown}");
        assert!(shown.contains("AKIA1") && shown.contains("eu") && shown.contains("true"), "{shown}");
        assert!(options.iter().any(|(name, value)| name == "token" && value == "s3cr3t"));
    }
}
