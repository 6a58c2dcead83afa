//! Why a store denies requests, by the text of its error: stores use the same codes, and `object_store` has types for few of them.

use object_store::Error;

use crate::error_text::error_chain;

/// Why a store denies requests until an operator changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreDenial {
    /// The bucket is in another region.
    Region,
    NoBucket,
    /// The credentials are invalid or expired.
    Credentials,
    /// The credentials are valid and lack a permission.
    Permissions,
    /// The certificate of the store is of no trusted root. The error of the TLS stack cannot be reached by type.
    Untrusted,
}

/// Texts of errors; the first match counts.
const TEXTS: [(&str, StoreDenial); 13] = [
    ("invalid peer certificate", StoreDenial::Untrusted),
    ("AuthorizationHeaderMalformed", StoreDenial::Region),
    ("PermanentRedirect", StoreDenial::Region),
    ("incorrectly configured region", StoreDenial::Region),
    ("NoSuchBucket", StoreDenial::NoBucket),
    ("ExpiredToken", StoreDenial::Credentials),
    ("TokenRefreshRequired", StoreDenial::Credentials),
    ("InvalidToken", StoreDenial::Credentials),
    ("InvalidAccessKeyId", StoreDenial::Credentials),
    ("SignatureDoesNotMatch", StoreDenial::Credentials),
    ("401 Unauthorized", StoreDenial::Credentials),
    ("403 Forbidden", StoreDenial::Permissions),
    ("AccessDenied", StoreDenial::Permissions),
];

impl StoreDenial {
    /// `None` for transient and unknown errors.
    pub fn from_error(error: &Error) -> Option<Self> {
        let words = error_chain(error);
        let by_words = TEXTS.into_iter().find(|(text, _)| words.contains(text)).map(|(_, store_denial)| store_denial);
        by_words.or(match error {
            Error::Unauthenticated { .. } => Some(Self::Credentials),
            Error::PermissionDenied { .. } => Some(Self::Permissions),
            _ => None,
        })
    }
}
