//! The content encoding of response bodies.
//!
//! reqwest decodes `gzip` itself, but only one member, only in small letters, and not under its old name `x-gzip`: concatenated members,
//! which some proxies send, end early, and the rest is passed through as it is.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};

/// Bytes that are decoded at once: gzip compresses up to a thousandfold, and all that they become is in memory.
const PIECE_BYTES: usize = 4096;

/// Decodes a body as it arrives.
#[derive(Debug)]
pub enum BodyDecoder {
    Identity,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
}

impl BodyDecoder {
    /// # Errors
    /// The encoding, if it is unknown.
    pub fn new(headers: &HeaderMap) -> Result<Self, String> {
        let values = headers.get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        let names = values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase());
        let names: Vec<String> = names.filter(|name| !name.is_empty() && name != "identity").collect();
        match names.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [] => Ok(Self::Identity),
            ["gzip" | "x-gzip"] => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))),
            _ => Err(names.join(", ")),
        }
    }

    /// Passes the decoded `bytes` to `add`, piece by piece.
    ///
    /// # Errors
    /// That of `add`, or of `damaged` if the bytes are not of this encoding.
    pub fn decode<E>(
        &mut self,
        bytes: &[u8],
        damaged: impl Fn(io::Error) -> E,
        mut add: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self::Gzip(decoder) = self else {
            return add(bytes);
        };
        for piece in bytes.chunks(PIECE_BYTES) {
            decoder.write_all(piece).map_err(&damaged)?;
            add(&std::mem::take(decoder.get_mut()))?;
        }
        Ok(())
    }

    /// The last bytes of the body, which has ended.
    ///
    /// # Errors
    /// If the body is not complete.
    pub fn finish(&mut self) -> io::Result<Vec<u8>> {
        match std::mem::replace(self, Self::Identity) {
            Self::Identity => Ok(Vec::new()),
            Self::Gzip(decoder) => decoder.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn decoded(encoding: &str, body: &[u8], size: usize) -> io::Result<String> {
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, encoding.parse().unwrap())]);
        let (mut decoder, mut text) = (BodyDecoder::new(&headers).unwrap(), Vec::new());
        for chunk in body.chunks(size) {
            let add = |bytes: &[u8]| {
                text.extend_from_slice(bytes);
                Ok(())
            };
            decoder.decode(chunk, |error| error, add)?;
        }
        text.extend(decoder.finish()?);
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn gzip_is_decoded_under_every_name_with_every_member() {
        let members = [gzip("[{\"a\""), gzip(": 1}"), gzip(""), gzip("]")].concat();
        for encoding in ["gzip", "GZIP", "x-gzip", "X-GZip", "identity, gzip"] {
            for size in 1..=members.len() {
                assert_eq!(decoded(encoding, &members, size).unwrap(), "[{\"a\": 1}]", "{encoding} by {size}");
            }
        }
        let long = "rows ".repeat(100_000);
        assert_eq!(decoded("gzip", &gzip(&long), 7).unwrap(), long);
    }

    #[test]
    fn body_that_is_cut_or_no_gzip_is_an_error() {
        let body = gzip("[1, 2, 3]");
        for length in [body.len() - 1, body.len() - 8, 12] {
            assert!(decoded("gzip", &body[..length], 5).is_err(), "{length} of {} bytes", body.len());
        }
        assert!(decoded("gzip", b"[1, 2, 3]", 4).is_err());
        assert_eq!(decoded("identity", b"[1]", 1).unwrap(), "[1]");
        let unknown = HeaderMap::from_iter([(CONTENT_ENCODING, "br".parse().unwrap())]);
        assert_eq!(BodyDecoder::new(&unknown).unwrap_err(), "br");
    }
}
