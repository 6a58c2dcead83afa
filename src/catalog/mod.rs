//! All the streams this build knows: TOML embedded in the binary, read and checked once.

mod check;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::model::stream::{DiscoveredObject, Fallback, Stream, Tier};

pub use check::check_stream;

/// The embedded files: name and text. A file per family.
const FILES: [(&str, &str); 6] = [
    ("organization.toml", include_str!("streams/organization.toml")),
    ("prompts.toml", include_str!("streams/prompts.toml")),
    ("answers.toml", include_str!("streams/answers.toml")),
    ("reports_v1.toml", include_str!("streams/reports_v1.toml")),
    ("reports_v2.toml", include_str!("streams/reports_v2.toml")),
    ("agent_analytics.toml", include_str!("streams/agent_analytics.toml")),
];

/// One file of the catalog.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// What its streams share about the edges of their windows.
    family: String,
    #[serde(rename = "stream")]
    streams: Vec<Stream>,
}

/// Why a catalog cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A file is not the TOML that is expected.
    #[error("catalog file `{file}`")]
    Syntax {
        /// Which file.
        file: String,
        /// What the parser says.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A declaration contradicts itself or another.
    #[error("stream `{stream}`: {problem}")]
    Stream {
        /// Which stream.
        stream: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Every stream by name.
#[derive(Debug, Clone)]
pub struct Catalog {
    streams: BTreeMap<String, Arc<Stream>>,
}

impl Catalog {
    /// The streams embedded in the binary.
    ///
    /// # Errors
    /// Only when the embedded files are wrong, which the tests rule out.
    pub fn embedded() -> Result<Self, CatalogError> {
        let mut streams = Vec::new();
        for (name, text) in FILES {
            streams.extend(read(name, text)?);
        }
        Self::of(streams)
    }

    /// A catalog of exactly `streams`.
    ///
    /// # Errors
    /// The first stream that contradicts itself, takes a name twice, or names a fallback that is not there.
    pub fn of(streams: Vec<Stream>) -> Result<Self, CatalogError> {
        let mut by_name = BTreeMap::new();
        for stream in streams {
            let fault = |problem: String| CatalogError::Stream { stream: stream.name.clone(), problem };
            check_stream(&stream).map_err(fault)?;
            if by_name.contains_key(&stream.name) {
                return Err(fault("the name is taken by another stream".into()));
            }
            by_name.insert(stream.name.clone(), Arc::new(stream));
        }
        let catalog = Self { streams: by_name };
        catalog.check_families()?;
        for stream in catalog.streams() {
            if let Some(Fallback::Stream(name)) = &stream.on_422
                && catalog.get(name).is_none()
            {
                let problem = format!("falls back to `{name}`, which is not in the catalog");
                return Err(CatalogError::Stream { stream: stream.name.clone(), problem });
            }
        }
        Ok(catalog)
    }

    /// What is learned of one stream of a family is believed of the others, so they must count days alike.
    fn check_families(&self) -> Result<(), CatalogError> {
        let mut families: BTreeMap<&str, &Stream> = BTreeMap::new();
        for stream in self.streams() {
            let Some(days) = &stream.days else {
                continue;
            };
            let first = families.entry(&stream.family).or_insert(stream);
            if first.days.as_ref().is_some_and(|first| (first.zone, first.end) != (days.zone, days.end)) {
                let problem = format!("counts days otherwise than `{}`, which is of the same family", first.name);
                return Err(CatalogError::Stream { stream: stream.name.clone(), problem });
            }
        }
        Ok(())
    }

    /// The stream called `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<Stream>> {
        self.streams.get(name)
    }

    /// Every stream, by name.
    pub fn streams(&self) -> impl Iterator<Item = &Arc<Stream>> {
        self.streams.values()
    }

    /// The streams of `tier` and of the tiers it contains.
    pub fn tier(&self, tier: Tier) -> impl Iterator<Item = &Arc<Stream>> {
        self.streams().filter(move |stream| stream.tier.is_some_and(|own| own <= tier))
    }

    /// The stream whose rows name the objects of a kind.
    pub fn discovering(&self, object: DiscoveredObject) -> Option<&Arc<Stream>> {
        self.streams().find(|stream| stream.discovers.as_ref().is_some_and(|found| found.object == object))
    }
}

/// Reads one file of stream declarations.
fn read(file: &str, text: &str) -> Result<Vec<Stream>, CatalogError> {
    let parsed: File = toml::from_str(text)
        .map_err(|source| CatalogError::Syntax { file: file.to_owned(), source: Box::new(source) })?;
    let family = parsed.family;
    let of_family = |stream: Stream| match stream.family.is_empty() {
        true => Stream { family: family.clone(), ..stream },
        false => stream,
    };
    Ok(parsed.streams.into_iter().map(of_family).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_catalog_is_whole() {
        let catalog = Catalog::embedded().unwrap();
        assert_eq!(catalog.tier(Tier::Minimal).count(), 18);
        for object in [
            DiscoveredObject::Organization,
            DiscoveredObject::Category,
            DiscoveredObject::Asset,
            DiscoveredObject::Domain,
        ] {
            assert!(catalog.discovering(object).is_some(), "{object:?}");
        }
    }

    #[test]
    fn streams_of_a_family_that_count_days_otherwise_are_refused() {
        let catalog = Catalog::embedded().unwrap();
        let of_family = |name: &str| Stream { family: "answers".into(), ..Stream::clone(catalog.get(name).unwrap()) };
        let refused = Catalog::of(vec![of_family("answers_v1"), of_family("answers_v2")]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "stream `answers_v2`: counts days otherwise than `answers_v1`, which is of the same family"
        );
    }

    #[test]
    fn names_taken_twice_are_refused() {
        let twice = Catalog::embedded().unwrap().streams().map(|stream| Stream::clone(stream)).next().unwrap();
        let refused = Catalog::of(vec![twice.clone(), twice]).unwrap_err();
        assert!(refused.to_string().contains("taken by another stream"), "{refused}");
    }
}
