//! Values that no vocabulary knows, made of nothing but the declaration of their column.

use std::borrow::Cow;

use serde_json::{Value, json};

use catalog::model::column::ColumnType;

use super::hash::{mix, uuid};
use super::words;

/// `name` as most of the API writes names: some endpoints write `modelId`.
pub(super) fn snake_case(name: &str) -> Cow<'_, str> {
    if !name.contains(|one: char| one.is_ascii_uppercase()) {
        return Cow::Borrowed(name);
    }
    let mut snake = String::with_capacity(name.len() + 4);
    for one in name.chars() {
        if one.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(one.to_ascii_lowercase());
    }
    Cow::Owned(snake)
}

/// Whether the column `name` holds an identifier.
pub(super) fn is_id(name: &str) -> bool {
    name == "id" || name.ends_with("_id") || name.ends_with("Id")
}

/// Whether the open objects of the column `name` have a form of their own.
fn has_form(name: &str) -> bool {
    name.starts_with("group") || name.starts_with("prev") || name == "metadata"
}

/// The open object numbered `index` of the column `name`, unlike all others of it.
pub(super) fn open_object(name: &str, index: u64) -> Value {
    match name {
        _ if name.starts_with("group") => json!({ "theme": format!("{name} {index}") }),
        "metadata" => json!({ "page": index, "title": format!("№ {index}") }),
        _ if name.starts_with("prev") => {
            json!({ "date": "2026-01-31", "total": index, "accurate": 0, "verified": 0, "ratio": 0 })
        }
        _ => json!({ "name": format!("{name} {index}"), "owned": index == 0 }),
    }
}

/// A value made of nothing but the declaration of its column.
pub(super) fn invented(name: &str, data_type: &ColumnType, values: &[String], salt: u64) -> Value {
    let number = mix(salt);
    match data_type {
        ColumnType::Utf8 if !values.is_empty() => json!(values[(number % values.len() as u64) as usize]),
        ColumnType::Utf8 if is_id(name) => json!(uuid(number, name)),
        ColumnType::Utf8 if name.ends_with("url") => json!(format!("https://review.example/{name}/{}", number % 100)),
        ColumnType::Utf8 => match number % 8 {
            0 => json!(""),
            1 => json!(words::CLAIMS[(number >> 8) as usize % words::CLAIMS.len()]),
            _ => json!(format!("{name} \"{}\"", number % 1000)),
        },
        ColumnType::Int64 if name == "impact" => json!(number % 5 + 1),
        ColumnType::Int64 => json!(number % 500),
        ColumnType::Float64 => json!((number % 1000) as f64 / 8.0),
        ColumnType::Bool => json!(number.is_multiple_of(2)),
        ColumnType::Date => json!(format!("2026-0{}-{:02}", number % 9 + 1, number % 28 + 1)),
        ColumnType::Timestamp => {
            json!(format!("2026-0{}-{:02}T{:02}:30:00Z", number % 9 + 1, number % 28 + 1, number % 24))
        }
        ColumnType::UnixSeconds => json!(1_780_000_000 + number % 10_000_000),
        ColumnType::Json if has_form(name) => open_object(name, number % 100),
        ColumnType::Json => json!({
            "claim": words::CLAIMS[number as usize % words::CLAIMS.len()],
            "sentiment": (["positive", "negative", "neutral"][number as usize % 3]),
            "score": (number % 100) as f64 / 100.0,
            "details": { "nested": [1, 2.5, null, "x"], "empty": {} },
        }),
        ColumnType::List(item) => {
            let items = (0..number % 4).map(|position| invented(name, item, values, mix(number ^ position)));
            Value::Array(items.collect())
        }
        ColumnType::Struct(fields) => {
            let fields = fields.iter().enumerate().map(|(position, (field, inner))| {
                let known = words::values_of(name, field).map(|known| known.map(str::to_owned));
                let values = known.as_ref().map_or(values, |known| &known[..]);
                (field.clone(), invented(field, inner, values, mix(number ^ position as u64)))
            });
            Value::Object(fields.collect())
        }
    }
}
