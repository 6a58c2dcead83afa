//! Why a bucket refuses, by what it says: stores word it alike, and the client tells few of these things by type.

use object_store::Error;

use crate::error_text::error_chain;

/// Why a bucket refuses, where somebody must mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The bucket lies in another region.
    Region,
    /// There is no such bucket.
    NoBucket,
    /// The credentials are wrong, or not valid any more.
    Credentials,
    /// The credentials are fine, and may not do this.
    Rights,
    /// Its certificate comes from none of the roots at hand. The TLS stack's own error is not reachable by type.
    Untrusted,
}

/// What its words give away; the first that fits counts.
const SIGNS: [(&str, Refusal); 13] = [
    ("invalid peer certificate", Refusal::Untrusted),
    ("AuthorizationHeaderMalformed", Refusal::Region),
    ("PermanentRedirect", Refusal::Region),
    ("incorrectly configured region", Refusal::Region),
    ("NoSuchBucket", Refusal::NoBucket),
    ("ExpiredToken", Refusal::Credentials),
    ("TokenRefreshRequired", Refusal::Credentials),
    ("InvalidToken", Refusal::Credentials),
    ("InvalidAccessKeyId", Refusal::Credentials),
    ("SignatureDoesNotMatch", Refusal::Credentials),
    ("401 Unauthorized", Refusal::Credentials),
    ("403 Forbidden", Refusal::Rights),
    ("AccessDenied", Refusal::Rights),
];

impl Refusal {
    /// Which of these an error tells of; none where the bucket merely has a hiccup, or says nothing that is known.
    pub fn of(error: &Error) -> Option<Self> {
        let words = error_chain(error);
        let by_words = SIGNS.into_iter().find(|(sign, _)| words.contains(sign)).map(|(_, refusal)| refusal);
        by_words.or(match error {
            Error::Unauthenticated { .. } => Some(Self::Credentials),
            Error::PermissionDenied { .. } => Some(Self::Rights),
            _ => None,
        })
    }
}
