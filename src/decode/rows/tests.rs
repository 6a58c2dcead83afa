use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};

use super::*;
use crate::catalog::Catalog;
use crate::decode::{EXTRA_COLUMN, MAX_REPORTED_MEMBERS, OTHER_MEMBERS};
use crate::model::stream::Stream;

fn stream(name: &str) -> Stream {
    Stream::clone(Catalog::embedded().unwrap().get(name).unwrap())
}

fn with_columns(columns: &str) -> Decoder {
    let mut stream = stream("models");
    stream.columns = toml::from_str::<std::collections::BTreeMap<String, Vec<crate::model::column::Column>>>(columns)
        .unwrap()
        .remove("columns")
        .unwrap();
    Decoder::new(Arc::new(TableSchema::new(&stream)))
}

fn one(column_type: &str) -> Decoder {
    with_columns(&format!("columns = [{{ name = \"v\", type = \"{column_type}\", about = \"x\", unit = \"x\" }}]"))
}

fn decode(decoder: &mut Decoder, json: &str) -> Result<RecordBatch, DecodeError> {
    let rows = serde_json::from_str::<Vec<serde_json::Value>>(json).map_or(1, |rows| rows.len());
    decoder.decode(json.as_bytes(), rows)
}

#[test]
fn float_column_accepts_every_form_of_number() {
    let batch =
        decode(&mut one("float64"), r#"[{"v":0},{"v":1},{"v":1.0},{"v":1.2e-05},{"v":-0.0},{"v":null},{}]"#).unwrap();
    let values = batch.column(0).as_primitive::<Float64Type>();
    assert_eq!(values.values()[..5], [0.0, 1.0, 1.0, 1.2e-05, -0.0]);
    assert!(values.is_null(5) && values.is_null(6));
}

#[test]
fn integers_beyond_2_to_the_53_are_exact() {
    let batch = decode(
        &mut one("int64"),
        r#"[{"v":9007199254740993},{"v":-9223372036854775808},{"v":9223372036854775807},{"v":2.0}]"#,
    )
    .unwrap();
    let values = batch.column(0).as_primitive::<Int64Type>();
    assert_eq!(values.values(), &[9_007_199_254_740_993, i64::MIN, i64::MAX, 2]);
}

#[test]
fn integer_column_rejects_a_fraction_with_row_and_column() {
    let error = decode(&mut one("int64"), r#"[{"v":1},{"v":1.5}]"#).unwrap_err();
    assert_eq!(error.to_string(), "stream `models`, row 2: column `v` is an integer, but the API sent 1.5");
    assert!(!matches!(error, DecodeError::Damaged { .. }));
}

#[test]
fn numbers_that_a_column_cannot_hold_exactly_are_rejected() {
    for (column_type, value) in [("int64", "9223372036854775808"), ("int64", "1e300"), ("utf8", "1"), ("bool", "0")] {
        let error = decode(&mut one(column_type), &format!(r#"[{{"v":{value}}}]"#)).unwrap_err();
        assert!(matches!(error, DecodeError::Mismatch { .. }), "{column_type} {value}: {error}");
    }
}

#[test]
fn integer_that_a_float_cannot_hold_is_exact_in_extra() {
    for (value, is_exact) in [
        ("9007199254740993", false),
        ("-9007199254740993", false),
        ("18446744073709551615", false),
        ("9007199254740992", true),
    ] {
        let batch = decode(&mut one("float64"), &format!(r#"[{{"v":{value}}}]"#)).unwrap();
        assert_eq!(batch.column(0).as_primitive::<Float64Type>().value(0), value.parse::<f64>().unwrap());
        let extra = batch.column(1).as_string::<i32>();
        assert_eq!(extra.is_null(0), is_exact, "{value}");
        if !is_exact {
            assert_eq!(extra.value(0), format!(r#"{{"v":{value}}}"#));
        }
    }
}

#[test]
fn other_rows_are_decoded_if_one_has_a_value_that_does_not_fit() {
    let columns = "columns = [
        { name = 'n', type = 'int64', about = 'n', unit = 'n' },
        { name = 'l', type = 'list<struct<a: float64>>', about = 'l' },
        { name = 't', type = 'utf8', about = 't' },
    ]";
    for (value, column, found) in [
        (r#""n": 1.5"#, "n", "1.5"),
        (r#""n": [1, {"x": 2}]"#, "n", "a list"),
        (r#""t": {"x": [1]}"#, "t", "an object"),
        (r#""l": [{"a": 1}, {"a": "x"}]"#, "l[1].a", "\"x\""),
        (r#""n": NaN"#, "n", "NaN"),
        (r#""l": [{"a": -Infinity}]"#, "l[0].a", "-Infinity"),
        (r#""t": undefined"#, "t", "undefined"),
    ] {
        let json = format!(r#"[{{"n":1,"t":"NaN"}},{{{value},"x":None}},{{"n":3,"l":[{{"a":0.5}}]}}]"#);
        let (batch, misfits) = with_columns(columns).decode_with_misfits(json.as_bytes(), 3).unwrap();
        assert_eq!((batch.num_rows(), misfits.len(), misfits[0].row), (3, 1, 1), "{value}");
        let DecodeError::Mismatch { row, column: of, found: what, .. } = &misfits[0].problem else { panic!("{value}") };
        assert_eq!((*row, of.as_str(), what.as_str()), (2, column, found));
        assert_eq!(batch.column_by_name("n").unwrap().as_primitive::<Int64Type>().value(2), 3);
        assert_eq!(batch.column_by_name("t").unwrap().as_string::<i32>().value(0), "NaN");
        assert_eq!(batch.column(3).as_string::<i32>().value(1), r#"{"x":"None"}"#);
    }
}

#[test]
fn equivalent_forms_of_a_number_are_accepted() {
    let batch = decode(&mut one("float64"), r#"[{"v":9223372036854775808}]"#).unwrap();
    assert_eq!(batch.column(0).as_primitive::<Float64Type>().value(0), 9_223_372_036_854_775_808.0);
    let batch = decode(&mut one("unix_seconds"), r#"[{"v":2},{"v":2.0}]"#).unwrap();
    assert_eq!(batch.column(0).as_primitive::<TimestampMicrosecondType>().values(), &[2_000_000, 2_000_000]);
}

#[test]
fn text_is_kept_byte_for_byte() {
    let texts =
        ["", "quote \" back \\ slash", "line\nfeed\ttab", "👩‍🚀", "שלום", "a\u{2028}b", "\u{0}", &"x".repeat(14_000)];
    let json = serde_json::to_string(&texts.map(|text| serde_json::json!({ "v": text }))).unwrap();
    let batch = decode(&mut one("utf8"), &json).unwrap();
    let values: Vec<_> = batch.column(0).as_string::<i32>().iter().map(Option::unwrap).collect();
    assert_eq!(values, texts);
}

#[test]
fn null_empty_text_and_empty_list_stay_three_things() {
    let batch = decode(&mut one("list<utf8>"), r#"[{"v":null},{"v":[]},{"v":[""]},{"v":[null]}]"#).unwrap();
    let lists = batch.column(0).as_list::<i32>();
    assert!(lists.is_null(0) && lists.is_valid(1));
    assert_eq!([lists.value_length(1), lists.value_length(2), lists.value_length(3)], [0, 1, 1]);
    let (empty, null) = (lists.value(2), lists.value(3));
    assert_eq!(empty.as_string::<i32>().value(0), "");
    assert!(null.is_null(0));
}

#[test]
fn nested_values_keep_their_shape() {
    let mut decoder = one("list<struct<url: utf8, positions: list<int64>>>");
    let batch = decode(&mut decoder, r#"[{"v":[{"positions":[1,2],"url":"a"},{"url":"b"}]},{"v":null}]"#).unwrap();
    let lists = batch.column(0).as_list::<i32>();
    let items = lists.value(0);
    let items = items.as_struct();
    assert_eq!(items.column(0).as_string::<i32>().value(1), "b");
    assert_eq!(items.column(1).as_list::<i32>().value_length(0), 2);
    assert!(items.column(1).is_null(1) && lists.is_null(1));
}

#[test]
fn unknown_members_go_to_extra_with_their_path() {
    let mut decoder = one("list<struct<id: utf8>>");
    let batch = decode(
        &mut decoder,
        r#"[{"new":{"a": 1.50},"v":[{"id":"1"},{"id":"2","age":12345678901234567890}]},{"v":[]}]"#,
    )
    .unwrap();
    let extra = batch.column(1).as_string::<i32>();
    assert_eq!(extra.value(0), r#"{"new":{"a": 1.50},"v[1].age":12345678901234567890}"#);
    assert!(extra.is_null(1));
    assert_eq!(decoder.drift().keys().collect::<Vec<_>>(), ["new", "v[].age"]);
}

#[test]
fn undeclared_members_are_kept_and_few_of_them_are_named() {
    let members = |count: usize| (0..count).map(|at| format!("\"m{at}\":{at}")).collect::<Vec<_>>().join(",");
    let mut decoder = one("utf8");
    let batch = decode(&mut decoder, &format!("[{{{}}}]", members(100_000))).unwrap();
    assert_eq!(text(&batch, EXTRA_COLUMN).len(), members(100_000).len() + 2);
    assert_eq!(decoder.drift().len(), MAX_REPORTED_MEMBERS + 1);
    assert_eq!(decoder.drift()[OTHER_MEMBERS], "m50");

    let error = decode(&mut one("utf8"), &format!("[{{{}}}]", members(100_001))).unwrap_err();
    let text = error.to_string();
    assert!(
        text.ends_with("row 1: column `_extra` is at most 100,000 undeclared members, but the API sent more"),
        "{text}"
    );
}

#[test]
fn first_value_of_a_repeated_name_counts() {
    let mut decoder = one("struct<a: int64>");
    let batch = decode(&mut decoder, r#"[{"v":{"a":1,"a":2},"v":"again"},{"v":{"a":3}}]"#).unwrap();
    let structs = batch.column(0).as_struct();
    assert_eq!(structs.column(0).as_primitive::<Int64Type>().values(), &[1, 3]);
    assert_eq!(text(&batch, EXTRA_COLUMN), r#"{"v.a":2,"v":"again"}"#);
}

#[test]
fn members_with_names_of_scope_columns_are_no_drift() {
    let mut decoder = Decoder::new(Arc::new(TableSchema::new(&stream("projects"))));
    let batch = decode(&mut decoder, r#"[{"project_id":"p1","category_id":"c1","new":1}]"#).unwrap();
    assert_eq!(text(&batch, EXTRA_COLUMN), r#"{"category_id":"c1","new":1}"#);
    assert_eq!(decoder.drift().keys().collect::<Vec<_>>(), ["new"]);
}

#[test]
fn json_columns_keep_objects_as_sent() {
    let batch = decode(&mut one("json"), r#"[{"v": {"b": 1.0, "a":[true]} },{"v":"text"},{"v":null}]"#).unwrap();
    let values = batch.column(0).as_string::<i32>();
    assert_eq!((values.value(0), values.value(1)), (r#"{"b": 1.0, "a":[true]}"#, r#""text""#));
    assert!(values.is_null(2));
}

#[test]
fn days_and_times_are_parsed_in_every_form() {
    let batch = decode(&mut one("date"), r#"[{"v":"1970-01-02"},{"v":"1970-01-03T00:00:00-05:00"}]"#).unwrap();
    assert_eq!(batch.column(0).as_primitive::<Date32Type>().values(), &[1, 2]);
    assert_eq!(batch.column(1).as_string::<i32>().value(1), r#"{"v":"1970-01-03T00:00:00-05:00"}"#);

    let json = r#"[{"v":"1970-01-01T00:00:01Z"},{"v":"1970-01-01T01:00:01.5+01:00"},{"v":"1970-01-01 00:00:02"},{"v":"1970-01-02"}]"#;
    let batch = decode(&mut one("timestamp"), json).unwrap();
    let expected = [1_000_000, 1_500_000, 2_000_000, 86_400_000_000];
    assert_eq!(batch.column(0).as_primitive::<TimestampMicrosecondType>().values(), &expected);

    for (column_type, value) in [("date", "2026-02-30"), ("date", "20260301"), ("timestamp", "yesterday")] {
        assert!(decode(&mut one(column_type), &format!(r#"[{{"v":"{value}"}}]"#)).is_err(), "{value}");
    }
}

fn positions(dimensions: &[&str], metrics: &[&str]) -> Positions {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Positions { dimensions: owned(dimensions), metrics: owned(metrics) }
}

fn text(batch: &RecordBatch, column: &str) -> String {
    batch.column_by_name(column).unwrap().as_string::<i32>().value(0).to_owned()
}

#[test]
fn positional_rows_are_bound_by_the_response() {
    let mut decoder = Decoder::new(Arc::new(TableSchema::new(&stream("visibility_v1"))));
    assert!(decoder.needs_positions());
    decoder.bind(&positions(&["model", "asset_name", "date"], &["mentions_count", "executions"]));
    let batch = decode(&mut decoder, r#"[{"metrics":[3,7],"dimensions":["ChatGPT","Acme","2026-03-01"]}]"#).unwrap();
    assert_eq!((text(&batch, "model"), text(&batch, "asset_name")), ("ChatGPT".into(), "Acme".into()));
    assert_eq!(batch.column_by_name("executions").unwrap().as_primitive::<Int64Type>().value(0), 7);
    assert!(batch.column_by_name("topic").unwrap().is_null(0));
    decoder.end_page();
    assert!(decoder.needs_positions());
}

#[test]
fn repeated_positional_value_does_not_shift_the_next_row() {
    let rows = |names: (&[&str], &[&str]), row: &str| {
        let mut decoder = Decoder::new(Arc::new(TableSchema::new(&stream("visibility_v1"))));
        decoder.bind(&positions(names.0, names.1));
        decode(&mut decoder, &format!("[{row},{{}}]")).unwrap()
    };
    for (names, row) in [
        ((&["model", "model"][..], &[][..]), r#"{"dimensions":["a","b"]}"#),
        ((&["model"], &["model"]), r#"{"dimensions":["a"],"metrics":["b"]}"#),
        ((&["model"], &[]), r#"{"dimensions":["a"],"dimensions":["b"]}"#),
        ((&["model"], &[]), r#"{"model":"a","dimensions":["b"]}"#),
    ] {
        let batch = rows(names, row);
        let models = batch.column_by_name("model").unwrap().as_string::<i32>();
        assert_eq!((models.value(0), models.is_null(1)), ("a", true), "{row}");
        assert_eq!(text(&batch, EXTRA_COLUMN), r#"{"model":"b"}"#);
    }
}

#[test]
fn arrays_that_differ_in_length_from_their_names_are_rejected() {
    for (row, found) in
        [(r#"{"dimensions":["a"],"metrics":[1]}"#, 1), (r#"{"dimensions":["a","b","c"],"metrics":[1]}"#, 3)]
    {
        let mut decoder = Decoder::new(Arc::new(TableSchema::new(&stream("visibility_v1"))));
        decoder.bind(&positions(&["model", "asset_name"], &["executions"]));
        let error = decode(&mut decoder, &format!("[{row}]")).unwrap_err();
        let expected =
            format!("stream `visibility_v1`, page 1, row 1: {found} dimensions for the 2 names of `info.query`");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn named_rows_with_references_fill_positional_columns() {
    let mut decoder = Decoder::new(Arc::new(TableSchema::new(&stream("visibility_v1"))));
    let row = r#"{"date":"2026-03-01","model":{"id":"m1","name":"ChatGPT"},"topic":{"id":"t1","name":"Tea"},"asset":{"id":"a1","name":"Acme"},"region":"US","topic_id":"t1","prompt_id":"p1","executions":9}"#;
    let batch = decode(&mut decoder, &format!("[{row}]")).unwrap();
    let found =
        ["model", "topic", "topic_id", "asset_id", "asset_name", "region", "prompt_id"].map(|name| text(&batch, name));
    assert_eq!(found, ["ChatGPT", "Tea", "t1", "a1", "Acme", "US", "p1"]);
    assert!(decoder.drift().is_empty());
    let lacking = ["persona", "average_position", "mentions_count", "share_of_voice", "visibility_score"];
    assert_eq!(decoder.missing_columns(), lacking);
}

#[test]
fn damaged_rows_are_reported_with_page_and_row() {
    let mut decoder = one("utf8");
    let error = decoder.decode(br#"[{"v":"a"},{"v":"b]"#, 2).unwrap_err();
    assert!(matches!(error, DecodeError::Damaged { .. }), "{error}");
    assert!(error.to_string().starts_with("stream `models`, page 1: the rows after row 1 are damaged"), "{error}");
    assert!(matches!(one("utf8").decode(b"[{\"v\":\"\xff\"}]", 1).unwrap_err(), DecodeError::Damaged { .. }));
    assert!(matches!(one("utf8").decode(br#"[{"v":"a"}] x"#, 1).unwrap_err(), DecodeError::Damaged { .. }));
}

/// A decoder with a protected column `v`.
fn protected(column_type: &str) -> Decoder {
    let mut stream = stream("models");
    let column = serde_json::json!({"name": "v", "type": column_type, "about": "x", "unit": "x"});
    stream.columns = vec![serde_json::from_value(column).unwrap()];
    stream.protect = [("v".to_owned(), crate::model::column::Protect::Drop)].into();
    Decoder::new(Arc::new(TableSchema::new(&stream)))
}

#[test]
fn protected_values_are_in_no_message_and_in_no_other_column() {
    for (column_type, row) in [
        ("utf8", r#"{"v":"a","v":"s3cr3t"}"#),
        ("date", r#"{"v":"2026-03-01T00:00:00 s3cr3t"}"#),
        ("struct<id: utf8>", r#"{"v":{"id":"a","mail":"s3cr3t"}}"#),
        ("struct<id: utf8>", r#"{"v":{"id":"a","id":"s3cr3t"}}"#),
        ("list<struct<id: utf8>>", r#"{"v":[{"mail":{"of":"s3cr3t"}}]}"#),
    ] {
        let mut decoder = protected(column_type);
        let batch = decode(&mut decoder, &format!("[{row}]")).unwrap();
        assert!(batch.column(1).is_null(0), "{row}: {batch:?}");
        assert!(!format!("{:?}", decoder.drift()).contains("s3cr3t"), "{row}: {:?}", decoder.drift());
    }
    for (column_type, row) in [
        ("int64", r#"{"v":"s3cr3t"}"#),
        ("date", r#"{"v":"s3cr3t"}"#),
        ("timestamp", r#"{"v":"s3cr3t"}"#),
        ("list<struct<id: int64>>", r#"{"v":[{"id":"s3cr3t"}]}"#),
        ("utf8", r#"{"v":"s3cr3t}"#),
        ("utf8", r#""s3cr3t""#),
    ] {
        let error = decode(&mut protected(column_type), &format!("[{row}]")).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
    }
    let error = decode(&mut protected("int64"), r#"[{"v":"s3cr3t"}]"#).unwrap_err().to_string();
    assert_eq!(error, "stream `models`, row 1: column `v` is an integer, but the API sent (not shown)");
}

#[test]
fn unknown_member_next_to_a_protected_column_is_kept() {
    let mut decoder = protected("utf8");
    let batch = decode(&mut decoder, r#"[{"v":"s3cr3t","new":1}]"#).unwrap();
    assert_eq!(batch.column(1).as_string::<i32>().value(0), r#"{"new":1}"#);
    assert_eq!(decoder.drift()["new"], "1");
}

#[test]
fn member_that_repeats_the_scope_adds_nothing() {
    let mut stream = stream("category_topics");
    stream.columns[0] = toml::from_str("name = \"v\"\ntype = \"int64\"\nabout = \"x\"").unwrap();
    stream.columns.truncate(1);
    let mut decoder = Decoder::new(Arc::new(TableSchema::new(&stream)));
    let named = crate::model::scope::Named { id: "c1".into(), name: "Tea \"1\"".into() };
    decoder = decoder.with_scope(&Scope { category: Some(named), ..Scope::default() });
    let rows = r#"[{"v":1,"category_id":"c1","category_name":"Tea \"1\""},{"v":2,"category_id":"c2"}]"#;
    let batch = decode(&mut decoder, rows).unwrap();
    let extra = batch.column(1).as_string::<i32>();
    assert!(extra.is_null(0));
    assert_eq!(extra.value(1), r#"{"category_id":"c2"}"#);
}
