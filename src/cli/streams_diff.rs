//! `streams diff`: the catalog against a newer document of the vendor.

use std::path::PathBuf;

use serde_json::Value;

use crate::catalog::Catalog;
use crate::cli::failure::Failure;
use crate::cli::{GlobalOptions, exit, print_error_line};
use crate::document::{DocumentError, Surface, compare};
use crate::error_text::error_chain;
use crate::model::format::format_count;

#[derive(Debug, clap::Args)]
pub struct StreamsDiffArgs {
    /// The vendor's OpenAPI document, as JSON
    #[arg(long, value_name = "FILE")]
    openapi: PathBuf,
}

pub fn execute(options: &GlobalOptions, catalog: &Catalog, args: &StreamsDiffArgs) -> Result<u8, Failure> {
    let newer = read(args)?;
    let known = Surface::embedded().map_err(|error| Failure::new(exit::FAILED, error_chain(&error)))?;
    let differences = compare(&known, &newer, catalog);
    let text = || {
        if differences.is_empty() {
            return format!("no differences in {} operations", newer.operations.len());
        }
        differences.iter().map(|difference| difference.to_line()).collect::<Vec<_>>().join("\n")
    };
    options.show(text, || &differences)?;
    match differences.len() {
        0 => Ok(exit::COMPLETE),
        // The list is the result; its length is for the end of a log.
        count => {
            print_error_line(format_count(count as u64, "difference"));
            Ok(exit::FAILED)
        }
    }
}

fn read(args: &StreamsDiffArgs) -> Result<Surface, Failure> {
    let file = args.openapi.display();
    let usage = |what: String| Failure::new(exit::USAGE, what);
    let text = std::fs::read_to_string(&args.openapi).map_err(|error| {
        usage(format!("cannot read `{file}`: {error}")).hint("set --openapi to the path of the document")
    })?;
    let document: Value = serde_json::from_str(&text).map_err(|error| {
        usage(format!("`{file}` is not JSON: {error}")).hint("convert a YAML document to JSON first")
    })?;
    Surface::from_document(&document).map_err(|error: DocumentError| {
        usage(format!("`{file}` cannot be compared: {}", error_chain(&error)))
            .hint("the vendor publishes its document as JSON, with `openapi` and `paths` at its top")
    })
}
