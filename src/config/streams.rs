//! `[[stream]]`: another grain of a known endpoint, or an endpoint that is not built in, declared as the catalog declares its
//! own.

use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::advice;
use super::problem::{InvalidValue, Problems, did_you_mean};
use super::tree::{Mismatch, deserialize};
use crate::catalog::{Catalog, CatalogError, NotARead, check_read, check_stream};
use crate::model::column::Column;
use crate::model::stream::{Fallback, Stream};

const OVERRIDE: &str = "override";
const EXTENDS: &str = "extends";
const READ_ONLY: &str = "read_only";
/// Members that are not part of a [`Stream`].
const OWN_MEMBERS: [&str; 3] = [OVERRIDE, EXTENDS, READ_ONLY];
/// Members that an extending stream does not inherit: its name, its tier, and whether other streams are requested for its
/// rows.
const NEVER_INHERITED: [&str; 3] = ["name", "tier", "discovers"];
/// The members that every stream must have, each with a valid value, so that the others can be checked if one is missing.
fn required() -> Value {
    json!({ "name": "x", "about": "x", "request": "GET /", "scope": "account", "key": [], "columns": [] })
}

/// A stream of the user's own, as it is written: the members of a [`Stream`], and `OWN_MEMBERS`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OwnStream(Map<String, Value>);

impl OwnStream {
    /// Empty while it has none.
    pub fn name(&self) -> &str {
        self.0.get("name").and_then(Value::as_str).unwrap_or_default()
    }
}

impl JsonSchema for OwnStream {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OwnStream".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Cannot fail: the text is a constant, and every test of the schema parses it.
        serde_json::from_str(include_str!("streams_schema.json")).expect("the schema of streams is valid")
    }
}

/// Whether `name` may be shown in place of the stream's position.
pub(super) fn is_stream_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().next().is_some_and(|first| first.is_ascii_lowercase()) && name.bytes().all(plain)
}

/// The streams of `built_in` and of the user, and the names of the user's streams that are invalid, which are reported and
/// left out.
pub(super) fn catalog(built_in: &Catalog, own: &[OwnStream], problems: &mut Problems) -> (Catalog, BTreeSet<String>) {
    let mut valid: Vec<(usize, Stream)> = Vec::new();
    let mut invalid = BTreeSet::new();
    for (index, stream) in own.iter().enumerate() {
        let declaration = Declaration { path: format!("stream.{index}"), own: &stream.0, built_in, earlier: &valid };
        match declaration.parse(problems) {
            Some(stream) => valid.push((index, stream)),
            None => drop(invalid.insert(stream.name().to_owned())),
        }
    }
    // Without this, the built-in streams would be checked once more.
    while !valid.is_empty() {
        let (stream, problem) = match built_in.with_streams(valid.iter().map(|(_, stream)| stream.clone()).collect()) {
            Ok(catalog) => return (catalog, invalid),
            Err(CatalogError::Stream { stream, problem }) => (stream, problem),
            Err(error) => (String::new(), error.to_string()),
        };
        let Some(position) = valid.iter().position(|(_, own)| own.name == stream) else {
            let what = format!("the built-in stream `{stream}` does not work with these streams: {problem}");
            problems.error("stream", what, "change what it depends on, or replace it too, with `override = true`");
            invalid.extend(valid.into_iter().map(|(_, stream)| stream.name));
            break;
        };
        let (index, stream) = valid.remove(position);
        problems.error(&format!("stream.{index}"), problem, "");
        invalid.insert(stream.name);
    }
    (built_in.clone(), invalid)
}

/// One `[[stream]]`.
struct Declaration<'a> {
    path: String,
    own: &'a Map<String, Value>,
    built_in: &'a Catalog,
    /// The valid streams before it.
    earlier: &'a [(usize, Stream)],
}

