//! Pages and event streams to the table of a stream. The first line of an input names the stream.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::cutting::{events, list, pieces, split_line};
use super::{FuzzOutcome, FuzzTarget, kind_of};
use crate::fuzz::corpus;
use catalog::Catalog;
use profound_export::decode::{DecodeError, Decoder, EXTRA_COLUMN, TableSchema, with_nulls};
use profound_export::model::block::{Block, Positions};
use profound_export::model::stream::Stream;

pub const TARGET: FuzzTarget = FuzzTarget {
    name: "decoding",
    seeds: || {
        let mut seeds = Vec::new();
        for (stem, body) in corpus::examples(".json").into_iter().chain(corpus::examples(".sse")) {
            if let Some(name) = STREAMS.keys().find(|name| name.starts_with(&stem)) {
                seeds.push([name.as_bytes(), b"\n", &body].concat());
            }
        }
        seeds
    },
    try_one,
    bytes: 8 << 20,
    bytes_per_byte: 128,
};

type Known = (Arc<Stream>, Arc<TableSchema>);

/// Every stream and its schema, by name.
static STREAMS: LazyLock<BTreeMap<String, Known>> = LazyLock::new(|| {
    let catalog = Catalog::embedded().expect("the catalog");
    let known = |stream: &Arc<Stream>| (stream.name.clone(), (Arc::clone(stream), Arc::new(TableSchema::new(stream))));
    catalog.streams().map(known).collect()
});

fn try_one(input: &[u8]) -> FuzzOutcome {
    let (name, body) = split_line(input);
    let named = std::str::from_utf8(name).ok().and_then(|name| STREAMS.get(name));
    let (stream, schema) = named.unwrap_or_else(|| &STREAMS["visibility_v1"]);
    let is_list = matches!(body.trim_ascii_start().first(), Some(b'{' | b'[' | b'<') | None);
    let cut = if is_list { list(&stream.rows, pieces(body)) } else { events(pieces(body)) };
    let (blocks, envelope) = match cut {
        Err(error) => return FuzzOutcome::new(kind_of(&error)),
        Ok(cut) => cut,
    };
    let positions = envelope.positions().or_else(|| {
        let (dimensions, metrics) = stream.positional_names()?;
        Some(Positions { dimensions, metrics })
    });
    let decoder = || {
        let mut decoder = Decoder::new(Arc::clone(schema));
        positions.iter().for_each(|positions| decoder.bind(positions));
        decoder
    };
    let mut kinds = Vec::new();
    for block in &blocks {
        let Block::Rows { json, rows } = block else { continue };
        let parsed = serde_json::from_slice::<Vec<Value>>(json);
        let mut whole = decoder();
        match whole.decode(json, *rows) {
            Ok(batch) => {
                assert_eq!(batch.num_rows(), *rows, "rows were lost");
                // A word such as `NaN` is kept as text in an undeclared member.
                let without_words = std::str::from_utf8(json).ok().and_then(with_nulls);
                // By the grammar alone: undeclared members may contain half of the pair `\ud83e\uded6`.
                let items =
                    serde_json::from_slice::<Vec<IgnoredAny>>(without_words.as_deref().map_or(json, str::as_bytes));
                let items = items.unwrap_or_else(|error| panic!("invalid JSON was decoded: {error}"));
                assert_eq!(items.len(), *rows, "another parser finds other rows");
                assert_sound(&batch);
                if without_words.is_none() {
                    assert_each(&batch, json, &decoder);
                }
                kinds.push((rows.min(&4).to_string(), whole.drift().len().min(4)));
            }
            Err(error) => {
                let is_object = |parsed: &Vec<Value>| parsed.iter().all(Value::is_object) && parsed.len() == *rows;
                if let (DecodeError::Damaged { problem, .. }, false) = (&error, schema.positional) {
                    assert!(!parsed.is_ok_and(|parsed| is_object(&parsed)), "JSON is damaged: {problem}");
                }
                kinds.push((kind_of(&error), 0));
            }
        }
    }
    FuzzOutcome::new((schema.positional, schema.types.len(), kinds))
}

/// Every float is finite, and `_extra` is JSON.
fn assert_sound(batch: &RecordBatch) {
    for column in batch.columns() {
        let floats = column.as_primitive_opt::<Float64Type>();
        assert!(floats.is_none_or(|floats| floats.iter().flatten().all(f64::is_finite)), "a float is not finite");
    }
    let extra = batch.column_by_name(EXTRA_COLUMN).expect("the column exists").as_string::<i32>();
    for text in extra.iter().flatten() {
        serde_json::from_str::<IgnoredAny>(text).unwrap_or_else(|error| panic!("`{EXTRA_COLUMN}` is no JSON: {error}"));
    }
}

/// A row must not depend on the rows before it.
fn assert_each(batch: &RecordBatch, json: &[u8], decoder: &dyn Fn() -> Decoder) {
    let rows = sonic_rs::to_array_iter(json);
    for (index, row) in rows.enumerate() {
        let row = row.expect("a row that was decoded");
        let alone = decoder().decode(format!("[{}]", row.as_raw_str()).as_bytes(), 1);
        let alone = alone.unwrap_or_else(|error| panic!("row {index} cannot be decoded alone: {error}"));
        assert!(alone == batch.slice(index, 1), "row {index} differs when decoded alone");
    }
}
