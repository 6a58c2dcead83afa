//! `[[stream]]`: another grain of a known endpoint, or an endpoint nobody knew, declared as the catalog declares its own.

use std::collections::BTreeSet;

use figment::error::{Error, Kind};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::in_words;
use super::problem::{Problems, nearest};
use crate::catalog::{Catalog, CatalogError, NotARead, check_read, check_stream};
use crate::model::column::Column;
use crate::model::stream::{Fallback, Stream};

/// A stream of the user's own, as it is written: the members of a [`Stream`], and `override`, `extends` and `read_only`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OwnStream(Map<String, Value>);

impl OwnStream {
    /// Its name; empty while it has none.
    pub fn name(&self) -> &str {
        self.0.get("name").and_then(Value::as_str).unwrap_or_default()
    }
}

impl JsonSchema for OwnStream {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OwnStream".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Cannot fail: the text is a constant, and every test of the schema reads it.
        serde_json::from_str(include_str!("streams_schema.json")).expect("the schema of streams is one")
    }
}

/// Members that are no part of the declaration itself.
const OWN_MEMBERS: [&str; 3] = ["override", "extends", "read_only"];
/// Members that a new stream must say for itself: what it is called, where it belongs, whether other streams are asked for
/// its rows. A fallback of another grain would stand in for the wrong rows.
const NEVER_TAKEN: [&str; 3] = ["name", "tier", "discovers"];
/// Members without which there is no stream, each with something that lets the others be read while it is wrong.
const REQUIRED: [(&str, &str); 6] = [
    ("name", "\"x\""),
    ("about", "\"x\""),
    ("request", "\"GET /\""),
    ("scope", "\"account\""),
    ("key", "[]"),
    ("columns", "[]"),
];

/// Whether `name` may be shown in place of the stream's position.
pub(super) fn is_stream_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().next().is_some_and(|first| first.is_ascii_lowercase()) && name.bytes().all(plain)
}

/// The streams of `built_in` and of the user. What is wrong is told, and left out; the second value holds the names of
/// what was left out.
pub(super) fn catalog(built_in: &Catalog, own: &[OwnStream], problems: &mut Problems) -> (Catalog, BTreeSet<String>) {
    let mut declared: Vec<(usize, Stream)> = Vec::new();
    let mut left_out = BTreeSet::new();
    if own.is_empty() {
        // Nothing to check once more.
        return (built_in.clone(), left_out);
    }
    for (index, stream) in own.iter().enumerate() {
        let reading = Reading { path: format!("stream.{index}"), own: &stream.0, built_in, declared: &declared };
        match reading.read(problems) {
            Some(stream) => declared.push((index, stream)),
            None => {
                left_out.insert(stream.name().to_owned());
            }
        }
    }
    loop {
        let (stream, problem) = match built_in.with_streams(declared.iter().map(|(_, stream)| stream.clone()).collect())
        {
            Ok(catalog) => return (catalog, left_out),
            Err(CatalogError::Stream { stream, problem }) => (stream, problem),
            Err(error) => (String::new(), error.to_string()),
        };
        let Some(position) = declared.iter().position(|(_, own)| own.name == stream) else {
            let what = format!("the built-in stream `{stream}` does not fit beside these: {problem}");
            problems.error("stream", what, "change what it depends on, or replace it too, with `override = true`");
            left_out.extend(declared.into_iter().map(|(_, stream)| stream.name));
            return (built_in.clone(), left_out);
        };
        let (index, stream) = declared.remove(position);
        problems.error(&format!("stream.{index}"), problem, "");
        left_out.insert(stream.name);
    }
}

/// One stream while it is read.
struct Reading<'a> {
    path: String,
    own: &'a Map<String, Value>,
    built_in: &'a Catalog,
    /// The streams declared before it.
    declared: &'a [(usize, Stream)],
}

