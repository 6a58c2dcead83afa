//! Every value of the API is stored exactly, or rejected by name.

mod fate;
mod generate;

use std::sync::{Arc, LazyLock};

use profound_export::catalog::Catalog;
use profound_export::decode::{DecodeError, Decoder, EXTRA_COLUMN, TableSchema};
use profound_export::model::block::Positions;
use profound_export::model::column::{Column, ColumnType};
use profound_export::model::stream::Stream;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Map, Value, json};

use self::fate::{Fate, fate_of_row};
use self::generate::{any_column_type, any_json, any_text, fitting, fitting_exactly};
use crate::support::lake::rows_of;

/// The same cases on every machine.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(3), failure_persistence: None, ..ProptestConfig::default() }
}

/// Read once, and not for every case.
static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::embedded().unwrap());

fn stream(name: &str) -> Stream {
    Stream::clone(CATALOG.get(name).unwrap())
}

/// The schema of a table of one column `v`.
fn schema_of(column_type: &ColumnType) -> Arc<TableSchema> {
    let column = json!({"name": "v", "type": column_type.to_string(), "about": "anything"});
    let column: Column = serde_json::from_value(column).unwrap();
    Arc::new(TableSchema::new(&Stream { columns: vec![column], ..stream("models") }))
}

/// Rows of a type, most of which fit it, with undeclared members.
fn any_rows() -> impl Strategy<Value = (ColumnType, Vec<Value>)> {
    any_column_type().prop_flat_map(|column_type| {
        let unknown = proptest::collection::vec((any_text(), any_json()), 0..2);
        let row = (unknown, proptest::option::weighted(0.9, fitting(&column_type))).prop_map(|(unknown, value)| {
            let mut row: Map<String, Value> = unknown.into_iter().collect();
            row.extend(value.map(|value| ("v".to_owned(), value)));
            Value::Object(row)
        });
        (Just(column_type), proptest::collection::vec(row, 1..5))
    })
}

proptest! {
    #![proptest_config(cases(384))]

    #[test]
    fn value_is_stored_exactly_or_rejected_by_name((column_type, rows) in any_rows()) {
        let expected: Vec<Fate> = rows.iter().map(|row| fate_of_row(&column_type, row)).collect();
        let refused = expected.iter().enumerate().find_map(|(row, fate)| fate.as_ref().err().map(|refusal| (row, refusal)));
        let decoded = Decoder::new(schema_of(&column_type)).decode(&serde_json::to_vec(&rows).unwrap(), rows.len());
        match (decoded, refused) {
            (Ok(batch), None) => {
                let stored: Vec<String> = rows_of(&batch).iter().map(Value::to_string).collect();
                let expected: Vec<String> = expected.into_iter().map(|fate| fate.unwrap().to_string()).collect();
                prop_assert_eq!(stored, expected);
            }
            (Err(DecodeError::Mismatch { stream, row, column, expected, found }), Some((index, refusal))) => {
                prop_assert_eq!((stream.as_str(), row), ("models", index as u64 + 1));
                prop_assert_eq!((&column, &expected, &found), (&refusal.column, &refusal.expected, &refusal.found));
            }
            (decoded, refused) => prop_assert!(false, "{:?} where {:?} was expected", decoded, refused),
        }
    }

    #[test]
    fn row_that_is_not_an_object_is_rejected(row in any_json().prop_filter("an object is a row", |row| !row.is_object())) {
        let refused = Decoder::new(schema_of(&ColumnType::Json)).decode(&serde_json::to_vec(&[row]).unwrap(), 1);
        prop_assert!(refused.is_err());
    }
}

/// Names in the order of a response, each with its index in the request.
type Order = Vec<(String, usize)>;

/// The names of an array of the request in any order, among them an undeclared one.
fn any_order(names: Vec<String>, unknown: &str) -> impl Strategy<Value = Order> {
    let names: Order = names.into_iter().chain([unknown.to_owned()]).enumerate().map(|(at, name)| (name, at)).collect();
    Just(names).prop_shuffle()
}

/// Values for `names`, the unknown one included, in the order of the request.
fn any_values(stream: &Stream, names: &[String]) -> impl Strategy<Value = Vec<Value>> + use<> {
    let known = names.iter().map(|name| fitting_exactly(&stream.column(name).unwrap().data_type));
    known.chain([any_json().boxed()]).collect::<Vec<_>>()
}

/// The table of positional rows whose response lists the names in some order.
fn table_of(schema: &Arc<TableSchema>, orders: [&Order; 2], rows: &[[Vec<Value>; 2]]) -> Vec<Value> {
    let [dimensions, metrics] = orders.map(|order| order.iter().map(|(name, _)| name.clone()).collect());
    let mut decoder = Decoder::new(Arc::clone(schema));
    decoder.bind(&Positions { dimensions, metrics });
    let reordered =
        |order: &Order, values: &[Value]| order.iter().map(|(_, at)| values[*at].clone()).collect::<Value>();
    let rows: Vec<Value> = rows
        .iter()
        .map(|[dimensions, metrics]| json!({"dimensions": reordered(orders[0], dimensions), "metrics": reordered(orders[1], metrics)}))
        .collect();
    let mut table = rows_of(&decoder.decode(&serde_json::to_vec(&rows).unwrap(), rows.len()).unwrap());
    for row in &mut table {
        // Members of `_extra` keep the order of the response.
        row[EXTRA_COLUMN] = serde_json::from_str(row[EXTRA_COLUMN].as_str().unwrap()).unwrap();
    }
    table
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn table_is_the_same_for_any_order_of_positional_names(
        (name, orders, rows) in prop::sample::select(vec!["visibility_v1", "citations_v1", "bots_v2", "referrals_v1"]).prop_flat_map(|name| {
            let stream = stream(name);
            let (dimensions, metrics) = stream.positional_names().unwrap();
            let row = (any_values(&stream, &dimensions), any_values(&stream, &metrics));
            let rows = proptest::collection::vec(row.prop_map(|(dimensions, metrics)| [dimensions, metrics]), 1..4);
            (Just(name), (any_order(dimensions, "new"), any_order(metrics, "newer")), rows)
        })
    ) {
        let schema = Arc::new(TableSchema::new(&stream(name)));
        let sorted = |order: &Order| {
            let mut order = order.clone();
            order.sort_by_key(|(_, at)| *at);
            order
        };
        let requested = table_of(&schema, [&sorted(&orders.0), &sorted(&orders.1)], &rows);
        let reordered = table_of(&schema, [&orders.0, &orders.1], &rows);
        prop_assert!(reordered.iter().all(|row| row[EXTRA_COLUMN].get("new").is_some() && row[EXTRA_COLUMN].get("newer").is_some()));
        prop_assert_eq!(reordered, requested);
    }
}
