//! Values of columns that the vocabulary does not know, made from the column's declaration.

use catalog::model::column::ColumnType;
use serde_json::{Value, json};

use super::seeded::{mix, pick, uuid};
use super::vocabulary::WORDS;

/// `name` as most of the API writes names: some endpoints write `modelId`.
pub(crate) fn snake_case(name: &str) -> String {
    let snake = |letter: char| {
        let underscore = letter.is_ascii_uppercase().then_some('_');
        underscore.into_iter().chain([letter.to_ascii_lowercase()])
    };
    name.chars().flat_map(snake).collect()
}

/// Whether the column `name` holds an identifier.
pub(crate) fn is_id(name: &str) -> bool {
    name == "id" || name.ends_with("_id") || name.ends_with("Id")
}

/// The open object `index` of the column `name`, different from all others of the column.
pub(crate) fn open_object(name: &str, index: u64) -> Value {
    match name {
        _ if name.starts_with("group") => json!({ "theme": format!("{name} {index}") }),
        "metadata" => json!({ "page": index, "title": format!("№ {index}") }),
        _ if name.starts_with("prev") => {
            json!({ "date": "2026-01-31", "total": index, "accurate": 0, "verified": 0, "ratio": 0 })
        }
        _ => json!({ "name": format!("{name} {index}"), "owned": index == 0 }),
    }
}

/// A value of a column, made from its name, type and listed values.
pub(crate) fn invented(name: &str, data_type: &ColumnType, values: &[String], salt: u64) -> Value {
    let number = mix(salt);
    let instant = |time: String| json!(format!("2026-0{}-{:02}{time}", number % 9 + 1, number % 28 + 1));
    match data_type {
        ColumnType::Utf8 if !values.is_empty() => json!(pick(values, number)),
        ColumnType::Utf8 if is_id(name) => json!(uuid(number, name)),
        ColumnType::Utf8 if name.ends_with("url") => json!(format!("https://review.example/{name}/{}", number % 100)),
        ColumnType::Utf8 => match number % 8 {
            0 => json!(""),
            1 => json!(pick(&WORDS.claims, number >> 8)),
            _ => json!(format!("{name} \"{}\"", number % 1000)),
        },
        ColumnType::Int64 if name == "impact" => json!(number % 5 + 1),
        ColumnType::Int64 => json!(number % 500),
        ColumnType::Float64 => json!((number % 1000) as f64 / 8.0),
        ColumnType::Bool => json!(number.is_multiple_of(2)),
        ColumnType::Date => instant(String::new()),
        ColumnType::Timestamp => instant(format!("T{:02}:30:00Z", number % 24)),
        ColumnType::UnixSeconds => json!(1_780_000_000 + number % 10_000_000),
        ColumnType::Json if name.starts_with("group") || name.starts_with("prev") || name == "metadata" => {
            open_object(name, number % 100)
        }
        ColumnType::Json => json!({
            "claim": pick(&WORDS.claims, number),
            "sentiment": pick(&["positive", "negative", "neutral"], number),
            "score": (number % 100) as f64 / 100.0,
            "details": { "nested": [1, 2.5, null, "x"], "empty": {} },
        }),
        ColumnType::List(item) => {
            (0..number % 4).map(|position| invented(name, item, values, mix(number ^ position))).collect()
        }
        ColumnType::Struct(fields) => {
            let field = |(position, (field, inner)): (usize, &(String, ColumnType))| {
                let values = WORDS.values_of(name, field).unwrap_or(values);
                (field.clone(), invented(field, inner, values, mix(number ^ position as u64)))
            };
            Value::Object(fields.iter().enumerate().map(field).collect())
        }
    }
}

/// `text` as a value of a column.
pub(crate) fn in_type(text: &str, data_type: &ColumnType) -> Value {
    match (data_type, text.parse::<i64>()) {
        (ColumnType::Int64 | ColumnType::UnixSeconds, Ok(number)) => json!(number),
        (ColumnType::List(_), _) => json!([text]),
        _ => json!(text),
    }
}
