//! How long the budget makes a run wait.

use std::time::{Duration, Instant};

use crate::model::event::Event;

/// The wait that is under way, and how long the others were.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RateLimitWaits {
    /// Since when, and until when at the latest.
    under_way: Option<(Instant, Instant)>,
    over: Duration,
}

impl RateLimitWaits {
    /// Hears an event.
    pub(super) fn hear(&mut self, event: &Event, now: Instant) {
        match event {
            Event::RateLimitWait { wait } => {
                self.end(now);
                self.under_way = now.checked_add(*wait).map(|until| (now, until));
            }
            Event::RequestFinished { elapsed, .. } => {
                // What was sent after the wait began ended it; what was under way before it did not.
                let sent = now.checked_sub(*elapsed);
                if let (Some((since, _)), Some(sent)) = (self.under_way, sent)
                    && since < sent
                {
                    self.end(sent);
                }
            }
            Event::RunFinished(_) => self.end(now),
            _ => {}
        }
    }

    /// How much longer nothing can be sent.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.under_way.map_or(Duration::ZERO, |(_, until)| until.saturating_duration_since(now))
    }

    /// How long all of them were until `now`.
    pub(super) fn total(&self, now: Instant) -> Duration {
        let under_way = self.under_way.map_or(Duration::ZERO, |(since, until)| waited(since, until.min(now)));
        self.over + under_way
    }

    fn end(&mut self, at: Instant) {
        if let Some((since, until)) = self.under_way.take() {
            self.over += waited(since, until.min(at));
        }
    }
}

fn waited(since: Instant, until: Instant) -> Duration {
    until.saturating_duration_since(since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::slice::SliceName;

    fn request(seconds: u64) -> Event {
        Event::RequestFinished {
            endpoint: String::new(),
            slice: SliceName::default(),
            status: Some(200),
            elapsed: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn wait_ends_with_its_time_or_with_a_request_that_was_sent_in_it() {
        let (start, mut waits) = (Instant::now(), RateLimitWaits::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        let seconds = |duration: Duration| duration.as_secs();
        waits.hear(&Event::RateLimitWait { wait: Duration::from_secs(60) }, at(0));
        // This one was under way when the wait began.
        waits.hear(&request(30), at(20));
        assert_eq!((seconds(waits.left(at(20))), seconds(waits.total(at(20)))), (40, 20));
        assert_eq!((seconds(waits.left(at(90))), seconds(waits.total(at(90)))), (0, 60));
        waits.hear(&request(5), at(50));
        assert_eq!((seconds(waits.left(at(50))), seconds(waits.total(at(90)))), (0, 45));
        waits.hear(&Event::RateLimitWait { wait: Duration::from_secs(10) }, at(100));
        waits.hear(&Event::RateLimitWait { wait: Duration::from_secs(10) }, at(105));
        assert_eq!(seconds(waits.total(at(200))), 45 + 5 + 10);
    }
}
