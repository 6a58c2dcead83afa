//! Keeps the book in one small object of the lake, so that neither a restart nor another machine tells things twice.

use bytes::Bytes;
use object_store::path::Path;

use crate::alert::book::{Book, FORMAT};
use crate::destination::{Destination, DestinationError, OWN_DIRECTORY};

fn path() -> Path {
    Path::from_iter([OWN_DIRECTORY, "alerts.json"])
}

/// The book of `lake`. One that cannot be understood is begun anew: what stands is then told once more.
pub(super) async fn read(lake: &Destination) -> Result<Book, DestinationError> {
    let Some(bytes) = lake.read(&path()).await? else {
        return Ok(Book::default());
    };
    match serde_json::from_slice::<Book>(&bytes) {
        Ok(book) if book.format == FORMAT => Ok(book),
        _ => {
            tracing::warn!("`{}` is no book of alerts that this version knows, and is begun anew", path());
            Ok(Book::default())
        }
    }
}

pub(super) async fn write(lake: &Destination, book: &Book) -> Result<(), DestinationError> {
    // Names and text serialize.
    let bytes = serde_json::to_vec_pretty(book).unwrap_or_default();
    lake.overwrite(&path(), Bytes::from(bytes)).await
}
