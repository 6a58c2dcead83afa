//! What the text of a setting must be: one table of rules, applied to what is set before it is deserialized.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use url::Url;

use super::advice::setting_of;
use super::problem::{InvalidValue, Place, Problems};
use super::secret::looks_like_a_secret;
use super::settings::LISTEN_OFF;
use super::units::{ByteSize, WholeDays};
use super::{DestinationConfig, Location, cron, destination, tree};

/// The least that fits the files in flight.
const MIN_SPOOL: ByteSize = ByteSize(64 * bytesize::MIB);
/// Smaller files are no faster to scan than those of days.
const MIN_TABLE_FILE: ByteSize = ByteSize(bytesize::MIB);
/// The longest window that any endpoint of the vendor accepts.
const MAX_WINDOW_DAYS: u16 = 366;

type Rule = fn(&str) -> Result<(), InvalidValue>;

/// The rule of each setting; `*` matches every position of a list. What is not text is left to deserialization.
const RULES: [(&str, Rule); 27] = [
    ("api.base_url", base_url),
    ("api.key_file", secret_path),
    ("api.ca_file", path),
    ("api.max_window", window),
    ("destination.url", |text| destination::location(text).map(|_| ())),
    ("tables.url", |text| destination::location(text).map(|_| ())),
    ("tables.target_file_bytes", target_size),
    ("spool.dir", path),
    ("spool.max_bytes", spool_size),
    ("server.listen", listen),
    ("server.hosts.*", host),
    ("privacy.salt_file", path),
    ("metrics.textfile", textfile),
    ("job.*.name", job_name),
    ("job.*.cron", |text| cron::parse(text).map(|_| ())),
    ("job.*.timezone", |text| cron::zone(text).map(|_| ())),
    ("job.*.organizations.*", id_or_name),
    ("job.*.categories.*", id_or_name),
    ("job.*.domains.*", id_or_name),
    ("job.*.assets.*", id_or_name),
    ("alert.*.name", alert_name),
    ("alert.*.url", alert_url),
    ("alert.*.url_file", secret_path),
    ("alert.*.secret_file", secret_path),
    ("alert.*.url_variable", variable),
    ("alert.*.secret_variable", variable),
    ("alert.*.command.0", program),
];

/// Settings that are paths, or may be one.
const PATHS: [&str; 9] = [
    "api.key_file",
    "api.ca_file",
    "destination.url",
    "tables.url",
    "spool.dir",
    "privacy.salt_file",
    "metrics.textfile",
    "alert.*.url_file",
    "alert.*.secret_file",
];

/// Lets every relative path that `file` sets start at its directory, so that the settings mean the same from everywhere. The default
/// of the lake does too: writing a default into the file changes nothing.
pub(super) fn resolve_paths(tree: &mut Value, file: &Path, problems: &Problems) {
    let directory = file.parent().unwrap_or(Path::new(""));
    if tree.pointer("/destination/url").is_none() && !problems.is_rejected("destination.url") {
        tree["destination"]["url"] = DestinationConfig::default().url.into();
    }
    for pattern in PATHS {
        let mut texts = Vec::new();
        find_texts(tree, &pattern.split('.').collect::<Vec<_>>(), Vec::new(), &mut texts);
        let is_of_file =
            |path: &[String]| matches!(problems.places.get(&path.join(".")), None | Some(Place::File { .. }));
        let is_path =
            |text: &str| !text.contains("://") && matches!(destination::location(text), Ok(Location::Local(_)));
        let ours = texts.into_iter().filter(|(path, text)| is_of_file(path) && is_path(text));
        // Collected from components, which leaves out `.`; an absolute path replaces the directory.
        let resolved = ours.map(|(path, text)| (path, directory.join(text.trim()).components().collect::<PathBuf>()));
        for (path, resolved) in resolved.collect::<Vec<_>>() {
            // A directory whose name is not text cannot be a setting either.
            if let (Some(setting), Some(text)) = (tree.pointer_mut(&format!("/{}", path.join("/"))), resolved.to_str())
            {
                *setting = Value::from(text);
            }
        }
    }
}

/// Reports and removes every setting that breaks its rule.
pub(super) fn apply(tree: &mut Value, problems: &mut Problems) {
    for (pattern, rule) in RULES {
        let mut texts = Vec::new();
        find_texts(tree, &pattern.split('.').collect::<Vec<_>>(), Vec::new(), &mut texts);
        let broken = texts.into_iter().filter_map(|(path, text)| Some((path, rule(text).err()?)));
        for (path, fault) in broken.collect::<Vec<_>>() {
            let setting = setting_of(&path);
            problems.reject(&setting.join("."), fault);
            tree::remove(tree, &setting);
        }
    }
}

/// Every text at `pattern`, with its path.
fn find_texts<'a>(value: &'a Value, pattern: &[&str], path: Vec<String>, found: &mut Vec<(Vec<String>, &'a str)>) {
    let mut descend = |step: &str, inner: Option<&'a Value>, rest: &[&str]| {
        if let Some(inner) = inner {
            find_texts(inner, rest, [path.as_slice(), &[step.to_owned()]].concat(), found);
        }
    };
    match (pattern, value) {
        ([], Value::String(text)) => found.push((path, text)),
        (["*", rest @ ..], Value::Array(items)) => {
            items.iter().enumerate().for_each(|(index, item)| descend(&index.to_string(), Some(item), rest));
        }
        ([index, rest @ ..], Value::Array(items)) => {
            descend(index, index.parse::<usize>().ok().and_then(|index| items.get(index)), rest);
        }
        ([step, rest @ ..], Value::Object(members)) => descend(step, members.get(*step), rest),
        _ => {}
    }
}

