//! Decodes blocks of rows to record batches with the schema of the catalog. Nothing is inferred.

mod builder;
mod error;
mod rows;
mod schema;
mod value;
mod words;

pub use error::DecodeError;
pub use rows::{Decoder, Drift, Misfit};
pub use schema::{EXTRA_COLUMN, TableSchema, data_type_of};
pub use value::{MAX_REPORTED_MEMBERS, OTHER_MEMBERS};
pub use words::with_nulls;
