//! How far a run is, and when it may be over: what a bar and log lines say of it.

use std::time::{Duration, Instant};

use crate::model::event::{Event, RateLimitStatus};
use crate::model::format::{format_duration, format_number};
use crate::observe::rate_limit_waits::RateLimitWaits;

/// Requests after which it is known how long they take.
const ENOUGH: u64 = 3;

/// How far a run is.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunProgress {
    /// Slices to do, and the requests that they are expected to cost.
    pub(super) planned: (usize, u64),
    /// Slices that are over.
    pub(super) over: usize,
    /// Requests that are over.
    pub(super) requests: u64,
    /// Rows so far.
    pub(super) rows: u64,
    waits: RateLimitWaits,
    began: Instant,
    /// What the last answer told of the budget, and when.
    budget: Option<(Instant, RateLimitStatus)>,
}

impl RunProgress {
    /// At the beginning, at `now`.
    pub(super) fn begin(now: Instant) -> Self {
        Self {
            planned: (0, 0),
            over: 0,
            requests: 0,
            rows: 0,
            waits: RateLimitWaits::default(),
            began: now,
            budget: None,
        }
    }

    /// Hears an event.
    pub(super) fn hear(&mut self, event: &Event, now: Instant) {
        self.waits.hear(event, now);
        match event {
            Event::RunStarted { .. } => *self = Self { budget: self.budget, ..Self::begin(now) },
            Event::RunPlanned { slices, requests, .. } => self.planned = (*slices, *requests),
            Event::SlicePublished { counters, .. } => {
                self.end_slice();
                self.rows += counters.rows;
            }
            Event::SliceDeferred { .. } | Event::SliceFailed { .. } | Event::NotEntitled { .. } => self.end_slice(),
            Event::RequestFinished { .. } => self.requests += 1,
            Event::RateLimitStatus(told) => self.budget = Some((now, *told)),
            _ => {}
        }
    }

    fn end_slice(&mut self) {
        self.over += 1;
        // A slice that was split counts once a piece, so the end moves with it.
        self.planned.0 = self.planned.0.max(self.over);
    }

    /// How much longer nothing can be sent; none when something can.
    pub(super) fn waits(&self, now: Instant) -> Option<Duration> {
        Some(self.waits.left(now)).filter(|left| !left.is_zero())
    }

    /// Own requests of the trailing period, and how many may be used of a period.
    pub(super) fn spent(&self) -> Option<(u32, u32)> {
        self.budget.map(|(_, told)| (told.own_requests, usable(&told)))
    }

    /// Requests that may still be sent before the period ends, as of the last answer.
    pub(super) fn requests_left(&self) -> Option<u32> {
        let (_, told) = self.budget?;
        let by_log = usable(&told).saturating_sub(told.own_requests);
        Some(told.remaining.map_or(by_log, |remaining| by_log.min(remaining.saturating_sub(told.reserved))))
    }

    /// How much longer it will take, by what it took so far and what the budget allows; none before that can be said.
    pub(super) fn time_left(&self, now: Instant) -> Option<Duration> {
        let (slices, requests) = self.planned;
        if slices == 0 || self.requests < ENOUGH {
            return None;
        }
        let sending = now.saturating_duration_since(self.began).saturating_sub(self.waits.total(now));
        let each = sending.as_secs_f64() / self.requests as f64;
        let left = requests as f64 * slices.saturating_sub(self.over) as f64 / slices as f64;
        let seconds = match (self.budget, self.requests_left()) {
            (Some((at, told)), Some(free)) if f64::from(free) < left => {
                let passed = now.saturating_duration_since(at);
                let reset = told.resets_in.unwrap_or(told.window).saturating_sub(passed).as_secs_f64();
                let (after, usable) = (left - f64::from(free), f64::from(usable(&told)));
                let whole_periods = ((after / usable).ceil() - 1.0).max(0.0);
                (f64::from(free) * each).max(reset)
                    + whole_periods * told.window.as_secs_f64()
                    + (after - whole_periods * usable) * each
            }
            _ => left * each,
        };
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// What is left of the hour and of the run, in words.
    pub(super) fn ahead(&self, now: Instant) -> String {
        let mut parts = Vec::new();
        match (self.waits(now).map(|left| left.as_secs() + 1), self.spent(), self.requests_left()) {
            (Some(left), Some((spent, usable)), _) => parts.push(format!(
                "waiting for the hour to turn: {:02}:{:02} ({} of {} spent)",
                left / 60,
                left % 60,
                format_number(spent.into()),
                format_number(usable.into())
            )),
            (Some(left), None, _) => {
                parts.push(format!("waiting for the hour to turn: {:02}:{:02}", left / 60, left % 60));
            }
            (None, _, Some(free)) => parts.push(format!("{} requests left this hour", format_number(free.into()))),
            (None, _, None) => {}
        }
        parts.extend(self.time_left(now).map(|to_go| match to_go.as_secs() {
            0..60 => "less than a minute to go".to_owned(),
            seconds => format!("about {} to go", format_duration(Duration::from_secs(seconds / 60 * 60))),
        }));
        parts.join(", ")
    }
}

fn usable(told: &RateLimitStatus) -> u32 {
    told.limit.saturating_sub(told.reserved).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::slice::SliceName;

    fn way(slices: usize, requests: u64, sent: u64, told: RateLimitStatus) -> (RunProgress, Instant) {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut way = RunProgress::begin(start);
        way.hear(&Event::RunPlanned { job: "nightly".into(), slices, requests }, start);
        for second in 1..=sent {
            way.hear(
                &Event::RequestFinished {
                    endpoint: String::new(),
                    slice: SliceName::default(),
                    status: Some(200),
                    elapsed: Duration::from_millis(900),
                },
                at(second),
            );
            way.over += 1;
        }
        way.hear(&Event::RateLimitStatus(told), at(sent));
        (way, at(sent))
    }

    fn told(spent: u32, resets_in: u64) -> RateLimitStatus {
        RateLimitStatus {
            limit: 600,
            remaining: Some(600 - spent),
            reserved: 60,
            own_requests: spent,
            external_requests: 0,
            window: Duration::from_secs(3600),
            resets_in: Some(Duration::from_secs(resets_in)),
        }
    }

    #[test]
    fn run_that_fits_the_hour_takes_as_long_as_its_requests() {
        let (way, now) = way(100, 100, 20, told(20, 3000));
        assert_eq!(way.time_left(now), Some(Duration::from_secs(80)));
        assert_eq!(way.ahead(now), "520 requests left this hour, about 1 m to go");
    }

    #[test]
    fn run_that_does_not_fit_waits_for_as_many_resets_as_it_takes() {
        let (mut way, now) = way(2000, 2000, 540, told(540, 1800));
        // 540 of the 1460 that are left fit each hour.
        assert_eq!(way.time_left(now), Some(Duration::from_secs(1800 + 2 * 3600 + (1460 - 1080))));
        way.hear(&Event::RateLimitWait { wait: Duration::from_secs(372) }, now);
        let later = now + Duration::from_secs(1);
        assert!(
            way.ahead(later).starts_with("waiting for the hour to turn: 06:12 (540 of 540 spent), about 2 h 3"),
            "{}",
            way.ahead(later)
        );
    }

    #[test]
    fn nothing_is_foretold_before_anything_is_known() {
        let (way, now) = way(100, 100, 2, told(2, 3000));
        assert_eq!(way.time_left(now), None);
        assert_eq!(way.ahead(now), "538 requests left this hour");
        assert_eq!(RunProgress::begin(now).ahead(now), "");
    }
}
