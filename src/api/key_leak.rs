//! Finds the key where a server repeats it, so that it is neither shown nor kept.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;
use secrecy::{ExposeSecret, SecretString};

const MASK: &str = "***";
/// Shorter keys might occur anywhere by chance; real ones are longer.
const MIN_KEY_BYTES: usize = 8;

/// Bytes of one escaped character at most, but for needless zeros: `\\u0070`, `%2570`, `&#x70;`.
const MAX_ESCAPE_BYTES: usize = 7;

/// Keys in the forms in which a response may repeat them: as they are, in other letter case or reversed, in Base64, Base32 and
/// hexadecimal. Each is also found where some of its characters are escaped for JSON, HTML, an address or mail. Never printed.
#[derive(Clone, Default)]
pub struct KeyForms {
    forms: Arc<Vec<SecretString>>,
    /// Finds all of them in one pass. `None` without a key.
    search: Option<AhoCorasick>,
}

impl fmt::Debug for KeyForms {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("KeyForms")
    }
}

impl KeyForms {
    /// These forms and those of `key`.
    pub fn with_key(&self, key: &str) -> Self {
        if key.len() < MIN_KEY_BYTES {
            return self.clone();
        }
        // Without padding, so that it is found with and without; and behind one or two other bytes, as in `user:KEY`.
        let base64 =
            (0..3).flat_map(|before| [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD].map(|form| base64_of(key, before, form)));
        let hex = [const_hex::encode(key), const_hex::encode_upper(key)];
        let separated = hex.iter().flat_map(|hex| [":", "-", " "].map(|separator| separate(hex, separator)));
        let turned = [key.to_ascii_uppercase(), key.to_ascii_lowercase(), key.chars().rev().collect()];
        let base32 = (0..5).map(|before| base32_of(key, before)).flat_map(|text| [text.to_ascii_lowercase(), text]);
        let others = separated.chain(turned).chain(base32).collect::<Vec<_>>();
        let mut forms: Vec<SecretString> = self.forms.to_vec();
        for text in [key.to_owned()].into_iter().chain(base64).chain(hex).chain(others) {
            if !forms.iter().any(|form| form.expose_secret() == text) {
                forms.push(text.into());
            }
        }
        // The longest first, so that masking one form leaves no part of another.
        forms.sort_by_key(|form| Reverse(form.expose_secret().len()));
        // The kind for which a vectorized search exists.
        let mut search = AhoCorasick::builder();
        let search = search.match_kind(MatchKind::LeftmostFirst).build(forms.iter().map(ExposeSecret::expose_secret));
        Self { forms: Arc::new(forms), search: search.ok() }
    }

    /// Length of the longest form.
    pub fn max_bytes(&self) -> usize {
        self.forms.first().map_or(0, |form| form.expose_secret().len())
    }

    /// `text` without the key; where the key is escaped in it, without any escapes.
    pub fn mask(&self, text: &str) -> String {
        let masked = self.forms.iter().fold(text.to_owned(), |text, form| text.replace(form.expose_secret(), MASK));
        // Twice, for what was escaped twice.
        let plain = unescaped(masked.as_bytes()).map(|once| unescaped(&once).unwrap_or(once));
        match plain {
            Some(plain) if self.are_in(&plain) => self.mask(&String::from_utf8_lossy(&plain)),
            _ => masked,
        }
    }

    fn are_in(&self, bytes: &[u8]) -> bool {
        match &self.search {
            Some(search) => search.is_match(bytes),
            None => self.forms.iter().any(|form| memmem::find(bytes, form.expose_secret().as_bytes()).is_some()),
        }
    }
}

/// Scans a body for the key as its pieces arrive.
#[derive(Debug)]
pub struct KeyLeakScanner {
    forms: KeyForms,
    /// The end of the body so far, in which the key may have begun.
    tail: Vec<u8>,
}

impl KeyLeakScanner {
    pub fn new(forms: KeyForms) -> Self {
        Self { forms, tail: Vec::new() }
    }

    /// Whether the body so far, `piece` included, contains the key.
    pub fn scan(&mut self, piece: &[u8]) -> bool {
        let overlap = (MAX_ESCAPE_BYTES * self.forms.max_bytes()).saturating_sub(1);
        self.tail.extend_from_slice(&piece[..piece.len().min(overlap)]);
        let are_in_escaped = |plain: Vec<u8>| {
            self.forms.are_in(&plain) || unescaped(&plain).is_some_and(|plain| self.forms.are_in(&plain))
        };
        let is_found = |bytes: &[u8]| self.forms.are_in(bytes) || unescaped(bytes).is_some_and(are_in_escaped);
        if is_found(&self.tail) || is_found(piece) {
            return true;
        }
        if piece.len() >= overlap {
            self.tail.clear();
            self.tail.extend_from_slice(&piece[piece.len() - overlap..]);
        } else {
            let excess = self.tail.len().saturating_sub(overlap);
            self.tail.drain(..excess);
        }
        false
    }
}

