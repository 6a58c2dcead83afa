//! Why rows could not be decoded.

/// Why rows could not be decoded. Rows and pages count from one within the slice. A value is shortened, and `column` has the path to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON or not UTF-8: the response was damaged in transit.
    #[error("stream `{stream}`, page {page}: the rows after row {row} are damaged: {problem}")]
    Damaged { stream: String, page: u64, row: u64, problem: String },
    /// A value that its column cannot hold.
    #[error("stream `{stream}`, row {row}: column `{column}` is {expected}, but the API sent {found}")]
    Mismatch { stream: String, row: u64, column: String, expected: String, found: String },
    /// A positional row whose arrays are not as long as the lists of names that bind them.
    #[error("stream `{stream}`, page {page}, row {row}: {found} {array} for the {expected} names of `info.query`")]
    Length { stream: String, page: u64, row: u64, array: &'static str, expected: usize, found: usize },
    #[error(
        "stream `{stream}`, page {page}: rows are positional, and neither `info.query` nor the request names their values"
    )]
    Unbound { stream: String, page: u64 },
}
