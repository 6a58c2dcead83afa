//! Rows do not depend on how a body is written, or on how its bytes arrive.

mod write;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::RngSeed;
use serde_json::{Map, Value, json};

use self::write::{any_event_style, any_spacing, events, spaced};
use crate::api::blocks::{BlockBuilder, FramingError, ResponseEnvelope};
use crate::api::events::EventRows;
use crate::api::json_rows::JsonRows;
use crate::model::block::{Block, Positions};
use crate::model::stream::RowsAt;

/// The same cases in every run.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(3), failure_persistence: None, ..ProptestConfig::default() }
}

/// Any short text, with many delimiters of rows and lines.
fn any_text() -> impl Strategy<Value = String> {
    let awkward =
        select(vec!["\"", "\\", "\n", "\r", "\0", "{", "}", "[", "]", ":", ",", "data", "é", "🫖", "\u{2028}"]);
    vec(prop_oneof![3 => awkward.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)], 0..5)
        .prop_map(|parts| parts.concat())
}

/// Any JSON, a few levels deep. Floats are such that parsing them is exact.
fn any_json() -> BoxedStrategy<Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|eighths| json!(f64::from(eighths) / 8.0)),
        any_text().prop_map(Value::from),
    ];
    let nested = |inner: BoxedStrategy<Value>| {
        prop_oneof![vec(inner.clone(), 0..3).prop_map(Value::from), any_object(inner).prop_map(Value::from)]
    };
    scalar.prop_recursive(3, 12, 3, nested).boxed()
}

fn any_object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    vec((any_text(), value), 0..3).prop_map(|members| members.into_iter().collect())
}

fn any_rows() -> impl Strategy<Value = Vec<Value>> {
    vec(any_object(any_json()).prop_map(Value::from), 0..4)
}

/// Where a body is cut into chunks.
fn any_cuts() -> impl Strategy<Value = Vec<Index>> {
    vec(any::<Index>(), 0..12)
}

fn pieces<'a>(body: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).chain([0, body.len()]).collect();
    ends.sort_unstable();
    ends.windows(2).map(|ends| &body[ends[0]..ends[1]]).collect()
}

/// The rows of a body and what is around them.
#[derive(Debug, PartialEq)]
struct Cut {
    rows: Vec<Value>,
    positions: Option<Positions>,
    envelope: ResponseEnvelope,
}

fn cut_of(mut blocks: BlockBuilder, envelope: ResponseEnvelope) -> Cut {
    let (mut rows, mut positions) = (Vec::new(), None);
    for block in blocks.take_ready() {
        match block {
            Block::Rows { json, rows: count } => {
                let parsed: Vec<Value> = serde_json::from_slice(&json).unwrap();
                assert_eq!(parsed.len(), count);
                rows.extend(parsed);
            }
            Block::Positions(bound) => positions = Some(Positions::clone(&bound)),
            Block::EndOfPage => {}
        }
    }
    Cut { rows, positions, envelope }
}

fn cut_body(at: &RowsAt, members: &[(String, Value)], body: &str, cuts: &[Index]) -> Result<Cut, FramingError> {
    let (mut rows, mut blocks) = (JsonRows::new(at.clone()), BlockBuilder::with_members(members));
    for piece in pieces(body.as_bytes(), cuts) {
        rows.push(piece, &mut blocks)?;
    }
    let envelope = rows.finish(&mut blocks)?;
    Ok(cut_of(blocks, envelope))
}

fn cut_events(body: &[u8], cuts: &[Index]) -> Result<Cut, FramingError> {
    let (mut rows, mut blocks) = (EventRows::default(), BlockBuilder::default());
    for piece in pieces(body, cuts) {
        rows.push(piece, &mut blocks)?;
    }
    let envelope = rows.finish(&mut blocks)?;
    Ok(cut_of(blocks, envelope))
}

/// The member that every row gets from the request: no generated row has it.
const MEMBER: &str = "of the request";

