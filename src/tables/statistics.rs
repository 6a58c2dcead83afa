//! Bounds and counts of a file's columns, in the form of the log: engines skip files by them.

use std::fs::File;
use std::path::Path;

use jiff::Timestamp;
use parquet::basic::LogicalType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};

use crate::model::day::Day;

/// As many columns as Delta's own writers count by default: the log grows with each.
const MAX_COLUMNS: usize = 32;

/// The statistics of the file at `path`, as JSON.
///
/// # Errors
/// The file is no Parquet file.
pub fn of_file(path: &Path) -> Result<String, ParquetError> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&File::open(path)?)?;
    let (mut least, mut most, mut nulls) = (Map::new(), Map::new(), Map::new());
    let columns = metadata.file_metadata().schema_descr();
    let plain = (0..columns.num_columns()).filter(|index| columns.column(*index).path().parts().len() == 1);
    for index in plain.take(MAX_COLUMNS) {
        let name = columns.column(index).name().to_owned();
        let statistics: Option<Vec<&Statistics>> =
            metadata.row_groups().iter().map(|group| group.column(index).statistics()).collect();
        let Some(statistics) = statistics else { continue };
        if let Some(count) = statistics.iter().map(|of| of.null_count_opt()).sum::<Option<u64>>() {
            nulls.insert(name.clone(), count.into());
        }
        // A group without a value has no bounds, and is within any.
        let has_values = |(group, of): &(&RowGroupMetaData, &&Statistics)| {
            of.null_count_opt() != u64::try_from(group.num_rows()).ok()
        };
        let groups: Vec<_> = metadata.row_groups().iter().zip(&statistics).filter(has_values).collect();
        let bounds: Option<Vec<[Value; 2]>> =
            groups.into_iter().map(|(_, statistics)| bounds(statistics, &metadata, index)).collect();
        let Some(bounds) = bounds.filter(|bounds| !bounds.is_empty()) else { continue };
        let [mut first, mut last] = bounds[0].clone();
        for [low, high] in bounds {
            if is_less(&low, &first) {
                first = low;
            }
            if is_less(&last, &high) {
                last = high;
            }
        }
        least.insert(name.clone(), first);
        most.insert(name, last);
    }
    let rows = metadata.file_metadata().num_rows();
    Ok(json!({"numRecords": rows, "minValues": least, "maxValues": most, "nullCount": nulls}).to_string())
}

fn is_less(one: &Value, other: &Value) -> bool {
    match (one, other) {
        // Texts of days and instants have one length, so they are in order, too.
        (Value::String(one), Value::String(other)) => one < other,
        (Value::Number(one), Value::Number(other)) => match (one.as_i64(), other.as_i64()) {
            (Some(one), Some(other)) => one < other,
            _ => one.as_f64() < other.as_f64(),
        },
        _ => false,
    }
}

/// The least and the greatest value, or lower and upper bounds of them; `None` for types without an order.
fn bounds(statistics: &Statistics, metadata: &ParquetMetaData, index: usize) -> Option<[Value; 2]> {
    let column = metadata.file_metadata().schema_descr().column(index);
    match statistics {
        Statistics::Int64(of) => {
            let (low, high) = (*of.min_opt()?, *of.max_opt()?);
            match column.logical_type_ref() {
                Some(LogicalType::Timestamp(_)) => Some([instant(low, false)?, instant(high, true)?]),
                _ => Some([low.into(), high.into()]),
            }
        }
        Statistics::Int32(of) => {
            let day = |days: &i32| Value::from(Day::from_epoch_days(*days).to_string());
            Some([day(of.min_opt()?), day(of.max_opt()?)])
        }
        Statistics::Double(of) => Some([json!(of.min_opt()?), json!(of.max_opt()?)]),
        Statistics::ByteArray(of) => {
            let text = |bytes: &parquet::data_type::ByteArray| Some(Value::from(bytes.as_utf8().ok()?));
            Some([text(of.min_opt()?)?, text(of.max_opt()?)?])
        }
        _ => None,
    }
}

/// Microseconds as text with milliseconds, which is all that the log has: rounded so that it stays a bound.
fn instant(microseconds: i64, up: bool) -> Option<Value> {
    let milliseconds = microseconds.div_euclid(1000) + i64::from(up && microseconds.rem_euclid(1000) > 0);
    let at = Timestamp::from_millisecond(milliseconds).ok()?;
    Some(at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string().into())
}
