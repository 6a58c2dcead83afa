//! Why rows could not become a table.

/// Why rows could not be decoded. Rows count from one within the slice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The text is not JSON, or not UTF-8: the response was damaged on its way.
    #[error("stream `{stream}`, page {page}: the rows after row {row} are damaged: {problem}")]
    Damaged {
        /// Which stream.
        stream: String,
        /// Which page of the slice, from one.
        page: u64,
        /// The last row that was whole.
        row: u64,
        /// What the parser says.
        problem: String,
    },
    /// A value that its column cannot hold.
    #[error("stream `{stream}`, row {row}: column `{column}` is {expected}, but the API sent {found}")]
    Mismatch {
        /// Which stream.
        stream: String,
        /// Which row.
        row: u64,
        /// Which column, with the path to the value inside it.
        column: String,
        /// The declared type.
        expected: String,
        /// The value, shortened.
        found: String,
    },
    /// A positional row whose arrays are not as long as the lists of names that bind them.
    #[error("stream `{stream}`, page {page}, row {row}: {found} {array} came for the {expected} names of `info.query`")]
    Length {
        /// Which stream.
        stream: String,
        /// Which page of the slice, from one.
        page: u64,
        /// Which row.
        row: u64,
        /// `dimensions` or `metrics`.
        array: &'static str,
        /// How many names there are.
        expected: usize,
        /// How many values came.
        found: usize,
    },
    /// Positional rows that nothing binds.
    #[error(
        "stream `{stream}`, page {page}: rows are positional, and neither `info.query` nor the request names their values"
    )]
    Unbound {
        /// Which stream.
        stream: String,
        /// Which page of the slice, from one.
        page: u64,
    },
}