/// The Base64 of `key` behind `before` bytes: the digits that hold bits of the key alone.
fn base64_of(key: &str, before: usize, form: &impl Engine) -> String {
    let text = form.encode([vec![0; before], key.as_bytes().to_vec()].concat());
    let whole = (before + key.len()) * 8 / 6;
    let end = if before == 0 { text.len() } else { whole };
    text[(before * 8).div_ceil(6)..end].to_owned()
}

/// The Base32 of `key` behind `before` bytes: the digits that hold bits of the key alone.
fn base32_of(key: &str, before: usize) -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bytes = [vec![0; before], key.as_bytes().to_vec()].concat();
    let bit = |at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
    let digit = |at: usize| (0..5).fold(0, |digit, next| digit << 1 | usize::from(bit(at * 5 + next)));
    ((before * 8).div_ceil(5)..bytes.len() * 8 / 5).map(|at| char::from(DIGITS[digit(at)])).collect()
}

/// `hex` with `separator` between two bytes.
fn separate(hex: &str, separator: &str) -> String {
    hex.as_bytes().chunks(2).map(String::from_utf8_lossy).collect::<Vec<_>>().join(separator)
}

/// `bytes` with plain characters in place of ASCII ones that are escaped for JSON, HTML, an address or mail. `None` if there are none.
fn unescaped(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut plain: Option<Vec<u8>> = None;
    let (mut copied, mut at) = (0, 0);
    let mut starts = memchr::memchr3_iter(b'\\', b'%', b'&', bytes).peekable();
    let mut equals = memchr::memchr_iter(b'=', bytes).peekable();
    loop {
        while starts.next_if(|start| *start < at).is_some() {}
        while equals.next_if(|start| *start < at).is_some() {}
        let Some(next) = starts.peek().into_iter().chain(equals.peek()).min() else {
            break;
        };
        at = *next;
        let Some((byte, length)) = escape(&bytes[at..]) else {
            // Two bytes of `\\\\`, so that the second does not begin an escape.
            at += if bytes[at..].starts_with(b"\\\\") { 2 } else { 1 };
            continue;
        };
        let plain = plain.get_or_insert_with(|| Vec::with_capacity(bytes.len()));
        plain.extend_from_slice(&bytes[copied..at]);
        plain.extend(byte);
        at += length;
        copied = at;
    }
    plain.map(|mut plain| {
        plain.extend_from_slice(&bytes[copied..]);
        plain
    })
}

