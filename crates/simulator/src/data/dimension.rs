//! The dimensions: which objects the values of a column name, by the column's name alone.

use catalog::model::column::{Column, ColumnType};
use serde_json::{Value, json};

use super::invented::{invented, is_id, open_object, snake_case};
use super::objects::{AccountObjects, Object, Subject, object};
use super::seeded::{mix, pick, salt as name_salt, uuid};
use super::vocabulary::WORDS;

/// A kind of object that rows can be distinguished by. All columns of one kind describe the same object of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Dimension {
    Asset,
    Competitor,
    Model,
    Topic,
    Region,
    Prompt,
    Persona,
    Tag,
    Theme,
    Claim,
    /// An execution of a prompt; there are as many as rows.
    Run,
    Query,
    /// A web site that is cited.
    Site,
    /// A page that is cited.
    Page,
    CitationCategory,
    /// A host of the scope's domain.
    Host,
    /// A path of the scope's domain.
    Path,
    Bot,
    ReferralSource,
    /// Unknown to the vocabulary: objects follow from the column's declaration.
    Declared(Box<Column>),
}

/// The name of a persona or tag that a prompt lacks.
pub(crate) const NONE: &str = "(none)";

/// How many objects of a long vocabulary are kept ready; further ones are made row by row.
const READY: u64 = 4096;

impl Dimension {
    /// The kind of object that the column `name` describes.
    pub(crate) fn from_column_name(name: &str) -> Option<Self> {
        Some(match snake_case(name).as_str() {
            "asset" | "asset_id" | "asset_name" | "brand" | "mentions" => Self::Asset,
            "competitor" | "competitor_id" => Self::Competitor,
            "model" | "model_id" | "platform" | "platforms" => Self::Model,
            "topic" | "topic_id" => Self::Topic,
            "region" | "region_id" | "regions" => Self::Region,
            "prompt" | "prompt_id" | "language" => Self::Prompt,
            "persona" | "persona_id" | "personas" => Self::Persona,
            "tag" | "tag_id" | "tags" => Self::Tag,
            "theme" | "theme_id" | "themes" | "sentiment_themes" => Self::Theme,
            "claim" | "claim_id" => Self::Claim,
            "run" | "run_id" | "execution_id" => Self::Run,
            "query" | "search_query" | "search_queries" => Self::Query,
            "domain" | "hostname" | "root_domain" | "cited_websites" => Self::Site,
            "url" | "href" | "page" | "citation" | "citations" | "citation_details" | "web_search_results" => {
                Self::Page
            }
            "citation_category" => Self::CitationCategory,
            "host" => Self::Host,
            "path" => Self::Path,
            "bot_name" | "bot_provider" | "bot_type" => Self::Bot,
            "referral_source" => Self::ReferralSource,
            _ => return None,
        })
    }

    /// Whether it is known before there is an answer.
    pub(crate) fn is_of_the_question(&self) -> bool {
        use Dimension::{Model, Persona, Prompt, Region, Run, Tag, Topic};
        matches!(self, Model | Persona | Prompt | Region | Run | Tag | Topic)
    }

