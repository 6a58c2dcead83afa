//! The objects of the simulated account. Lists, references in reports and scopes all name these.

use serde_json::{Map, Value, json};

use catalog::model::scope::{Named, Scope, ScopeKind};

use super::account::Account;
use super::bind::Variables;
use super::hash::{mix, salt, uuid};
use super::words;

/// One object: everything a list or a report may tell of it, by name of the member.
pub(super) type Entry = Map<String, Value>;

/// Everything in the account that has a name.
#[derive(Debug)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) organizations: Vec<Entry>,
    pub(super) models: Vec<Entry>,
    pub(super) regions: Vec<Entry>,
    pub(super) domains: Vec<Entry>,
    pub(super) categories: Vec<Category>,
}

/// A category and what belongs to it.
#[derive(Debug)]
pub(super) struct Category {
    pub(super) entry: Entry,
    /// Positions of the organizations that own it.
    pub(super) owners: Vec<usize>,
    pub(super) topics: Vec<Entry>,
    pub(super) tags: Vec<Entry>,
    pub(super) personas: Vec<Entry>,
    pub(super) assets: Vec<Entry>,
    pub(super) prompts: Vec<Entry>,
}

/// What a request is about.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    /// Position of the organization, where it is asked for by itself.
    pub(super) organization: Option<usize>,
    /// Position of the category.
    pub(super) category: Option<usize>,
    /// Position of the asset in its category.
    pub(super) asset: Option<usize>,
    /// Position of the domain.
    pub(super) domain: Option<usize>,
    /// What else the request names: a row of a parent, or what a user gives.
    pub(super) variables: Variables,
    /// When the row of the parent last changed, where it says so.
    pub(super) changed: Option<String>,
}

impl Place {
    /// What its rows of one kind, such as those of an endpoint, are made from.
    pub(super) fn identity(&self, world: &World, kind: &str) -> u64 {
        let identity = salt(world.seed, &format!("{}/{kind}", world.scope(self).key()));
        match self.variables.is_empty() {
            true => identity,
            false => salt(identity, &format!("{:?}", self.variables)),
        }
    }
}

impl World {
    pub(super) fn new(account: &Account) -> Self {
        let seed = account.seed;
        let organizations: Vec<_> = (0..account.organizations.max(1))
            .map(|index| {
                let name = words::ORGANIZATIONS.get(index).map_or(Value::Null, |name| json!(name));
                object(json!({ "id": uuid(seed, &format!("organization/{index}")), "name": name }))
            })
            .collect();
        let named = |kind: &str, names: &[&str]| -> Vec<Entry> {
            let entry = |name: &&str| object(json!({ "id": uuid(seed, &format!("{kind}/{name}")), "name": name }));
            names.iter().map(entry).collect()
        };
        let models = named("model", &words::MODELS);
        let regions = named("region", &words::REGIONS);
        let domains = (0..account.domains).map(|index| domain(seed, index, &organizations)).collect();
        let categories =
            (0..account.categories).map(|index| category(account, index, &organizations, &models, &regions)).collect();
        Self { seed, organizations, models, regions, domains, categories }
    }

    /// The category a place is in.
    pub(super) fn category(&self, place: &Place) -> Option<&Category> {
        place.category.and_then(|index| self.categories.get(index))
    }

    /// Every place of a kind; assets are the owned ones.
    pub(super) fn places(&self, kind: ScopeKind) -> Vec<Place> {
        let categories = 0..self.categories.len();
        match kind {
            ScopeKind::Account => vec![Place::default()],
            ScopeKind::Organization => (0..self.organizations.len())
                .map(|index| Place { organization: Some(index), ..Place::default() })
                .collect(),
            ScopeKind::Category => {
                categories.map(|index| Place { category: Some(index), ..Place::default() }).collect()
            }
            ScopeKind::CategoryAsset => categories
                .flat_map(|index| {
                    let assets = self.categories[index].assets.iter().enumerate();
                    assets.filter(|(_, asset)| asset["is_owned"] == json!(true)).map(move |(asset, _)| Place {
                        category: Some(index),
                        asset: Some(asset),
                        ..Place::default()
                    })
                })
                .collect(),
            ScopeKind::Domain => {
                (0..self.domains.len()).map(|index| Place { domain: Some(index), ..Place::default() }).collect()
            }
        }
    }

