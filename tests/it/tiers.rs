//! The streams of each tier; and, if the plan of the tiers is next to the vendor's document, that every stream is requested
//! exactly as planned. Without the plan that part prints so and passes.

use std::collections::BTreeSet;
use std::sync::Arc;

use profound_export::catalog::Catalog;
use profound_export::model::scope::ScopeKind;
use profound_export::model::stream::{DaysKind, Fallback, Pagination, Stream, Tier};
use serde_json::{Value, json};

use crate::document::{file_next_to_document, first_requests};

const MINIMAL: [&str; 18] = [
    "organizations",
    "regions",
    "models",
    "domains",
    "assets",
    "personas",
    "categories",
    "prompts",
    "answers_v2",
    "visibility_v2",
    "visibility_v2_by_day",
    "citations_v2_domain_by_model",
    "citations_v2_page_by_prompt",
    "sentiment_v2_by_theme",
    "query_fanouts_v2_by_query",
    "query_fanouts_v2_by_prompt",
    "bots_v2",
    "referrals_v2",
];

const CORE: [&str; 24] = [
    "category_topics",
    "category_tags",
    "category_regions",
    "category_citation_categories",
    "category_citation_tags",
    "accuracy_factcheck_setup_status",
    "visibility_v2_by_model",
    "visibility_v2_by_topic",
    "citations_v2_domain_by_day",
    "citations_v2_domain_by_topic_model",
    "citations_v2_page_by_model",
    "citations_v2_category_by_model",
    "sentiment_v2_by_day",
    "sentiment_v2_by_model_topic",
    "factcheck_scores_v2_by_model",
    "factcheck_scores_v2_by_prompt",
    "factcheck_scores_v2_by_theme",
    "factcheck_claims_v2",
    "visibility_v2_week",
    "citations_v2_domain_week",
    "sentiment_v2_week",
    "visibility_v2_month",
    "citations_v2_domain_month",
    "sentiment_v2_month",
];

const WIDE: [&str; 35] = [
    "visibility_v2_by_region",
    "visibility_v2_by_persona",
    "visibility_v1_by_tag",
    "visibility_v1",
    "citations_v1",
    "sentiment_v1",
    "web_search_results_v1",
    "answers_v1",
    "shopping_brands_v2",
    "shopping_products_v2",
    "shopping_merchants_v2_by_day",
    "shopping_merchants_v2_by_brand",
    "shopping_merchants_v2_by_product",
    "shopping_trigger_rate_v2",
    "youtube_channels_v2_by_channel",
    "youtube_channels_v2_by_channel_model",
    "youtube_channels_v2_by_channel_source_type",
    "youtube_channels_v2_by_channel_video_category",
    "youtube_videos_v2",
    "youtube_summary_v2",
    "accuracy_inaccurate_clusters",
    "accuracy_inaccurate_themes",
    "openai_ads_insights_ad_account",
    "openai_ads_insights_campaign",
    "openai_ads_insights_ad_group",
    "openai_ads_insights_ad",
    "knowledge_bases",
    "documents",
    "integrations",
    "agents",
    "agent_details",
    "projects",
    "project_generations",
    "project_details",
    "content_optimizations",
];

/// Streams of these tiers that the plan does not have: it was written before anybody asked for them.
const UNPLANNED: [&str; 6] = [
    "visibility_v2_week",
    "citations_v2_domain_week",
    "sentiment_v2_week",
    "visibility_v2_by_region",
    "visibility_v2_by_persona",
    "visibility_v1_by_tag",
];

/// Streams that are fallbacks of others.
const FALLBACKS: [&str; 6] = [
    "visibility_v2_by_model_region_prompt",
    "citations_v2_domain_by_topic",
    "sentiment_v2_by_model",
    "shopping_brands_v2_by_topic",
    "shopping_products_v2_by_day",
    "shopping_trigger_rate_v2_by_prompt",
];

/// Fallbacks whose grain `everything` requests anyway.
const FALLBACKS_OF_EVERYTHING: [&str; 2] = ["citations_v2_domain_by_topic", "sentiment_v2_by_model"];

fn names_of(tier: Option<Tier>) -> BTreeSet<String> {
    let catalog = Catalog::embedded().unwrap();
    catalog.streams().filter(|stream| stream.tier == tier).map(|stream| stream.name.clone()).collect()
}

