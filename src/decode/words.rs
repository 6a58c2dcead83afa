//! Words in the place of JSON values, such as `NaN`: what languages print for values that JSON does not have.
//!
//! Such a row was not damaged on its way, so no other request brings a better one. Each word becomes a text that begins with a mark, so
//! that the decoder names its column.

use std::borrow::Cow;

/// A noncharacter, which no text of the API has.
pub const MARK: char = '\u{fffe}';
/// The mark in JSON.
pub const ESCAPED_MARK: &str = "\\uFFFE";

/// `json` with every word that is not JSON replaced by a marked text; `None` if there is none.
pub fn with_marks(json: &str) -> Option<String> {
    replace_words(json, |word| format!("\"{ESCAPED_MARK}{}", &serde_json::Value::from(word).to_string()[1..]))
}

/// `json` with null in place of every word that is not JSON; `None` if there is none.
pub fn with_nulls(json: &str) -> Option<String> {
    replace_words(json, |_| "null".to_owned())
}

fn replace_words(json: &str, replacement: impl Fn(&str) -> String) -> Option<String> {
    let (mut replaced, mut rest) = (String::new(), json);
    let mut is_any = false;
    while let Some(start) = rest.find(|next: char| !is_between(next)) {
        let (before, from) = rest.split_at(start);
        replaced.push_str(before);
        let length = if from.starts_with('"') { text_length(from) } else { from.find(is_end).unwrap_or(from.len()) };
        let (token, after) = from.split_at(length);
        if token.starts_with('"') || is_json(token) {
            replaced.push_str(token);
        } else if after.trim_start().starts_with(':') {
            // The name of a member without quotes: not a word in place of a value.
            return None;
        } else {
            replaced.push_str(&replacement(token));
            is_any = true;
        }
        rest = after;
    }
    replaced.push_str(rest);
    is_any.then_some(replaced)
}

/// `json` with the words as texts.
pub fn without_marks(json: &str) -> Cow<'_, str> {
    if json.contains(ESCAPED_MARK) { Cow::Owned(json.replace(ESCAPED_MARK, "")) } else { Cow::Borrowed(json) }
}

fn is_between(next: char) -> bool {
    next.is_ascii_whitespace() || matches!(next, '{' | '}' | '[' | ']' | ',' | ':')
}

fn is_end(next: char) -> bool {
    is_between(next) || next == '"'
}

/// The length of the text at the start of `from`, with its quotes.
fn text_length(from: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in from.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    from.len()
}

/// Whether `token` is true, false, null or a number that a float can hold.
fn is_json(token: &str) -> bool {
    matches!(token, "true" | "false" | "null") || serde_json::from_str::<f64>(token).is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_that_are_not_json_are_marked() {
        let words =
            ["NaN", "-Infinity", "nan", "None", "True", "undefined", "+1", ".5", "01", "1.", "0x1F", "1e999", "-"];
        for word in words {
            let marked =
                with_marks(&format!(r#"[{{"a":"NaN \" NaN","b": {word} ,"c":[1e3,{word}],"d":null}}]"#)).unwrap();
            let row = &serde_json::from_str::<serde_json::Value>(&marked).unwrap()[0];
            let expected = format!("{MARK}{word}");
            assert_eq!((row["b"].as_str(), row["c"][1].as_str()), (Some(&*expected), Some(&*expected)), "{marked}");
            assert_eq!((row["a"].as_str(), row["c"][0].as_f64()), (Some("NaN \" NaN"), Some(1000.0)));
        }
        for json in [r#"[{"a":1,"b":-0.5e-3}]"#, "[]", r#"[{a: 1}]"#] {
            assert_eq!(with_marks(json), None, "{json}");
        }
    }
}
