//! Record batches to Parquet files in the spool, one a day, and the proof that they are whole.

mod columns;
mod day_file;
mod error;
mod hash;
mod parquet_file;
mod protect;
mod reread;
mod rows_by_day;
mod slice_writer;
mod snapshot;
mod spill;
mod spool;
mod verify;

pub use columns::{OWN_COLUMNS, Provenance, table_schema};
pub use error::WriteError;
pub use parquet_file::WholeDay;
pub use protect::Protection;
pub use reread::{Footer, Held, Opened, Reread, RereadError, reread};
pub use slice_writer::{SliceWriter, Written};
pub use snapshot::{Snapshot, snapshot};
pub use spool::{SliceDir, Spool};
pub use verify::{Doubt, WholeSlice, proof_of};
