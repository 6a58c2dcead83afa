//! Descriptions of streams and columns, for `streams`, `ddl` and the generated reference page.

mod columns;
mod ddl;
mod example;
mod facts;
mod requests;

pub use columns::{ColumnLine, added_lines, column_lines, own_lines, scope_lines};
pub use ddl::{TableFiles, Target, statements};
pub use example::example;
pub use facts::{StreamFact, facts, kind_of_days};
pub use requests::requests;
