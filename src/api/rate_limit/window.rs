//! The current rate-limit window, as responses describe it: its limit, what remains of it, when it resets, how long it is.
//!
//! The vendor documents 600 requests an hour, but not whether the window is fixed or sliding, so its length is learned: it is the
//! longest time to a reset that was seen, and an hour until a whole window was seen.

use std::time::Duration;

use tokio::time::Instant;

/// Requests an hour, until a header says otherwise (vendor's documentation, Introduction).
const DEFAULT_LIMIT: u32 = 600;
/// The longest window, and the one assumed where no header announces a reset.
pub const MAX_WINDOW: Duration = Duration::from_secs(3600);
const MIN_WINDOW: Duration = Duration::from_secs(1);
/// Headers have whole seconds, so resets closer to each other than this are the same.
const SAME_RESET: Duration = Duration::from_secs(1);
/// By how much a reset may seem nearer because one response took longer than another.
const LATENCY: Duration = Duration::from_millis(200);
/// How long `X-RateLimit-Remaining` counts where no reset is announced.
const REMAINING_EXPIRES_AFTER: Duration = Duration::from_secs(60);

/// The rate-limit headers of one response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimitHeaders {
    /// `X-RateLimit-Limit`.
    pub limit: Option<u32>,
    /// `X-RateLimit-Remaining`.
    pub remaining: Option<u32>,
    /// From the response to `X-RateLimit-Reset`.
    pub reset_after: Option<Duration>,
}

/// Which window a response describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DescribedWindow {
    /// It was sent before the reset and arrived after it, so it says nothing about the current window.
    Previous,
    Current,
    /// The window reset while the request was in flight.
    Next,
}

/// The least that remained of the current window.
#[derive(Debug, Clone, Copy)]
struct Remaining {
    requests: u32,
    seen_at: Instant,
}

#[derive(Debug, Clone, Default)]
pub(super) struct RateLimitWindow {
    limit: Option<u32>,
    remaining: Option<Remaining>,
    /// When `remaining` no longer counts, where no reset was announced.
    remaining_expires_at: Option<Instant>,
    pub(super) resets_at: Option<Instant>,
    /// The last reset that was announced, also if it is in the past.
    last_reset: Option<Instant>,
    longest_reset_after: Option<Duration>,
    /// The shortest time between two resets; several windows may have passed between them.
    between_resets: Option<Duration>,
    pub(super) windows_seen: u32,
    started_at: Option<Instant>,
    /// A response has described this window.
    pub(super) has_response: bool,
}

impl RateLimitWindow {
    /// A window of the same limit and length that no response has described yet.
    pub(super) fn fresh(&self) -> Self {
        Self { limit: self.limit, longest_reset_after: Some(self.length()), windows_seen: 2, ..Self::default() }
    }

    /// The same window, whose length will not become better known.
    pub(super) fn with_fixed_length(&self) -> Self {
        Self { longest_reset_after: Some(self.length()), windows_seen: 2, ..self.clone() }
    }

    /// Requests a window.
    pub(super) fn limit(&self) -> u32 {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }

    /// The least that the API said remains, `None` before it has said so.
    pub(super) fn remaining(&self) -> Option<u32> {
        self.remaining.map(|remaining| remaining.requests)
    }

    /// When another request may show whether requests remain.
    pub(super) fn remaining_ends_at(&self, now: Instant) -> Instant {
        self.resets_at.or(self.remaining_expires_at).unwrap_or(now + REMAINING_EXPIRES_AFTER)
    }

    /// A whole window was seen. The first reset may belong to a window that was half over.
    pub(super) fn is_length_known(&self) -> bool {
        self.windows_seen >= 2
    }

    /// The length of a window; [`MAX_WINDOW`] until it is known.
    pub(super) fn length(&self) -> Duration {
        match self.longest_reset_after {
            Some(longest) if self.is_length_known() => {
                // A window whose first response came late is longer than the time to its reset. Resets have whole seconds.
                let between = self.between_resets.map_or(0, |between| (between + LATENCY).as_secs());
                longest.max(Duration::from_secs(between)).min(MAX_WINDOW)
            }
            _ => MAX_WINDOW,
        }
    }

    /// Starts the next window if this one is over by `now`; returns whether it did.
    pub(super) fn advance(&mut self, now: Instant) -> bool {
        let is_over = self.resets_at.or(self.remaining_expires_at).is_some_and(|end| end <= now);
        if is_over {
            self.start_next(now);
        }
        is_over
    }

