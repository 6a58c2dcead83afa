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
    /// There are no credentials: the metadata service of a cloud has none.
    NoCredentials,
    /// The clock of this machine differs from the store's.
    ClockSkew,
    /// The store has no space left, or a quota is used up.
    NoSpace,
    /// A lock or retention keeps the object from being replaced or deleted.
    Locked,
    /// No connection to the store's address.
    Unreachable,
    /// A web page, such as the console of the store, answers.
    NotS3,
    /// `http://` where the server speaks TLS, or the other way around.
    WrongScheme,
    /// This process may open no more files or connections.
    TooManyFiles,
    /// The certificate of the store is expired or not valid yet. The errors of the TLS stack cannot be reached by type.
    CertificateTime,
    /// The certificate of the store is of another host.
    CertificateName,
    /// The certificate of the store is of no trusted root.
    Untrusted,
}

/// Texts of errors; the first match counts.
const TEXTS: [(&str, StoreDenial); 34] = [
    ("certificate expired", StoreDenial::CertificateTime),
    ("certificate not valid yet", StoreDenial::CertificateTime),
    ("certificate not valid for name", StoreDenial::CertificateName),
    ("invalid peer certificate", StoreDenial::Untrusted),
    ("InvalidContentType", StoreDenial::WrongScheme),
    ("HTTP request to an HTTPS server", StoreDenial::WrongScheme),
    ("HTTP request was sent to HTTPS port", StoreDenial::WrongScheme),
    ("169.254.169.254", StoreDenial::NoCredentials),
    ("169.254.170.", StoreDenial::NoCredentials),
    ("AuthorizationHeaderMalformed", StoreDenial::Region),
    ("PermanentRedirect", StoreDenial::Region),
    ("incorrectly configured region", StoreDenial::Region),
    ("NoSuchBucket", StoreDenial::NoBucket),
    ("RequestTimeTooSkewed", StoreDenial::ClockSkew),
    ("StorageFull", StoreDenial::NoSpace),
    ("QuotaExceeded", StoreDenial::NoSpace),
    ("507 Insufficient Storage", StoreDenial::NoSpace),
    ("ObjectLocked", StoreDenial::Locked),
    ("WORM protected", StoreDenial::Locked),
    ("ExpiredToken", StoreDenial::Credentials),
    ("TokenRefreshRequired", StoreDenial::Credentials),
    ("InvalidToken", StoreDenial::Credentials),
    ("InvalidAccessKeyId", StoreDenial::Credentials),
    ("SignatureDoesNotMatch", StoreDenial::Credentials),
    ("<!DOCTYPE html", StoreDenial::NotS3),
    ("<html", StoreDenial::NotS3),
    ("401 Unauthorized", StoreDenial::Credentials),
    ("403 Forbidden", StoreDenial::Permissions),
    ("AccessDenied", StoreDenial::Permissions),
    ("Too many open files", StoreDenial::TooManyFiles),
    ("Connection refused", StoreDenial::Unreachable),
    ("failed to lookup address", StoreDenial::Unreachable),
    ("dns error", StoreDenial::Unreachable),
    ("No route to host", StoreDenial::Unreachable),
];

impl StoreDenial {
    /// Whether the next attempt is denied likewise, though `object_store` counts the error among those that pass.
    pub fn is_lasting(self) -> bool {
        matches!(self, Self::Untrusted | Self::CertificateTime | Self::CertificateName | Self::WrongScheme)
    }

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