    /// The kinds of object that imply this one: a prompt has its topic, a page its site. The first present one counts.
    pub(crate) fn implied_by(&self) -> &'static [Self] {
        match self {
            Self::Topic | Self::Tag => &[Self::Prompt],
            Self::Site | Self::CitationCategory | Self::Path => &[Self::Page],
            _ => &[],
        }
    }

    /// How readily the vocabulary grows when a day has more rows than there are combinations (0 is never), the label of
    /// its objects, and their names as far as they are known.
    fn vocabulary(&self) -> (u8, &'static str, &'static [String]) {
        match self {
            Self::Run => (9, "Run", &[]),
            Self::Page => (8, "Page", &[]),
            Self::Query => (7, "query", &WORDS.queries),
            Self::Site => (6, "Site", &[]),
            Self::Path => (5, "Path", &WORDS.paths),
            Self::Prompt => (4, "Prompt", &[]),
            Self::Claim => (3, "Claim", &WORDS.claims),
            Self::Theme => (2, "Theme", &WORDS.themes),
            Self::Persona => (2, "Persona", &[]),
            Self::Tag => (2, "Tag", &[]),
            Self::Asset | Self::Competitor => (1, "asset", &WORDS.assets),
            Self::Topic => (1, "Topic", &[]),
            Self::Declared(column) => (u8::from(column.values.is_empty()), "", &[]),
            Self::Model => (0, "Engine", &[]),
            Self::Region => (0, "Region", &[]),
            Self::CitationCategory => (0, "citation-category", &WORDS.citation_categories),
            Self::ReferralSource => (0, "referral-source", &WORDS.referral_sources),
            Self::Host | Self::Bot => (0, "", &[]),
        }
    }

    /// The objects of this kind that the account lists for `subject`, if it lists any.
    fn listed<'a>(&self, objects: &'a AccountObjects, subject: &Subject) -> Option<&'a [Object]> {
        let category = objects.category(&subject.scope);
        match self {
            Self::Model => Some(&objects.models),
            Self::Region => Some(&objects.regions),
            Self::Asset | Self::Competitor => category.map(|category| &category.assets[..]),
            Self::Topic => category.map(|category| &category.topics[..]),
            Self::Persona => category.map(|category| &category.personas[..]),
            Self::Tag => category.map(|category| &category.tags[..]),
            Self::Prompt => category.map(|category| &category.prompts[..]),
            _ => None,
        }
    }

    /// How readily the vocabulary grows; see [`Self::vocabulary`].
    pub(crate) fn elasticity(&self) -> u8 {
        self.vocabulary().0
    }

    /// How many objects of this kind the account knows; at least one.
    pub(crate) fn len(&self, objects: &AccountObjects, subject: &Subject) -> u64 {
        let known = match self {
            Self::Query => WORDS.queries.len() * 3,
            Self::Site => WORDS.sites.len(),
            Self::Page => WORDS.sites.len() * 5,
            Self::Host => 3,
            Self::Bot => WORDS.bots.len(),
            Self::Declared(column) if column.values.is_empty() => 8,
            Self::Declared(column) => column.values.len(),
            _ => self.listed(objects, subject).map_or(self.vocabulary().2.len(), <[Object]>::len),
        };
        known.max(1) as u64
    }

    /// How many of `len` objects are kept ready.
    pub(crate) fn ready(&self, len: u64) -> u64 {
        if *self == Self::Run { 0 } else { len.min(READY) }
    }

    /// The object at `index`. Beyond [`Self::len`] it is one that no list contains.
    pub(crate) fn object(&self, objects: &AccountObjects, subject: &Subject, index: u64) -> Object {
        let position = index as usize;
        if let Some(listed) = self.listed(objects, subject).and_then(|listed| listed.get(position)) {
            return listed.clone();
        }
        let (_, label, names) = self.vocabulary();
        let name = names.get(position).cloned().unwrap_or_else(|| format!("{label} {index}"));
        match (self, objects.category(&subject.scope)) {
            (Self::Prompt, Some(category)) => objects.prompt(category, position),
            (Self::Query, _) if position >= names.len() => {
                let name = format!("{} {}", names[position % names.len()], position / names.len());
                object(json!({ "id": null, "name": name }))
            }
            // What reports name where a prompt has none.
            (Self::Persona | Self::Tag, Some(_)) if self.len(objects, subject) == index => {
                object(json!({ "id": NONE, "name": NONE }))
            }
            (Self::Site, _) => site(position),
            (Self::Page, _) => page(position),
            (Self::Host, _) => {
                let domain = subject.scope.domain.as_ref();
                let name = domain.map_or("www.northwind-tea.example", |domain| &domain.name);
                let bare = name.trim_start_matches("www.");
                let hosts = [name, bare, &format!("shop.{bare}")];
                object(json!({ "id": null, "name": hosts[position % 3] }))
            }
            (Self::Path, _) if position >= names.len() => {
                object(json!({ "name": format!("/archive/{}/{index}", index % 97) }))
            }
            (Self::Path, _) => object(json!({ "name": name })),
            (Self::Bot, _) => {
                let [name, provider, kind] = pick(&WORDS.bots, index);
                object(json!({ "name": name, "bot_name": name, "bot_provider": provider, "bot_type": kind }))
            }
            (Self::Declared(column), _) => declared(column, objects, subject, index),
            _ => {
                let mut named = object(json!({ "id": uuid(objects.seed, &format!("{label}/{name}")), "name": name }));
                if *self == Self::Theme {
                    named.insert("type".into(), json!((["positive", "negative"][position % 2])));
                }
                named
            }
        }
    }
}

