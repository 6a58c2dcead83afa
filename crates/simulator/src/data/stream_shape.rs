//! What follows from a stream's declaration about its requests and rows.

use std::collections::BTreeSet;

use catalog::model::column::ColumnType;
use catalog::model::stream::{DaysKind, Pagination, RowsAt, Stream};

/// The variables that distinguish the requests of one scope.
pub(crate) fn request_variables(stream: &Stream) -> BTreeSet<&str> {
    let of_parent = stream.parent.iter().flat_map(|parent| {
        let of_variants = parent.variants.iter().flat_map(|variant| variant.set.keys());
        parent.bind.keys().chain(of_variants)
    });
    of_parent.chain(&stream.parameters).map(String::as_str).collect()
}

/// Whether a request of `stream` says its days.
pub(crate) fn sends_days(stream: &Stream) -> bool {
    stream.days.as_ref().is_some_and(|days| days.sent) || stream.uses_variable("first") || stream.uses_variable("last")
}

/// Whether every request of `stream` has exactly one row: nothing in its key could distinguish two of them.
pub(crate) fn is_single(stream: &Stream) -> bool {
    let variables = request_variables(stream);
    let distinguishes_rows = |path: &String| {
        let name = path.split('.').next().unwrap_or(path);
        let is_value = stream.column(name).is_none_or(|column| {
            let is_figure = matches!(column.data_type, ColumnType::Int64 | ColumnType::Float64 | ColumnType::Bool);
            !column.from_request && !is_figure
        });
        is_value && !variables.contains(name)
    };
    let has_day =
        stream.days.as_ref().is_some_and(|days| days.kind == DaysKind::Dated && stream.column(&days.column).is_some());
    let is_page = stream.pagination == Pagination::Single && stream.rows == RowsAt::Data;
    stream.rows == RowsAt::Body || (is_page && !has_day && !stream.key.iter().any(distinguishes_rows))
}

/// Whether rows of `stream` are positional: only where all they hold was asked for by name.
pub(crate) fn is_positional(stream: &Stream) -> bool {
    // Reports on shopping have named rows in either version.
    let Some((dimensions, metrics)) = stream.positional_names().filter(|_| !stream.request.path.contains("/shopping/"))
    else {
        return false;
    };
    let mut columns = stream.columns.iter().filter(|column| !column.from_request);
    columns.all(|column| dimensions.contains(&column.name) || metrics.contains(&column.name))
}
