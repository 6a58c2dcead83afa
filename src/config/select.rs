//! Patterns of a job's `streams` -> the streams.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::problem::{Problem, nearest, question};
use crate::catalog::Catalog;
use crate::model::stream::{Stream, Tier};

/// The streams that `patterns` select, by name.
///
/// A pattern is a tier, the name of a stream, or a prefix of names and `*`; a leading `!` excludes, at any position in the
/// list. Streams without a tier, such as fallbacks, are selected by name or `*` only.
///
/// # Errors
/// Every pattern that matches nothing, with the nearest name, and an empty selection.
pub fn select(catalog: &Catalog, patterns: &[String]) -> Result<Vec<Arc<Stream>>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut selected: BTreeMap<&str, &Arc<Stream>> = BTreeMap::new();
    let mut excluded = Vec::new();
    for pattern in patterns {
        let target = pattern.strip_prefix('!').unwrap_or(pattern).trim();
        let found = matching(catalog, target);
        if found.is_empty() {
            problems.push(unmatched(catalog, pattern, target));
        } else if pattern.starts_with('!') {
            excluded.extend(found);
        } else {
            selected.extend(found.into_iter().map(|stream| (stream.name.as_str(), stream)));
        }
    }
    for stream in excluded {
        selected.remove(stream.name.as_str());
    }
    if selected.is_empty() && problems.is_empty() {
        let has_only_exclusions = !patterns.is_empty() && patterns.iter().all(|pattern| pattern.starts_with('!'));
        let (what, instead) = if has_only_exclusions {
            ("the patterns only exclude", "start with what to export, such as `\"core\"`")
        } else {
            ("no stream is selected", "write for example `streams = [\"core\"]`")
        };
        problems.push(Problem::new("streams", what, instead));
    }
    if problems.is_empty() { Ok(selected.into_values().cloned().collect()) } else { Err(problems) }
}

/// The streams that one pattern, without its `!`, matches.
fn matching<'a>(catalog: &'a Catalog, target: &str) -> Vec<&'a Arc<Stream>> {
    if let Some(tier) = Tier::ALL.into_iter().find(|tier| tier.name() == target) {
        return catalog.tier(tier).collect();
    }
    named(catalog, target)
}

/// The stream called `target`, or all whose names have the prefix before its `*`.
pub(super) fn named<'a>(catalog: &'a Catalog, target: &str) -> Vec<&'a Arc<Stream>> {
    match target.strip_suffix('*') {
        Some(prefix) => catalog.streams().filter(|stream| stream.name.starts_with(prefix)).collect(),
        None => catalog.get(target).into_iter().collect(),
    }
}

fn unmatched(catalog: &Catalog, pattern: &str, target: &str) -> Problem {
    let sign = if pattern.starts_with('!') { "!" } else { "" };
    let names = || catalog.streams().map(|stream| stream.name.as_str()).chain(Tier::ALL.map(Tier::name));
    let prefix = target.strip_suffix('*');
    let instead = if prefix.unwrap_or(target).contains('*') {
        Some("write `*` at the end only".to_owned())
    } else if let Some(prefix) = prefix {
        // Compared with prefixes of the same length.
        let prefixes = names().filter_map(|name| name.get(..prefix.len()));
        question(nearest(prefix, prefixes).iter().map(|near| format!("{sign}{near}*")))
    } else if let Some(question) = question(nearest(target, names()).iter().map(|near| format!("{sign}{near}"))) {
        Some(question)
    } else {
        let longer: Vec<&str> = names().filter(|name| !target.is_empty() && name.starts_with(target)).take(4).collect();
        question(longer)
    };
    let list = "`profound-export streams` lists them; tiers are `minimal`, `core`, `wide` and `everything`";
    Problem::new("streams", format!("`{pattern}` matches no stream"), instead.unwrap_or_else(|| list.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(patterns: &[&str]) -> Result<Vec<String>, Vec<Problem>> {
        let catalog = Catalog::embedded().unwrap();
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        Ok(select(&catalog, &patterns)?.iter().map(|stream| stream.name.clone()).collect())
    }

    const FALLBACK: &str = "visibility_v2_by_model_region_prompt";

    #[test]
    fn tier_contains_the_smaller_tiers() {
        let (minimal, core) = (names(&["minimal"]).unwrap(), names(&["core"]).unwrap());
        assert!(minimal.iter().all(|name| core.contains(name)));
        assert!(core.contains(&"category_tags".to_owned()) && !minimal.contains(&"category_tags".to_owned()));
    }

    #[test]
    fn exclusion_applies_at_any_position() {
        let first = names(&["!bots_v2", "!referrals_*", "minimal"]).unwrap();
        assert_eq!(first, names(&["minimal", "!referrals_*", "!bots_v2"]).unwrap());
        assert!(!first.contains(&"bots_v2".to_owned()) && !first.contains(&"referrals_v2".to_owned()));
    }

    #[test]
    fn stream_selected_twice_is_returned_once() {
        assert_eq!(names(&["bots_v2", "bots_*", "bots_v2"]).unwrap(), ["bots_v1", "bots_v2", "bots_v2_by_hour"]);
    }

    #[test]
    fn fallback_is_selected_by_name_or_star_only() {
        assert!(!names(&["everything"]).unwrap().contains(&FALLBACK.to_owned()));
        assert_eq!(names(&[FALLBACK]).unwrap(), [FALLBACK]);
        assert!(names(&["*"]).unwrap().contains(&FALLBACK.to_owned()));
    }

    #[test]
    fn pattern_without_a_match_names_the_remedy() {
        for (patterns, instead) in [
            (&["promts"][..], "did you mean `prompts`?"),
            (&["core", "!bot_v2"], "did you mean `!bots_v2`?"),
            (&["visibilty_*"], "did you mean `visibility*`?"),
            (&["minimum"], "did you mean `minimal`?"),
            (&["*_v2"], "write `*` at the end only"),
            (&["nonsense_of_some_length"], "`profound-export streams` lists them"),
            (&[], "write for example `streams = [\"core\"]`"),
            (&["bots_v2", "!*"], "write for example `streams = [\"core\"]`"),
            (&["!bots_v2"], "start with what to export"),
        ] {
            assert!(names(patterns).unwrap_err()[0].instead.starts_with(instead), "{patterns:?}");
        }
        assert_eq!(names(&["promts", "bot_v2", "core"]).unwrap_err().len(), 2, "all are reported");
    }
}
