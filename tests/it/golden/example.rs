//! A published example: a request, its response, and the stream that sends such requests.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use profound_export::api::Variables;
use profound_export::catalog::Catalog;
use profound_export::model::scope::{Named, Scope, ScopePart};
use profound_export::model::stream::{RowsAt, Stream};
use serde_json::{Value, json};

/// Read once: every example names a stream of it.
static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::embedded().unwrap());

/// Examples without rows, which have tests of their own.
pub const NO_ROWS: [&str; 2] = ["errors.json", "robustness.stream.sse"];

/// The streams of examples whose files are not named after their stream.
const ASKED_BY: [(&str, &str); 11] = [
    ("citations_v2", "citations_v2_domain_by_model"),
    ("factcheck_scores_v2", "factcheck_scores_v2_by_model"),
    ("openai_ads_insights", "openai_ads_insights_campaign"),
    ("query_fanouts_v2", "query_fanouts_v2_by_query"),
    ("sentiment_v2", "sentiment_v2_by_theme"),
    ("shopping_brands_v2", "shopping_brands_v2_by_topic"),
    ("shopping_merchants_v2", "shopping_merchants_v2_by_day"),
    ("shopping_products_v2", "shopping_products_v2_by_day"),
    ("shopping_trigger_rate_v2", "shopping_trigger_rate_v2_by_prompt"),
    ("visibility_v2", "visibility_v2_by_model"),
    ("youtube_channels_v2", "youtube_channels_v2_by_channel"),
];

/// One request, its response, and the stream that sends such requests.
#[derive(Debug, Clone)]
pub struct Example {
    /// The file with the rows.
    pub file: String,
    pub stream: Arc<Stream>,
    /// Method and path, with variables where the path has them.
    pub operation: String,
    /// Method, path, query and body.
    pub request: Value,
    /// The body that the server sends.
    pub body: Vec<u8>,
    pub content_type: &'static str,
}

impl Example {
    /// Every example of rows, by file name.
    pub fn all() -> Vec<Self> {
        let answers = |file: &String| match file.rsplit_once(".stream") {
            // An event stream is a response; the JSON file of the same name has the request.
            Some((_, ending)) => ending == ".sse",
            None => file.ends_with(".json"),
        };
        let files = files().into_iter().filter(|file| answers(file) && !NO_ROWS.contains(&file.as_str()));
        files.map(|file| Self::of(&file)).collect()
    }

    /// The example in `file`.
    pub fn of(file: &str) -> Self {
        let events = file.ends_with(".sse");
        let whole: Value = serde_json::from_slice(&read(&file.replace(".sse", ".json"))).unwrap();
        let (body, content_type) = if events {
            (read(file), "text/event-stream; charset=utf-8")
        } else {
            (serde_json::to_vec(&whole["response"]["body"]).unwrap(), "application/json")
        };
        let stem = file.split('.').next().unwrap();
        let name = ASKED_BY.iter().find(|(of, _)| *of == stem).map_or(stem, |(_, name)| name);
        let stream = Arc::clone(CATALOG.get(name).unwrap_or_else(|| panic!("no stream reads {file}")));
        Self {
            file: file.to_owned(),
            stream,
            operation: whole["operation"].as_str().unwrap().to_owned(),
            request: whole["request"].clone(),
            body,
            content_type,
        }
    }

    /// Whether the response is an event stream.
    pub fn is_events(&self) -> bool {
        self.file.ends_with(".sse")
    }

    /// The variables that the request was made with, read out of it.
    pub fn variables(&self) -> Variables {
        let mut found = Variables::new();
        let mut insert = |template: &str, text_of: Option<&str>| {
            let name = template.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
            if let (Some(name), Some(text_of)) = (name, text_of) {
                found.insert(name.to_owned(), text_of.to_owned());
            }
        };
        let path = self.request["path"].as_str().unwrap();
        for (template, step) in self.stream.request.path.split('/').zip(path.split('/')) {
            insert(template, Some(step));
        }
        for (name, template) in url::form_urlencoded::parse(self.stream.query.as_bytes()) {
            insert(&template, self.request["query"][&*name].as_str());
        }
        for (name, template) in &self.stream.body {
            // A text may be a value or the only item of a list.
            let only = |value: &'_ Value| value.as_str().or_else(|| value[0].as_str()).map(str::to_owned);
            insert(&only(template).unwrap_or_default(), only(&self.request["body"][name]).as_deref());
        }
        found
    }

    /// The scope of the request. Examples do not always contain every part of it.
    pub fn scope(&self) -> Scope {
        let variables = self.variables();
        let named = |part: ScopePart, member: &str| {
            let text_of = |name: &str| {
                let value = ["body", "query"].iter().find_map(|place| self.request[place][name].as_str());
                value.map(str::to_owned).or_else(|| variables.get(name).cloned())
            };
            let id = text_of(&format!("{}_id", part.path_key())).or_else(|| text_of(member));
            let id = id.unwrap_or_else(|| part.path_key().to_owned());
            let requested = self.stream.scope.parts().contains(&part);
            let name = text_of(member).or_else(|| text_of(&format!("{member}_name")));
            requested.then(|| Named { name: name.unwrap_or_else(|| id.clone()), id })
        };
        Scope {
            organization: named(ScopePart::Organization, "organization"),
            category: named(ScopePart::Category, "category"),
            asset: named(ScopePart::Asset, "asset"),
            domain: named(ScopePart::Domain, "domain"),
        }
    }

    /// The rows of the response, found without the exporter's code.
    pub fn rows(&self) -> Vec<Value> {
        if self.is_events() {
            let text = String::from_utf8(self.body.clone()).unwrap();
            let events = text.split("\n\n").filter_map(|event| event.split_once("\ndata: "));
            let rows = events.filter(|(event, _)| ["event: result", "event: row"].contains(event));
            return rows.map(|(_, data)| serde_json::from_str(data).unwrap()).collect();
        }
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        match &self.stream.rows {
            RowsAt::Body => vec![body],
            RowsAt::Members { names, .. } => names.iter().flat_map(|name| list(&body[name])).collect(),
            RowsAt::Data | RowsAt::Texts { .. } => list(body.get("data").unwrap_or(&body)),
        }
    }

    /// The dimensions by which rows are grouped, in the example and in its stream.
    pub fn groups(&self) -> [BTreeSet<String>; 2] {
        let names = |body: &Value| body["group_by"].as_array().into_iter().flatten().map(Value::to_string).collect();
        [names(&self.request["body"]), names(&json!(self.stream.body))]
    }
}

/// The directory of the examples.
pub fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The bytes of an example.
pub fn read(file: &str) -> Vec<u8> {
    std::fs::read(directory().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The names of all example files, without snapshots.
pub fn files() -> BTreeSet<String> {
    names_in(&directory()).into_iter().filter(|file| !file.ends_with(".snap")).collect()
}

/// The names of the files in a directory.
pub fn names_in(directory: &std::path::Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
