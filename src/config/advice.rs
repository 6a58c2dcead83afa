//! Messages for what is wrong in the tree, with what to write instead.

use serde_json::Value;

use super::destination::{is_store_option, is_store_options};
use super::problem::{InvalidValue, Place, Problems, did_you_mean, listed, nearest, question};
use super::tree::{Kind, Mismatch, Tree, remove};
use super::{Config, schema, tree};

/// The prefix of variables that are settings.
pub(super) const VARIABLE_PREFIX: &str = "PROFOUND_EXPORT_";

/// The sections that are tables of settings.
const SECTIONS: [&str; 8] = ["api", "destination", "tables", "spool", "server", "privacy", "metrics", "alerts"];

/// Names under which users put the API key into a file.
const KEY_NAMES: [&str; 8] =
    ["key", "api_key", "apikey", "api-key", "x-api-key", "x_api_key", "profound_api_key", "token"];

/// Settings of an alert that may hold a secret, also where the value has the wrong type.
const SECRET_SETTINGS: [&str; 6] = ["url", "url_file", "url_variable", "secret_file", "secret_variable", "command"];

/// Deserializes the tree. What is wrong is reported and removed, then the rest is tried, so that one mistake does not hide
/// another.
pub(super) fn extract(mut tree: Value, problems: &mut Problems) -> Option<Config> {
    loop {
        let mismatch = match tree::deserialize(&tree) {
            Ok(config) => return Some(config),
            Err(mismatch) => mismatch,
        };
        let path = match mismatch.kind {
            Kind::UnknownField(..) => mismatch.path.clone(),
            _ => setting_of(&mismatch.path),
        };
        let dotted = path.join(".");
        problems.reject(&dotted, describe(&mismatch, &dotted, &[], problems));
        if !remove(&mut tree, &path) {
            return None;
        }
    }
}

/// The path of the setting that contains `path`: an element of a list belongs to its list.
pub(super) fn setting_of(path: &[String]) -> Vec<String> {
    let depth = match path.first().map(String::as_str) {
        Some("job" | "alert") => 3,
        Some("parameters") => 4,
        _ => 2 + usize::from(path.get(1).is_some_and(|key| key == "options")),
    };
    path.iter().take(depth).cloned().collect()
}

/// Reports and removes every API key in the tree, without repeating it.
pub(super) fn reject_keys(value: &mut Value, path: &str, problems: &mut Problems) {
    // The options of an object store hold secrets of their own; `key` and `token` are words of streams too.
    if is_store_options(path) || path == "parameters" || path.starts_with("stream.") {
        return;
    }
    let inner = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(members) => members.retain(|name, value| {
            let is_key = KEY_NAMES.contains(&name.to_lowercase().as_str());
            if is_key {
                problems.error(
                    &inner(name),
                    "the key is never a setting, because settings are printed and shared",
                    "put it alone into a file and name that file: `key_file = \"/run/secrets/profound-api-key\"` under `[api]`; or set `PROFOUND_API_KEY`",
                );
            } else {
                reject_keys(value, &inner(name), problems);
            }
            !is_key
        }),
        Value::Array(items) => {
            items.iter_mut().enumerate().for_each(|(index, item)| reject_keys(item, &inner(&index.to_string()), problems));
        }
        _ => {}
    }
}

/// Reports and removes every section of the file that has the wrong brackets. Serde would accept a list for a section, as
/// its settings in order.
pub(super) fn reject_malformed_sections(file: &mut Tree, problems: &mut Problems) {
    let is_list = |value: &Value| value.as_array().is_some_and(|items| items.iter().all(Value::is_object));
    file.retain(|name, value| {
        let (is_valid, what, header) = match name.as_str() {
            "job" | "stream" | "alert" => (is_list(value), format!("a list of {name}s"), format!("[[{name}]]")),
            "parameters" => {
                let is_valid = value.as_object().is_some_and(|streams| streams.values().all(is_list));
                (is_valid, "a list of entries for each stream".to_owned(), "[[parameters.agent_runs]]".to_owned())
            }
            _ => (value.is_object() || !SECTIONS.contains(&name.as_str()), "a section".to_owned(), format!("[{name}]")),
        };
        if !is_valid {
            let brackets = if header.starts_with("[[") { "double" } else { "single" };
            let instead = format!("begin it with the line `{header}`, in {brackets} brackets");
            problems.reject(name, InvalidValue::new(format!("this is not {what}"), instead));
        }
        is_valid
    });
}