impl Reading<'_> {
    fn at(&self, member: &str) -> String {
        format!("{}.{member}", self.path)
    }

    /// The stream; none when something is wrong with it, which is then told.
    fn read(&self, problems: &mut Problems) -> Option<Stream> {
        let before = problems.errors.len();
        let replaces = self.truth("override", problems);
        let promised = self.truth("read_only", problems);
        self.check_name(replaces, problems);
        let like = self.extended(problems);
        let mut members = like.as_ref().map(|like| self.taken(like)).unwrap_or_default();
        for (name, value) in self.own.iter().filter(|(name, _)| !OWN_MEMBERS.contains(&name.as_str())) {
            members.insert(name.clone(), value.clone());
        }
        // What would have been taken from a stream that is not there is not told too.
        let is_lost = like.is_none() && self.own.contains_key("extends");
        for (name, _) in REQUIRED.iter().filter(|(name, _)| !members.contains_key(*name)) {
            if is_lost && *name != "name" {
                continue;
            }
            let instead = match *name {
                "name" => "write for example `name = \"visibility_v2_by_region\"`",
                _ => "say it, or name with `extends` a stream that it is to be taken from",
            };
            problems.error(&self.at(name), format!("the stream has no `{name}`"), instead);
        }
        let columns = members.get("columns").cloned();
        let columns = columns.map(|columns| self.columns(&columns, &members, like.as_ref(), problems));
        members.insert("columns".into(), json!([]));
        let mut stream = self.deserialize(members, problems);
        if problems.errors.len() != before {
            return None;
        }
        let stream = stream.as_mut()?;
        stream.columns = columns?;
        self.name_family(stream, like.as_ref());
        self.check(stream, promised, problems);
        (problems.errors.len() == before).then(|| stream.clone())
    }

    /// The value of a member that is true or false.
    fn truth(&self, member: &str, problems: &mut Problems) -> bool {
        match self.own.get(member) {
            None => false,
            Some(Value::Bool(value)) => *value,
            Some(_) => {
                problems.refuse(&self.at(member), "this is not `true` or `false`", format!("write `{member} = true`"));
                false
            }
        }
    }

    fn check_name(&self, replaces: bool, problems: &mut Problems) {
        let Some(name) = self.own.get("name").and_then(Value::as_str) else {
            return;
        };
        let path = self.at("name");
        if let Some((first, _)) = self.declared.iter().find(|(_, other)| other.name == name) {
            let place = problems.places.of(&format!("stream.{first}.name")).map(|place| format!(" ({place})"));
            let what = format!("another stream is called `{name}` too{}", place.unwrap_or_default());
            problems.error(&path, what, "give each stream a name of its own: it is its table and its directory");
            return;
        }
        match (self.built_in.get(name), replaces) {
            (Some(taken), false) => problems.error(
                &path,
                format!("`{name}` is a built-in stream, which asks `{}`", taken.request),
                "choose another name; or write `override = true` if it is to be replaced",
            ),
            (None, true) => problems.warn(
                &self.at("override"),
                format!("there is no built-in stream `{name}` to replace"),
                nearest(name, self.built_in.streams().map(|stream| stream.name.as_str()))
                    .map_or_else(|| "leave it out".to_owned(), |near| format!("did you mean `{near}`?")),
            ),
            _ => {}
        }
    }

    /// The stream it is like.
    fn extended(&self, problems: &mut Problems) -> Option<Stream> {
        let value = self.own.get("extends")?;
        let path = self.at("extends");
        let Some(name) = value.as_str() else {
            problems.refuse(&path, "this is not the name of a stream", "write for example `extends = \"prompts\"`");
            return None;
        };
        let own = self.declared.iter().map(|(_, stream)| stream).find(|stream| stream.name == name);
        let found = own.or_else(|| self.built_in.get(name).map(AsRef::as_ref)).cloned();
        if found.is_none() {
            let names = self.built_in.streams().map(|stream| stream.name.as_str());
            let instead = match nearest(name, names.chain(self.declared.iter().map(|(_, other)| other.name.as_str()))) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`profound-export streams` lists them; one of your own must stand above".to_owned(),
            };
            problems.error(&path, format!("there is no stream `{name}`"), instead);
        }
        found
    }

    /// What is taken from `extends` where nothing else is given.
    fn taken(&self, like: &Stream) -> Map<String, Value> {
        // A declaration is text, numbers and lists of them: it serializes.
        let mut members =
            serde_json::to_value(like).ok().and_then(|value| value.as_object().cloned()).unwrap_or_default();
        members.retain(|_, value| !value.is_null());
        members.remove("family");
        if self.own.get("name").and_then(Value::as_str) != Some(&like.name) {
            NEVER_TAKEN.iter().for_each(|name| drop(members.shift_remove(*name)));
            if matches!(like.on_422, Some(Fallback::Stream(_))) {
                members.shift_remove("on_422");
            }
        }
        let same_request = self.own.get("request").is_none_or(|request| *request == json!(like.request));
        if !same_request {
            // The twin of another request would bring other rows.
            members.shift_remove("event_stream");
        }
        if self.own.get("request").and_then(Value::as_str).is_some_and(|request| request.starts_with("GET ")) {
            members.shift_remove("body");
        }
        members
    }

    /// The columns: each as it is declared, or by its name alone as another stream declares it.
    fn columns(
        &self,
        columns: &Value,
        members: &Map<String, Value>,
        like: Option<&Stream>,
        problems: &mut Problems,
    ) -> Vec<Column> {
        let path = self.at("columns");
        let Some(entries) = columns.as_array() else {
            problems.refuse(
                &path,
                "this is not a list of columns",
                "write for example `columns = [\"date\", \"count\"]`",
            );
            return Vec::new();
        };
        let request = members.get("request").cloned().unwrap_or_default();
        let same = self.built_in.streams().filter(|stream| json!(stream.request) == request).map(AsRef::as_ref);
        let known: Vec<&Stream> = like.into_iter().chain(same).collect();
        let mut found = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let path = format!("{path}.{index}");
            match entry.as_str() {
                Some(name) => match known.iter().find_map(|stream| stream.column(name)) {
                    Some(column) => found.push(column.clone()),
                    None if known.is_empty() && like.is_none() && self.own.contains_key("extends") => {}
                    None => {
                        let names = known.iter().flat_map(|stream| &stream.columns).map(|column| column.name.as_str());
                        let instead = match nearest(name, names) {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => format!("declare it: `{{ name = \"{name}\", type = \"utf8\", about = \"...\" }}`"),
                        };
                        let what = format!("no built-in stream of `{}` has a column `{name}`", text(&request));
                        problems.error(&path, what, instead);
                    }
                },
                None => match deserialized::<Column>(entry) {
                    Ok(column) => found.push(column),
                    Err(error) => tell(&error, &path, problems),
                },
            }
        }
        found
    }

    /// Reads all members but the columns; what is refused is told and replaced, then the rest is tried again.
    fn deserialize(&self, mut members: Map<String, Value>, problems: &mut Problems) -> Option<Stream> {
        loop {
            for (name, stand_in) in REQUIRED {
                if !members.contains_key(name) {
                    members.insert(name.into(), serde_json::from_str(stand_in).unwrap_or_default());
                }
            }
            let error = match deserialized::<Stream>(&Value::Object(members.clone())) {
                Ok(stream) => return Some(stream),
                Err(error) => error,
            };
            tell(&error, &self.path, problems);
            let member = match (&error.kind, error.path.first()) {
                (_, Some(member)) => member.clone(),
                (Kind::UnknownField(name, _), None) => name.clone(),
                _ => return None,
            };
            members.shift_remove(&member)?;
        }
    }

    /// What is learned of one stream of a family is believed of the others, so it joins one only where days are counted
    /// alike.
    fn name_family(&self, stream: &mut Stream, like: Option<&Stream>) {
        if !stream.family.is_empty() {
            return;
        }
        let counts = |stream: &Stream| stream.days.as_ref().map(|days| (days.zone, days.end));
        let same = self.built_in.streams().map(AsRef::as_ref).filter(|other| other.request == stream.request);
        let alike = like.into_iter().chain(same).find(|other| counts(other) == counts(stream));
        stream.family = alike.map_or_else(|| format!("own_{}", stream.name), |other| other.family.clone());
    }

    fn check(&self, stream: &Stream, promised: bool, problems: &mut Problems) {
        if let Err(problem) = check_stream(stream) {
            return problems.error(&self.path, problem, "");
        }
        if let Err(refused) = check_read(stream, self.built_in, promised) {
            let instead = match refused {
                NotARead::Path(_) => "write parameters under `query`, and variables in braces",
                NotARead::Writes { .. } => "leave it out: there is nothing to export there",
                NotARead::Unknown(_) => "write `read_only = true` if you know that it is a query and changes nothing",
            };
            problems.error(&self.at("request"), refused.to_string(), instead);
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Reads JSON with errors that know the path to what is wrong.
fn deserialized<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, Box<Error>> {
    let value = figment::value::Value::serialize(value).map_err(Box::new)?;
    value.deserialize().map_err(Box::new)
}

/// Tells of an error below `path`.
fn tell(error: &Error, path: &str, problems: &mut Problems) {
    let steps: Vec<&str> = std::iter::once(path).chain(error.path.iter().map(String::as_str)).collect();
    let path = steps.join(".");
    match &error.kind {
        Kind::MissingField(name) => {
            problems.error(&path, format!("`{name}` is missing"), "");
        }
        Kind::UnknownField(name, known) => {
            let own = if path.split('.').count() == 2 { &OWN_MEMBERS[..] } else { &[] };
            let known = known.iter().copied().chain(own.iter().copied());
            let path = if path.ends_with(&format!(".{name}")) { path } else { format!("{path}.{name}") };
            let instead = match nearest(name, known.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here are {}", super::listed(known)),
            };
            problems.error(&path, "no such setting", instead);
        }
        _ => {
            let (what, instead) = in_words(error, &path, problems);
            problems.error(&path, what, instead);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The members of a declaration, as serde knows them.
    fn members() -> BTreeSet<String> {
        let error = deserialized::<Stream>(&json!({"?": 1})).unwrap_err();
        let Kind::UnknownField(_, known) = error.kind else {
            panic!("{error}");
        };
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
    fn built_in_streams_are_valid_by_the_schema_and_read_as_they_are_written() {
        let validator = jsonschema::validator_for(&schema()).unwrap();
        for stream in Catalog::embedded().unwrap().streams() {
            let mut written = serde_json::to_value(stream.as_ref()).unwrap();
            written.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            if let Some(days) = written.get_mut("days").and_then(Value::as_object_mut) {
                days.retain(|_, value| !value.is_null());
            }
            for member in ["discovers", "parent"] {
                if let Some(inner) = written.get_mut(member).and_then(Value::as_object_mut) {
                    inner.retain(|_, value| !value.is_null());
                }
            }
            let errors: Vec<String> =
                validator.iter_errors(&written).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(errors.is_empty(), "{}: {errors:?}", stream.name);
            assert_eq!(&deserialized::<Stream>(&written).unwrap(), stream.as_ref());
        }
    }
}
