//! Every setting with the place that set it, for the command `config`.

use serde::Serialize;
use serde_json::Value;

use super::destination::{is_store_option, is_store_options};
use super::problem::Place;
use super::{Config, schema};

/// One setting in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// Such as `api.concurrency` or `job.nightly.cron`.
    pub key: String,
    /// Masked where it is secret; null where nothing is set.
    pub value: Value,
    pub from: Place,
}

impl Setting {
    /// The value in the syntax of TOML; `-` where nothing is set.
    pub fn text(&self) -> String {
        if self.value.is_null() { "-".to_owned() } else { schema::to_toml(&self.value) }
    }
}

impl Config {
    /// Every setting in force, secrets masked, in the order of the sections.
    pub fn effective(&self) -> Vec<Setting> {
        let mut settings = Vec::new();
        // Cannot fail: a configuration is text, numbers and lists of them.
        let all = serde_json::to_value(self).unwrap_or_default();
        for (section, value) in all.as_object().into_iter().flatten() {
            self.add(section, value, &mut settings);
        }
        settings
    }

    fn add(&self, path: &str, value: &Value, settings: &mut Vec<Setting>) {
        let is_options = is_store_options(path);
        match value {
            Value::Array(items) if matches!(path, "job" | "stream" | "alert") => {
                items.iter().enumerate().for_each(|(index, item)| self.add(&format!("{path}.{index}"), item, settings));
            }
            Value::Object(members) if !(is_options && members.is_empty()) => {
                members.iter().for_each(|(name, value)| self.add(&format!("{path}.{name}"), value, settings));
            }
            value => {
                // Options have no defaults: one without a place of its own was set together with the others, as a table.
                let is_option = is_store_option(path);
                let place = if is_option { self.places.containing(path) } else { self.places.get(path) };
                let from = place.cloned().unwrap_or(Place::Default);
                let value = if is_options { Value::Null } else { value.clone() };
                settings.push(Setting { key: self.places.display_key(path), value, from });
            }
        }
    }
}
