//! Words in the place of JSON values, such as `NaN`: what languages print for values that JSON does not have; and integers of more than 64
//! bits, which the parser rounds.
//!
//! Such a row was not damaged on its way, so no other request brings a better one. Each word becomes a text that begins with a mark, so
//! that the decoder names its column, and each integer one with another mark, so that it is exact.

use std::borrow::Cow;

/// A noncharacter, which no text of the API has.
pub const MARK: char = '\u{fffe}';
/// The mark in JSON.
pub const ESCAPED_MARK: &str = "\\uFFFE";
/// Another noncharacter, for long integers.
pub const INTEGER_MARK: char = '\u{ffff}';
const ESCAPED_INTEGER_MARK: &str = "\\uFFFF";

/// `json` with every long integer, and every word that is not JSON, replaced by a marked text; `None` if there is none.
pub fn with_marks(json: &str) -> Option<String> {
    replace_words(json, |word| match word {
        _ if is_json(word) => is_long_integer(word).then(|| format!("\"{ESCAPED_INTEGER_MARK}{word}\"")),
        _ => Some(format!("\"{ESCAPED_MARK}{}", &serde_json::Value::from(word).to_string()[1..])),
    })
}

/// `json` with null in place of every word that is not JSON; `None` if there is none.
pub fn with_nulls(json: &str) -> Option<String> {
    replace_words(json, |word| (!is_json(word)).then(|| "null".to_owned()))
}

fn replace_words(json: &str, replacement: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (mut replaced, mut rest) = (String::new(), json);
    let mut is_any = false;
    while let Some(start) = rest.find(|next: char| !is_between(next)) {
        let (before, from) = rest.split_at(start);
        replaced.push_str(before);
        let length = if from.starts_with('"') { text_length(from) } else { from.find(is_end).unwrap_or(from.len()) };
        let (token, after) = from.split_at(length);
        match replacement(token).filter(|_| !token.starts_with('"')) {
            None => replaced.push_str(token),
            // The name of a member without quotes: not a word in place of a value.
            Some(_) if after.trim_start().starts_with(':') => return None,
            Some(replacement) => {
                replaced.push_str(&replacement);
                is_any = true;
            }
        }
        rest = after;
    }
    replaced.push_str(rest);
    is_any.then_some(replaced)
}

/// `json` with the words as texts and the integers as sent.
pub fn without_marks(json: &str) -> Cow<'_, str> {
    let mut json = Cow::Borrowed(json);
    while let Some((before, (integer, after))) = json
        .split_once(&format!("\"{ESCAPED_INTEGER_MARK}"))
        .and_then(|(before, rest)| Some((before, rest.split_once('"')?)))
    {
        json = Cow::Owned(format!("{before}{integer}{after}"));
    }
    if json.contains(ESCAPED_MARK) { Cow::Owned(json.replace(ESCAPED_MARK, "")) } else { json }
}

/// Whether `token` is an integer of more than 64 bits.
fn is_long_integer(token: &str) -> bool {
    let digits = token.strip_prefix('-').unwrap_or(token);
    let is_short = token.parse::<i64>().is_ok() || token.parse::<u64>().is_ok();
    digits.len() > 18 && digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0') && !is_short
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
        let long = r#"[{"a":[18446744073709551616,-9223372036854775809],"b":18446744073709551615,"c":"18446744073709551616"}]"#;
        let marked = with_marks(long).unwrap();
        assert_eq!(marked.matches(ESCAPED_INTEGER_MARK).count(), 2, "{marked}");
        assert_eq!(without_marks(&marked), long);
        assert_eq!(with_nulls(long), None);
        for json in [r#"[{"a":1,"b":-0.5e-3}]"#, "[]", r#"[{a: 1}]"#] {
            assert_eq!(with_marks(json), None, "{json}");
        }
    }
}
