//! docs/reference/streams.md: the page about all streams of the catalog.

mod group;
mod page;

pub use page::page;

use catalog::{Catalog, NotExported};

/// docs/reference/streams.md as it must be committed.
///
/// # Panics
/// When the embedded catalog is invalid, which its tests rule out.
pub fn committed_page() -> String {
    page(&Catalog::embedded().expect("a valid catalog"), &NotExported::all().expect("a valid list"))
}
