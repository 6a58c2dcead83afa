use serde_json::json;

use super::*;
use crate::model::block::Block;

/// Rows, envelope and order of the blocks of `body`, pushed in chunks of `size` bytes.
fn cut(body: &str, size: usize) -> Result<(Vec<Value>, ResponseEnvelope, Vec<&'static str>), FramingError> {
    cut_at(RowsAt::Data, &[], body, size)
}

/// The same for rows `at` a place, with `members` added to each.
fn cut_at(
    at: RowsAt,
    members: &[(String, Value)],
    body: &str,
    size: usize,
) -> Result<(Vec<Value>, ResponseEnvelope, Vec<&'static str>), FramingError> {
    let (mut rows, mut blocks) = (JsonRows::new(at), BlockBuilder::with_members(members));
    for piece in body.as_bytes().chunks(size) {
        rows.push(piece, &mut blocks)?;
    }
    let envelope = rows.finish(&mut blocks)?;
    let (mut found, mut order) = (Vec::new(), Vec::new());
    for block in blocks.take_ready() {
        match block {
            Block::Rows { json, rows } => {
                let parsed: Vec<Value> = serde_json::from_slice(&json).unwrap();
                assert_eq!(parsed.len(), rows);
                found.extend(parsed);
                order.push("rows");
            }
            Block::Positions(_) => order.push("positions"),
            Block::EndOfPage => order.push("end"),
        }
    }
    Ok((found, envelope, order))
}

const INFO: &str = r#"{"total_rows": 3, "next_cursor": "c2", "query": {"dimensions": ["a\"]}"], "metrics": []}}"#;
const ROWS: &str = r#"[ {"data": [1, {"x": "]},\\\""}]} , {"y": "\\"},{} ]"#;

#[test]
fn rows_do_not_depend_on_chunks() {
    let expected: Vec<Value> = serde_json::from_str(ROWS).unwrap();
    let bodies = [
        ROWS.to_owned(),
        format!("\u{feff}{ROWS}"),
        format!("\u{feff}\n{{\"info\": {INFO}, \"data\": {ROWS}}}"),
        format!("{{\"data\": {ROWS}}}"),
        format!("\n{{\"info\": {INFO}, \"data\" : {ROWS} }} \n"),
        format!("{{\"data\":{ROWS},\"info\":{INFO}}}"),
        format!("{{\"other\": {{\"data\": [7]}}, \"text\": \"data\", \"data\":{ROWS}}}"),
    ];
    for body in bodies {
        for size in (1..body.len()).chain([body.len() + 1]) {
            let (rows, envelope, _) = cut(&body, size).unwrap();
            assert_eq!(rows, expected, "{body} by {size}");
            assert!(envelope.total().is_none_or(|total| total == 3));
        }
    }
}

#[test]
fn positions_come_before_rows_if_info_does() {
    let before = cut(&format!("{{\"info\":{INFO},\"data\":{ROWS}}}"), 7).unwrap();
    assert_eq!(before.2, ["positions", "rows"]);
    assert_eq!(before.1.next_cursor().as_deref(), Some("c2"));
    let after = cut(&format!("{{\"data\":{ROWS},\"info\":{INFO}}}"), 7).unwrap();
    assert_eq!(after.2, ["rows", "positions"]);
}

/// The rows of `body` at a place, in chunks of any size; each gets an `id`.
fn rows_at(at: &RowsAt, body: &str) -> Vec<Value> {
    let members = [("id".to_owned(), json!("x\"y"))];
    let whole = cut_at(at.clone(), &members, body, body.len() + 1).unwrap().0;
    for size in 1..body.len() {
        assert_eq!(cut_at(at.clone(), &members, body, size).unwrap().0, whole, "{body} by {size}");
    }
    whole
}

