//! Decodes blocks of rows to record batches with the schema of the catalog. Nothing is inferred.

mod builder;
mod error;
mod rows;
mod schema;
mod value;

pub use error::DecodeError;
pub use rows::{Decoder, Drift};
pub use schema::{EXTRA_COLUMN, TableSchema, data_type_of};
