//! Writes record batches to Parquet files in the spool, one per day, and verifies that they are complete.

mod column_run;
mod columns;
mod day_file;
mod distinct;
mod error;
mod filled_columns;
mod hash;
mod parquet_file;
mod private_file;
mod protect;
mod read_content;
mod row_keys;
mod row_order;
mod rows_by_day;
mod slice_writer;
mod snapshot;
mod spill;
mod spool;
mod table_writer;
mod verify;
mod worker;

pub use columns::{OWN_COLUMNS, Provenance, added_columns, table_schema};
pub use error::WriteError;
pub use filled_columns::{FilledColumns, filled_columns_of};
pub use parquet_file::{DayContent, SpooledFile};
pub use private_file::{FileDigest, HashedReader, HashedWriter, create_file};
pub use protect::Protection;
pub use read_content::{ContentOfDays, FileContent, FileReadError, FileSource, Footer, OpenFile};
pub use slice_writer::{SliceWriter, UnverifiedSlice};
pub use snapshot::write_snapshot;
pub use spool::{SliceDir, Spool, sweep};
pub use table_writer::{TableWriteError, TableWriter};
pub use verify::{Doubt, VerifiedSlice, proof_of};
pub use worker::{Worker, WorkerPanicked};
