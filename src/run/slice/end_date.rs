//! How a family reads `end_date`, learned from the responses to ordinary requests. The only place that decides it.
//!
//! The documents disagree: `end_date` is inclusive, exclusive or not described. A probe of every family would cost each
//! account requests for nothing, since the rows of the first slice prove it: if its last day has rows, the end is
//! inclusive. Only if they do not is the same window requested once more, with the day after as its end.

use crate::api::{ApiError, RequestOptions};
use crate::ledger::Fact;
use crate::model::days::DaysKind;
use crate::model::slice::Slice;
use crate::model::stream::{RowsAt, WindowEnd};
use crate::run::error::RunError;
use crate::run::slice::rejection::rejects_days;

/// A response to a request for a window of days.
pub struct WindowResponse<T> {
    pub rows: T,
    /// How `end_date` was known to be read when the request was sent.
    pub window_end: Option<WindowEnd>,
    pub has_rows: bool,
    /// Whether the last day of the window has rows; `None` if the rows are not assigned to days yet.
    pub has_last_day: Option<bool>,
}

/// What a response proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Nothing, and no other request would.
    Silent,
    /// That the end is read as it was sent.
    Proven,
    /// That the end may be read otherwise: with the day after as the end there may be more rows.
    Unclear,
}

#[derive(Debug, Clone, Copy)]
enum Seen {
    /// HTTP 422.
    Rejected,
    Rows {
        any: bool,
        last_day: Option<bool>,
    },
}

/// Requests `slice` with `request`, and once more with the day after as its end if the first response leaves open how the
/// family reads `end_date`. `must_have_rows` says whether another stream proves that there are rows. Returns also how the
/// family reads `end_date`, with the evidence, if a response proved it.
///
/// # Errors
/// Those of `request`.
pub async fn resolve_end_date<T, F: Future<Output = Result<WindowResponse<T>, RunError>>>(
    slice: &Slice,
    options: &RequestOptions,
    must_have_rows: bool,
    mut request: impl FnMut(RequestOptions) -> F,
) -> Result<(WindowResponse<T>, Option<(Fact, String)>), RunError> {
    let mut first = request(options.clone()).await;
    let is_rejected = |response: &Result<WindowResponse<T>, RunError>| matches!(response, Err(RunError::Api(ApiError::RequestRejected { status: 422, detail, .. })) if rejects_days(detail));
    // One rejection may be a mistake of the moment, and one about something else says nothing about days.
    if options.window_end.is_none() && is_rejected(&first) {
        first = request(options.clone()).await;
    }
    let (known, seen) = match &first {
        Ok(response) => (response.window_end, seen(response)),
        Err(_) if is_rejected(&first) => (options.window_end, Seen::Rejected),
        Err(_) => return Ok((first?, None)),
    };
    let verdict = if known.is_some() { Verdict::Silent } else { judge(slice, seen, must_have_rows) };
    let fact = |end| Fact::WindowEnd { family: slice.stream.family.clone(), end };
    match verdict {
        Verdict::Silent => Ok((first?, None)),
        Verdict::Proven => {
            let evidence = format!("{slice} had rows with its last day as `end_date`");
            Ok((first?, Some((fact(WindowEnd::Inclusive), evidence))))
        }
        Verdict::Unclear => {
            let second = request(RequestOptions { window_end: Some(WindowEnd::Exclusive), ..options.clone() }).await?;
            let evidence = match &first {
                Err(_) => format!("{slice} was rejected with its last day as `end_date`, and not with the day after"),
                Ok(_) if judge(slice, self::seen(&second), must_have_rows) == Verdict::Proven => {
                    format!("{slice} had rows of its last day only with the day after as `end_date`")
                }
                Ok(_) => return Ok((first?, None)),
            };
            Ok((second, Some((fact(WindowEnd::Exclusive), evidence))))
        }
    }
}

fn seen<T>(response: &WindowResponse<T>) -> Seen {
    Seen::Rows { any: response.has_rows, last_day: response.has_last_day }
}

fn judge(slice: &Slice, seen: Seen, must_have_rows: bool) -> Verdict {
    let Some(days) = slice.stream.days.as_ref().filter(|_| slice.window.is_some()) else {
        return Verdict::Silent;
    };
    match (days.end, seen) {
        (WindowEnd::Undocumented, Seen::Rejected) => Verdict::Unclear,
        // A body that is one row, and a request that sends no days, prove nothing.
        (WindowEnd::Undocumented, _) if !days.sent || slice.stream.rows == RowsAt::Body => Verdict::Silent,
        (WindowEnd::Undocumented, Seen::Rows { any: true, .. }) => Verdict::Proven,
        (WindowEnd::Undocumented, Seen::Rows { any: false, .. }) if must_have_rows => Verdict::Unclear,
        (WindowEnd::Inclusive, Seen::Rows { last_day: Some(has_last_day), .. }) if days.kind == DaysKind::Dated => {
            if has_last_day {
                Verdict::Proven
            } else {
                Verdict::Unclear
            }
        }
        // Families documented as exclusive need no proof: were they inclusive, the extra day would be dropped.
        _ => Verdict::Silent,
    }
}