fn check(is_valid: bool, what: &str, instead: &str) -> Result<(), InvalidValue> {
    if is_valid { Ok(()) } else { Err(InvalidValue::new(what, instead)) }
}

fn base_url(text: &str) -> Result<(), InvalidValue> {
    let url = Url::parse(text).ok().filter(is_web);
    let instead = "write it with its scheme, such as `https://api.tryprofound.com`";
    let url = url.ok_or_else(|| InvalidValue::new("this is not a web address", instead))?;
    destination::check_plain_url(&url, "")
}

pub(super) fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

fn path(text: &str) -> Result<(), InvalidValue> {
    check(!text.is_empty(), "the path is empty", "write a path, or leave the setting out")?;
    destination::check_expanded(text)
}

fn secret_path(text: &str) -> Result<(), InvalidValue> {
    path(text)?;
    let what = "this looks like the secret itself, where the path of its file belongs";
    let instead = "put the secret into a file and write the path of that file; if this is the name of a file, write `./` before it";
    check(!looks_like_a_secret(text), what, instead)
}

fn textfile(text: &str) -> Result<(), InvalidValue> {
    let instead = "write the path of a file whose name ends in `.prom`, or leave the setting out";
    check(Path::new(text).file_name().is_some(), "this is not the path of a file", instead)?;
    destination::check_expanded(text)
}

fn window(text: &str) -> Result<(), InvalidValue> {
    let is_valid = text.parse::<WholeDays>().map_or(true, |days| (1..=MAX_WINDOW_DAYS).contains(&days.0));
    let instead =
        "write a number of days such as `31d`; shorter windows cost more requests, longer ones fail more often";
    check(is_valid, &format!("`{text}` is not between 1d and {MAX_WINDOW_DAYS}d"), instead)
}

fn spool_size(text: &str) -> Result<(), InvalidValue> {
    let is_valid = text.parse::<ByteSize>().map_or(true, |size| size >= MIN_SPOOL);
    check(is_valid, &format!("`{text}` is too small for the files in flight"), &format!("write at least `{MIN_SPOOL}`"))
}

fn target_size(text: &str) -> Result<(), InvalidValue> {
    let is_valid = text.parse::<ByteSize>().map_or(true, |size| size >= MIN_TABLE_FILE);
    check(is_valid, &format!("`{text}` makes files too small to scan"), &format!("write at least `{MIN_TABLE_FILE}`"))
}

fn listen(text: &str) -> Result<(), InvalidValue> {
    let text = text.trim();
    let is_valid = text.is_empty() || text == LISTEN_OFF || text.parse::<SocketAddr>().is_ok();
    let instead = "write numbers, such as `127.0.0.1:9464` or `[::1]:9464`; or `off` for no page";
    check(is_valid, "this is not an IP address with a port", instead)
}

fn host(text: &str) -> Result<(), InvalidValue> {
    let is_name = !text.is_empty() && text.chars().all(|char| char.is_ascii_alphanumeric() || "-._".contains(char));
    let instead = "write the name alone, without a scheme and a port, such as `exporter.example.com`";
    check(text == "*" || is_name, &format!("`{text}` is not a host name"), instead)
}

/// Whether `name` is valid for a job: it becomes part of paths, labels and variables.
pub(super) fn is_job_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let rest = |byte: u8| plain(byte) || byte == b'-' || byte == b'_';
    name.len() <= 63 && name.bytes().next().is_some_and(plain) && name.bytes().all(rest)
}

fn job_name(text: &str) -> Result<(), InvalidValue> {
    let instead = "write at most 63 lower case letters, digits, `-` and `_`, a letter or digit first";
    check(is_job_name(text), &format!("`{text}` cannot be part of a path and a label"), instead)
}

fn id_or_name(text: &str) -> Result<(), InvalidValue> {
    check(!text.is_empty(), "one of the names is empty", "write IDs or names, or leave the setting out")
}

fn alert_name(text: &str) -> Result<(), InvalidValue> {
    check(!text.trim().is_empty(), "the alert has no name", "write a name: log lines and `alert test` use it")
}

fn alert_url(text: &str) -> Result<(), InvalidValue> {
    check(Url::parse(text).is_ok_and(|url| is_web(&url)), "this is not a web address", "write `https://…`")
}

fn variable(text: &str) -> Result<(), InvalidValue> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_valid = is_plain && text.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    check(is_valid, "this is not the name of a variable", "write its name, such as `SLACK_WEBHOOK_URL`")
}

fn program(text: &str) -> Result<(), InvalidValue> {
    let instead = "write each argument by itself: `command = [\"/usr/bin/curl\", \"https://…\"]`; no shell splits it";
    check(!text.contains("://"), "the first element is a URL, not a program", instead)
}
