//! From a request back to the template variables that it was made from.

use catalog::model::scope::ScopePart;
use catalog::model::stream::{Method, Stream};
use serde_json::{Value, json};

use crate::data::objects::Variables;

use super::error_response::ErrorResponse;
use super::parameters::{Parameters, member, query_pairs};

/// Members of a body that name its scope, each with the variable of a template that names the same.
const SCOPE_MEMBERS: [(&str, &str); 4] = [
    ("category_id", "category_id"),
    ("organization_id", "organization_id"),
    ("asset", "asset_name"),
    ("domain", "domain_name"),
];

/// The variables of `stream` in a request: those of its path, which are known, of its query and of its body.
///
/// # Errors
/// The API's error response if a parameter is missing or does not match the template.
pub(crate) fn request_variables(
    stream: &Stream,
    path: &Variables,
    parameters: &Parameters,
) -> Result<Variables, ErrorResponse> {
    let mut variables = path.clone();
    let mismatch = |place: &[&str], given: &Value| {
        ErrorResponse::invalid(place, "Input should have the documented form", "value_error", given)
    };
    for (name, template) in query_pairs(&stream.query).filter(|(_, template)| has_variables(template)) {
        let given: Vec<_> = parameters.query.iter().filter(|(other, _)| other == name).collect();
        let Some((_, first)) = given.first() else {
            return Err(ErrorResponse::missing(&["query", name], &Value::Null));
        };
        let found = given.iter().find_map(|(_, value)| match_template(template, value));
        variables.extend(found.ok_or_else(|| mismatch(&["query", name], &json!(first)))?);
    }
    for (name, template) in stream.body.iter().filter(|(_, template)| has_variables(&template.to_string())) {
        let place = ["body", name];
        let given = parameters.body.get(name).ok_or_else(|| ErrorResponse::missing(&place, &json!(parameters.body)))?;
        if !match_value(template, given, &mut variables) {
            return Err(mismatch(&place, given));
        }
    }
    if stream.request.method == Method::Post {
        for (name, variable) in SCOPE_MEMBERS {
            if let Some(text) = member(&parameters.body, name) {
                variables.entry(variable.to_owned()).or_insert_with(|| text.to_owned());
            }
        }
    }
    Ok(variables)
}

/// Whether a request of `stream` names `part` of its scope by a variable, and not by the usual member of the body.
pub(crate) fn has_scope_variable(stream: &Stream, part: ScopePart) -> bool {
    ["id", "name"].iter().any(|what| stream.uses_variable(&format!("{}_{what}", part.path_key())))
}

/// A template cut at its variables: text, and the name of the variable that follows, if one does.
fn pieces(template: &str) -> Vec<(&str, Option<&str>)> {
    let is_name = |name: &&str| {
        let mut letters = name.bytes();
        !name.is_empty() && letters.all(|one| matches!(one, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    };
    let (mut pieces, mut start) = (Vec::new(), 0);
    for (open, _) in template.match_indices('{') {
        // Braces of JSON are braces.
        let name = template[open + 1..].split_once('}').map(|(name, _)| name).filter(is_name);
        if let Some(name) = name {
            pieces.push((&template[start..open], Some(name)));
            start = open + name.len() + 2;
        }
    }
    pieces.push((&template[start..], None));
    pieces
}

pub(crate) fn has_variables(template: &str) -> bool {
    pieces(template).len() > 1
}

/// The values with which `template` makes `text`, if there are any.
fn match_template(template: &str, text: &str) -> Option<Variables> {
    let (mut variables, mut rest, mut open) = (Variables::new(), text, None::<&str>);
    for (literal, name) in pieces(template) {
        let at = match (open, name) {
            (None, _) => rest.starts_with(literal).then_some(0)?,
            // The last literal ends the text.
            (Some(_), None) => rest.ends_with(literal).then(|| rest.len() - literal.len())?,
            (Some(_), Some(_)) => rest.find(literal)?,
        };
        if let Some(variable) = open {
            variables.insert(variable.to_owned(), rest[..at].to_owned());
        }
        rest = &rest[at + literal.len()..];
        open = name;
    }
    rest.is_empty().then_some(variables)
}

fn match_value(template: &Value, given: &Value, variables: &mut Variables) -> bool {
    match (template, given) {
        (Value::String(template), Value::String(text)) if has_variables(template) => {
            let found = match_template(template, text);
            let is_match = found.is_some();
            variables.extend(found.into_iter().flatten());
            is_match
        }
        (Value::Array(templates), Value::Array(items)) => {
            templates.iter().zip(items).all(|(template, item)| match_value(template, item, variables))
        }
        (Value::Object(templates), Value::Object(members)) => templates
            .iter()
            .all(|(name, template)| match_value(template, members.get(name).unwrap_or(&Value::Null), variables)),
        // Only variables matter here; whether other values are allowed is for validation.
        (template, _) => !has_variables(&template.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_in_any_text_around_them() {
        let found =
            match_template(r#"{"since":"{first}","until":"{last}"}"#, r#"{"since":"2026-03-01","until":"2026-03-02"}"#);
        assert_eq!(found.unwrap().into_values().collect::<Vec<_>>(), ["2026-03-01", "2026-03-02"]);
        assert_eq!(match_template("{query}", "a{b}c").unwrap()["query"], "a{b}c");
        assert_eq!(match_template("published", "draft"), None);
        assert_eq!(match_template("{a}/{b}", "nothing"), None);
    }

    #[test]
    fn variables_of_a_list_in_the_body_are_found() {
        let mut variables = Variables::new();
        assert!(match_value(&json!({"names": ["{name}"]}), &json!({"names": ["Tea"]}), &mut variables));
        assert_eq!(variables["name"], "Tea");
    }
}
