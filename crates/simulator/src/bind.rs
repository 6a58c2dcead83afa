//! From a request back to the variables of the templates that it was made from.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use catalog::model::scope::ScopePart;
use catalog::model::stream::{Method, Stream};

use super::question::Parameters;
use super::refusal::Refusal;

/// Values by the names of variables.
pub(super) type Variables = BTreeMap<String, String>;

/// The variables of `stream` in a request: those of its path, which are known, of its query and of its body.
pub(super) fn bound(stream: &Stream, in_path: &Variables, parameters: &Parameters) -> Result<Variables, Refusal> {
    let mut variables = in_path.clone();
    for (name, template) in query_pairs(&stream.query).filter(|(_, template)| has_variables(template)) {
        let given: Vec<_> = parameters.query.iter().filter(|(other, _)| other == name).collect();
        if given.is_empty() {
            return Err(Refusal::invalid(&["query", name], "Field required", "missing", &Value::Null));
        }
        match given.iter().find_map(|(_, value)| unified(template, value)) {
            Some(found) => variables.extend(found),
            None => return Err(unlike(&["query", name], &json!(given[0].1))),
        }
    }
    for (name, template) in &stream.body {
        if !has_variables(&template.to_string()) {
            continue;
        }
        let Some(given) = parameters.body.get(name) else {
            return Err(Refusal::missing(name, &json!(parameters.body)));
        };
        if !unify_values(template, given, &mut variables) {
            return Err(unlike(&["body", name], given));
        }
    }
    if stream.request.method == Method::Post {
        let usual = [
            ("category_id", "category_id"),
            ("organization_id", "organization_id"),
            ("asset", "asset_name"),
            ("domain", "domain_name"),
        ];
        for (member, variable) in usual {
            if let Some(text) = parameters.body.get(member).and_then(Value::as_str) {
                variables.entry(variable.to_owned()).or_insert_with(|| text.to_owned());
            }
        }
    }
    Ok(variables)
}

/// Names and values of a query string as the catalog writes it.
pub(super) fn query_pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn unlike(place: &[&str], given: &Value) -> Refusal {
    Refusal::invalid(place, "Input should have the documented form", "value_error", given)
}

/// Whether a request of `stream` says `part` by a variable of its own, and not by the usual member of the body.
pub(super) fn says(stream: &Stream, part: ScopePart) -> bool {
    ["id", "name"].iter().any(|what| stream.uses_variable(&format!("{}_{what}", part.path_key())))
}

/// A template cut at its variables: text, and the name of the variable behind it, if one is.
fn pieces(template: &str) -> Vec<(&str, Option<&str>)> {
    let (mut pieces, mut start, mut at) = (Vec::new(), 0, 0);
    while let Some(open) = template[at..].find('{').map(|open| at + open) {
        let name = template[open + 1..].split_once('}').map(|(name, _)| name);
        let is_name = |name: &&str| {
            !name.is_empty() && name.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '_')
        };
        match name.filter(is_name) {
            Some(name) => {
                pieces.push((&template[start..open], Some(name)));
                at = open + name.len() + 2;
                start = at;
            }
            // Braces of JSON are braces.
            None => at = open + 1,
        }
    }
    pieces.push((&template[start..], None));
    pieces
}

pub(super) fn has_variables(template: &str) -> bool {
    pieces(template).iter().any(|(_, name)| name.is_some())
}

/// The values that make `text` of `template`, if there are any.
pub(super) fn unified(template: &str, text: &str) -> Option<Variables> {
    let (mut variables, mut rest, mut waiting) = (Variables::new(), text, None::<&str>);
    for (literal, name) in pieces(template) {
        let at = match (waiting, name) {
            (None, _) => rest.starts_with(literal).then_some(0)?,
            // The last text ends the whole.
            (Some(_), None) => rest.ends_with(literal).then(|| rest.len() - literal.len())?,
            (Some(_), Some(_)) => rest.find(literal)?,
        };
        if let Some(variable) = waiting {
            variables.insert(variable.to_owned(), rest[..at].to_owned());
        }
        rest = &rest[at + literal.len()..];
        waiting = name;
    }
    rest.is_empty().then_some(variables)
}

fn unify_values(template: &Value, given: &Value, variables: &mut Variables) -> bool {
    match (template, given) {
        (Value::String(template), Value::String(text)) if has_variables(template) => match unified(template, text) {
            Some(found) => {
                variables.extend(found);
                true
            }
            None => false,
        },
        (Value::Array(templates), Value::Array(items)) => {
            templates.iter().zip(items).all(|(template, item)| unify_values(template, item, variables))
        }
        (Value::Object(templates), Value::Object(members)) => templates
            .iter()
            .all(|(name, template)| unify_values(template, members.get(name).unwrap_or(&Value::Null), variables)),
        // Only variables matter here; whether other values are allowed is for the rules.
        (template, _) => !has_variables(&template.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_in_whatever_stands_around_them() {
        let found =
            unified(r#"{"since":"{first}","until":"{last}"}"#, r#"{"since":"2026-03-01","until":"2026-03-02"}"#);
        assert_eq!(found.unwrap().into_values().collect::<Vec<_>>(), ["2026-03-01", "2026-03-02"]);
        assert_eq!(unified("{query}", "a{b}c").unwrap()["query"], "a{b}c");
        assert_eq!(unified("published", "draft"), None);
        assert_eq!(unified("{a}/{b}", "nothing"), None);
    }

    #[test]
    fn variables_of_a_list_in_the_body_are_found() {
        let mut variables = Variables::new();
        assert!(unify_values(&json!({"names": ["{name}"]}), &json!({"names": ["Tea"]}), &mut variables));
        assert_eq!(variables["name"], "Tea");
    }
}
