//! The objects of the simulated account. Lists, references in reports and scopes all name these.

use std::collections::BTreeMap;

use catalog::model::scope::{Named, Scope, ScopeKind};
use serde_json::{Map, Value, json};

use super::account::Account;
use super::seeded::{mix, pick, salt, uuid};
use super::vocabulary as words;

/// One object, or one row: everything that a list or a report may say of it, by name of the member.
pub(crate) type Object = Map<String, Value>;

/// Values by the names of template variables.
pub(crate) type Variables = BTreeMap<String, String>;

/// Everything in the account that has a name.
#[derive(Debug)]
pub(crate) struct AccountObjects {
    pub(crate) seed: u64,
    pub(crate) organizations: Vec<Object>,
    pub(crate) models: Vec<Object>,
    pub(crate) regions: Vec<Object>,
    pub(crate) domains: Vec<Object>,
    pub(crate) categories: Vec<CategoryObjects>,
}

/// A category and what belongs to it.
#[derive(Debug)]
pub(crate) struct CategoryObjects {
    pub(crate) object: Object,
    /// Positions of the organizations that own it.
    pub(crate) owners: Vec<usize>,
    pub(crate) topics: Vec<Object>,
    pub(crate) tags: Vec<Object>,
    pub(crate) personas: Vec<Object>,
    pub(crate) assets: Vec<Object>,
    pub(crate) prompts: Vec<Object>,
}

/// What a request is about. Objects are named by their positions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Subject {
    /// `None` if the request names an organization only together with a domain.
    pub(crate) organization: Option<usize>,
    pub(crate) category: Option<usize>,
    /// The position of the asset in its category.
    pub(crate) asset: Option<usize>,
    pub(crate) domain: Option<usize>,
    /// What else the request names: a row of a parent, or the parameters of a user.
    pub(crate) variables: Variables,
    /// When the parent's row last changed, where the row says it.
    pub(crate) changed: Option<String>,
}

impl Subject {
    /// The seed of its rows of one kind, such as those of an endpoint.
    pub(crate) fn identity(&self, objects: &AccountObjects, kind: &str) -> u64 {
        let identity = salt(objects.seed, &format!("{}/{kind}", objects.scope(self).key()));
        if self.variables.is_empty() { identity } else { salt(identity, &format!("{:?}", self.variables)) }
    }
}

impl AccountObjects {
    pub(crate) fn new(account: &Account) -> Self {
        let seed = account.seed;
        let organization = |index: usize| {
            let name = words::ORGANIZATIONS.get(index);
            object(json!({ "id": uuid(seed, &format!("organization/{index}")), "name": name }))
        };
        let named = |kind: &str, names: &[&str]| -> Vec<Object> {
            let object = |name: &&str| object(json!({ "id": uuid(seed, &format!("{kind}/{name}")), "name": name }));
            names.iter().map(object).collect()
        };
        let mut objects = Self {
            seed,
            organizations: (0..account.organizations.max(1)).map(organization).collect(),
            models: named("model", &words::MODELS),
            regions: named("region", &words::REGIONS),
            domains: Vec::new(),
            categories: Vec::new(),
        };
        objects.domains = (0..account.domains).map(|index| objects.new_domain(index)).collect();
        objects.categories = (0..account.categories).map(|index| objects.new_category(account, index)).collect();
        objects
    }

    /// The category of `subject`.
    pub(crate) fn category(&self, subject: &Subject) -> Option<&CategoryObjects> {
        self.categories.get(subject.category?)
    }

    /// Every subject of a kind; of assets, the owned ones.
    pub(crate) fn subjects(&self, kind: ScopeKind) -> Vec<Subject> {
        let count = match kind {
            ScopeKind::Account => 1,
            ScopeKind::Organization => self.organizations.len(),
            ScopeKind::Category | ScopeKind::CategoryAsset => self.categories.len(),
            ScopeKind::Domain => self.domains.len(),
        };
        let mut subjects = Vec::new();
        for index in 0..count {
            let category = Subject { category: Some(index), ..Subject::default() };
            match kind {
                ScopeKind::Account => subjects.push(Subject::default()),
                ScopeKind::Organization => {
                    subjects.push(Subject { organization: Some(index), ..Subject::default() });
                }
                ScopeKind::Category => subjects.push(category),
                ScopeKind::Domain => subjects.push(Subject { domain: Some(index), ..Subject::default() }),
                ScopeKind::CategoryAsset => {
                    let assets = self.categories[index].assets.iter().enumerate();
                    let owned = assets.filter(|(_, asset)| asset["is_owned"] == true);
                    subjects.extend(owned.map(|(asset, _)| Subject { asset: Some(asset), ..category.clone() }));
                }
            }
        }
        subjects
    }

