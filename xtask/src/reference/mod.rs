//! Generated files: docs/reference/streams.md, and the names in the vendor's document.

mod group;
mod page;

use std::path::Path;

use catalog::document::Surface;
use catalog::{Catalog, NotExported};

pub use page::page;

/// docs/reference/streams.md as it must be committed.
///
/// # Panics
/// When the embedded catalog is invalid, which its tests rule out.
pub fn committed_page() -> String {
    page(&Catalog::embedded().expect("a valid catalog"), &NotExported::all().expect("a valid list"))
}

/// `crates/catalog/src/document/surface.json` for the OpenAPI document in `file`.
///
/// # Panics
/// When the file is no OpenAPI document.
pub fn surface(file: &Path) -> String {
    let text = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let surface = Surface::from_document(&serde_json::from_slice(&text).expect("JSON")).expect("an OpenAPI document");
    format!("{}\n", serde_json::to_string_pretty(&surface).expect("JSON"))
}
