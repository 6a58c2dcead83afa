//! `streams diff` on the vendor's own document, which is not part of this repository.

use profound_export::catalog::Catalog;
use profound_export::document::{Difference, Surface, compare};
use serde_json::{Value, json};

use crate::document::document;

fn differences(newer: &Value) -> Vec<Difference> {
    let catalog = Catalog::embedded().unwrap();
    compare(&Surface::embedded().unwrap(), &Surface::from_document(newer).unwrap(), &catalog)
}

#[test]
fn embedded_surface_is_that_of_the_document() {
    let Some(document) = document() else { return };
    let lines: Vec<String> = differences(&document).iter().map(Difference::to_line).collect();
    assert!(
        Surface::embedded().unwrap() == Surface::from_document(&document).unwrap(),
        "cargo xtask surface FILE > crates/catalog/src/document/surface.json\n{}",
        lines.join("\n")
    );
}

#[test]
fn change_of_a_shared_schema_is_reported_once() {
    let Some(mut document) = document() else { return };
    document["components"]["schemas"]["CitationRow"]["properties"]["mood"] = json!({ "type": "string" });
    let differences = differences(&document);
    let [difference] = differences.as_slice() else { panic!("{differences:?}") };
    let line = difference.to_line();
    assert!(line.starts_with(
        "new field `data[].mood` in responses of POST /v2/reports/citations (and its event stream) (string): \
         `citations_v2_category_by_day`, "
    ));
    assert!(line.ends_with("will store it in `_extra` until the catalog declares it"), "{line}");
}