    /// The scope by which the exporter knows `subject`.
    pub(crate) fn scope(&self, subject: &Subject) -> Scope {
        let named = |object: &Object| Named { id: text(object, "id"), name: text(object, "name") };
        let domain = subject.domain.and_then(|index| self.domains.get(index));
        let category = self.category(subject);
        let owner = domain.and_then(|domain| domain["organization"].as_object());
        let organization = subject.organization.and_then(|index| self.organizations.get(index));
        Scope {
            organization: owner.or(organization).map(named),
            category: category.map(|category| named(&category.object)),
            asset: category.zip(subject.asset).and_then(|(category, asset)| category.assets.get(asset)).map(named),
            // The API names domains by their host names, never by id.
            domain: domain.map(|domain| Named { id: text(domain, "name"), name: text(domain, "name") }),
        }
    }

    /// The subject of a scope, or `None` if the account has no such objects.
    pub(crate) fn subject(&self, scope: &Scope) -> Option<Subject> {
        let mut subject = Subject::default();
        if let Some(wanted) = &scope.category {
            let index = self.categories.iter().position(|category| category.object["id"] == wanted.id)?;
            subject.category = Some(index);
            if let Some(asset) = &scope.asset {
                subject.asset = Some(position(&self.categories[index].assets, &asset.id)?);
            }
        }
        let organization = scope.organization.as_ref().map(|organization| organization.id.as_str());
        match (&scope.domain, organization) {
            (Some(domain), _) => subject.domain = Some(self.domain(&domain.id, organization)?),
            (None, Some(id)) => subject.organization = Some(position(&self.organizations, id)?),
            (None, None) => {}
        }
        Some(subject)
    }

    /// The position of the domain called `host`, of `organization` if one is given.
    pub(crate) fn domain(&self, host: &str, organization: Option<&str>) -> Option<usize> {
        self.domains.iter().position(|domain| {
            let owner = &domain["organization"]["id"];
            domain["name"] == host && organization.is_none_or(|wanted| owner == wanted)
        })
    }

    fn new_domain(&self, index: usize) -> Object {
        let owner = &self.organizations[index % self.organizations.len()];
        // The first two have the same host name, unless one organization would then hold it twice.
        let is_shared = index == 0 || (index == 1 && self.organizations.len() > 1);
        let host = if is_shared { "www".to_owned() } else { format!("shop-{index}") };
        object(json!({
            "id": uuid(self.seed, &format!("domain/{index}")),
            "name": format!("{host}.northwind-tea.example"),
            "organization": reference(owner),
            "created_at": created_at(index),
        }))
    }

    fn new_category(&self, account: &Account, index: usize) -> CategoryObjects {
        let id = uuid(self.seed, &format!("category/{index}"));
        let id_of = |kind: &str, position: usize| uuid(self.seed, &format!("{id}/{kind}/{position}"));
        let name = words::CATEGORIES.get(index).map_or_else(|| format!("Category {index}"), |name| (*name).to_owned());
        let owners = match (index, self.organizations.len()) {
            (_, 1) => vec![0],
            (0, _) => vec![0, 1],
            (index, count) => vec![index % count],
        };
        let list = |kind: &str, names: &[&str]| -> Vec<Object> {
            let object = |(position, name): (usize, &&str)| {
                let status = if position % 4 == 3 { "disabled" } else { "active" };
                object(json!({ "id": id_of(kind, position), "name": name, "status": status }))
            };
            names.iter().enumerate().map(object).collect()
        };
        let mut personas = list("persona", &words::PERSONAS[..3]);
        for (persona, profile) in personas.iter_mut().zip(profiles()) {
            persona.insert("persona".into(), profile);
        }
        let category = json!({ "id": id, "name": name, "internal_name": format!("category-{index}") });
        let asset = |position: usize| {
            let name = words::ASSETS.get(position).map_or_else(|| format!("Brand {position}"), |name| (*name).into());
            let alternate_domains = match position % 3 {
                0 => json!(["northwind.example", "tea.northwind.example"]),
                1 => json!([]),
                _ => Value::Null,
            };
            let logo = if position % 4 == 3 { String::new() } else { format!("https://img.example/{position}.png") };
            let is_owned = position == 0 || (position == 1 && index == 0);
            object(json!({
                "id": id_of("asset", position),
                "name": name,
                "website": format!("https://www.brand-{position}.example"),
                "alternate_domains": alternate_domains,
                "is_owned": is_owned,
                "owned": is_owned,
                "logo_url": logo,
                "created_at": created_at(position),
                "category": category,
            }))
        };
        let mut objects = CategoryObjects {
            owners,
            topics: list("topic", &words::TOPICS[index % 2..4 + index % 2]),
            tags: list("tag", &words::TAGS),
            personas,
            assets: (0..account.assets_per_category.max(1)).map(asset).collect(),
            prompts: Vec::new(),
            object: object(category),
        };
        objects.prompts = (0..account.prompts_per_category).map(|position| self.prompt(&objects, position)).collect();
        objects
    }

