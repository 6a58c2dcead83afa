//! How long a window may be before answers break, as far as this run has found out.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::model::slice::Slice;

/// Slices that must have come whole in shorter windows alone, before others of their stream begin with such windows: one
/// may have met a broken connection, and shorter windows cost more requests.
const AGREEING: usize = 2;

/// The longest windows worth asking, by stream.
#[derive(Debug, Default)]
pub struct Lengths(Mutex<HashMap<String, Vec<i64>>>);

impl Lengths {
    /// The longest window worth asking of `stream`, in days, where there is a limit.
    pub fn longest(&self, stream: &str) -> Option<i64> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Shortest first: as many slices agree that longer ones break.
        found.get(stream)?.get(AGREEING - 1).copied()
    }

    /// Remembers that a slice of `stream` broke in longer windows and came whole in some of at most `days`.
    pub fn found(&self, stream: &str, days: i64) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lengths = found.entry(stream.to_owned()).or_default();
        let at = lengths.partition_point(|other| *other <= days);
        lengths.insert(at, days);
    }
}

/// What the pieces of one slice show about the length of windows.
#[derive(Debug, Default)]
pub struct Tried {
    /// The stream whose answers broke, and the longest window that was not tried in vain.
    limit: Option<(String, i64)>,
    /// Whether a shorter window came whole.
    helped: bool,
}

impl Tried {
    /// Notes that the answer to `slice` broke. One of a single day says nothing about length.
    pub fn broke(&mut self, slice: &Slice) {
        if let Some((older, newer)) = slice.halves() {
            let longer = days(&older).max(days(&newer));
            self.limit = Some((slice.stream.name.clone(), longer));
        }
    }

    /// Notes that `slice` came whole in the way it was asked first.
    pub fn came(&mut self, slice: &Slice) {
        self.helped |= self.limit.as_ref().is_some_and(|(stream, _)| *stream == slice.stream.name);
    }

    /// Whether `slice` is too long to be worth asking.
    pub fn is_too_long(&self, slice: &Slice, lengths: &Lengths) -> bool {
        let stream = &slice.stream.name;
        let own = self.limit.as_ref().filter(|(broken, _)| broken == stream).map(|(_, longest)| *longest);
        own.into_iter().chain(lengths.longest(stream)).any(|longest| longest < days(slice))
    }

    /// Tells the other slices of the run, where shorter windows were what helped.
    pub fn tell(self, lengths: &Lengths) {
        if let (Some((stream, longest)), true) = (self.limit, self.helped) {
            lengths.found(&stream, longest);
        }
    }
}

fn days(slice: &Slice) -> i64 {
    slice.window.map_or(1, |window| window.len_days())
}
