//! The vocabulary: which objects the values of a column name, by the column's name alone.

use serde_json::{Value, json};

use catalog::model::column::{Column, ColumnType};

use super::hash::{mix, uuid};
use super::invent::{invented, is_id, open_object, snake_case};
use super::words;
use super::world::{self, Entry, Place, World, object, text};

/// A kind of object that rows can be told apart by. Columns of one kind tell of the same object of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Axis {
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
    /// An execution; as many as there are rows.
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
    /// Something no vocabulary knows: values follow from the column's declaration.
    Other(Box<Column>),
}

/// How many objects of a long vocabulary are kept ready; further ones are made row by row.
const READY: u64 = 4096;

impl Axis {
    /// The kind of object that the column `name` tells of.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match &*snake_case(name) {
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

    /// The kinds of object that imply `self`: a prompt has its topic, a page its site. The first present is asked.
    pub(super) fn implied_by(&self) -> &'static [Self] {
        match self {
            Self::Topic | Self::Tag => &[Self::Prompt],
            Self::Site | Self::CitationCategory | Self::Path => &[Self::Page],
            _ => &[],
        }
    }

    /// How readily the vocabulary grows when a day has more rows than there are combinations; 0 is never.
    pub(super) fn elasticity(&self) -> u8 {
        match self {
            Self::Run => 9,
            Self::Page => 8,
            Self::Query => 7,
            Self::Site => 6,
            Self::Path => 5,
            Self::Prompt => 4,
            Self::Claim => 3,
            Self::Theme | Self::Persona | Self::Tag => 2,
            Self::Other(column) if !column.values.is_empty() => 0,
            Self::Asset | Self::Competitor | Self::Topic | Self::Other(_) => 1,
            _ => 0,
        }
    }

    /// How many objects of this kind the account knows.
    pub(super) fn len(&self, world: &World, place: &Place) -> u64 {
        let category = world.category(place);
        let len = match self {
            Self::Asset => category.map_or(words::ASSETS.len(), |category| category.assets.len()),
            Self::Competitor => words::ASSETS.len(),
            Self::Model => world.models.len(),
            Self::Topic => category.map_or(1, |category| category.topics.len()),
            Self::Region => world.regions.len(),
            Self::Prompt => category.map_or(1, |category| category.prompts.len().max(1)),
            Self::Persona => category.map_or(1, |category| category.personas.len()),
            Self::Tag => category.map_or(1, |category| category.tags.len()),
            Self::Theme => words::THEMES.len(),
            Self::Claim => words::CLAIMS.len(),
            Self::Run => 1,
            Self::Query => words::QUERIES.len() * 3,
            Self::Site => words::SITES.len(),
            Self::Page => words::SITES.len() * 5,
            Self::CitationCategory => words::CITATION_CATEGORIES.len(),
            Self::Host => 3,
            Self::Path => words::PATHS.len(),
            Self::Bot => words::BOTS.len(),
            Self::ReferralSource => words::REFERRAL_SOURCES.len(),
            Self::Other(column) if !column.values.is_empty() => column.values.len(),
            Self::Other(_) => 8,
        };
        len as u64
    }

    /// How many objects, of `len`, are kept ready.
    pub(super) fn ready(&self, len: u64) -> u64 {
        match self {
            Self::Run => 0,
            _ => len.min(READY),
        }
    }

    /// The object numbered `index`; beyond [`Axis::len`] it is one that no list names.
    pub(super) fn entry(&self, world: &World, place: &Place, index: u64) -> Entry {
        let position = index as usize;
        let category = world.category(place);
        let named = |kind: &str, names: &[&str]| -> Entry {
            let name = names.get(position).map_or_else(|| format!("{kind} {index}"), |name| (*name).to_owned());
            object(json!({ "id": uuid(world.seed, &format!("{kind}/{name}")), "name": name }))
        };
        let listed = |entries: &[Entry], kind: &str| entries.get(position).cloned().unwrap_or_else(|| named(kind, &[]));
        let none: &[Entry] = &[];
        match self {
            Self::Asset => match category {
                Some(category) => listed(&category.assets, "Brand"),
                None => named("asset", &words::ASSETS),
            },
            Self::Competitor => named("asset", &words::ASSETS),
            Self::Model => listed(&world.models, "Engine"),
            Self::Region => listed(&world.regions, "Region"),
            Self::Topic => listed(category.map_or(none, |category| &category.topics), "Topic"),
            Self::Persona => listed(category.map_or(none, |category| &category.personas), "Persona"),
            Self::Tag => listed(category.map_or(none, |category| &category.tags), "Tag"),
            Self::Prompt => {
                match category {
                    Some(category) => category.prompts.get(position).cloned().unwrap_or_else(|| {
                        world::prompt(world.seed, category, position, &world.models, &world.regions)
                    }),
                    None => named("Prompt", &[]),
                }
            }
            Self::Theme => {
                let mut theme = named("Theme", &words::THEMES);
                theme.insert("type".into(), json!((["positive", "negative"][position % 2])));
                theme
            }
            Self::Claim => named("Claim", &words::CLAIMS),
            Self::Run => named("Run", &[]),
            Self::Query => {
                let query = words::QUERIES[position % words::QUERIES.len()];
                match position / words::QUERIES.len() {
                    0 => named("query", &words::QUERIES),
                    again => object(json!({ "id": null, "name": format!("{query} {again}") })),
                }
            }
            Self::Site => site(position),
            Self::Page => page(position),
            Self::CitationCategory => named("citation-category", &words::CITATION_CATEGORIES),
            Self::Host => {
                let name = place.domain.and_then(|domain| world.domains.get(domain)).map(|domain| text(domain, "name"));
                let name = name.unwrap_or_else(|| "www.northwind-tea.example".to_owned());
                let bare = name.trim_start_matches("www.");
                let host = [name.as_str(), bare, &format!("shop.{bare}")][position % 3].to_owned();
                object(json!({ "id": null, "name": host }))
            }
            Self::Path => match words::PATHS.get(position) {
                Some(path) => object(json!({ "name": path })),
                None => object(json!({ "name": format!("/archive/{}/{index}", index % 97) })),
            },
            Self::Bot => {
                let (name, provider, kind) = words::BOTS[position % words::BOTS.len()];
                object(json!({ "name": name, "bot_name": name, "bot_provider": provider, "bot_type": kind }))
            }
            Self::ReferralSource => named("referral-source", &words::REFERRAL_SOURCES),
            Self::Other(column) => match column.values.get(position) {
                Some(value) => object(json!({ "id": value, "name": value, &column.name: value })),
                None => {
                    let value = invented(&column.name, &column.data_type, &[], index.wrapping_add(1));
                    let unlike_others = match value {
                        Value::String(_) if is_id(&column.name) => {
                            json!(uuid(place.identity(world, "id"), &format!("{}/{index}", column.name)))
                        }
                        Value::String(_) => json!(format!("{} {index}", column.name)),
                        Value::Number(_) => json!(index),
                        Value::Object(_) if column.data_type == ColumnType::Json => open_object(&column.name, index),
                        other => other,
                    };
                    object(json!({ "id": uuid(world.seed, &format!("{}/{index}", column.name)),
                        "name": format!("{} {index}", column.name), &column.name: unlike_others }))
                }
            },
        }
    }
}

