//! Finds the key where a server repeats it, so that it is neither shown nor kept.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use memchr::memmem;
use percent_encoding::utf8_percent_encode;
use secrecy::{ExposeSecret, SecretString};

use crate::api::request::UNRESERVED;

/// What stands in place of the key.
const MASK: &str = "***";
/// Shorter keys might stand anywhere by chance; there are none.
const SHORTEST: usize = 8;

/// A key in the forms in which an answer may repeat it: as it is, as part of an address, of JSON, and as Base64. Wiped
/// when it is dropped, and never printed.
#[derive(Clone, Default)]
pub struct KeyForms(Arc<Vec<SecretString>>);

impl fmt::Debug for KeyForms {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("KeyForms")
    }
}

impl KeyForms {
    /// The forms of `key`, and those of the keys before it.
    pub fn of(key: &str, before: &Self) -> Self {
        if key.len() < SHORTEST {
            return before.clone();
        }
        let upper = utf8_percent_encode(key, UNRESERVED).to_string();
        let lower = lower_case_escapes(&upper);
        let json = serde_json::Value::from(key).to_string();
        let json = json.trim_matches('"').to_owned();
        // Without padding, so that it is found with and without.
        let base64 = STANDARD_NO_PAD.encode(key);
        let slashed = json.replace('/', "\\/");
        let form: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
        let mut forms: Vec<SecretString> = before.0.to_vec();
        for text in [key.to_owned(), upper, lower, form, json, slashed, base64] {
            if !forms.iter().any(|form| form.expose_secret() == text) {
                forms.push(text.into());
            }
        }
        // The longest first, so that none leaves a part of another.
        forms.sort_by_key(|form| std::cmp::Reverse(form.expose_secret().len()));
        Self(Arc::new(forms))
    }

    /// Length of the longest form.
    pub fn longest(&self) -> usize {
        self.0.first().map_or(0, |form| form.expose_secret().len())
    }

    /// `words` without the key.
    pub fn mask(&self, words: &str) -> String {
        self.0.iter().fold(words.to_owned(), |words, form| words.replace(form.expose_secret(), MASK))
    }

    fn are_in(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|form| memmem::find(bytes, form.expose_secret().as_bytes()).is_some())
    }
}

/// Looks for the key in a body that comes piece by piece.
#[derive(Debug)]
pub struct Watch {
    forms: KeyForms,
    /// The end of what came, in which the key may have begun.
    tail: Vec<u8>,
}

impl Watch {
    /// Looks for `forms`.
    pub fn new(forms: KeyForms) -> Self {
        Self { forms, tail: Vec::new() }
    }

    /// Whether what came, `piece` included, holds the key.
    pub fn hears(&mut self, piece: &[u8]) -> bool {
        let most = self.forms.longest().saturating_sub(1);
        let head = &piece[..piece.len().min(most)];
        self.tail.extend_from_slice(head);
        if self.forms.are_in(&self.tail) || self.forms.are_in(piece) {
            return true;
        }
        if most <= piece.len() {
            self.tail.clear();
            self.tail.extend_from_slice(&piece[piece.len() - most..]);
        } else {
            let over = self.tail.len().saturating_sub(most);
            self.tail.drain(..over);
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

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "prf+THIS/is=the%KEY&of?the#account";

    fn forms() -> KeyForms {
        KeyForms::of(KEY, &KeyForms::default())
    }

    #[test]
    fn every_form_of_the_key_is_masked() {
        let forms = [
            KEY,
            "prf%2BTHIS%2Fis%3Dthe%25KEY%26of%3Fthe%23account",
            "prf%2bTHIS%2fis%3dthe%25KEY%26of%3fthe%23account",
            "prf+THIS\\/is=the%KEY&of?the#account",
            "cHJmK1RISVMvaXM9dGhlJUtFWSZvZj90aGUjYWNjb3VudA",
        ];
        for form in forms {
            assert_eq!(self::forms().mask(&format!("no such key `{form}`.")), "no such key `***`.");
        }
    }

    #[test]
    fn key_before_is_still_masked_when_another_took_its_place() {
        let both = KeyForms::of("prf-the-other-key", &forms());
        assert_eq!(both.mask(&format!("{KEY} prf-the-other-key")), "*** ***");
    }

    #[test]
    fn key_is_found_however_the_body_is_cut() {
        let body = format!("[{{\"text\":\"{KEY}\"}}]").into_bytes();
        for size in 1..body.len() {
            let mut watch = Watch::new(forms());
            assert!(body.chunks(size).any(|piece| watch.hears(piece)), "pieces of {size}");
            let mut watch = Watch::new(forms());
            let mut without = body.clone();
            without[20] = b'!';
            assert!(!without.chunks(size).any(|piece| watch.hears(piece)), "pieces of {size}");
        }
    }

    #[test]
    fn nothing_tells_the_key_when_it_is_printed() {
        assert!(!format!("{:?} {:?}", forms(), Watch::new(forms())).contains("THIS"));
    }
}
