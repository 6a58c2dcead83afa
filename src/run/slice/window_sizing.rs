//! How long a window may be before responses break, as far as this run has found out.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::model::slice::Slice;

/// Slices that must have succeeded with shorter windows only, before other slices of their stream start with such windows:
/// one may have met a broken connection, and shorter windows cost more requests.
const AGREEING_SLICES: usize = 2;

/// The longest windows worth a request, by stream. Shared by the slices of a run.
#[derive(Debug, Default)]
pub struct WindowLimits(Mutex<HashMap<String, Vec<i64>>>);

impl WindowLimits {
    /// The longest window of `stream` worth a request, in days, if there is a limit.
    fn longest(&self, stream: &str) -> Option<i64> {
        // Shortest first: that many slices agree that longer windows break.
        self.0.lock().get(stream)?.get(AGREEING_SLICES - 1).copied()
    }

    fn record(&self, stream: &str, days: i64) {
        let mut limits = self.0.lock();
        let lengths = limits.entry(stream.to_owned()).or_default();
        let at = lengths.partition_point(|other| *other <= days);
        lengths.insert(at, days);
    }
}

/// What the attempts of one slice show about the length of windows.
#[derive(Debug, Default)]
pub struct WindowSizing {
    /// The stream whose responses broke, and the longest window that did not.
    limit: Option<(String, i64)>,
    shorter_succeeded: bool,
}

impl WindowSizing {
    /// A response of one day says nothing about length.
    pub fn record_failure(&mut self, slice: &Slice) {
        if let Some((older, newer)) = slice.halves() {
            self.limit = Some((slice.stream.name.clone(), days(&older).max(days(&newer))));
        }
    }

    pub fn record_success(&mut self, slice: &Slice) {
        self.shorter_succeeded |= self.limit.as_ref().is_some_and(|(stream, _)| *stream == slice.stream.name);
    }

    pub fn is_too_long(&self, slice: &Slice, limits: &WindowLimits) -> bool {
        let stream = &slice.stream.name;
        let own = self.limit.as_ref().filter(|(broken, _)| broken == stream).map(|(_, longest)| *longest);
        own.into_iter().chain(limits.longest(stream)).any(|longest| days(slice) > longest)
    }

    /// Passes the limit to the other slices of the run, if shorter windows were what helped.
    pub fn share(self, limits: &WindowLimits) {
        if let (Some((stream, longest)), true) = (self.limit, self.shorter_succeeded) {
            limits.record(&stream, longest);
        }
    }
}

fn days(slice: &Slice) -> i64 {
    slice.window.map_or(1, |window| window.len_days())
}
