//! All streams of this build: TOML embedded in the binary, parsed and checked once.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::model::stream::{DiscoveredObject, Stream, Tier};

use crate::check::check_stream;
use crate::error::CatalogError;
use crate::links::check_links;
use crate::not_exported::{NotExported, NotExportedKind};
use crate::read::parse_streams;

/// Name and text of each file. A file per kind of endpoint.
const FILES: [(&str, &str); 24] = [
    ("organization.toml", include_str!("../streams/organization.toml")),
    ("domain_segments.toml", include_str!("../streams/domain_segments.toml")),
    ("prompts.toml", include_str!("../streams/prompts.toml")),
    ("answers.toml", include_str!("../streams/answers.toml")),
    ("reports_v1.toml", include_str!("../streams/reports_v1.toml")),
    ("visibility_v2.toml", include_str!("../streams/visibility_v2.toml")),
    ("citations_v2.toml", include_str!("../streams/citations_v2.toml")),
    ("sentiment_v2.toml", include_str!("../streams/sentiment_v2.toml")),
    ("query_fanouts_v2.toml", include_str!("../streams/query_fanouts_v2.toml")),
    ("factcheck_v2.toml", include_str!("../streams/factcheck_v2.toml")),
    ("accuracy.toml", include_str!("../streams/accuracy.toml")),
    ("shopping_v1.toml", include_str!("../streams/shopping_v1.toml")),
    ("shopping_v2.toml", include_str!("../streams/shopping_v2.toml")),
    ("youtube.toml", include_str!("../streams/youtube.toml")),
    ("agent_analytics.toml", include_str!("../streams/agent_analytics.toml")),
    ("content.toml", include_str!("../streams/content.toml")),
    ("openai_ads.toml", include_str!("../streams/openai_ads.toml")),
    ("knowledge_bases.toml", include_str!("../streams/knowledge_bases.toml")),
    ("documents.toml", include_str!("../streams/documents.toml")),
    ("integrations.toml", include_str!("../streams/integrations.toml")),
    ("projects.toml", include_str!("../streams/projects.toml")),
    ("agents.toml", include_str!("../streams/agents.toml")),
    ("logs.toml", include_str!("../streams/logs.toml")),
    ("prompt_volumes.toml", include_str!("../streams/prompt_volumes.toml")),
];

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    streams: BTreeMap<String, Arc<Stream>>,
}

impl Catalog {
    /// # Errors
    /// When the embedded files are invalid, which the tests rule out.
    pub fn embedded() -> Result<Self, CatalogError> {
        static EMBEDDED: LazyLock<Result<Catalog, CatalogError>> = LazyLock::new(|| {
            let streams = FILES.iter().map(|(name, text)| parse_streams(name, text));
            Catalog::new(streams.collect::<Result<Vec<_>, _>>()?.concat())
        });
        EMBEDDED.clone()
    }

    /// A catalog of exactly `streams`.
    ///
    /// # Errors
    /// The first stream that contradicts itself or another, has the name of another, writes, or names a missing stream.
    pub fn new(streams: Vec<Stream>) -> Result<Self, CatalogError> {
        let mut by_name = BTreeMap::new();
        for stream in streams {
            let error = |problem: String| CatalogError::Stream { stream: stream.name.clone(), problem };
            check_stream(&stream).map_err(error)?;
            if by_name.contains_key(&stream.name) {
                return Err(error("another stream has the same name".into()));
            }
            by_name.insert(stream.name.clone(), Arc::new(stream));
        }
        let catalog = Self { streams: by_name };
        catalog.check_families()?;
        let writes: Vec<_> =
            NotExported::all()?.into_iter().filter(|listed| listed.kind == NotExportedKind::Writes).collect();
        for stream in catalog.streams() {
            let error = |problem: String| CatalogError::Stream { stream: stream.name.clone(), problem };
            let events = stream.event_stream.iter().map(|path| format!("POST {path}"));
            let mut requests = [stream.request.to_string()].into_iter().chain(events);
            if let Some(listed) = requests.find_map(|request| writes.iter().find(|listed| listed.matches(&request))) {
                return Err(error(format!("`{}` {}: streams are read-only", listed.request, listed.reason)));
            }
            check_links(&catalog.streams, stream).map_err(error)?;
        }
        Ok(catalog)
    }