impl Declaration<'_> {
    /// The stream, or `None` when something is wrong with it, which is then reported.
    fn parse(&self, problems: &mut Problems) -> Option<Stream> {
        let errors = problems.errors.len();
        let is_replacement = self.flag(OVERRIDE, problems);
        let is_read_only = self.flag(READ_ONLY, problems);
        self.check_name(is_replacement, problems);
        let base = self.base(problems);
        let mut members = base.as_ref().map(|base| self.inherited(base)).unwrap_or_default();
        let own = self.own.iter().filter(|(name, _)| !OWN_MEMBERS.contains(&name.as_str()));
        members.extend(own.map(|(name, value)| (name.clone(), value.clone())));
        // What an unknown stream would have provided is not reported as missing too.
        let has_lost_base = base.is_none() && self.own.contains_key(EXTENDS);
        let required = required();
        for name in required.as_object().into_iter().flat_map(Map::keys).filter(|name| !members.contains_key(*name)) {
            if name == "name" {
                let instead = "write for example `name = \"visibility_v2_by_topic_region\"`";
                problems.error(&self.at(name), "the stream has no `name`", instead);
            } else if !has_lost_base {
                let instead = format!("set it, or name with `{EXTENDS}` a stream to inherit it from");
                problems.error(&self.at(name), format!("the stream has no `{name}`"), instead);
            }
        }
        let columns = members.insert("columns".into(), json!([]));
        let columns = columns.map(|columns| self.columns(&columns, &members, base.as_ref(), problems));
        self.check_members(&members, problems);
        if problems.errors.len() > errors {
            return None;
        }
        let mut stream: Stream = deserialize(&Value::Object(members)).ok()?;
        stream.columns = columns?;
        self.set_family(&mut stream, base.as_ref());
        self.check_request(&stream, is_read_only, problems);
        (problems.errors.len() == errors).then_some(stream)
    }

    fn at(&self, member: &str) -> String {
        format!("{}.{member}", self.path)
    }

    fn text(&self, member: &str) -> Option<&str> {
        self.own.get(member).and_then(Value::as_str)
    }

    fn flag(&self, member: &str, problems: &mut Problems) -> bool {
        let value = self.own.get(member);
        if value.is_some_and(|value| !value.is_boolean()) {
            let fault = InvalidValue::new("this is not `true` or `false`", format!("write `{member} = true`"));
            problems.reject(&self.at(member), fault);
        }
        value == Some(&Value::Bool(true))
    }

    fn check_name(&self, is_replacement: bool, problems: &mut Problems) {
        let Some(name) = self.text("name") else { return };
        let path = self.at("name");
        if let Some((first, _)) = self.earlier.iter().find(|(_, other)| other.name == name) {
            let what = problems.already_named("stream", *first, name);
            let instead = "give each stream its own name: it is the name of its table and its directory";
            return problems.error(&path, what, instead);
        }
        match (self.built_in.get(name), is_replacement) {
            (Some(built_in), false) => problems.error(
                &path,
                format!("`{name}` is a built-in stream of `{}`", built_in.request),
                "choose another name; or write `override = true` to replace it",
            ),
            (None, true) => {
                let names = self.built_in.streams().map(|stream| stream.name.as_str());
                let instead = did_you_mean(name, names, "remove the setting");
                problems.warn(&self.at(OVERRIDE), format!("there is no built-in stream `{name}` to replace"), instead);
            }
            _ => {}
        }
    }

    /// The stream that it extends.
    fn base(&self, problems: &mut Problems) -> Option<Stream> {
        let value = self.own.get(EXTENDS)?;
        let path = self.at(EXTENDS);
        let Some(name) = value.as_str() else {
            let instead = format!("write for example `{EXTENDS} = \"prompts\"`");
            problems.reject(&path, InvalidValue::new("this is not the name of a stream", instead));
            return None;
        };
        let streams = || self.earlier.iter().map(|(_, own)| own).chain(self.built_in.streams().map(AsRef::as_ref));
        let found = streams().find(|stream| stream.name == name).cloned();
        if found.is_none() {
            let otherwise =
                "`profound-export streams` lists them; declare a stream of your own above those that extend it";
            let instead = did_you_mean(name, streams().map(|stream| stream.name.as_str()), otherwise);
            problems.error(&path, format!("there is no stream `{name}`"), instead);
        }
        found
    }

    /// The members that it inherits from `base` unless it sets them.
    fn inherited(&self, base: &Stream) -> Map<String, Value> {
        // Cannot fail: a declaration is text, numbers and lists of them.
        let mut members =
            serde_json::to_value(base).ok().and_then(|value| value.as_object().cloned()).unwrap_or_default();
        members.retain(|_, value| !value.is_null());
        members.shift_remove("family");
        if self.text("name") != Some(&base.name) {
            members.retain(|name, _| !NEVER_INHERITED.contains(&name.as_str()));
            // A fallback of another grain would return other rows.
            if matches!(base.on_422, Some(Fallback::Stream(_))) {
                members.shift_remove("on_422");
            }
        }
        if self.own.get("request").is_some_and(|request| *request != json!(base.request)) {
            // The event stream of another request would return other rows.
            members.shift_remove("event_stream");
        }
        if self.text("request").is_some_and(|request| request.starts_with("GET ")) {
            members.shift_remove("body");
        }
        members
    }

    /// The columns: each declared in full, or named as another stream declares it.
    fn columns(
        &self,
        columns: &Value,
        members: &Map<String, Value>,
        base: Option<&Stream>,
        problems: &mut Problems,
    ) -> Vec<Column> {
        let path = self.at("columns");
        let Some(entries) = columns.as_array() else {
            let instead = "write for example `columns = [\"date\", \"count\"]`";
            problems.reject(&path, InvalidValue::new("this is not a list of columns", instead));
            return Vec::new();
        };
        let request = members.get("request").and_then(Value::as_str).unwrap_or_default();
        let same_request = self.built_in.streams().filter(|stream| stream.request.to_string() == request);
        let known: Vec<&Stream> = base.into_iter().chain(same_request.map(AsRef::as_ref)).collect();
        let has_lost_base = known.is_empty() && self.own.contains_key(EXTENDS);
        let mut found = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let path = format!("{path}.{index}");
            let Some(name) = entry.as_str() else {
                match deserialize(entry) {
                    Ok(column) => found.push(column),
                    Err(mismatch) => report(&mismatch, &path, &[], problems),
                }
                continue;
            };
            if let Some(column) = known.iter().find_map(|stream| stream.column(name)) {
                found.push(column.clone());
            } else if !has_lost_base {
                let names = known.iter().flat_map(|stream| &stream.columns).map(|column| column.name.as_str());
                let otherwise = format!("declare it: `{{ name = \"{name}\", type = \"utf8\", about = \"...\" }}`");
                let what = format!("no built-in stream of `{request}` has a column `{name}`");
                problems.error(&path, what, did_you_mean(name, names, otherwise));
            }
        }
        found
    }

    /// Reports every member that is wrong, each checked with placeholders for the required ones.
    fn check_members(&self, members: &Map<String, Value>, problems: &mut Problems) {
        for (name, value) in members {
            let mut probe = required();
            probe[name] = value.clone();
            if let Err(mismatch) = deserialize::<Stream>(&probe) {
                let more = if mismatch.path.len() == 1 { &OWN_MEMBERS[..] } else { &[] };
                report(&mismatch, &self.path, more, problems);
            }
        }
    }

    /// Facts learned about one stream of a family apply to the others, so it joins a family only if both count days alike.
    fn set_family(&self, stream: &mut Stream, base: Option<&Stream>) {
        if !stream.family.is_empty() {
            return;
        }
        let counting = |stream: &Stream| stream.days.as_ref().map(|days| (days.zone, days.end));
        let same_request = self.built_in.streams().filter(|other| other.request == stream.request);
        let mut candidates = base.into_iter().chain(same_request.map(AsRef::as_ref));
        let relative = candidates.find(|other| counting(other) == counting(stream));
        stream.family = relative.map_or_else(|| format!("own_{}", stream.name), |other| other.family.clone());
    }

    fn check_request(&self, stream: &Stream, is_read_only: bool, problems: &mut Problems) {
        if let Err(problem) = check_stream(stream) {
            return problems.error(&self.path, problem, "");
        }
        if let Err(not_a_read) = check_read(stream, self.built_in, is_read_only) {
            let instead = match not_a_read {
                NotARead::Path(_) => "write parameters under `query`, and variables in braces".to_owned(),
                NotARead::Writes { .. } => "remove the stream: there is nothing to export".to_owned(),
                NotARead::Unknown(_) => {
                    format!("write `{READ_ONLY} = true` if you know that the request is a query and changes nothing")
                }
            };
            problems.error(&self.at("request"), not_a_read.to_string(), instead);
        }
    }
}

