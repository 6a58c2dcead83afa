//! Every setting with where it came from, for the command `config`.

use serde::Serialize;
use serde_json::Value;

use super::problem::Place;
use super::{Config, schema};

/// One setting as it is in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// Its name, such as `api.concurrency` or `job.nightly.cron`.
    pub key: String,
    /// Its value, masked where it is secret; null where nothing is set.
    pub value: Value,
    /// Where it came from.
    pub from: Place,
}

impl Setting {
    /// The value as TOML writes it; `-` where nothing is set.
    pub fn text(&self) -> String {
        match &self.value {
            Value::Null => "-".to_owned(),
            value => schema::in_toml(value),
        }
    }
}

impl Config {
    /// Every setting in force, secrets masked, in the order of the sections.
    pub fn effective(&self) -> Vec<Setting> {
        let mut settings = Vec::new();
        // A configuration is text, numbers and lists of them: it serializes.
        let all = serde_json::to_value(self).unwrap_or_default();
        for (section, value) in all.as_object().into_iter().flatten() {
            self.add(section, value, &mut settings);
        }
        settings
    }

    fn add(&self, path: &str, value: &Value, settings: &mut Vec<Setting>) {
        let is_options = path == "destination.options";
        match value {
            Value::Array(items) if matches!(path, "job" | "stream" | "alert") => {
                for (index, item) in items.iter().enumerate() {
                    self.add(&format!("{path}.{index}"), item, settings);
                }
            }
            Value::Object(members) if !(is_options && members.is_empty()) => {
                for (name, value) in members {
                    self.add(&format!("{path}.{name}"), value, settings);
                }
            }
            value => {
                // No option has a default: one that has no place of its own came with all of them, as one table.
                let place = match path.starts_with("destination.options.") {
                    true => self.places.above(path),
                    false => self.places.exactly(path),
                };
                let from = place.cloned().unwrap_or(Place::Default);
                let value = if is_options { Value::Null } else { value.clone() };
                settings.push(Setting { key: self.places.spoken(path), value, from });
            }
        }
    }
}