    /// The scope that the exporter knows `place` by.
    pub(super) fn scope(&self, place: &Place) -> Scope {
        let domain = place.domain.and_then(|index| self.domains.get(index));
        let category = self.category(place);
        let owner = domain.and_then(|domain| domain["organization"].as_object());
        let asked = place.organization.and_then(|index| self.organizations.get(index));
        Scope {
            organization: owner.or(asked).map(named),
            category: category.map(|category| named(&category.entry)),
            asset: category.zip(place.asset).and_then(|(category, asset)| category.assets.get(asset)).map(named),
            // A domain is identified by its host name.
            domain: domain.map(|domain| Named { id: text(domain, "name"), name: text(domain, "name") }),
        }
    }

    /// The place of a scope, or `None` when the account has no such objects.
    pub(super) fn place(&self, scope: &Scope) -> Option<Place> {
        let mut place = Place::default();
        if let Some(wanted) = &scope.category {
            let index = self.categories.iter().position(|category| category.entry["id"] == wanted.id)?;
            place.category = Some(index);
            if let Some(asset) = &scope.asset {
                let assets = &self.categories[index].assets;
                place.asset = Some(assets.iter().position(|entry| entry["id"] == asset.id)?);
            }
        }
        if let Some(wanted) = &scope.domain {
            let organization = scope.organization.as_ref().map(|organization| organization.id.as_str());
            place.domain = Some(self.domain(&wanted.id, organization)?);
        } else if let Some(wanted) = &scope.organization {
            place.organization = Some(self.organization(&wanted.id)?);
        }
        Some(place)
    }

    /// The position of the organization `id`.
    pub(super) fn organization(&self, id: &str) -> Option<usize> {
        self.organizations.iter().position(|organization| organization["id"] == id)
    }

    /// The position of the domain called `host`, of `organization` if one is given.
    pub(super) fn domain(&self, host: &str, organization: Option<&str>) -> Option<usize> {
        self.domains.iter().position(|domain| {
            let owner = &domain["organization"]["id"];
            domain["name"] == host && organization.is_none_or(|wanted| owner == wanted)
        })
    }
}