/// What is wrong with the value at `path`, and what to write instead. `more` settings are known there than serde knows.
pub(super) fn describe(mismatch: &Mismatch, path: &str, more: &[&str], problems: &Problems) -> InvalidValue {
    let is_option = is_store_option(path);
    let last = path.rsplit('.').next().unwrap_or(path);
    let is_hidden = is_store_options(path) || path.starts_with("alert.") && SECRET_SETTINGS.contains(&last);
    let example = || schema::example(path).map(|value| as_written(path, value, problems)).unwrap_or_default();
    match &mismatch.kind {
        Kind::UnknownField(name, known) => {
            InvalidValue::new("no such setting", meant(name, path, &[known, more].concat(), problems))
        }
        _ if is_option => InvalidValue::new("text in quotes is needed", "write the value in quotes"),
        Kind::UnknownVariant(word, known) => {
            let what = format!("`{word}` is not one of {}", listed(known.iter().copied()));
            InvalidValue::new(what, did_you_mean(word, known.iter().copied(), example()))
        }
        Kind::MissingField(name) => InvalidValue::new(format!("`{name}` is missing"), ""),
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            let found = if is_hidden { "this".to_owned() } else { tree::found(actual) };
            InvalidValue::new(format!("{found} is not {}", tree::needed(expected)), example())
        }
        other => InvalidValue::new(other.to_string(), example()),
    }
}

/// An example of the setting at `path`, in the syntax of the layer that sets it.
fn as_written(path: &str, value: &Value, problems: &Problems) -> String {
    let plain = || value.as_str().map_or_else(|| schema::to_toml(value), str::to_owned);
    match problems.places.nearest_to(path) {
        Some(Place::Variable(name)) => format!("write for example `{name}={}`", plain()),
        // The one flag whose value names the setting.
        Some(Place::Flag(name)) if name == "--set" => format!("write for example `--set {path}={}`", plain()),
        Some(Place::Flag(name)) => format!("write for example `{name} {}`", plain()),
        _ => {
            let name = path.rsplit('.').next().unwrap_or(path);
            format!("write for example `{name} = {}`", schema::to_toml(value))
        }
    }
}

/// The setting that the unknown `name` at `path` probably means, in the syntax of the layer that sets it.
fn meant(name: &str, path: &str, known: &[&str], problems: &Problems) -> String {
    let variable = match problems.places.nearest_to(path) {
        Some(Place::Variable(variable)) => Some(variable),
        _ => None,
    };
    let settings = schema::settings();
    let is_of_jobs = schema::example(&format!("job.0.{name}")).is_some();
    // What a job has, most users mean of the job.
    let elsewhere =
        settings.iter().find_map(|key| key.split_once('.').filter(|(_, setting)| *setting == name && !is_of_jobs));
    // A variable is shown whole, with the wrong part replaced.
    let whole = |near: &str| match variable.and_then(|variable| variable.rsplit_once(&name.to_uppercase())) {
        Some((before, after)) => format!("{before}{}{after}", near.to_uppercase()),
        None => near.to_owned(),
    };
    if elsewhere.is_none()
        && !is_of_jobs
        && let Some(question) = question(nearest(name, known.iter().copied()).into_iter().map(whole))
    {
        return question;
    }
    match elsewhere {
        Some((section, name)) if variable.is_some() => {
            format!("did you mean `{}`?", variable_name(&format!("{section}.{name}")))
        }
        Some((section, name)) => format!("`{name}` belongs under `[{section}]`"),
        None if is_of_jobs => format!("`{name}` belongs under `[[job]]`"),
        None if !path.contains('.') => format!("the sections are {}", listed(known.iter().copied())),
        None => format!("known here are {}", listed(known.iter().copied())),
    }
}

/// The variable that sets `key`, such as `PROFOUND_EXPORT_API__CONCURRENCY`.
pub(super) fn variable_name(key: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", key.replace('.', "__").replace('-', "_").to_uppercase())
}
