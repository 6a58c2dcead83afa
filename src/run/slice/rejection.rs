//! Which part of a request a 422 rejects, in the API's own words. A 422 that names another part proves nothing about this one.

use crate::model::stream::Stream;

/// Words for the grain of a report, as the API's messages have them.
const GRAIN_WORDS: [&str; 6] = ["combination", "combinations", "group_by", "grouping", "dimension", "dimensions"];
/// Words for the days of a request.
const DAY_WORDS: [&str; 6] = ["start_date", "end_date", "date", "dates", "since", "until"];

/// Whether `detail` rejects `member` of the body of `stream`, such as `include.citation_details`.
pub fn rejects_member(detail: &str, stream: &Stream, member: &str) -> bool {
    let (outer, entry) = member.split_once('.').map_or((member, None), |(outer, entry)| (outer, Some(entry)));
    let entries = || stream.body.get(outer).and_then(serde_json::Value::as_array).into_iter().flatten();
    problems(detail).any(|(place, message)| match (place.as_slice(), entry) {
        ([first, ..], None) if *first == outer => true,
        ([first, step, ..], Some(entry)) if *first == outer => {
            let by_index = || step.parse().ok().and_then(|index: usize| entries().nth(index)?.as_str());
            *step == entry || by_index() == Some(entry)
        }
        // The list as a whole, unless the message names another entry of it.
        ([first], Some(entry)) if *first == outer => {
            let names_other = || entries().filter_map(|other| other.as_str()).any(|other| has_word(message, &[other]));
            has_word(message, &[entry]) || !names_other()
        }
        (_, entry) => has_word(message, &[entry.unwrap_or(outer)]),
    })
}

/// Whether `detail` rejects what distinguishes the request of `stream` from that of `fallback`: its grain.
pub fn rejects_grain(detail: &str, stream: &Stream, fallback: &Stream) -> bool {
    let differs = |name: &str| stream.body.get(name) != fallback.body.get(name);
    problems(detail).any(|(place, message)| {
        place.first().is_some_and(|name| stream.body.contains_key(*name) && differs(name))
            || has_word(message, &GRAIN_WORDS)
    })
}

/// Whether `detail` rejects the days of a request.
pub fn rejects_days(detail: &str) -> bool {
    problems(detail).any(|(place, message)| {
        place.first().is_some_and(|name| DAY_WORDS.contains(name)) || has_word(message, &DAY_WORDS)
    })
}

/// Whether `detail` may be about the days of a request: it names neither another part of the body nor the grain.
pub fn may_reject_days(detail: &str) -> bool {
    rejects_days(detail)
        || problems(detail).all(|(place, message)| place.is_empty() && !has_word(message, &GRAIN_WORDS))
}

/// The problems of a 422: the steps to the rejected value below the body, and the message.
fn problems(detail: &str) -> impl Iterator<Item = (Vec<&str>, &str)> {
    detail.split("; ").map(|problem| match problem.split_once(": ") {
        Some((place, message)) if !place.contains(' ') => {
            let mut steps: Vec<&str> = place.split('.').collect();
            if matches!(steps.first(), Some(&("body" | "query" | "path"))) {
                steps.remove(0);
            }
            (steps, message)
        }
        _ => (Vec::new(), problem),
    })
}

fn has_word(message: &str, words: &[&str]) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    message.split(|character| !is_part(character)).any(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn stream(name: &str) -> std::sync::Arc<Stream> {
        Catalog::embedded().unwrap().get(name).unwrap().clone()
    }

    #[test]
    fn only_a_message_about_the_member_rejects_it() {
        let answers = stream("answers_v2");
        let rejects = |detail| rejects_member(detail, &answers, "include.citation_details");
        let index = answers.body["include"].as_array().unwrap().iter().position(|entry| entry == "citation_details");
        let by_index = format!("body.include.{}: Input should be a known field", index.unwrap());
        for detail in [
            "body.include: Value error, unsupported",
            "body.include.citation_details: Extra inputs are not permitted",
            by_index.as_str(),
            "citation_details is not part of your plan",
            "body: Value error, 'citation_details' needs another plan",
        ] {
            assert!(rejects(detail), "{detail}");
        }
        for detail in [
            "Unsupported combination of parameters.",
            "body: Value error, unsupported",
            "body.include.0: Input should be 'citation_details' or 'run_id'",
            "body.include: Value error, `mentions` is unknown",
            "body.limit: Input should be less than or equal to 50",
            "body.category_id: citations are not ready",
            "",
        ] {
            assert!(!rejects(detail), "{detail}");
        }
        assert!(rejects_member("body.metrics.0: no", &stream("bots_v2"), "metrics.agents"), "the first metric");
    }

    #[test]
    fn only_a_message_about_the_grain_rejects_it() {
        let (fine, coarse) = (stream("visibility_v2"), stream("visibility_v2_by_model_region_prompt"));
        let rejects = |detail| rejects_grain(detail, &fine, &coarse);
        for detail in [
            "Unsupported group_by combination; use one dimension (or topic + model), optionally with date.",
            "body.group_by: Value error, unsupported",
            "body.group_by.2: Input should be 'date'",
        ] {
            assert!(rejects(detail), "{detail}");
        }
        for detail in ["body: Value error, unsupported", "body.category_id: not ready", "Try later."] {
            assert!(!rejects(detail), "{detail}");
        }
    }

    #[test]
    fn newest_day_is_left_out_unless_a_message_names_another_part() {
        for detail in ["Data is not ready.", "body: Value error, unsupported", "body.end_date: not in the past", ""] {
            assert!(may_reject_days(detail), "{detail}");
        }
        for detail in ["body.limit: too large", "Unsupported combination of parameters."] {
            assert!(!may_reject_days(detail), "{detail}");
        }
    }

    #[test]
    fn only_a_message_about_the_days_rejects_them() {
        assert!(rejects_days("body.end_date: Value error, must be after start_date"));
        assert!(rejects_days("start_date must be before end_date"));
        assert!(!rejects_days("body.limit: Input should be less than 50"));
    }
}
