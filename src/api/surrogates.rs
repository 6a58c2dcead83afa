//! Half surrogates: `\ud83d` without its other half, which language models emit when their answer is cut.
//!
//! JSON allows them, Unicode text cannot hold them. Parsers reject the whole text, so one cut answer would make a response look damaged.

use memchr::{memchr, memmem};

/// Replaces each half surrogate in the JSON by U+FFFD, in place. Returns how many there were.
pub(super) fn replace_half_surrogates(json: &mut [u8]) -> u64 {
    // Nearly no text has an escaped surrogate at all.
    if memmem::find(json, b"\\ud").is_none() && memmem::find(json, b"\\uD").is_none() {
        return 0;
    }
    let (mut at, mut replaced) = (0, 0);
    while let Some(found) = memchr(b'\\', &json[at..]) {
        at += found;
        match unit(&json[at..]) {
            Some(0xd800..=0xdbff) if matches!(unit(&json[at + 6..]), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => {
                json[at + 2..at + 6].copy_from_slice(b"fffd");
                replaced += 1;
                at += 6;
            }
            Some(_) => at += 6,
            // Another escape: the byte after the backslash begins none.
            None => at = json.len().min(at + 2),
        }
    }
    replaced
}

/// The UTF-16 unit of an escape at the start of `json`.
fn unit(json: &[u8]) -> Option<u16> {
    let digits = json.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_half_surrogates_are_replaced() {
        for (json, expected, count) in [
            (r#"{"a":"\ud83d\ude00 \u00e9 \n"}"#, r#"{"a":"\ud83d\ude00 \u00e9 \n"}"#, 0),
            (r#"["\ud83d"]"#, r#"["\ufffd"]"#, 1),
            (r#"["\uD83D x \uDE00"]"#, r#"["\ufffd x \ufffd"]"#, 2),
            (r#"["\ud83d\ud83d\ude00"]"#, r#"["\ufffd\ud83d\ude00"]"#, 1),
            (r#"["\\ud83d \\\ud83d"]"#, r#"["\\ud83d \\\ufffd"]"#, 1),
            (r#"["\ud8"#, r#"["\ud8"#, 0),
            (r#"["\ud83d\"#, r#"["\ufffd\"#, 1),
        ] {
            let mut bytes = json.as_bytes().to_vec();
            assert_eq!(replace_half_surrogates(&mut bytes), count, "{json}");
            assert_eq!(String::from_utf8(bytes).unwrap(), expected, "{json}");
        }
    }
}
