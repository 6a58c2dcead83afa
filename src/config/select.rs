//! Patterns of a job's `streams` -> the streams themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::problem::{Problem, listed, nearest};
use crate::catalog::Catalog;
use crate::model::stream::{Stream, Tier};

/// The streams that `patterns` choose, by name.
///
/// A pattern is a tier, the name of a stream, or the beginning of names and `*`; after `!` it leaves out, wherever in the
/// list it stands. Streams of no tier, such as fallbacks, are chosen by name or `*` only.
///
/// # Errors
/// Every pattern that matches nothing, with the nearest name, and a choice that comes out empty.
pub fn select(catalog: &Catalog, patterns: &[String]) -> Result<Vec<Arc<Stream>>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut chosen: BTreeMap<&str, &Arc<Stream>> = BTreeMap::new();
    let mut left_out = Vec::new();
    for pattern in patterns {
        let (target, excludes) = match pattern.strip_prefix('!') {
            Some(target) => (target.trim(), true),
            None => (pattern.trim(), false),
        };
        let found = matching(catalog, target);
        if found.is_empty() {
            problems.push(unmatched(catalog, pattern, target));
        } else if excludes {
            left_out.extend(found);
        } else {
            chosen.extend(found.into_iter().map(|stream| (stream.name.as_str(), stream)));
        }
    }
    for stream in left_out {
        chosen.remove(stream.name.as_str());
    }
    if chosen.is_empty() && problems.is_empty() {
        let only_excludes = !patterns.is_empty() && patterns.iter().all(|pattern| pattern.starts_with('!'));
        let (what, instead) = match only_excludes {
            true => ("everything is left out and nothing chosen", "begin with what is wanted, such as `\"core\"`"),
            false => ("no stream is chosen", "write for example `streams = [\"core\"]`"),
        };
        problems.push(Problem::new("streams", what, instead));
    }
    match problems.is_empty() {
        true => Ok(chosen.into_values().cloned().collect()),
        false => Err(problems),
    }
}

/// The streams that one pattern, without its `!`, stands for.
fn matching<'a>(catalog: &'a Catalog, target: &str) -> Vec<&'a Arc<Stream>> {
    if let Some(tier) = Tier::ALL.into_iter().find(|tier| tier.name() == target) {
        return catalog.tier(tier).collect();
    }
    match target.strip_suffix('*') {
        Some(prefix) => catalog.streams().filter(|stream| stream.name.starts_with(prefix)).collect(),
        None => catalog.get(target).into_iter().collect(),
    }
}

fn unmatched(catalog: &Catalog, pattern: &str, target: &str) -> Problem {
    let what = format!("`{pattern}` matches no stream");
    let sign = if pattern.starts_with('!') { "!" } else { "" };
    let names = || catalog.streams().map(|stream| stream.name.as_str()).chain(Tier::ALL.map(Tier::name));
    let instead = match target.strip_suffix('*') {
        Some(prefix) if !prefix.contains('*') => {
            // The beginnings of names that are as long as what was written.
            let beginnings = names().filter_map(|name| name.get(..prefix.len()));
            nearest(prefix, beginnings).map(|near| format!("did you mean `{sign}{near}*`?"))
        }
        Some(_) => Some("write `*` at the end only".to_owned()),
        None if target.contains('*') => Some("write `*` at the end only".to_owned()),
        None => {
            let begins = || names().filter(|name| !target.is_empty() && name.starts_with(target)).take(4);
            match nearest(target, names()) {
                Some(near) => Some(format!("did you mean `{sign}{near}`?")),
                None if begins().next().is_some() => Some(format!("did you mean {}?", listed(begins()))),
                None => None,
            }
        }
    };
    let list = "`profound-export streams` lists them; tiers are `minimal`, `core`, `wide` and `everything`";
    Problem::new("streams", what, instead.unwrap_or_else(|| list.to_owned()))
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
    fn exclude_wins_wherever_it_stands() {
        let first = names(&["!bots_v2", "!referrals_*", "minimal"]).unwrap();
        assert_eq!(first, names(&["minimal", "!referrals_*", "!bots_v2"]).unwrap());
        assert!(!first.contains(&"bots_v2".to_owned()) && !first.contains(&"referrals_v2".to_owned()));
        let core_alone = names(&["core", "!minimal"]).unwrap();
        assert!(core_alone.contains(&"category_tags".to_owned()) && !core_alone.contains(&"prompts".to_owned()));
    }

    #[test]
    fn streams_chosen_twice_come_once() {
        assert_eq!(names(&["bots_v2", "bots_*", "bots_v2"]).unwrap(), ["bots_v1", "bots_v2"]);
    }

    #[test]
    fn fallback_is_chosen_by_name_or_star_only() {
        assert!(!names(&["everything"]).unwrap().contains(&FALLBACK.to_owned()));
        assert_eq!(names(&[FALLBACK]).unwrap(), [FALLBACK]);
        assert!(names(&["*"]).unwrap().contains(&FALLBACK.to_owned()));
    }

    #[test]
    fn unknown_stream_names_the_nearest_known_one() {
        let told = |patterns: &[&str]| names(patterns).unwrap_err()[0].instead.clone();
        assert_eq!(told(&["promts"]), "did you mean `prompts`?");
        assert_eq!(told(&["core", "!bot_v2"]), "did you mean `!bots_v2`?");
        assert_eq!(told(&["visibilty_*"]), "did you mean `visibility*`?");
        assert_eq!(told(&["minimum"]), "did you mean `minimal`?");
        assert_eq!(told(&["*_v2"]), "write `*` at the end only");
        assert!(told(&["nonsense_of_some_length"]).contains("lists them"));
    }

    #[test]
    fn every_pattern_that_matches_nothing_is_told() {
        assert_eq!(names(&["promts", "bot_v2", "core"]).unwrap_err().len(), 2);
    }

    #[test]
    fn empty_choice_is_refused() {
        assert!(names(&[]).unwrap_err()[0].what.contains("no stream"));
        assert!(names(&["!bots_v2"]).unwrap_err()[0].instead.contains("begin with what is wanted"));
        assert!(names(&["bots_v2", "!*"]).unwrap_err()[0].what.contains("no stream"));
    }
}
