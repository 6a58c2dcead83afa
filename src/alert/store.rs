//! Keeps the book in one small object of the lake, so that neither a restart nor another machine tells things twice.

use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;

use crate::alert::book::{Book, FORMAT};
use crate::config::{DestinationConfig, Location};
use crate::destination::{Destination, DestinationError, OWN_DIRECTORY};
use crate::error_text::error_chain;

/// A store that answers no sooner counts as one that does not: what is told must not wait for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the lake of `config` is called wherever it is told, whether or not it can be opened: it is part of what tells
/// alerts apart.
pub(super) fn name_of(config: &DestinationConfig) -> String {
    match config.location() {
        Ok(Location::Local(path)) => std::path::absolute(&path).unwrap_or(path).display().to_string(),
        Ok(Location::Store(url)) => url.to_string(),
        Err(_) => config.url.clone(),
    }
}

/// The book as a process holds it, and what of it the lake knows.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// What was told to whom.
    pub book: Book,
    /// The book as it lies in the lake; none where it was never read or written.
    stored: Option<Book>,
    config: Option<DestinationConfig>,
    lake: Option<Destination>,
}

impl Kept {
    /// Turns to the lake of `config`; whether there was another one before, whose book stays behind with it.
    pub fn turn_to(&mut self, config: &DestinationConfig) -> bool {
        let has_moved = self.config.as_ref().is_some_and(|known| known != config);
        if has_moved {
            *self = Self::default();
        }
        self.config = Some(config.clone());
        has_moved
    }

    /// Takes in what the lake says, where nothing is held that it does not know. What cannot be read leaves what is held.
    pub async fn refresh(&mut self) {
        if self.stored.as_ref().is_some_and(|stored| *stored != self.book) {
            return;
        }
        let Some(lake) = self.lake() else {
            return;
        };
        let Some(stored) = in_time("read", read(&lake)).await else {
            return;
        };
        match &self.stored {
            // What this process held before it could read goes on beside what the lake knew.
            None => self.book.adopt(stored.clone()),
            Some(_) => self.book = stored.clone(),
        }
        self.stored = Some(stored);
    }

    /// Writes the book where it differs from what the lake knows. What cannot be written is kept for the next time.
    pub async fn keep(&mut self) {
        if self.stored.as_ref().map_or(self.book == Book::default(), |stored| *stored == self.book) {
            return;
        }
        let Some(lake) = self.lake() else {
            return;
        };
        // Names and text serialize.
        let bytes = serde_json::to_vec_pretty(&self.book).unwrap_or_default();
        if in_time("write", lake.overwrite(&path(), Bytes::from(bytes))).await.is_some() {
            self.stored = Some(self.book.clone());
        }
    }

    /// The lake; none where it is not there yet, which remembering must not make, or cannot be opened, which whoever looks
    /// at it tells.
    fn lake(&mut self) -> Option<Destination> {
        let config = self.config.as_ref()?;
        if let Ok(Location::Local(path)) = config.location()
            && !path.exists()
        {
            return None;
        }
        if self.lake.is_none() {
            self.lake = Destination::open(config).ok();
        }
        self.lake.clone()
    }
}

fn path() -> Path {
    Path::from_iter([OWN_DIRECTORY, "alerts.json"])
}

/// The book of `lake`. One that cannot be understood is begun anew: what stands is then told once more.
async fn read(lake: &Destination) -> Result<Book, DestinationError> {
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

/// What came of it, unless it failed or took too long: then what was told may be told again, and nothing worse.
async fn in_time<T>(action: &str, doing: impl Future<Output = Result<T, DestinationError>>) -> Option<T> {
    let problem = match tokio::time::timeout(PATIENCE, doing).await {
        Ok(Ok(done)) => return Some(done),
        Ok(Err(error)) => error_chain(&error),
        Err(_) => format!("the destination did not answer within {} s", PATIENCE.as_secs()),
    };
    tracing::warn!("cannot {action} what was told before, so it may be told again: {problem}");
    None
}