    /// The prompt at `position` of a category. Those beyond the list were deleted since, as reports may still name them.
    pub(crate) fn prompt(&self, category: &CategoryObjects, position: usize) -> Object {
        let id = text(&category.object, "id");
        let topic = &category.topics[position % category.topics.len()];
        let template = words::PROMPTS[position % words::PROMPTS.len()].replace("{}", &text(topic, "name"));
        // Some reports know prompts by their text alone, so no two of a category are equal.
        let prompt = match position / words::PROMPTS.len() {
            0 => template,
            round => format!("{template} ({round})"),
        };
        let salt = mix(self.seed ^ position as u64);
        let some = |objects: &[Object], rotation: u32| -> Vec<Value> {
            let is_chosen = |index: usize| !mix(salt.rotate_left(rotation) ^ index as u64).is_multiple_of(3);
            objects.iter().enumerate().filter(|(index, _)| is_chosen(*index)).map(|(_, one)| reference(one)).collect()
        };
        let types: [&[&str]; 4] =
            [&["visibility"], &["visibility", "sentiment"], &["sentiment_v2", "visibility", "accuracy"], &[]];
        object(json!({
            "id": uuid(self.seed, &format!("{id}/prompt/{position}")),
            "name": prompt,
            "prompt": prompt,
            "language": pick(&["en-US", "de-DE", "ar", "ja-JP"], position as u64),
            "status": if position % 7 == 6 { "disabled" } else { "active" },
            "analysis_types": types[position % 4],
            "prompt_type": pick(&["visibility", "sentiment"], position as u64),
            "topic": reference(topic),
            "topic_id": topic["id"],
            "tags": some(&category.tags, 0),
            "regions": some(&self.regions, 8),
            "platforms": some(&self.models, 16),
            "personas": some(&category.personas, 24),
            "created_at": created_at(position),
            "updated_at": created_at(position + 3),
        }))
    }
}

/// The position of the object `id`.
pub(crate) fn position(objects: &[Object], id: &str) -> Option<usize> {
    objects.iter().position(|object| object["id"] == id)
}

/// The member `name` as text; empty when it is null or absent.
pub(crate) fn text(object: &Object, name: &str) -> String {
    object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The members of a `json!` object.
pub(crate) fn object(value: Value) -> Object {
    match value {
        Value::Object(members) => members,
        _ => Object::new(),
    }
}

/// `{id, name}` of an object.
pub(crate) fn reference(object: &Object) -> Value {
    json!({ "id": object.get("id"), "name": object.get("name") })
}

/// The time of creation of the object at `index`: with and without a fraction of a second.
pub(crate) fn created_at(index: usize) -> String {
    let fraction = if index.is_multiple_of(2) { "" } else { ".250000" };
    let (month, day) = (index / 672 % 12 + 1, index / 24 % 28 + 1);
    format!("2025-{month:02}-{day:02}T{:02}:05:{:02}{fraction}Z", index % 24, index % 60)
}

/// The profiles of personas: full, nearly empty, and with nulls.
fn profiles() -> [Value; 3] {
    [
        json!({
            "behavior": { "painPoints": "prices \"rise\"\nevery year", "motivations": null },
            "employment": {
                "industry": ["Retail", "Food & beverage"], "jobTitle": [],
                "companySize": ["1-10"], "roleSeniority": ["Senior"],
            },
            "demographics": { "ageRange": ["25-34", "35-44"] },
        }),
        json!({
            "behavior": { "painPoints": "", "motivations": "נוחות" },
            "employment": { "industry": [], "jobTitle": ["Einkäufer"], "companySize": [], "roleSeniority": [] },
            "demographics": { "ageRange": [] },
        }),
        json!({
            "behavior": { "painPoints": null, "motivations": null },
            "employment": { "industry": ["Education"], "jobTitle": ["Student"], "companySize": [], "roleSeniority": [] },
            "demographics": { "ageRange": ["18-24"] },
        }),
    ]
}
