//! What `streams diff` says of the vendor's own document, which is not part of this repository.

use profound_export::catalog::Catalog;
use profound_export::document::{Difference, Surface, compare};
use serde_json::{Value, json};

use crate::document::document;

fn differences(newer: &Value) -> Vec<Difference> {
    let catalog = Catalog::embedded().unwrap();
    compare(&Surface::embedded().unwrap(), &Surface::from_document(newer).unwrap(), &catalog)
}

#[test]
fn shipped_surface_is_that_of_the_document() {
    let Some(document) = document() else { return };
    let told: Vec<String> = differences(&document).iter().map(Difference::words).collect();
    assert!(
        Surface::embedded().unwrap() == Surface::from_document(&document).unwrap(),
        "streams diff --openapi FILE --surface > crates/catalog/src/document/surface.json\n{}",
        told.join("\n")
    );
}

#[test]
fn one_change_of_a_shared_schema_is_told_once() {
    let Some(mut document) = document() else { return };
    document["components"]["schemas"]["CitationRow"]["properties"]["mood"] = json!({ "type": "string" });
    let differences = differences(&document);
    let [told] = differences.as_slice() else { panic!("{differences:?}") };
    assert!(told.words().starts_with(
        "new field `data[].mood` (string) in answers of POST /v2/reports/citations (and of its event stream): \
         `citations_v2_category_by_day`, "
    ));
    assert!(told.words().ends_with("will keep it in `_extra` until the catalog names it"), "{}", told.words());
}
