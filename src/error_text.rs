//! Errors as text.

/// `error` and its sources on one line. A source that its parent's message repeats already is left out: many libraries do so.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for source in std::iter::successors(error.source(), |error| error.source()) {
        let source = source.to_string();
        if !text.contains(&source) {
            text = format!("{text}: {source}");
        }
    }
    escape_controls(&text)
}

/// `text` without control characters other than new lines and tabs: a terminal obeys them, and names and messages are the API's.
pub fn escape_controls(text: &str) -> String {
    let is_harmful = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    if !text.contains(is_harmful) {
        return text.to_owned();
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        if is_harmful(letter) { escaped.extend(letter.escape_unicode()) } else { escaped.push(letter) }
    }
    escaped
}

/// The last source of `error`: the message of the operating system or the TLS stack, without the wrappers of HTTP libraries.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
}

/// `message` as a sentence: with a capital letter, unless it starts with a name, and a full stop.
pub fn as_sentence(message: &str) -> String {
    let message = message.trim();
    let is_name = |word: &str| !word.chars().all(char::is_alphabetic);
    if message.split([' ', ',', ':']).next().is_none_or(is_name) {
        return with_full_stop(message);
    }
    let mut letters = message.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    with_full_stop(&format!("{first}{}", letters.as_str()))
}

/// `message` with a full stop, unless it ends a sentence already.
pub fn with_full_stop(message: &str) -> String {
    let message = message.trim();
    let stop = if message.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{message}{stop}")
}