/// The member `name` as text; empty when it is null or absent.
pub(super) fn text(entry: &Entry, name: &str) -> String {
    entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The members of a `json!` object.
pub(super) fn object(value: Value) -> Entry {
    match value {
        Value::Object(members) => members,
        _ => Entry::new(),
    }
}

/// `{id, name}` of an entry.
pub(super) fn reference(entry: &Entry) -> Value {
    json!({ "id": entry.get("id"), "name": entry.get("name") })
}

fn named(entry: &Entry) -> Named {
    Named { id: text(entry, "id"), name: text(entry, "name") }
}

fn domain(seed: u64, index: usize, organizations: &[Entry]) -> Entry {
    let owner = &organizations[index % organizations.len()];
    // The first two share a host name, unless one organization would then hold it twice.
    let shared = index < 2 && 1 < organizations.len();
    let name = match (shared, index) {
        (true, _) | (_, 0) => "www.northwind-tea.example".to_owned(),
        _ => format!("shop-{index}.northwind-tea.example"),
    };
    object(json!({
        "id": uuid(seed, &format!("domain/{index}")),
        "name": name,
        "organization": reference(owner),
        "created_at": created_at(index),
    }))
}

pub(super) fn created_at(index: usize) -> String {
    let fraction = if index.is_multiple_of(2) { "" } else { ".250000" };
    format!(
        "2025-{:02}-{:02}T{:02}:05:{:02}{fraction}Z",
        index / 672 % 12 + 1,
        index / 24 % 28 + 1,
        index % 24,
        index % 60
    )
}

fn category(account: &Account, index: usize, organizations: &[Entry], models: &[Entry], regions: &[Entry]) -> Category {
    let seed = account.seed;
    let id = uuid(seed, &format!("category/{index}"));
    let name = match words::CATEGORIES.get(index) {
        Some(name) => (*name).to_owned(),
        None => format!("Category {index}"),
    };
    let owners = match (index, organizations.len()) {
        (_, 1) => vec![0],
        (0, _) => vec![0, 1],
        (index, count) => vec![index % count],
    };
    let list = |kind: &str, names: &[&str]| -> Vec<Entry> {
        let entries = names.iter().enumerate().map(|(position, name)| {
            let status = if position % 4 == 3 { "disabled" } else { "active" };
            object(json!({ "id": uuid(seed, &format!("{id}/{kind}/{position}")), "name": name, "status": status }))
        });
        entries.collect()
    };
    let topics = list("topic", &words::TOPICS[index % 2..4 + index % 2]);
    let tags = list("tag", &words::TAGS);
    let mut personas = list("persona", &words::PERSONAS[..3]);
    for (position, persona) in personas.iter_mut().enumerate() {
        persona.insert("persona".into(), profile(position));
    }
    let category_reference = json!({ "id": id, "name": name, "internal_name": format!("category-{index}") });
    let assets = (0..account.assets_per_category.max(1)).map(|position| {
        let name = match words::ASSETS.get(position) {
            Some(name) => (*name).to_owned(),
            None => format!("Brand {position}"),
        };
        let further = match position % 3 {
            0 => json!(["northwind.example", "tea.northwind.example"]),
            1 => json!([]),
            _ => Value::Null,
        };
        object(json!({
            "id": uuid(seed, &format!("{id}/asset/{position}")),
            "name": name,
            "website": format!("https://www.brand-{position}.example"),
            "alternate_domains": further,
            "is_owned": position == 0 || (position == 1 && index == 0),
            "owned": position == 0 || (position == 1 && index == 0),
            "logo_url": if position % 4 == 3 { String::new() } else { format!("https://img.example/{position}.png") },
            "created_at": created_at(position),
            "category": category_reference,
        }))
    });
    let assets: Vec<Entry> = assets.collect();
    let mut category =
        Category { entry: object(category_reference), owners, topics, tags, personas, assets, prompts: Vec::new() };
    category.prompts =
        (0..account.prompts_per_category).map(|position| prompt(seed, &category, position, models, regions)).collect();
    category
}

/// The prompt at `position` of a category: those beyond the list are prompts that were deleted since.
pub(super) fn prompt(seed: u64, category: &Category, position: usize, models: &[Entry], regions: &[Entry]) -> Entry {
    let id = text(&category.entry, "id");
    let topic = &category.topics[position % category.topics.len()];
    let template = words::PROMPTS[position % words::PROMPTS.len()].replace("{}", &text(topic, "name"));
    // Some reports know prompts by their text alone, so no two of a category are equal.
    let prompt = match position / words::PROMPTS.len() {
        0 => template,
        again => format!("{template} ({again})"),
    };
    let some = |entries: &[Entry], salt: u64| -> Vec<Value> {
        let chosen = entries.iter().enumerate().filter(|(index, _)| !mix(salt ^ *index as u64).is_multiple_of(3));
        chosen.map(|(_, entry)| reference(entry)).collect()
    };
    let salt = mix(seed ^ position as u64);
    let types = match position % 4 {
        0 => json!(["visibility"]),
        1 => json!(["visibility", "sentiment"]),
        2 => json!(["sentiment_v2", "visibility", "accuracy"]),
        _ => json!([]),
    };
    object(json!({
        "id": uuid(seed, &format!("{id}/prompt/{position}")),
        "name": prompt,
        "prompt": prompt,
        "language": (["en-US", "de-DE", "ar", "ja-JP"][position % 4]),
        "status": if position % 7 == 6 { "disabled" } else { "active" },
        "analysis_types": types,
        "prompt_type": (["visibility", "sentiment"][position % 2]),
        "topic": reference(topic),
        "topic_id": topic["id"],
        "tags": some(&category.tags, salt),
        "regions": some(regions, salt.rotate_left(8)),
        "platforms": some(models, salt.rotate_left(16)),
        "personas": some(&category.personas, salt.rotate_left(24)),
        "created_at": created_at(position),
        "updated_at": created_at(position + 3),
    }))
}

fn profile(position: usize) -> Value {
    match position {
        0 => json!({
            "behavior": { "painPoints": "prices \"rise\"\nevery year", "motivations": null },
            "employment": {
                "industry": ["Retail", "Food & beverage"], "jobTitle": [],
                "companySize": ["1-10"], "roleSeniority": ["Senior"],
            },
            "demographics": { "ageRange": ["25-34", "35-44"] },
        }),
        1 => json!({
            "behavior": { "painPoints": "", "motivations": "נוחות" },
            "employment": { "industry": [], "jobTitle": ["Einkäufer"], "companySize": [], "roleSeniority": [] },
            "demographics": { "ageRange": [] },
        }),
        _ => json!({
            "behavior": { "painPoints": null, "motivations": null },
            "employment": { "industry": ["Education"], "jobTitle": ["Student"], "companySize": [], "roleSeniority": [] },
            "demographics": { "ageRange": ["18-24"] },
        }),
    }
}
