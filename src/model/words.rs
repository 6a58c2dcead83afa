//! Errors in words.

/// An error and its causes on one line, none of them twice.
pub fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = error.source();
    }
    words
}

/// Words of an error, as a sentence: with a capital letter, unless a name comes first, and a full stop.
pub fn as_sentence(words: &str) -> String {
    let words = words.trim();
    let is_name = |word: &str| !word.chars().all(char::is_alphabetic);
    if words.split([' ', ',', ':']).next().is_none_or(is_name) {
        return with_stop(words);
    }
    let mut letters = words.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    with_stop(&format!("{first}{}", letters.as_str()))
}

/// The same as the end of a sentence.
pub fn with_stop(words: &str) -> String {
    let words = words.trim();
    let stop = if words.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{words}{stop}")
}