    /// Records the headers of a response that came at `now` to a request sent at `sent_at`.
    pub(super) fn observe(&mut self, sent_at: Instant, now: Instant, headers: RateLimitHeaders) -> DescribedWindow {
        self.limit = headers.limit.filter(|limit| *limit > 0).or(self.limit);
        let reset_after = headers.reset_after.map(|after| after.min(MAX_WINDOW));
        let reset = reset_after.map(|after| now + after);
        if reset.is_some_and(|reset| self.is_previous(reset, sent_at)) {
            return DescribedWindow::Previous;
        }
        let is_next = reset.is_some_and(|reset| self.is_next(reset, sent_at, headers.remaining));
        if is_next {
            self.start_next(now);
        }
        if let (Some(reset), Some(after)) = (reset, reset_after) {
            self.observe_reset(reset, after);
        } else if self.resets_at.is_none() && self.windows_seen == 1 {
            // Resets are announced so rarely that the length will not become better known.
            self.windows_seen += 1;
        }
        self.remaining_expires_at =
            headers.remaining.filter(|_| reset.is_none()).map(|_| now + REMAINING_EXPIRES_AFTER);
        if let Some(requests) = headers.remaining
            && self.remaining.is_none_or(|least| requests < least.requests)
        {
            self.remaining = Some(Remaining { requests, seen_at: now });
        }
        self.has_response = true;
        if is_next { DescribedWindow::Next } else { DescribedWindow::Current }
    }

    fn observe_reset(&mut self, reset: Instant, after: Duration) {
        if self.resets_at.is_none() {
            self.windows_seen += 1;
            let since_last = self.last_reset.map(|last| reset.saturating_duration_since(last));
            self.between_resets = since_last.into_iter().chain(self.between_resets).min();
        }
        // Headers have whole seconds and round up, so the earliest announced reset is the most exact.
        self.resets_at = Some(self.resets_at.map_or(reset, |known| known.min(reset)));
        self.last_reset = self.resets_at;
        self.longest_reset_after = self.longest_reset_after.max(Some(after.max(MIN_WINDOW)));
    }

    fn is_previous(&self, reset: Instant, sent_at: Instant) -> bool {
        let sent_before = self.started_at.is_some_and(|started| sent_at < started);
        let is_earlier = match self.resets_at {
            Some(known) => reset + SAME_RESET < known,
            None => self.last_reset.is_some_and(|last| reset < last + SAME_RESET + LATENCY),
        };
        sent_before && is_earlier
    }

    fn is_next(&self, reset: Instant, sent_at: Instant, remaining: Option<u32>) -> bool {
        let Some(known) = self.resets_at else {
            return false;
        };
        let much_later = self.longest_reset_after.map_or(MAX_WINDOW, |longest| (longest / 2).max(SAME_RESET * 3 / 2));
        // What remains never grows within a window. Responses may overtake each other, so only a request that was sent after the
        // least was seen proves growth.
        let has_grown =
            self.remaining.is_some_and(|least| remaining > Some(least.requests) && least.seen_at <= sent_at);
        reset > known + much_later || has_grown
    }

    fn start_next(&mut self, now: Instant) {
        self.started_at = Some(now);
        self.resets_at = None;
        self.remaining_expires_at = None;
        self.remaining = None;
        self.has_response = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(remaining: u32, reset: u64) -> RateLimitHeaders {
        RateLimitHeaders { limit: Some(600), remaining: Some(remaining), reset_after: Some(Duration::from_secs(reset)) }
    }

    #[test]
    fn length_is_an_hour_until_a_whole_window_was_seen() {
        let start = Instant::now();
        let mut window = RateLimitWindow::default();
        window.observe(start, start, headers(10, 3));
        assert_eq!(window.length(), MAX_WINDOW);
        let next = start + Duration::from_secs(3);
        assert!(window.advance(next) && !window.has_response);
        window.observe(next, next, headers(600, 5));
        assert_eq!(window.length(), Duration::from_secs(5));
    }

    #[test]
    fn least_remaining_of_a_window_counts() {
        let now = Instant::now();
        let mut window = RateLimitWindow::default();
        for remaining in [12, 9, 11] {
            // Responses overtake each other: all were sent before the first one came.
            let sent_at = now - Duration::from_secs(1);
            assert_eq!(window.observe(sent_at, now, headers(remaining, 60)), DescribedWindow::Current);
        }
        assert_eq!(window.remaining(), Some(9));
    }

    #[test]
    fn response_of_the_previous_window_is_recognized() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut window = RateLimitWindow::default();
        window.observe(start, start, headers(300, 60));
        assert_eq!(window.observe(at(58), at(59), headers(599, 3600)), DescribedWindow::Next);
        assert_eq!(window.observe(at(58), at(59), headers(0, 1)), DescribedWindow::Previous);
        assert_eq!((window.remaining(), window.length()), (Some(599), MAX_WINDOW));
    }

    #[test]
    fn remaining_expires_where_no_reset_is_announced() {
        let now = Instant::now();
        let mut window = RateLimitWindow::default();
        window.observe(now, now, RateLimitHeaders { remaining: Some(0), ..RateLimitHeaders::default() });
        assert!(!window.advance(now + Duration::from_secs(59)));
        assert!(window.advance(now + REMAINING_EXPIRES_AFTER));
        assert_eq!(window.remaining(), None);
    }
}
