//! A hash of the rows of a day or list.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Independent of the order of rows. In records, 32 hexadecimal digits.
// Bytes, because a `u128` would be aligned to sixteen bytes in every day of the coverage.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ContentHash([u8; 16]);

impl ContentHash {
    /// Big-endian.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for ContentHash {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl From<u128> for ContentHash {
    fn from(hash: u128) -> Self {
        Self(hash.to_be_bytes())
    }
}

impl FromStr for ContentHash {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        u128::from_str_radix(text, 16).map(Self::from)
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(const_hex::Buffer::<16>::new().format(&self.0))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| serde::de::Error::custom(format!("`{text}` is not a content hash")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_the_same_text_in_records_as_ever() {
        let text = "\"00000000000000000123456789abcdef\"";
        let hash: ContentHash = serde_json::from_str(text).unwrap();
        assert_eq!(hash, ContentHash::from(0x0123_4567_89ab_cdef));
        assert_eq!(serde_json::to_string(&hash).unwrap(), text);
        assert!(serde_json::from_str::<ContentHash>("\"words\"").is_err());
    }
}
