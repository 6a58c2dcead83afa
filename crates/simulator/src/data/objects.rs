//! The objects of the simulated account. Lists, references in reports and scopes all name these.

use std::collections::BTreeMap;

use catalog::model::scope::{Named, Scope, ScopeKind};
use serde_json::{Map, Value, json};

use super::account::Account;
use super::seeded::{mix, pick, salt, uuid};
use super::vocabulary::WORDS;

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

/// What a request is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Subject {
    pub(crate) scope: Scope,
    /// What else the request names: a row of a parent, or the parameters of a user.
    pub(crate) variables: Variables,
    /// When the parent's row last changed, where the row says it.
    pub(crate) changed: Option<String>,
}

impl Subject {
    /// The seed of its rows of one kind, such as those of an endpoint.
    pub(crate) fn identity(&self, seed: u64, kind: &str) -> u64 {
        let identity = salt(seed, &format!("{}/{kind}", self.scope.key()));
        if self.variables.is_empty() { identity } else { salt(identity, &format!("{:?}", self.variables)) }
    }
}

impl AccountObjects {
    pub(crate) fn new(account: &Account) -> Self {
        let seed = account.seed;
        let organization = |index: usize| {
            let name = WORDS.organizations.get(index);
            object(json!({ "id": uuid(seed, &format!("organization/{index}")), "name": name }))
        };
        let named = |kind: &str, names: &[String]| -> Vec<Object> {
            let object = |name: &String| object(json!({ "id": uuid(seed, &format!("{kind}/{name}")), "name": name }));
            names.iter().map(object).collect()
        };
        let mut objects = Self {
            seed,
            organizations: (0..account.organizations.max(1)).map(organization).collect(),
            models: named("model", &WORDS.models),
            regions: named("region", &WORDS.regions),
            domains: Vec::new(),
            categories: Vec::new(),
        };
        objects.domains = (0..account.domains).map(|index| objects.new_domain(index)).collect();
        objects.categories = (0..account.categories).map(|index| objects.new_category(account, index)).collect();
        objects
    }

    /// The position of the category of `scope`.
    pub(crate) fn category_index(&self, scope: &Scope) -> Option<usize> {
        let wanted = scope.category.as_ref()?;
        self.categories.iter().position(|category| category.object["id"] == wanted.id)
    }

    /// The category of `scope`.
    pub(crate) fn category(&self, scope: &Scope) -> Option<&CategoryObjects> {
        self.categories.get(self.category_index(scope)?)
    }

    /// Every scope of a kind, with all assets or only with owned ones.
    pub(crate) fn scopes(&self, kind: ScopeKind, owned_only: bool) -> Vec<Scope> {
        let named = |object: &Object| Some(Named { id: text(object, "id"), name: text(object, "name") });
        let of_category = |category: &CategoryObjects| Scope { category: named(&category.object), ..Scope::default() };
        match kind {
            ScopeKind::Account => vec![Scope::default()],
            ScopeKind::Organization => {
                let scope = |organization| Scope { organization: named(organization), ..Scope::default() };
                self.organizations.iter().map(scope).collect()
            }
            ScopeKind::Category => self.categories.iter().map(of_category).collect(),
            ScopeKind::CategoryAsset => {
                let assets =
                    self.categories.iter().flat_map(|category| category.assets.iter().map(move |one| (category, one)));
                let wanted = assets.filter(|(_, asset)| !owned_only || asset["is_owned"] == true);
                wanted.map(|(category, asset)| Scope { asset: named(asset), ..of_category(category) }).collect()
            }
            ScopeKind::Domain => {
                let scope = |domain: &Object| {
                    // The API names domains by their host names, never by id.
                    let host = text(domain, "name");
                    let organization = domain["organization"].as_object().and_then(named);
                    Scope { organization, domain: Some(Named { id: host.clone(), name: host }), ..Scope::default() }
                };
                self.domains.iter().map(scope).collect()
            }
        }
    }

    /// The account's own scope of the same ids as `scope`, or `None` if it has no such objects.
    pub(crate) fn find_scope(&self, scope: &Scope) -> Option<Scope> {
        let kind = match (&scope.domain, &scope.asset, &scope.category, &scope.organization) {
            (Some(_), ..) => ScopeKind::Domain,
            (None, Some(_), ..) => ScopeKind::CategoryAsset,
            (None, None, Some(_), _) => ScopeKind::Category,
            (None, None, None, Some(_)) => ScopeKind::Organization,
            (None, None, None, None) => ScopeKind::Account,
        };
        let is_same = |found: &Scope| {
            let mut parts = scope.parts();
            parts.all(|(part, wanted)| found.part(part).is_some_and(|named| named.id == wanted.id))
        };
        self.scopes(kind, false).into_iter().find(is_same)
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
        let name = WORDS.categories.get(index).cloned().unwrap_or_else(|| format!("Category {index}"));
        let owners = match (index, self.organizations.len()) {
            (_, 1) => vec![0],
            (0, _) => vec![0, 1],
            (index, count) => vec![index % count],
        };
        let list = |kind: &str, names: &[String]| -> Vec<Object> {
            let object = |(position, name): (usize, &String)| {
                let status = if position % 4 == 3 { "disabled" } else { "active" };
                object(json!({ "id": id_of(kind, position), "name": name, "status": status }))
            };
            names.iter().enumerate().map(object).collect()
        };
        let mut personas = list("persona", &WORDS.personas[..3]);
        for (persona, profile) in personas.iter_mut().zip(profiles()) {
            persona.insert("persona".into(), profile);
        }
        let category = json!({ "id": id, "name": name, "internal_name": format!("category-{index}") });
        let asset = |position: usize| {
            let name = WORDS.assets.get(position).cloned().unwrap_or_else(|| format!("Brand {position}"));
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
            topics: list("topic", &WORDS.topics[index % 2..4 + index % 2]),
            tags: list("tag", &WORDS.tags),
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
        let template = WORDS.prompts[position % WORDS.prompts.len()].replace("{}", &text(topic, "name"));
        // Some reports know prompts by their text alone, so no two of a category are equal.
        let prompt = match position / WORDS.prompts.len() {
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
            "tags": if position % 5 == 4 { Vec::new() } else { some(&category.tags, 0) },
            "regions": some(&self.regions, 8),
            "platforms": some(&self.models, 16),
            "personas": some(&category.personas, 24),
            "created_at": created_at(position),
            "updated_at": created_at(position + 3),
        }))
    }
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
    let profile = |pain_points: Value, motivations: Value, industries: &[&str], jobs: &[&str], others: &[&str]| {
        json!({
            "behavior": { "painPoints": pain_points, "motivations": motivations },
            "employment": {
                "industry": industries, "jobTitle": jobs, "companySize": others, "roleSeniority": others,
            },
            "demographics": { "ageRange": others },
        })
    };
    [
        profile(json!("prices \"rise\"\nevery year"), Value::Null, &["Retail", "Food & beverage"], &[], &["1-10"]),
        profile(json!(""), json!("נוחות"), &[], &["Einkäufer"], &[]),
        profile(Value::Null, Value::Null, &["Education"], &["Student"], &["18-24"]),
    ]
}
