//! What the catalog says of its streams, in words: for `streams` and for docs/reference/streams.md.

mod columns;
mod example;
mod facts;
mod group;
mod page;
mod requests;

pub use columns::{ColumnLine, column_lines};
pub use example::example;
pub use facts::{Fact, facts};
pub use page::page;
pub use requests::requests;