#[test]
fn rows_are_found_at_the_declared_place() {
    let id = "x\"y";
    let body = RowsAt::Body;
    assert_eq!(
        rows_at(&body, r#" { "a": {"b": [1]}, "data": [2] } "#),
        [json!({"id": id, "a": {"b": [1]}, "data": [2]})]
    );
    assert_eq!(rows_at(&body, "{ }"), [json!({"id": id})]);
    let data = RowsAt::Data;
    assert_eq!(rows_at(&data, r#"{"info": {}, "data" : { "a": "}" }, "b": [3]}"#), [json!({"id": id, "a": "}"})]);
    assert_eq!(
        rows_at(&data, r#"[{},{ },{"c":1}]"#),
        [json!({"id": id}), json!({"id": id}), json!({"id": id, "c": 1})]
    );
    let names = ["platform", "prompt"].map(str::to_owned).to_vec();
    let members = RowsAt::Members { names, column: "part".into() };
    assert_eq!(
        rows_at(&members, r#"{"platform": [{"a": 1}, {}], "other": [{}], "prompt": [{"b": "platform"}]}"#),
        [
            json!({"id": id, "part": "platform", "a": 1}),
            json!({"id": id, "part": "platform"}),
            json!({"id": id, "part": "prompt", "b": "platform"}),
        ]
    );
    let texts = RowsAt::Texts { column: "topic".into() };
    for body in [r#"[ "a,]" , "b" ]"#, r#"{"data":["a,]","b"]}"#] {
        assert_eq!(rows_at(&texts, body), [json!({"id": id, "topic": "a,]"}), json!({"id": id, "topic": "b"})]);
    }
    assert!(rows_at(&texts, "[]").is_empty());
}

#[test]
fn escaped_member_name_is_not_mistaken_for_the_rows() {
    for size in 1..30 {
        let (rows, ..) = cut(r#"{"data\"": [1], "\ndata": [2], "data": [{}]}"#, size).unwrap();
        assert_eq!(rows, [json!({})], "{size}");
    }
}

#[test]
fn exactly_one_comma_separates_two_rows() {
    for body in ["[{}{}]", "[{},,{}]", "[,{}]", "[{},]", "[,]", r#"{"data":[{} {}]}"#, r#"{"data":[{}],"b":[,]}"#] {
        for size in 1..=body.len() {
            assert!(matches!(cut(body, size), Err(FramingError::Envelope(_))), "{body} by {size}");
        }
    }
}

#[test]
fn body_without_rows_is_rejected_with_the_member_name() {
    let error = cut(r#"{"status": "maintenance", "rows": []}"#, 9).unwrap_err();
    assert_eq!(error, FramingError::NoRows("data".into()));
}

#[test]
fn totals_and_cursors_of_every_family_are_found() {
    let envelope = |body: &str| cut(body, 5).unwrap().1;
    assert_eq!(envelope(r#"{"data": [], "totalCount": 7}"#).total(), Some(7));
    let documents = envelope(r#"{"data": [], "pagination": {"next_cursor": "p2"}}"#);
    assert_eq!(documents.next_cursor().as_deref(), Some("p2"));
    let more = envelope(r#"{"data": [{}], "has_more": true, "last_id": "i9"}"#);
    assert_eq!(more.next_cursor().as_deref(), Some("i9"));
    let last = envelope(r#"{"data": [{}], "has_more": false, "last_id": "i9"}"#);
    assert_eq!(last.next_cursor(), None);
}

#[test]
fn empty_list_has_no_rows() {
    for body in ["[]", r#"{"data": []}"#, r#"{"data":null,"info":{"total_rows":0}}"#, r#"{"data":[],"error":null}"#] {
        assert!(cut(body, 1).unwrap().0.is_empty(), "{body}");
    }
}

#[test]
fn null_or_an_error_in_the_place_of_rows_is_no_empty_list() {
    for body in [r#"{"data":null,"info":{}}"#, r#"{"data":null,"info":null}"#, r#"{"info":{"total_rows":0}}"#] {
        assert_eq!(cut(body, 1).unwrap_err(), FramingError::NoRows("data".into()), "{body}");
    }
    for body in [
        r#"{"info":null,"data":null,"error":"timed out"}"#,
        r#"{"info":{"total_rows":0},"data":[],"message":"timed out"}"#,
        r#"{"detail":"timed out"}"#,
    ] {
        assert_eq!(cut(body, 1).unwrap_err(), FramingError::Reported("timed out".into()), "{body}");
    }
    assert_eq!(cut(r#"{"data":[{"a":1}],"message":"one row"}"#, 1).unwrap().0.len(), 1);
}

#[test]
fn incomplete_body_is_truncated() {
    let body = format!("{{\"info\":{INFO},\"data\":{ROWS}}}");
    for end in 0..body.len() {
        assert_eq!(cut(&body[..end], 5).unwrap_err(), FramingError::Truncated, "{end}");
    }
}

#[test]
fn invalid_json_is_rejected_at_once() {
    assert_eq!(cut("<html> <p>502</p>", 99).unwrap_err(), FramingError::NotJson("<html> <p>502</p>".into()));
    assert_eq!(cut("[] []", 1).unwrap_err(), FramingError::Trailing);
    assert_eq!(cut(&"[".repeat(MAX_DEPTH + 1), 8).unwrap_err(), FramingError::TooDeep);
    let long = format!("{{\"x\":\"{}\"}}", "y".repeat(MAX_ENVELOPE_BYTES));
    assert!(matches!(cut(&long, 65_536).unwrap_err(), FramingError::TooLong { .. }));
}