fn site(position: usize) -> Entry {
    let (name, category) = match words::SITES.get(position) {
        Some((name, category)) => ((*name).to_owned(), *category),
        None => (format!("site-{position}.example"), "other"),
    };
    object(json!({
        "id": null, "name": name, "domain": name, "hostname": name, "root_domain": name,
        "citation_category": category, "title": format!("About {name}"),
    }))
}

fn page(position: usize) -> Entry {
    let site = site(position % words::SITES.len());
    let host = text(&site, "name");
    let path = match position {
        // A URL that does not fit into small buffers: about 5 kB.
        7 => format!("/redirect?state={}", "q%3D%E2%98%83".repeat(400)),
        position if position < words::PATHS.len() * words::SITES.len() => {
            let path = words::PATHS[position / words::SITES.len()];
            // Each site has a few of the paths, and no page twice.
            if position % 3 == 0 { format!("{path}#{position}") } else { path.to_owned() }
        }
        position => format!("/archive/{position}"),
    };
    let bare = path.split(['?', '#']).next().unwrap_or_default().to_owned();
    object(json!({
        "id": null,
        "name": format!("{host}{path}"),
        "url": format!("https://{host}{path}"),
        "page": format!("{host}{path}"),
        "clean_url": format!("{host}{bare}"),
        "domain": host, "hostname": host, "root_domain": host, "host": host, "path": bare,
        "title": if position % 5 == 4 { String::new() } else { format!("\"Best\" of {host} – № {position}") },
        "text": if position.is_multiple_of(3) { Value::Null } else { json!(words::SENTENCES[position % words::SENTENCES.len()]) },
        "first_cited_at": format!("2026-0{}-{:02}T00:00:00Z", position % 6 + 1, position % 28 + 1),
        "citation_category": site["citation_category"],
    }))
}

/// What column `name` of type `data_type` says of the object `entry`; invented where the object says nothing.
pub(super) fn told(entry: &Entry, name: &str, data_type: &ColumnType, values: &[String], salt: u64) -> Value {
    let member = entry.get(name);
    match data_type {
        // An object told by text goes by its id where the column is called so, else by its name.
        ColumnType::Utf8 => match member {
            Some(Value::Object(object)) if object.contains_key("name") => object["name"].clone(),
            Some(text @ (Value::String(_) | Value::Null)) => text.clone(),
            _ if is_id(name) => entry.get("id").cloned().unwrap_or_default(),
            _ => entry.get("name").cloned().unwrap_or_else(|| invented(name, data_type, values, salt)),
        },
        ColumnType::Struct(fields) => {
            let source = match member {
                // A persona's `persona` is its profile; as a reference it is the persona itself.
                Some(Value::Object(object)) if fields.iter().any(|(field, _)| object.contains_key(field)) => object,
                Some(Value::Null) => return Value::Null,
                _ => entry,
            };
            let fields = fields.iter().map(|(field, inner)| {
                let known = source.get(field).cloned();
                let value = match (known, inner) {
                    (Some(Value::Object(object)), ColumnType::Struct(_)) => told(&object, field, inner, &[], salt),
                    (Some(value), _) => value,
                    (None, _) => invented(field, inner, &[], mix(salt ^ super::hash::salt(0, field))),
                };
                (field.clone(), value)
            });
            Value::Object(fields.collect())
        }
        ColumnType::List(item) => match member {
            Some(Value::Array(items)) => {
                let item_value = |value: &Value| match (value, &**item) {
                    (Value::Object(object), ColumnType::Utf8) => object.get("name").cloned().unwrap_or_default(),
                    (Value::Object(object), inner) => told(object, name, inner, &[], salt),
                    (value, _) => value.clone(),
                };
                Value::Array(items.iter().map(item_value).collect())
            }
            Some(Value::Null) => Value::Null,
            _ => invented(name, data_type, values, salt),
        },
        _ => member.cloned().unwrap_or_else(|| invented(name, data_type, values, salt)),
    }
}