fn names(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn tiers_contain_exactly_the_planned_streams() {
    assert_eq!(names_of(Some(Tier::Minimal)), names(&MINIMAL));
    assert_eq!(names_of(Some(Tier::Core)), names(&CORE));
    assert_eq!(names_of(Some(Tier::Wide)), names(&WIDE));
    for name in FALLBACKS {
        let catalog = Catalog::embedded().unwrap();
        let by_itself = FALLBACKS_OF_EVERYTHING.contains(&name);
        assert_eq!(catalog.get(name).unwrap().tier, by_itself.then_some(Tier::Everything), "{name}");
    }
}

#[test]
fn every_fallback_stream_is_listed() {
    let catalog = Catalog::embedded().unwrap();
    let standing: BTreeSet<String> = catalog
        .streams()
        .filter_map(|stream| match &stream.on_422 {
            Some(Fallback::Stream(name)) => Some(name.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(standing, names(&FALLBACKS));
}

#[test]
fn streams_without_a_tier_have_a_reason() {
    for stream in Catalog::embedded().unwrap().streams() {
        let is_fallback = FALLBACKS.contains(&stream.name.as_str());
        assert!(stream.tier.is_some() || is_fallback || stream.opt_in.is_some(), "{}", stream.name);
    }
}

/// Every choice of at most `most` of `of`, in order.
fn choices<'a>(of: &[&'a str], most: usize) -> Vec<Vec<&'a str>> {
    let mut all: Vec<Vec<&str>> = vec![Vec::new()];
    for name in of {
        let shorter: Vec<_> = all.iter().filter(|chosen| chosen.len() < most).cloned().collect();
        all.extend(shorter.iter().map(|chosen| [&chosen[..], &[name]].concat()));
    }
    all
}

/// The stream of `endpoint` that groups by the day and by `dimensions`.
fn assert_grain(catalog: &Catalog, endpoint: &str, dimensions: &[&str]) {
    let grain = if dimensions.is_empty() { "day".to_owned() } else { dimensions.join("_") };
    let name = format!("{endpoint}_by_{grain}");
    let stream = catalog.get(&name).unwrap_or_else(|| panic!("there is no `{name}`"));
    assert_eq!(stream.body["group_by"], json!([&["date"], dimensions].concat()), "{name}");
    assert!(stream.tier.is_some(), "{name}");
}

#[test]
fn everything_has_every_grain_of_citations_sentiment_and_scores() {
    let catalog = Catalog::embedded().unwrap();
    let dimensions = ["model", "topic", "region", "prompt", "persona", "tag", "theme", "claim", "run", "competitor"];
    let pairs = choices(&dimensions, 2);
    assert_eq!(pairs.len(), 56);
    pairs.iter().for_each(|pair| assert_grain(&catalog, "sentiment_v2", pair));
    for entity in ["domain", "page", "category"] {
        let endpoint = format!("citations_v2_{entity}");
        choices(&["model", "topic", "region", "persona", "prompt"], 1)
            .iter()
            .for_each(|one| assert_grain(&catalog, &endpoint, one));
        assert_grain(&catalog, &endpoint, &["topic", "model"]);
    }
    let dimensions = ["model", "region", "persona", "prompt", "topic", "tag", "theme"];
    choices(&dimensions, 1).iter().for_each(|one| assert_grain(&catalog, "factcheck_scores_v2", one));
    for name in [
        "factcheck_scores_v2_by_citation",
        "youtube_channels_v2_by_source_type",
        "youtube_channels_v2_by_video_category",
    ] {
        assert!(names_of(Some(Tier::Everything)).contains(name), "{name}");
    }
}

/// One row of the tables of the plan.
struct Planned {
    name: String,
    request: String,
    has_events: bool,
    fixed: String,
    scope: String,
    kind: String,
    lookback: String,
    on_422: String,
}

/// The texts between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The rows of the plan, if it is at hand.
fn plan() -> Option<Vec<Planned>> {
    let text = file_next_to_document("tiers.md")?;
    let tables = text.split("\n## ").filter(|section| section.contains("| stream | endpoint |"));
    let rows = tables.flat_map(str::lines).filter(|line| line.starts_with("| `")).map(|line| {
        let cells: Vec<&str> = line.trim_matches(['|', ' ']).split(" | ").map(str::trim).collect();
        let [name, endpoint, fixed, scope, kind, lookback, on_422] = cells[..] else { panic!("{line}") };
        let method = endpoint.split_whitespace().next().unwrap();
        Planned {
            name: quoted(name)[0].to_owned(),
            request: format!("{method} {}", quoted(endpoint)[0]),
            has_events: endpoint.contains("(SSE)"),
            fixed: fixed.to_owned(),
            scope: scope.to_owned(),
            kind: kind.to_owned(),
            lookback: lookback.to_owned(),
            on_422: on_422.to_owned(),
        }
    });
    Some(rows.collect())
}

#[test]
fn every_planned_stream_is_requested_as_planned() {
    let Some(plan) = plan() else { return };
    let of = |names: &[&str]| names.len();
    assert_eq!(plan.len(), of(&MINIMAL) + of(&CORE) + of(&WIDE) + of(&FALLBACKS) - of(&UNPLANNED));
    let catalog = Catalog::embedded().unwrap();
    for planned in &plan {
        let stream = catalog.get(&planned.name).unwrap_or_else(|| panic!("there is no `{}`", planned.name));
        assert_eq!(stream.request.to_string(), planned.request, "{}", planned.name);
        let events = stream.event_stream.clone();
        assert_eq!(events, planned.has_events.then(|| format!("{}/stream", stream.request.path)), "{}", planned.name);
        assert_scope(stream, &planned.scope);
        assert_days(stream, planned);
        // Small pages come before the planned fallback.
        let declared = match stream.on_422.clone() {
            Some(Fallback::SmallPages { without, .. }) => Some(Fallback::Without(without)),
            other => other,
        };
        assert_eq!(declared, fallback(&planned.on_422), "{}", planned.name);
        assert_fixed(stream, &planned.fixed);
    }
}

fn assert_scope(stream: &Stream, planned: &str) {
    let (scope, parent) = match planned {
        "account" => (ScopeKind::Account, None),
        "organization" => (ScopeKind::Organization, None),
        "category" => (ScopeKind::Category, None),
        "category x owned asset" | "owned asset" => (ScopeKind::CategoryAsset, None),
        "domain" => (ScopeKind::Domain, None),
        "agent x version" => (ScopeKind::Account, Some("agents")),
        "changed row of `projects`" => (ScopeKind::Category, Some("projects")),
        other => panic!("`{}` is planned for each {other}", stream.name),
    };
    assert_eq!(stream.scope, scope, "{}", stream.name);
    let of = stream.parent.as_ref().map(|parent| parent.stream.as_str());
    assert_eq!(of, parent, "{}", stream.name);
    let has_change_marker = stream.parent.as_ref().is_some_and(|parent| parent.changed.is_some());
    assert_eq!(has_change_marker, planned.starts_with("changed"), "{}", stream.name);
}

fn assert_days(stream: &Stream, planned: &Planned) {
    let kind = match planned.kind.as_str() {
        "list" => None,
        "dated" => Some(DaysKind::Dated),
        "window" => Some(DaysKind::Window),
        "month" => Some(DaysKind::Month),
        other => panic!("`{}` is planned to be of kind {other}", stream.name),
    };
    assert_eq!(stream.days.as_ref().map(|days| days.kind), kind, "{}", stream.name);
    let lookback = stream.days.as_ref().map(|days| days.lookback.to_string());
    let planned_lookback = planned.lookback.trim_start_matches("once at ");
    assert_eq!(lookback.as_deref().unwrap_or("-"), planned_lookback, "{}", stream.name);
}

/// `same table, ``include`` without ``citation_details``` and the like.
fn fallback(planned: &str) -> Option<Fallback> {
    match (planned, &quoted(planned)[..]) {
        ("-", _) => None,
        (text, [member]) if text.contains("metrics without") => Some(Fallback::Without(format!("metrics.{member}"))),
        (text, [member]) if text.contains("without") => Some(Fallback::Without((*member).to_owned())),
        (_, [list, entry]) => Some(Fallback::Without(format!("{list}.{entry}"))),
        (_, [stream]) => Some(Fallback::Stream((*stream).to_owned())),
        _ => panic!("{planned}"),
    }
}

/// What the exporter adds to every body by itself.
const ADDED: [&str; 6] = ["category_id", "asset", "domain", "organization_id", "start_date", "end_date"];

fn assert_fixed(stream: &Arc<Stream>, planned: &str) {
    if planned.starts_with("query") {
        return assert_eq!(whole_query(stream), quoted(planned)[0], "{}", stream.name);
    }
    assert_eq!(stream.query, "", "{}", stream.name);
    let Some(mut body) = first_requests(stream)[0].body().cloned() else {
        return assert_eq!(planned, "none", "{}", stream.name);
    };
    body.as_object_mut().unwrap().retain(|name, _| !ADDED.contains(&name.as_str()));
    match quoted(planned)[0].parse::<Value>() {
        Ok(planned) => assert_eq!(body, planned, "{}", stream.name),
        // The plan describes two bodies in prose: include everything possible.
        Err(_) => {
            let included = match &body["include"] {
                Value::Array(names) => names.len(),
                Value::Object(switches) => switches.values().filter(|switch| **switch == json!(true)).count(),
                other => panic!("`{}` includes {other}", stream.name),
            };
            assert!(planned.contains(&format!("all {included} ")), "`{}`: {included}", stream.name);
        }
    }
}

/// The query of the first request as the plan writes it: with the variables of scope and days, and those of the first
/// variant filled in.
fn whole_query(stream: &Stream) -> String {
    let mut query = stream.query.clone();
    if let Pagination::QueryOffset { limit } = stream.pagination {
        let joint = if query.is_empty() { "" } else { "&" };
        query.push_str(&format!("{joint}limit={limit}&offset=0"));
    }
    let variant = stream.parent.iter().flat_map(|parent| parent.variants.first()).flat_map(|variant| &variant.set);
    variant.fold(query, |query, (name, value)| query.replace(&format!("{{{name}}}"), value))
}