/// The ASCII character that the escape at the start of `bytes` means, none for a soft line break, and the length of the escape.
fn escape(bytes: &[u8]) -> Option<(Option<u8>, usize)> {
    const NAMED: [(&[u8], u8); 7] = [
        (b"\\/", b'/'),
        (b"\\\"", b'"'),
        (b"&amp;", b'&'),
        (b"&lt;", b'<'),
        (b"&gt;", b'>'),
        (b"&quot;", b'"'),
        (b"&apos;", b'\''),
    ];
    if let Some((name, byte)) = NAMED.iter().find(|(name, _)| bytes.starts_with(name)) {
        return Some((Some(*byte), name.len()));
    }
    let of = |digits: &[u8], radix: u32, length: usize| {
        let code = u8::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()?;
        code.is_ascii().then_some((Some(code), length))
    };
    let until = |start: usize| bytes[start..].iter().take(8).position(|byte| *byte == b';').map(|end| start + end);
    match bytes {
        [b'\\', b'u', b'0', b'0', ..] => of(bytes.get(4..6)?, 16, 6),
        [b'\\', b'x', ..] => of(bytes.get(2..4)?, 16, 4),
        // An escape that is escaped itself.
        [b'\\', b'\\', b'u' | b'x', ..] => Some((Some(b'\\'), 2)),
        [b'=', b'\r', b'\n', ..] => Some((None, 3)),
        [b'=', b'\n', ..] => Some((None, 2)),
        [b'%' | b'=', ..] => of(bytes.get(1..3)?, 16, 3),
        [b'&', b'#', b'x' | b'X', ..] => until(3).and_then(|end| of(&bytes[3..end], 16, end + 1)),
        [b'&', b'#', ..] => until(2).and_then(|end| of(&bytes[2..end], 10, end + 1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "prf+THIS/is=the%KEY&of?the#account";

    fn forms() -> KeyForms {
        KeyForms::default().with_key(KEY)
    }

    #[test]
    fn every_form_of_the_key_is_masked() {
        let escaped = |each: fn(char) -> String| KEY.chars().map(each).collect::<String>();
        let forms = [
            KEY.to_owned(),
            "prf%2BTHIS%2Fis%3Dthe%25KEY%26of%3Fthe%23account".to_owned(),
            "prf%2bTHIS%2fis%3dthe%25KEY%26of%3fthe%23account".to_owned(),
            "prf+THIS\\/is=the%KEY&of?the#account".to_owned(),
            "p\\u0072f+TH\\u0049S\\/is=the%KEY&of?the#account".to_owned(),
            "cHJmK1RISVMvaXM9dGhlJUtFWSZvZj90aGUjYWNjb3VudA".to_owned(),
            "7072662b544849532f69733d746865254b4559266f663f746865236163636f756e74".to_owned(),
            "7072662B544849532F69733D746865254B4559266F663F746865236163636F756E74".to_owned(),
            "prf+THIS/is=the%KEY&amp;of?the#account".to_owned(),
            escaped(|character| format!("\\u{:04x}", character as u32)),
            escaped(|character| format!("\\u{:04X}", character as u32)),
            escaped(|character| format!("&#{};", character as u32)),
            escaped(|character| format!("&#x{:x};", character as u32)),
            escaped(|character| format!("%{:02x}", character as u32)),
            escaped(|character| format!("%25{:02x}", character as u32)),
            escaped(|character| format!("\\\\u{:04x}", character as u32)),
            escaped(|character| format!("\\x{:02x}", character as u32)),
            escaped(|character| format!("={:02X}", character as u32)),
            KEY.to_ascii_uppercase(),
            KEY.to_ascii_lowercase(),
            KEY.chars().rev().collect(),
            escaped(|character| format!("{:02x}:", character as u32)).trim_end_matches(':').to_owned(),
            escaped(|character| format!("{:02X} ", character as u32)).trim_end().to_owned(),
            escaped(|character| format!("{:02x}-", character as u32)).trim_end_matches('-').to_owned(),
        ];
        for form in forms {
            assert_eq!(self::forms().mask(&format!("no such key `{form}`.")), "no such key `***`.", "{form}");
        }
    }

    #[test]
    fn key_is_found_in_the_base64_of_a_longer_text() {
        for text in [format!("Bearer {KEY}"), format!("user:{KEY}"), format!("user:{KEY}:x"), format!("ab{KEY}")] {
            for encoded in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                assert!(forms().mask(&encoded).contains(MASK), "{text}");
            }
        }
    }

    #[test]
    fn key_is_found_in_base32_also_behind_other_bytes() {
        let forms = KeyForms::default().with_key("fooba-key");
        // Of `fooba-key`, and behind 1 to 5 letters `x`.
        for (encoded, masked) in [
            ("MZXW6YTBFVVWK6I", "***I"),
            ("mzxw6ytbfvvwk6i=", "***i="),
            ("PBTG633CMEWWWZLZ", "PB***"),
            ("PB4GM33PMJQS223FPE", "PB4G***E"),
            ("PB4HQZTPN5RGCLLLMV4Q", "PB4HQ***Q"),
            ("PB4HQ6DGN5XWEYJNNNSXS", "PB4HQ6D***S"),
            ("PB4HQ6DYMZXW6YTBFVVWK6I", "PB4HQ6DY***I"),
        ] {
            assert_eq!(forms.mask(encoded), masked);
        }
    }

    #[test]
    fn key_is_found_across_the_soft_line_breaks_of_mail() {
        for broken in ["=\r\n", "=\n"] {
            let text = format!("{}{broken}{}", KEY[..9].replace('=', "=3D"), KEY[9..].replace('=', "=3D"));
            assert_eq!(forms().mask(&text), MASK, "{text}");
        }
    }

    #[test]
    fn previous_key_is_still_masked() {
        let both = forms().with_key("prf-the-other-key");
        assert_eq!(both.mask(&format!("{KEY} prf-the-other-key")), "*** ***");
    }

    #[test]
    fn key_is_found_however_the_body_is_cut() {
        let escaped: String = KEY.chars().map(|character| format!("\\u{:04x}", character as u32)).collect();
        for (size, text) in (1..200).flat_map(|size| [(size, KEY), (size, escaped.as_str())]) {
            let body = format!("[{{\"text\":\"{text}\"}}]").into_bytes();
            let mut scanner = KeyLeakScanner::new(forms());
            assert!(body.chunks(size).any(|piece| scanner.scan(piece)), "pieces of {size}");
            let mut scanner = KeyLeakScanner::new(forms());
            let mut without = body.clone();
            without[20] = b'!';
            assert!(!without.chunks(size).any(|piece| scanner.scan(piece)), "pieces of {size}");
        }
    }

    #[test]
    fn debug_output_does_not_contain_the_key() {
        assert!(!format!("{:?} {:?}", forms(), KeyLeakScanner::new(forms())).contains("THIS"));
    }
}