/// A place of rows, a body with rows there, and the rows as they must be found.
fn any_place() -> impl Strategy<Value = (RowsAt, Value, Vec<Value>)> {
    let bare = any_rows().prop_map(|rows| (RowsAt::Data, json!(rows), rows));
    let wrapped = any_rows().prop_map(|rows| (RowsAt::Data, json!({"data": rows}), rows));
    let single = any_object(any_json()).prop_map(|row| (RowsAt::Data, json!({"data": row}), vec![json!(row)]));
    let body = any_object(any_json()).prop_map(|row| (RowsAt::Body, json!(row), vec![json!(row)]));
    let texts = (vec(any_text(), 0..4), any::<bool>()).prop_map(|(texts, bare)| {
        let body = if bare { json!(texts) } else { json!({"data": texts}) };
        let rows = texts.iter().map(|text| json!({"topic": text})).collect();
        (RowsAt::Texts { column: "topic".into() }, body, rows)
    });
    let members = (any_rows(), any_rows()).prop_map(|(platform, prompt)| {
        let named = |name: &'static str, rows: &[Value]| {
            let named = rows.iter().cloned().map(move |mut row| {
                row["part"] = json!(name);
                row
            });
            named.collect::<Vec<_>>()
        };
        let rows = [named("platform", &platform), named("prompt", &prompt)].concat();
        let at = RowsAt::Members { names: vec!["platform".into(), "prompt".into()], column: "part".into() };
        (at, json!({"platform": platform, "prompt": prompt}), rows)
    });
    prop_oneof![bare, wrapped, single, body, texts, members]
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn rows_are_found_however_the_body_is_written_and_arrives(
        (at, body, expected) in any_place(),
        around in vec((select(vec!["info", "platforms", "dat", "data\"", "total"]), any_json(), any::<bool>()), 0..3),
        spacing in any_spacing(),
        cuts in any_cuts(),
    ) {
        // Members before and after the rows.
        let body = match body {
            Value::Object(rows) if at != RowsAt::Body => {
                let some = |first: bool| around.iter().filter(move |(.., before)| *before == first);
                let of = |first: bool| some(first).map(|(name, value, _)| ((*name).to_owned(), value.clone()));
                let names = |first: bool| some(first).map(|(name, ..)| *name).collect::<Vec<_>>();
                let after = of(false).filter(|(name, _)| !names(true).contains(&name.as_str()));
                json!(of(true).chain(rows).chain(after).collect::<Map<_, _>>())
            }
            other => other,
        };
        let text = spaced(&body, &spacing);
        prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &body);
        let members = [(MEMBER.to_owned(), json!("x\"y"))];
        let with_member = |mut row: Value| {
            row[MEMBER] = json!("x\"y");
            row
        };
        let found = cut_body(&at, &members, &text, &cuts).unwrap();
        prop_assert_eq!(found.rows, expected.into_iter().map(with_member).collect::<Vec<_>>());
        if let (Some(info), true) = (body.get("info"), at != RowsAt::Body) {
            prop_assert_eq!(&found.envelope.info, info);
        }
    }

    #[test]
    fn rows_are_the_same_whether_positions_come_before_or_after(
        rows in any_rows(),
        names in (vec(any_text(), 0..3), vec(any_text(), 0..3)),
        total in any::<u32>(),
        spacing in any_spacing(),
        cuts in any_cuts(),
    ) {
        let info = json!({"total_rows": total, "query": {"dimensions": names.0, "metrics": names.1}});
        let [before, after] = [json!({"info": info, "data": rows}), json!({"data": rows, "info": info})]
            .map(|body| cut_body(&RowsAt::Data, &[], &spaced(&body, &spacing), &cuts).unwrap());
        prop_assert_eq!((&before.rows, before.envelope.total()), (&rows, Some(total.into())));
        let positions = Positions { dimensions: names.0, metrics: names.1 };
        prop_assert_eq!((&before.positions, &after.positions), (&Some(positions.clone()), &Some(positions)));
        prop_assert_eq!((after.rows, after.envelope.info), (before.rows, before.envelope.info));
    }

    #[test]
    fn event_rows_are_found_however_they_are_written_and_arrive(
        rows in any_rows(),
        total in any::<u32>(),
        (style, summary_at) in (any_event_style(), any::<Index>()),
        cuts in any_cuts(),
    ) {
        let row = |row: &Value| (select_name(row), row.clone());
        let mut sent: Vec<(&str, Value)> = rows.iter().map(row).collect();
        sent.insert(summary_at.index(sent.len() + 1), ("summary", json!({"total_results": total})));
        let found = cut_events(&events(&sent, &style), &cuts).unwrap();
        prop_assert_eq!((found.rows, found.envelope.total()), (rows, Some(total.into())));
    }

    #[test]
    fn truncated_event_stream_yields_no_row_that_was_not_sent(
        rows in any_rows(),
        style in any_event_style(),
        (end, cuts) in (any::<Index>(), any_cuts()),
    ) {
        let mut sent = vec![("summary", json!({}))];
        sent.extend(rows.iter().map(|row| ("row", row.clone())));
        let body = events(&sent, &style);
        if let Ok(found) = cut_events(&body[..end.index(body.len() + 1)], &cuts) {
            prop_assert!(found.rows.len() <= rows.len());
            prop_assert_eq!(&found.rows[..], &rows[..found.rows.len()]);
        }
    }
}

/// One of the two event names of rows.
fn select_name(row: &Value) -> &'static str {
    match row.as_object().map_or(0, Map::len) % 2 {
        0 => "row",
        _ => "result",
    }
}
