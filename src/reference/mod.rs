//! Descriptions of streams and columns, for `streams` and the generated reference page.

mod columns;
mod example;
mod facts;
mod requests;

pub use columns::{ColumnLine, added_lines, column_lines, own_lines, scope_lines};
pub use example::example;
pub use facts::{StreamFact, facts, kind_of_days};
pub use requests::requests;