/// Reports a mismatch below `path`, where `more` members are known than serde knows.
fn report(mismatch: &Mismatch, path: &str, more: &[&str], problems: &mut Problems) {
    let path = std::iter::once(path).chain(mismatch.path.iter().map(String::as_str)).collect::<Vec<_>>().join(".");
    let fault = advice::describe(mismatch, &path, more, problems);
    problems.invalid(&path, fault);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::Kind;

    /// The members of a declaration, as serde knows them.
    fn members() -> BTreeSet<String> {
        let mismatch = deserialize::<Stream>(&json!({"?": 1})).unwrap_err();
        let Kind::UnknownField(_, known) = mismatch.kind else { panic!("{mismatch:?}") };
        known.iter().chain(&OWN_MEMBERS).map(|name| (*name).to_owned()).collect()
    }

    fn schema() -> Value {
        serde_json::from_str(include_str!("streams_schema.json")).unwrap()
    }

    #[test]
    fn schema_knows_every_member_of_a_declaration_and_no_other() {
        let described: BTreeSet<String> = schema()["properties"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(described, members());
    }

    #[test]
    fn built_in_streams_are_valid_by_the_schema_and_round_trip() {
        /// What serde writes for members that are not set.
        fn remove_nulls(value: &mut Value) {
            match value {
                Value::Object(members) => {
                    members.retain(|_, value| !value.is_null());
                    members.values_mut().for_each(remove_nulls);
                }
                Value::Array(items) => items.iter_mut().for_each(remove_nulls),
                _ => {}
            }
        }
        let validator = jsonschema::validator_for(&schema()).unwrap();
        for stream in Catalog::embedded().unwrap().streams() {
            let mut written = serde_json::to_value(stream.as_ref()).unwrap();
            remove_nulls(&mut written);
            let errors: Vec<String> =
                validator.iter_errors(&written).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(errors.is_empty(), "{}: {errors:?}", stream.name);
            assert_eq!(&deserialize::<Stream>(&written).unwrap(), stream.as_ref());
        }
    }
}
