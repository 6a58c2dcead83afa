//! How long runs wait for the rate limit.

use std::time::{Duration, Instant};

use crate::model::event::Event;

/// The wait in progress, and the total of those before it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RateLimitWaits {
    /// Its start, and its end at the latest.
    current: Option<(Instant, Instant)>,
    finished: Duration,
}

impl RateLimitWaits {
    pub(super) fn observe(&mut self, event: &Event, now: Instant) {
        match event {
            Event::RateLimitWait { wait } => {
                self.end(now);
                self.current = now.checked_add(*wait).map(|until| (now, until));
            }
            Event::RequestFinished { elapsed, .. } => {
                // A request sent during the wait ended it; one that was in flight before did not.
                let sent = now.checked_sub(*elapsed);
                if let (Some((since, _)), Some(sent)) = (self.current, sent)
                    && sent > since
                {
                    self.end(sent);
                }
            }
            Event::RunFinished(_) => self.end(now),
            _ => {}
        }
    }

    /// Time until a request can be sent.
    pub(super) fn remaining(&self, now: Instant) -> Duration {
        self.current.map_or(Duration::ZERO, |(_, until)| until.saturating_duration_since(now))
    }

    pub(super) fn total(&self, now: Instant) -> Duration {
        let current =
            self.current.map_or(Duration::ZERO, |(since, until)| until.min(now).saturating_duration_since(since));
        self.finished + current
    }

    fn end(&mut self, at: Instant) {
        self.finished = self.total(at);
        self.current = None;
    }
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
    fn wait_ends_on_time_or_with_a_request_sent_during_it() {
        let (start, mut waits) = (Instant::now(), RateLimitWaits::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        let seconds = |duration: Duration| duration.as_secs();
        waits.observe(&Event::RateLimitWait { wait: Duration::from_secs(60) }, at(0));
        // In flight when the wait started.
        waits.observe(&request(30), at(20));
        assert_eq!((seconds(waits.remaining(at(20))), seconds(waits.total(at(20)))), (40, 20));
        assert_eq!((seconds(waits.remaining(at(90))), seconds(waits.total(at(90)))), (0, 60));
        waits.observe(&request(5), at(50));
        assert_eq!((seconds(waits.remaining(at(50))), seconds(waits.total(at(90)))), (0, 45));
        waits.observe(&Event::RateLimitWait { wait: Duration::from_secs(10) }, at(100));
        waits.observe(&Event::RateLimitWait { wait: Duration::from_secs(10) }, at(105));
        assert_eq!(seconds(waits.total(at(200))), 45 + 5 + 10);
    }
}
