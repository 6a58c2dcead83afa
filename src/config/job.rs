//! `[[job]]`: what is exported, when, and how far back.

use std::collections::BTreeSet;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::parameters::StreamParameters;
use super::problem::{Problems, listed};
use super::units::{Period, WholeDays, day_schema, optional_day};
use super::{cron, select};
use crate::catalog::Catalog;
use crate::model::day::Day;

/// What is exported, when, and how far back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JobConfig {
    /// What the job is called on the command line and in every report: at most 63 lower case letters, digits, `-` and
    /// `_`, a letter or digit first. Required.
    #[schemars(extend("pattern" = "^[a-z0-9][a-z0-9_-]{0,62}$", "examples" = ["nightly"]))]
    pub name: String,
    /// When it starts: five fields (minute, hour, day of the month, month, day of the week), or six with seconds first.
    /// Where both day fields are given, either is enough. Default: none, it runs only by hand.
    #[schemars(extend("examples" = ["30 6 * * *"]))]
    pub cron: Option<String>,
    /// IANA name of the zone whose clock `cron` means. Default: America/New_York, whose midnight ends the vendor's days.
    #[schemars(extend("examples" = ["America/New_York"]))]
    pub timezone: String,
    /// What is exported: tiers (`minimal`, `core`, `wide`, `everything`), names of streams, a trailing `*` for all names
    /// that begin so, and any of these after `!` to leave them out. Default: `["core"]`.
    #[schemars(extend("minItems" = 1, "examples" = [["core", "!personas"]]))]
    pub streams: Vec<String>,
    /// Organizations, by id or name; a name that several have selects all of them. Default: all.
    #[schemars(extend("examples" = [["Acme"]]))]
    pub organizations: Vec<String>,
    /// Categories, by id or name; a name that several have selects all of them. Default: all.
    #[schemars(extend("examples" = [["Running shoes"]]))]
    pub categories: Vec<String>,
    /// Domains, by id or name. Default: all.
    #[schemars(extend("examples" = [["example.com"]]))]
    pub domains: Vec<String>,
    /// For which assets the streams are asked that are asked asset by asset: `"owned"`, `"all"` or a list of ids and
    /// names. Default: `"owned"`.
    #[schemars(extend("examples" = ["owned"]))]
    pub assets: AssetChoice,
    /// From this number of categories on, lists that rarely change (tags, topics and the like) are refreshed once a week
    /// instead of by every run; 0 means always once a week. Default: 50.
    #[schemars(extend("examples" = [50]))]
    pub weekly_refresh_min_categories: u32,
    /// First day wanted. Default: 30 days before the first run, remembered from then on.
    #[serde(deserialize_with = "optional_day")]
    #[schemars(schema_with = "day_schema", extend("examples" = ["2026-01-01"]))]
    pub start: Option<Day>,
    /// Whole days after its end during which a day is read again, because the service still revises it.
    /// Default: each stream's own.
    #[schemars(extend("examples" = ["5d"]))]
    pub lookback: Option<WholeDays>,
    /// Longest a run may take; what is left then is exported by the next one. Default: until the next start.
    #[schemars(extend("examples" = ["4h"]))]
    pub deadline: Option<Period>,
    /// Keeps a daily snapshot of every list (prompts, assets, categories and the like) in a table of its own,
    /// `<stream>_history`. Costs no request. Default: false.
    #[schemars(extend("examples" = [true]))]
    pub list_snapshots: bool,
    /// What becomes of a day or list that would lose all or more than half of its rows: `"confirm"` replaces it when the next
    /// run reads as many, `"accept"` at once, `"keep"` never. What waits is suspect. Default: `"confirm"`.
    #[schemars(extend("examples" = ["confirm"]))]
    pub on_shrink: OnShrink,
    /// Columns that are null in every row, as `stream.column`; `logs_raw*.ip` stands for all streams whose names begin so.
    /// Applied before anything touches the disk. Default: none.
    #[schemars(extend("examples" = [["integrations.account"]]))]
    pub drop: Vec<String>,
    /// Columns of text whose values are replaced by their SHA-256 with the salt of `[privacy]`, written like those of
    /// `drop`. Default: none.
    #[schemars(extend("examples" = [["logs_raw.ip"]]))]
    pub hash: Vec<String>,
}

impl Default for JobConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            cron: None,
            timezone: "America/New_York".to_owned(),
            streams: vec!["core".to_owned()],
            organizations: Vec::new(),
            categories: Vec::new(),
            domains: Vec::new(),
            assets: AssetChoice::Owned,
            weekly_refresh_min_categories: 50,
            start: None,
            lookback: None,
            deadline: None,
            list_snapshots: false,
            on_shrink: OnShrink::Confirm,
            drop: Vec::new(),
            hash: Vec::new(),
        }
    }
}

