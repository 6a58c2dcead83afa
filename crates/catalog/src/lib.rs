//! The streams of the Profound API as data: what can be requested, how days are counted, which columns come back.
//!
//! Nothing here performs I/O except [`clock`], which reads the system time.

mod catalog;
mod check;
pub mod clock;
pub mod document;
mod error;
mod links;
pub mod model;
mod not_exported;
mod read;
mod safety;

pub use catalog::Catalog;
pub use check::check_stream;
pub use error::CatalogError;
pub use not_exported::{NotExported, NotExportedKind};
pub use safety::{NotARead, check_read};
