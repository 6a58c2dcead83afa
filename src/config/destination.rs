//! `[destination]`: where the Parquet files go.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use object_store::aws::AmazonS3ConfigKey;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::Url;

use super::problem::{Problems, listed, nearest};
use super::units::{word, written};

/// Where the Parquet files go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DestinationConfig {
    /// A path, `file:///path` or `s3://bucket/prefix`; `gs://` and `az://` where the program was built for them.
    /// Paths count from the working directory. Default: `./lake`, so that a first run stays on this machine.
    #[schemars(extend("minLength" = 1, "examples" = ["s3://my-bucket/profound"]))]
    pub url: String,
    /// What the object store must know beside the address, such as `endpoint` and `region`. The usual `AWS_*`
    /// variables work too. Values are masked where they are secret. Default: none.
    #[schemars(extend("examples" = [{ "region": "eu-central-1" }]))]
    pub options: StoreOptions,
    /// How the files are compressed: `zstd(1)` to `zstd(19)`, `snappy`, `lz4` or `none`. Default: `zstd(3)`.
    #[schemars(extend("examples" = ["zstd(3)"]))]
    pub compression: Compression,
    /// The directories by time: one a day, one a month, or none. A file is always one day of one stream and scope.
    /// Default: `day`.
    #[serde(deserialize_with = "word")]
    #[schemars(extend("examples" = ["day"]))]
    pub partition: Partition,
    /// Goes on with a store that lets two writers create the same object. Say `true` only where exactly one process
    /// ever writes there. Default: false.
    #[schemars(extend("examples" = [false]))]
    pub single_writer: bool,
}

