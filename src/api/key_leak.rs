//! Finds the key where a server repeats it, so that it is neither shown nor kept.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;
use percent_encoding::utf8_percent_encode;
use secrecy::{ExposeSecret, SecretString};

use crate::api::request::UNRESERVED;

const MASK: &str = "***";
/// Shorter keys might occur anywhere by chance; real ones are longer.
const MIN_KEY_BYTES: usize = 8;

/// Keys in every form in which a response may repeat them: as they are, in an address, in JSON, in HTML, in Base64 and in
/// hexadecimal. Wiped when dropped, and never printed.
#[derive(Clone, Default)]
pub struct KeyForms(Arc<Vec<SecretString>>);

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
        let upper = utf8_percent_encode(key, UNRESERVED).to_string();
        let lower = lower_case_escapes(&upper);
        let form: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
        let json = serde_json::Value::from(key).to_string();
        let json = json.trim_matches('"').to_owned();
        let slashed = json.replace('/', "\\/");
        // Without padding, so that it is found with and without.
        let base64 = [STANDARD_NO_PAD.encode(key), URL_SAFE_NO_PAD.encode(key)];
        let hex = [const_hex::encode(key), const_hex::encode_upper(key)];
        let escaped = |unit: &dyn Fn(u16) -> String| key.encode_utf16().map(unit).collect::<String>();
        let unicode = [escaped(&|unit| format!("\\u{unit:04x}")), escaped(&|unit| format!("\\u{unit:04X}"))];
        let html = [html_escaped(key, "&quot;", "&#39;"), html_escaped(key, "&#34;", "&#x27;")];
        let mut forms: Vec<SecretString> = self.0.to_vec();
        let plain = [key.to_owned(), upper, lower, form, json, slashed];
        for text in plain.into_iter().chain(base64).chain(hex).chain(unicode).chain(html) {
            if !forms.iter().any(|form| form.expose_secret() == text) {
                forms.push(text.into());
            }
        }
        // The longest first, so that masking one form leaves no part of another.
        forms.sort_by_key(|form| Reverse(form.expose_secret().len()));
        Self(Arc::new(forms))
    }

    /// Length of the longest form.
    pub fn max_bytes(&self) -> usize {
        self.0.first().map_or(0, |form| form.expose_secret().len())
    }

    /// `text` without the key.
    pub fn mask(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, form| text.replace(form.expose_secret(), MASK))
    }

    fn are_in(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|form| memmem::find(bytes, form.expose_secret().as_bytes()).is_some())
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
        let overlap = self.forms.max_bytes().saturating_sub(1);
        let head = &piece[..piece.len().min(overlap)];
        self.tail.extend_from_slice(head);
        if self.forms.are_in(&self.tail) || self.forms.are_in(piece) {
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

/// `text` with `%2f` in place of `%2F`.
fn lower_case_escapes(text: &str) -> String {
    let mut parts = text.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "%" + &part[..2].to_ascii_lowercase() + &part[2..])
}

fn html_escaped(text: &str, quote: &str, apostrophe: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', quote).replace('\'', apostrophe)
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
        let forms = [
            KEY,
            "prf%2BTHIS%2Fis%3Dthe%25KEY%26of%3Fthe%23account",
            "prf%2bTHIS%2fis%3dthe%25KEY%26of%3fthe%23account",
            "prf+THIS\\/is=the%KEY&of?the#account",
            "cHJmK1RISVMvaXM9dGhlJUtFWSZvZj90aGUjYWNjb3VudA",
            "7072662b544849532f69733d746865254b4559266f663f746865236163636f756e74",
            "7072662B544849532F69733D746865254B4559266F663F746865236163636F756E74",
            "prf+THIS/is=the%KEY&amp;of?the#account",
        ];
        for form in forms {
            assert_eq!(self::forms().mask(&format!("no such key `{form}`.")), "no such key `***`.");
        }
    }

    #[test]
    fn previous_key_is_still_masked() {
        let both = forms().with_key("prf-the-other-key");
        assert_eq!(both.mask(&format!("{KEY} prf-the-other-key")), "*** ***");
    }

    #[test]
    fn key_is_found_however_the_body_is_cut() {
        let body = format!("[{{\"text\":\"{KEY}\"}}]").into_bytes();
        for size in 1..body.len() {
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