    /// Adds `streams`; they replace those with the same names.
    ///
    /// # Errors
    /// As [`Catalog::new`].
    pub fn with_streams(&self, streams: Vec<Stream>) -> Result<Self, CatalogError> {
        let replaced = |stream: &&Arc<Stream>| streams.iter().any(|other| other.name == stream.name);
        let kept = self.streams().filter(|stream| !replaced(stream)).map(|stream| Stream::clone(stream));
        Self::new(kept.chain(streams.iter().cloned()).collect())
    }

    /// Facts learned about one stream of a family apply to all of it, so its streams must count days alike.
    fn check_families(&self) -> Result<(), CatalogError> {
        let mut families: BTreeMap<&str, &Stream> = BTreeMap::new();
        for stream in self.streams() {
            let Some(days) = &stream.days else {
                continue;
            };
            let first = families.entry(&stream.family).or_insert(stream);
            if first.days.as_ref().is_some_and(|first| (first.zone, first.end) != (days.zone, days.end)) {
                let problem = format!("its `zone` or `end` differs from `{}` of the same family", first.name);
                return Err(CatalogError::Stream { stream: stream.name.clone(), problem });
            }
        }
        Ok(())
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Stream>> {
        self.streams.get(name)
    }

    /// All streams, ordered by name.
    pub fn streams(&self) -> impl Iterator<Item = &Arc<Stream>> {
        self.streams.values()
    }

    /// The streams of `tier` and of the smaller tiers.
    pub fn tier(&self, tier: Tier) -> impl Iterator<Item = &Arc<Stream>> {
        self.streams().filter(move |stream| stream.tier.is_some_and(|own| own <= tier))
    }

    /// The stream whose rows are the objects of a kind.
    pub fn discovering(&self, object: DiscoveredObject) -> Option<&Arc<Stream>> {
        self.streams().find(|stream| stream.discovers.as_ref().is_some_and(|found| found.object == object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_catalog_is_valid_and_discovers_every_object() {
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
    fn streams_of_a_family_count_days_alike() {
        let catalog = Catalog::embedded().unwrap();
        let of_family = |name: &str| Stream { family: "answers".into(), ..Stream::clone(catalog.get(name).unwrap()) };
        let error = Catalog::new(vec![of_family("answers_v1"), of_family("answers_v2")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "stream `answers_v2`: its `zone` or `end` differs from `answers_v1` of the same family"
        );
    }

    #[test]
    fn columns_say_what_trips_people() {
        let catalog = Catalog::embedded().unwrap();
        for stream in catalog.streams() {
            let path = &stream.request.path;
            let counts_answers = ["visibility", "citations", "sentiment"]
                .iter()
                .any(|report| path.ends_with(&format!("/reports/{report}")));
            let is_v1 = counts_answers && path.starts_with("/v1/");
            for column in &stream.columns {
                let says = |text: &str| {
                    assert!(column.about.contains(text), "{}.{}: {}", stream.name, column.name, column.about);
                };
                match column.name.as_str() {
                    "date" if counts_answers => says("Eastern day"),
                    "date" if path.ends_with("/v2/reports/bots") => says("UTC day"),
                    "persona" | "tag" if is_v1 => says("`(none)`"),
                    "url" if is_v1 => says("without a scheme"),
                    "page" if counts_answers => says("without a URL scheme"),
                    "asset_name" | "theme" if is_v1 => says("only in case"),
                    "visibility_score" if counts_answers => says("from 0 to 1"),
                    "positive_sentiment" if counts_answers => says("from 0 to 100"),
                    "response" => says("control characters"),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let twice = Catalog::embedded().unwrap().streams().map(|stream| Stream::clone(stream)).next().unwrap();
        let error = Catalog::new(vec![twice.clone(), twice]).unwrap_err();
        assert!(error.to_string().contains("another stream has the same name"), "{error}");
    }
}
