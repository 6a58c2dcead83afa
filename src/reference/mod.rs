//! What the catalog says of its streams, in words: for `streams` and for docs/reference/streams.md.

mod columns;
mod example;
mod facts;
mod requests;

pub use columns::{ColumnLine, added_lines, column_lines, own_lines, scope_lines};
pub use example::example;
pub use facts::{Fact, facts, kind_of_days};
pub use requests::requests;