/// The object at `index` of a column that the vocabulary does not know.
fn declared(column: &Column, objects: &AccountObjects, subject: &Subject, index: u64) -> Object {
    let name = column.name.as_str();
    if let Some(value) = column.values.get(index as usize) {
        return object(json!({ "id": value, "name": value, name: value }));
    }
    let label = format!("{name} {index}");
    let path = format!("{name}/{index}");
    let value = match invented(name, &column.data_type, &[], index.wrapping_add(1)) {
        Value::String(_) if is_id(name) => json!(uuid(subject.identity(objects.seed, "id"), &path)),
        Value::String(_) => json!(label),
        Value::Number(_) => json!(index),
        Value::Object(_) if column.data_type == ColumnType::Json => open_object(name, index),
        other => other,
    };
    object(json!({ "id": uuid(objects.seed, &path), "name": label, name: value }))
}

fn site(position: usize) -> Object {
    let unknown = || [format!("site-{position}.example"), "other".to_owned()];
    let [name, category] = WORDS.sites.get(position).cloned().unwrap_or_else(unknown);
    object(json!({
        "id": null, "name": name, "domain": name, "hostname": name, "root_domain": name,
        "citation_category": category, "title": format!("About {name}"),
    }))
}

fn page(position: usize) -> Object {
    let sites = WORDS.sites.len();
    let [host, category] = &WORDS.sites[position % sites];
    let path = match WORDS.paths.get(position / sites) {
        // A URL that does not fit into small buffers: about 5 kB.
        _ if position == 7 => format!("/redirect?state={}", "q%3D%E2%98%83".repeat(400)),
        // Each site has a few of the paths, and no page twice.
        Some(path) if position.is_multiple_of(3) => format!("{path}#{position}"),
        Some(path) => path.clone(),
        None => format!("/archive/{position}"),
    };
    let bare = path.split(['?', '#']).next().unwrap_or_default();
    let title = if position % 5 == 4 { String::new() } else { format!("\"Best\" of {host} – № {position}") };
    let sentence = pick(&WORDS.sentences, position as u64);
    object(json!({
        "id": null,
        "name": format!("{host}{path}"),
        "url": format!("https://{host}{path}"),
        "page": format!("{host}{path}"),
        "clean_url": format!("{host}{bare}"),
        "domain": host, "hostname": host, "root_domain": host, "host": host, "path": bare,
        "title": title,
        "text": (!position.is_multiple_of(3)).then_some(sentence),
        "first_cited_at": format!("2025-0{}-{:02}T00:00:00Z", position % 6 + 1, position % 28 + 1),
        "citation_category": category,
    }))
}

/// What the column `name` says of the object `of`; invented where the object does not say it.
pub(crate) fn describe(of: &Object, name: &str, data_type: &ColumnType, values: &[String], salt: u64) -> Value {
    let member = of.get(name);
    let invent = || invented(name, data_type, values, salt);
    match (data_type, member) {
        // An object written as text goes by its id where the column is called so, otherwise by its name.
        (ColumnType::Utf8, Some(Value::Object(inner))) if inner.contains_key("name") => inner["name"].clone(),
        (ColumnType::Utf8, Some(text @ (Value::String(_) | Value::Null))) => text.clone(),
        (ColumnType::Utf8, _) if is_id(name) => of.get("id").cloned().unwrap_or_default(),
        (ColumnType::Utf8, _) => of.get("name").cloned().unwrap_or_else(invent),
        (ColumnType::Struct(_) | ColumnType::List(_), Some(Value::Null)) => Value::Null,
        (ColumnType::Struct(fields), _) => {
            // A persona's `persona` is its profile; as a reference it is the persona itself.
            let has_field = |inner: &&Object| fields.iter().any(|(field, _)| inner.contains_key(field));
            let source = member.and_then(Value::as_object).filter(has_field).unwrap_or(of);
            let field = |(field, inner): &(String, ColumnType)| {
                let value = match (source.get(field), inner) {
                    (Some(Value::Object(object)), ColumnType::Struct(_)) => describe(object, field, inner, &[], salt),
                    (Some(value), _) => value.clone(),
                    (None, _) => invented(field, inner, &[], mix(salt ^ name_salt(0, field))),
                };
                (field.clone(), value)
            };
            Value::Object(fields.iter().map(field).collect())
        }
        (ColumnType::List(item), Some(Value::Array(items))) => {
            let describe_item = |value: &Value| match (value, &**item) {
                (Value::Object(object), ColumnType::Utf8) => object.get("name").cloned().unwrap_or_default(),
                (Value::Object(object), inner) => describe(object, name, inner, &[], salt),
                (value, _) => value.clone(),
            };
            items.iter().map(describe_item).collect()
        }
        (ColumnType::List(_), _) => invent(),
        _ => member.cloned().unwrap_or_else(invent),
    }
}
