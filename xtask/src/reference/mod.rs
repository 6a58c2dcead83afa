//! Generated files: the pages of docs/reference, and the names in the vendor's document.

mod commands;
mod group;
mod page;
mod settings;

use std::path::{Path, PathBuf};

use catalog::document::Surface;
use catalog::{Catalog, NotExported};
use clap::CommandFactory;
use profound_export::cli::Cli;
use profound_export::config::schema;

pub use page::page;

/// Each generated page: its name below docs/reference, and its text.
///
/// # Panics
/// When the embedded catalog is invalid, which its tests rule out.
pub fn pages() -> [(&'static str, String); 3] {
    let catalog = Catalog::embedded().expect("a valid catalog");
    let not_exported = NotExported::all().expect("a valid list");
    [
        ("streams.md", page(&catalog, &not_exported, &NotExported::grains().expect("a valid list"))),
        ("settings.md", settings::settings_page(&schema())),
        ("commands.md", commands::commands_page(&Cli::command())),
    ]
}

/// Writes the pages.
///
/// # Errors
/// The file that cannot be written.
pub fn write_pages() -> std::io::Result<()> {
    pages().iter().try_for_each(|(name, text)| std::fs::write(path(name), text))
}

/// `text` within one cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn path(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(page)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_pages_are_current() {
        for (name, text) in pages() {
            let committed = std::fs::read_to_string(path(name)).unwrap_or_default();
            assert!(committed == text, "docs/reference/{name} is out of date: `cargo xtask reference` writes it");
        }
    }
}
