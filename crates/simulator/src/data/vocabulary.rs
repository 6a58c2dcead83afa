//! The vocabulary of the simulated account, read from `vocabulary.toml`.

use std::sync::LazyLock;

use serde::Deserialize;

/// Names and texts; `vocabulary.toml` describes each list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vocabulary {
    pub(crate) organizations: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) assets: Vec<String>,
    pub(crate) models: Vec<String>,
    pub(crate) regions: Vec<String>,
    pub(crate) topics: Vec<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) personas: Vec<String>,
    pub(crate) themes: Vec<String>,
    pub(crate) claims: Vec<String>,
    pub(crate) prompts: Vec<String>,
    pub(crate) queries: Vec<String>,
    pub(crate) sites: Vec<[String; 2]>,
    pub(crate) citation_categories: Vec<String>,
    pub(crate) paths: Vec<String>,
    pub(crate) bots: Vec<[String; 3]>,
    pub(crate) referral_sources: Vec<String>,
    pub(crate) sentences: Vec<String>,
    nested: Vec<(String, String, Vec<String>)>,
}

/// Parsed once. The file is compiled in, so an error in it fails every test of the simulator.
pub(crate) static WORDS: LazyLock<Vocabulary> = LazyLock::new(|| {
    toml::from_str(include_str!("vocabulary.toml")).unwrap_or_else(|error| panic!("vocabulary.toml: {error}"))
});

impl Vocabulary {
    /// The values that the member `field` of objects in the column `name` takes, if they are known.
    pub(crate) fn values_of(&self, name: &str, field: &str) -> Option<&[String]> {
        let known = self.nested.iter().find(|(column, member, _)| column == name && member == field);
        known.map(|(.., values)| &values[..])
    }
}
