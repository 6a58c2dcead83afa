//! Types, and values that fit them, mostly.

use profound_export::model::column::ColumnType;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// Any text, short: with every character, controls and astral ones included.
pub fn any_text() -> BoxedStrategy<String> {
    let awkward = select(vec!['"', '\\', '\n', '\0', '\u{2028}', '{', ']', 'é', '🫖']);
    vec(prop_oneof![any::<char>(), awkward, proptest::char::range('a', 'z')], 0..6).prop_map(String::from_iter).boxed()
}

/// Any JSON, a few levels deep.
pub fn any_json() -> BoxedStrategy<Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any_float(),
        any_text().prop_map(Value::from),
    ];
    let nested = |inner: BoxedStrategy<Value>| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((any_text(), inner), 0..3).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    };
    scalar.prop_recursive(2, 8, 3, nested).boxed()
}

/// Every finite float.
fn any_float() -> BoxedStrategy<Value> {
    any::<u64>()
        .prop_map(f64::from_bits)
        .prop_filter("JSON has no such number", |float| float.is_finite())
        .prop_map(Value::from)
        .boxed()
}

/// Any type of the catalog, a few levels deep.
pub fn any_column_type() -> BoxedStrategy<ColumnType> {
    let scalar = select(vec![
        ColumnType::Utf8,
        ColumnType::Int64,
        ColumnType::Float64,
        ColumnType::Bool,
        ColumnType::Date,
        ColumnType::Timestamp,
        ColumnType::UnixSeconds,
        ColumnType::Json,
    ]);
    let nested = |inner: BoxedStrategy<ColumnType>| {
        prop_oneof![
            inner.clone().prop_map(|item| ColumnType::List(Box::new(item))),
            vec(inner, 1..4).prop_map(|fields| {
                let names = ["a", "b", "c"].map(str::to_owned);
                ColumnType::Struct(names.into_iter().zip(fields).collect())
            }),
        ]
    };
    scalar.prop_recursive(2, 6, 3, nested).boxed()
}

/// A value for a column: mostly one that fits, now and then null or anything at all, on every level.
pub fn fitting(column_type: &ColumnType) -> BoxedStrategy<Value> {
    prop_oneof![
        24 => fitting_exactly(column_type),
        2 => Just(Value::Null),
        1 => any_json(),
    ]
    .boxed()
}

/// A value for a column that fits, in every form the API may send.
pub fn fitting_exactly(column_type: &ColumnType) -> BoxedStrategy<Value> {
    match column_type {
        ColumnType::Utf8 => any_text().prop_map(Value::from).boxed(),
        ColumnType::Int64 => prop_oneof![any::<i64>().prop_map(Value::from), with_point()].boxed(),
        ColumnType::Float64 => prop_oneof![
            any_float(),
            any::<i32>().prop_map(Value::from),
            (0_u32..64).prop_map(|bit| json!(1_u64 << bit))
        ]
        .boxed(),
        ColumnType::Bool => any::<bool>().prop_map(Value::from).boxed(),
        ColumnType::Date => (day(), select(vec!["", "", "T00:00:00", "T00:00:00-05:00", " 04:00"]))
            .prop_map(|(day, rest)| json!(format!("{day}{rest}")))
            .boxed(),
        ColumnType::Timestamp => instant(),
        ColumnType::UnixSeconds => {
            prop_oneof![(-100_000_000_000_i64..100_000_000_000).prop_map(Value::from), with_point()].boxed()
        }
        ColumnType::Json => any_json(),
        ColumnType::List(item) => vec(fitting(item), 0..4).prop_map(Value::from).boxed(),
        ColumnType::Struct(fields) => {
            let known: Vec<_> = fields
                .iter()
                .map(|(name, field)| (Just(name.clone()), option::weighted(0.8, fitting(field))))
                .collect();
            let unknown = vec((any_text(), option::weighted(0.2, any_json())), 0..2);
            (known, unknown)
                .prop_map(|(known, unknown)| [known, unknown].concat())
                .prop_shuffle()
                .prop_map(|members| {
                    let present = members.into_iter().filter_map(|(name, value)| Some((name, value?)));
                    Value::Object(present.collect::<Map<_, _>>())
                })
                .boxed()
        }
    }
}

/// Integers written like `2.0`.
fn with_point() -> BoxedStrategy<Value> {
    any::<i32>().prop_map(|integer| json!(f64::from(integer))).boxed()
}

fn day() -> impl Strategy<Value = String> {
    (1900..2100, 1..=12, 1..=28).prop_map(|(year, month, day)| format!("{year}-{month:02}-{day:02}"))
}

fn instant() -> BoxedStrategy<Value> {
    let time = (0..24, 0..60, 0..60).prop_map(|(hour, minute, second)| format!("{hour:02}:{minute:02}:{second:02}"));
    let fraction = select(vec!["", ".5", ".123456"]);
    let zone = select(vec!["", "Z", "+01:00", "-05:30"]);
    let exact = (day(), select(vec!['T', ' ']), time, fraction, zone)
        .prop_map(|(day, between, time, fraction, zone)| json!(format!("{day}{between}{time}{fraction}{zone}")));
    prop_oneof![4 => exact, 1 => day().prop_map(Value::from)].boxed()
}