/// What becomes of a day or list that would lose all or more than half of its rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnShrink {
    /// It is replaced when the next run reads as many.
    #[default]
    Confirm,
    /// It is replaced at once.
    Accept,
    /// It is never replaced.
    Keep,
}

/// The assets that streams are asked for one by one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AssetChoice {
    /// The customer's own.
    #[default]
    Owned,
    /// Competitors too.
    All,
    /// These, by id or name.
    Named(Vec<String>),
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

impl<'de> Deserialize<'de> for AssetChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Choice;
        impl<'de> de::Visitor<'de> for Choice {
            type Value = AssetChoice;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("`\"owned\"`, `\"all\"` or a list of names")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<AssetChoice, E> {
                match text {
                    "owned" => Ok(AssetChoice::Owned),
                    "all" => Ok(AssetChoice::All),
                    name => Err(E::custom(format!(
                        "`{name}` is neither `owned` nor `all`; names stand in a list: `[\"{name}\"]`"
                    ))),
                }
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<AssetChoice, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(AssetChoice::Named(names))
            }
        }
        deserializer.deserialize_any(Choice)
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

/// Whether `name` may name a job: it becomes part of paths, labels and variables.
pub(super) fn is_job_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let rest = |byte: u8| plain(byte) || byte == b'-' || byte == b'_';
    name.len() <= 63 && name.bytes().next().is_some_and(plain) && name.bytes().all(rest)
}

/// What jobs are checked against.
pub(super) struct Known<'a> {
    /// The streams there are.
    pub(super) catalog: &'a Catalog,
    /// What the user gives to those that ask for it.
    pub(super) parameters: &'a StreamParameters,
    /// Streams of the user's own that are wrong, which is told already.
    pub(super) left_out: &'a BTreeSet<String>,
}

impl JobConfig {
    fn check_streams(&self, path: &str, known: &Known<'_>, problems: &mut Problems) {
        let is_known = |pattern: &&String| !known.left_out.contains(pattern.trim_start_matches('!'));
        let patterns: Vec<String> = self.streams.iter().filter(is_known).cloned().collect();
        if patterns.is_empty() && !self.streams.is_empty() {
            return;
        }
        if let Err(found) = select(known.catalog, &patterns) {
            found.into_iter().for_each(|found| problems.error(path, found.what, found.instead));
        }
        let lacking = |name: &&String| known.parameters.get(*name).is_none_or(Vec::is_empty);
        for name in patterns.iter().filter(lacking) {
            let Some(stream) = known.catalog.get(name).filter(|stream| !stream.parameters.is_empty()) else {
                continue;
            };
            problems.error(
                path,
                format!("`{name}` needs parameters that only you can supply"),
                format!("add `[[parameters.{name}]]` with {}", listed(stream.parameters.iter().map(String::as_str))),
            );
        }
    }

    /// Checks the job that stands at `path`, such as `job.0`.
    pub(super) fn check(&self, path: &str, known: &Known<'_>, problems: &mut Problems) {
        let key = |name: &str| format!("{path}.{name}");
        if self.name.is_empty() {
            problems.error(&key("name"), "the job has no name", "write for example `name = \"nightly\"`");
        } else if !is_job_name(&self.name) {
            let what = format!("`{}` cannot be part of a path and a label", self.name);
            problems.error(
                &key("name"),
                what,
                "write at most 63 lower case letters, digits, `-` and `_`, a letter or digit first",
            );
        }
        if let Some(Err(error)) = self.cron.as_deref().map(cron::parse) {
            problems.error(&key("cron"), error.what, error.instead);
        }
        match cron::zone(&self.timezone) {
            Err(error) => problems.error(&key("timezone"), error.what, error.instead),
            Ok(_) if ["EST", "MST", "HST"].contains(&self.timezone.as_str()) => problems.warn(
                &key("timezone"),
                format!("`{}` has no summer time: the clock on the wall moves, this one does not", self.timezone),
                "write a place, such as `America/New_York`",
            ),
            Ok(_) => {}
        }
        self.check_streams(&key("streams"), known, problems);
        for (name, list) in
            [("organizations", &self.organizations), ("categories", &self.categories), ("domains", &self.domains)]
        {
            if list.iter().any(String::is_empty) {
                problems.error(
                    &key(name),
                    "one of the names is empty",
                    "write ids or names, or leave the setting out for all",
                );
            }
        }
        match &self.assets {
            AssetChoice::Named(names) if names.is_empty() || names.iter().any(String::is_empty) => {
                let what = if names.is_empty() { "the list is empty" } else { "one of the names is empty" };
                problems.error(&key("assets"), what, "write ids or names, or `\"owned\"` or `\"all\"`");
            }
            _ => {}
        }
        if self.deadline.is_some_and(|deadline| deadline.0.is_zero()) {
            problems.error(
                &key("deadline"),
                "no run can end in no time",
                "write a length of time above zero, such as `4h`",
            );
        }
    }
}