impl Default for DestinationConfig {
    fn default() -> Self {
        Self {
            url: "./lake".to_owned(),
            options: StoreOptions::default(),
            compression: Compression::default(),
            partition: Partition::default(),
            single_writer: false,
        }
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
    /// None: files are named by day.
    None,
}

/// How Parquet files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Zstandard with its level, 1 to 19.
    Zstd(i32),
    /// Snappy: larger and quicker.
    Snappy,
    /// LZ4, as `LZ4_RAW`.
    Lz4,
    /// Not at all.
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
        let unknown = || format!("`{text}` is not `zstd(1)` to `zstd(19)`, `snappy`, `lz4` or `none`");
        match text {
            "zstd" => Ok(Self::default()),
            "snappy" => Ok(Self::Snappy),
            "lz4" => Ok(Self::Lz4),
            "none" => Ok(Self::None),
            _ => {
                let level = text.strip_prefix("zstd(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(unknown)?;
                let digits =
                    !level.is_empty() && !level.starts_with('0') && level.bytes().all(|byte| byte.is_ascii_digit());
                match level.parse() {
                    Ok(level @ 1..=19) if digits => Ok(Self::Zstd(level)),
                    _ => Err(unknown()),
                }
            }
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

written!(Compression, "Compression", r"^(zstd(\(([1-9]|1[0-9])\))?|snappy|lz4|none)$");

/// Options of the object store. Shown and serialized with every secret masked.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreOptions(BTreeMap<String, String>);

/// What stands in place of a secret.
const MASK: &str = "********";

impl StoreOptions {
    /// Every option with its true value: for the object store, never to be shown.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Every option as it may be shown.
    pub fn masked(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().map(|(name, value)| (name, if is_secret(name) { MASK } else { value }))
    }
}

/// Whether the option `name` holds what gives access.
fn is_secret(name: &str) -> bool {
    let harmless = ["_id", "_file", "_path", "_enabled", "_uri"].iter().any(|end| name.ends_with(end));
    let telling = ["secret", "token", "password", "key", "credential", "sas", "proxy_url", "endpoint"];
    // An address may hold a user and a password; a plain one is worth seeing.
    !harmless && telling.iter().any(|word| name.contains(word)) && !name.contains("endpoint")
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.masked()).finish()
    }
}

impl Serialize for StoreOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.masked().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for StoreOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let options = BTreeMap::<String, OptionText>::deserialize(deserializer)?;
        Ok(Self(options.into_iter().map(|(name, OptionText(text))| (name, text)).collect()))
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

/// An option: object stores read text, people write `allow_http = true`.
struct OptionText(String);

impl<'de> Deserialize<'de> for OptionText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl de::Visitor<'_> for Scalar {
            type Value = OptionText;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("text in quotes")
            }

            fn visit_str<E>(self, text: &str) -> Result<OptionText, E> {
                Ok(OptionText(text.to_owned()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<OptionText, E> {
                Ok(OptionText(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<OptionText, E> {
                Ok(OptionText(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<OptionText, E> {
                Ok(OptionText(value.to_string()))
            }
        }
        deserializer.deserialize_any(Scalar)
    }
}

/// A destination, read from its setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A directory of this machine, from the working directory unless absolute.
    Local(PathBuf),
    /// A bucket, or container, and what stands before every path in it.
    Store(Url),
}

impl DestinationConfig {
    /// Where the files go. `Ok` for every checked configuration.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub fn location(&self) -> Result<Location, (String, String)> {
        let wrong = |what: &str, instead: &str| Err((what.to_owned(), instead.to_owned()));
        let text = self.url.trim();
        if text.is_empty() {
            return wrong("the destination is empty", "write a path, or an address such as `s3://bucket/prefix`");
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return match text.split_once(':') {
                Some((scheme @ ("s3" | "gs" | "az" | "file"), rest)) => {
                    let rest = rest.trim_start_matches('/');
                    let slashes = if scheme == "file" { ":///" } else { "://" };
                    wrong("the address lacks a slash", &format!("write `{scheme}{slashes}{rest}`"))
                }
                _ => Ok(Location::Local(PathBuf::from(text))),
            };
        };
        let built = match scheme {
            "file" => return local(text, rest),
            "s3" => true,
            "gs" => cfg!(feature = "gcs"),
            "az" => cfg!(feature = "azure"),
            _ => {
                let what = format!("`{scheme}://` is not a kind of destination");
                return wrong(&what, "write a path, `file:///path`, `s3://bucket/prefix`, `gs://` or `az://`");
            }
        };
        if !built {
            let feature = if scheme == "gs" { "gcs" } else { "azure" };
            let what = format!("this program was built without `{scheme}://`");
            return wrong(
                &what,
                &format!("build it with `cargo build --release --features {feature}`, or use `s3://`"),
            );
        }
        let Ok(url) = Url::parse(text) else {
            return wrong("the address cannot be read", &format!("write `{scheme}://bucket/prefix`"));
        };
        if url.host_str().is_none_or(str::is_empty) {
            return wrong("the address names no bucket", &format!("write `{scheme}://bucket/prefix`"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return wrong(
                "the address holds a user name or a password",
                "write the address without what stands before `@`; credentials come from `AWS_*` variables or `[destination.options]`",
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            return wrong(
                "the address has a query or a fragment",
                "leave out `?` or `#` and what follows; options stand under `[destination.options]`",
            );
        }
        Ok(Location::Store(url))
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        match self.location() {
            Err((what, instead)) => problems.error("destination.url", what, instead),
            Ok(Location::Local(_)) if self.options.0.is_empty() => {}
            Ok(Location::Local(_)) => {
                let what = format!(
                    "a directory of this machine knows no options; {} would do nothing",
                    listed(self.options.0.keys().map(String::as_str))
                );
                problems.warn(
                    "destination.options",
                    what,
                    "leave them out, or write an address such as `s3://bucket/prefix` as `url`",
                );
            }
            Ok(Location::Store(url)) => self.check_options(&url, problems),
        }
    }

    fn check_options(&self, url: &Url, problems: &mut Problems) {
        for name in self.options.0.keys() {
            let known = match url.scheme() {
                "s3" => name.parse::<AmazonS3ConfigKey>().is_ok(),
                #[cfg(feature = "gcs")]
                "gs" => name.parse::<object_store::gcp::GoogleConfigKey>().is_ok(),
                #[cfg(feature = "azure")]
                "az" => name.parse::<object_store::azure::AzureConfigKey>().is_ok(),
                _ => true,
            };
            if !known {
                let common = COMMON_OPTIONS.iter().copied();
                let instead = match nearest(name, common.clone()) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => {
                        format!("known are {}, and the other options of the Rust crate `object_store`", listed(common))
                    }
                };
                let what = format!("no such option of `{}://`", url.scheme());
                problems.error(&format!("destination.options.{name}"), what, instead);
            }
        }
        let option = |names: [&str; 2]| names.iter().find_map(|name| self.options.0.get(*name)).map(String::as_str);
        let plain = ["endpoint", "endpoint_url"].iter().find(|name| {
            option([name, &format!("aws_{name}")]).is_some_and(|endpoint| endpoint.starts_with("http://"))
        });
        if let Some(name) = plain
            && option(["allow_http", "aws_allow_http"]) != Some("true")
        {
            problems.error(
                &format!("destination.options.{name}"),
                "an address that begins with `http://` is refused",
                "write `https://`, or `allow_http = true` beside it",
            );
        }
    }
}

/// Options that people write by hand.
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

/// `file:///path` as a path.
fn local(text: &str, rest: &str) -> Result<Location, (String, String)> {
    let path = Url::parse(text).ok().and_then(|url| url.to_file_path().ok());
    match path {
        Some(path) if rest.starts_with('/') => Ok(Location::Local(path)),
        _ => Err((
            "the address must hold a whole path".to_owned(),
            format!("write `file:///{}`, with three slashes, or the path alone", rest.trim_start_matches('/')),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Result<Location, (String, String)> {
        DestinationConfig { url: url.to_owned(), ..DestinationConfig::default() }.location()
    }

    #[test]
    fn destinations_read_as_written() {
        assert_eq!(at("./lake"), Ok(Location::Local("./lake".into())));
        assert_eq!(at("/data/my lake"), Ok(Location::Local("/data/my lake".into())));
        assert_eq!(at("file:///data/my%20lake"), Ok(Location::Local("/data/my lake".into())));
        assert!(matches!(at("s3://bucket/prefix"), Ok(Location::Store(_))));
    }

    #[test]
    fn wrong_destination_says_what_to_write() {
        assert_eq!(at("s3:/bucket/x").unwrap_err().1, "write `s3://bucket/x`");
        assert_eq!(
            at("file://data/lake").unwrap_err().1,
            "write `file:///data/lake`, with three slashes, or the path alone"
        );
        assert!(at("s3:///prefix").unwrap_err().0.contains("names no bucket"));
        assert!(at("hdfs://x/y").unwrap_err().0.contains("`hdfs://` is not a kind"));
        assert!(at("").unwrap_err().0.contains("empty"));
        assert!(!at("s3://AKIA:hidden@bucket").unwrap_err().1.contains("hidden"));
    }

    #[cfg(not(feature = "gcs"))]
    #[test]
    fn destination_that_was_not_built_names_the_feature() {
        assert!(at("gs://bucket/prefix").unwrap_err().1.contains("--features gcs"));
    }

    #[test]
    fn compressions_read_back_to_themselves() {
        for text in ["zstd(1)", "zstd(19)", "snappy", "lz4", "none"] {
            assert_eq!(text.parse::<Compression>().unwrap().to_string(), text);
        }
        for text in ["zstd(0)", "zstd(20)", "zstd(03)", "zstd()", "gzip", "Snappy", ""] {
            assert!(text.parse::<Compression>().is_err(), "{text}");
        }
    }

    #[test]
    fn secret_options_are_masked_however_they_are_shown() {
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
