//! How far a run is and when it may be finished, for the progress bar and log lines.

use std::time::{Duration, Instant};

use crate::model::event::{Event, RateLimitStatus};
use crate::model::format::{format_duration, format_number};
use crate::observe::rate_limit_waits::RateLimitWaits;

/// Fewer finished requests say too little about how long the next ones take.
const MIN_REQUESTS: u64 = 3;

#[derive(Debug, Clone, Copy)]
pub(super) struct RunProgress {
    pub(super) planned_slices: usize,
    /// What the planned slices are expected to cost.
    pub(super) planned_requests: u64,
    pub(super) finished_slices: usize,
    pub(super) finished_requests: u64,
    pub(super) rows: u64,
    waits: RateLimitWaits,
    started: Instant,
    /// With the time of the response.
    rate_limit: Option<(Instant, RateLimitStatus)>,
}

impl RunProgress {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            planned_slices: 0,
            planned_requests: 0,
            finished_slices: 0,
            finished_requests: 0,
            rows: 0,
            waits: RateLimitWaits::default(),
            started: now,
            rate_limit: None,
        }
    }

    pub(super) fn observe(&mut self, event: &Event, now: Instant) {
        self.waits.observe(event, now);
        match event {
            Event::RunStarted { .. } => *self = Self { rate_limit: self.rate_limit, ..Self::new(now) },
            Event::RunPlanned { slices, requests, .. } => {
                (self.planned_slices, self.planned_requests) = (*slices, *requests);
            }
            Event::SlicePublished { counters, .. } => {
                self.finish_slice();
                self.rows += counters.rows;
            }
            Event::SliceDeferred { .. } | Event::SliceFailed { .. } | Event::NotEntitled { .. } => self.finish_slice(),
            Event::RequestFinished { .. } => self.finished_requests += 1,
            Event::RateLimitStatus(status) => self.rate_limit = Some((now, *status)),
            _ => {}
        }
    }

    fn finish_slice(&mut self) {
        self.finished_slices += 1;
        // A slice that was split finishes once for each part.
        self.planned_slices = self.planned_slices.max(self.finished_slices);
    }

    /// Time until a request can be sent; none if one can.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        Some(self.waits.remaining(now)).filter(|wait| !wait.is_zero())
    }

    /// Requests that can be sent before the window resets, as of the last response.
    pub(super) fn available_requests(&self) -> Option<u32> {
        let (_, status) = self.rate_limit?;
        let by_log = usable(&status).saturating_sub(status.own_requests);
        Some(status.remaining.map_or(by_log, |remaining| by_log.min(remaining.saturating_sub(status.reserved))))
    }

    /// An estimate by the pace so far and the rate limit; none before there is a pace.
    pub(super) fn time_left(&self, now: Instant) -> Option<Duration> {
        if self.planned_slices == 0 || self.finished_requests < MIN_REQUESTS {
            return None;
        }
        let sending = now.saturating_duration_since(self.started).saturating_sub(self.waits.total(now));
        let each = sending.as_secs_f64() / self.finished_requests as f64;
        let slices_left = self.planned_slices.saturating_sub(self.finished_slices);
        let requests_left = self.planned_requests as f64 * slices_left as f64 / self.planned_slices as f64;
        let seconds = match (self.rate_limit, self.available_requests().map(f64::from)) {
            (Some((at, status)), Some(available)) if available < requests_left => {
                let passed = now.saturating_duration_since(at);
                let reset = status.resets_in.unwrap_or(status.window).saturating_sub(passed).as_secs_f64();
                let (after, usable) = (requests_left - available, f64::from(usable(&status)));
                let whole_windows = ((after / usable).ceil() - 1.0).max(0.0);
                (available * each).max(reset)
                    + whole_windows * status.window.as_secs_f64()
                    + (after - whole_windows * usable) * each
            }
            _ => requests_left * each,
        };
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// The rate limit and the time left, for people.
    pub(super) fn outlook(&self, now: Instant) -> String {
        let mut parts = Vec::new();
        if let Some(wait) = self.wait(now).map(|wait| wait.as_secs() + 1) {
            let used = self.rate_limit.map(|(_, status)| {
                format!(
                    " ({} of {} requests used)",
                    format_number(status.own_requests.into()),
                    format_number(usable(&status).into())
                )
            });
            parts.push(format!(
                "rate limited, resumes in {:02}:{:02}{}",
                wait / 60,
                wait % 60,
                used.unwrap_or_default()
            ));
        } else if let Some(available) = self.available_requests() {
            parts.push(format!("{} requests available this hour", format_number(available.into())));
        }
        parts.extend(self.time_left(now).map(|left| match left.as_secs() {
            0..60 => "less than a minute left".to_owned(),
            seconds => format!("about {} left", format_duration(Duration::from_secs(seconds / 60 * 60))),
        }));
        parts.join(", ")
    }
}

fn usable(status: &RateLimitStatus) -> u32 {
    status.limit.saturating_sub(status.reserved).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::slice::SliceName;

    fn progress(slices: usize, requests: u64, sent: u64, status: RateLimitStatus) -> (RunProgress, Instant) {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut progress = RunProgress::new(start);
        progress.observe(&Event::RunPlanned { job: "nightly".into(), slices, requests }, start);
        for second in 1..=sent {
            progress.observe(
                &Event::RequestFinished {
                    endpoint: String::new(),
                    slice: SliceName::default(),
                    status: Some(200),
                    elapsed: Duration::from_millis(900),
                },
                at(second),
            );
            progress.finished_slices += 1;
        }
        progress.observe(&Event::RateLimitStatus(status), at(sent));
        (progress, at(sent))
    }

    fn status(spent: u32, resets_in: u64) -> RateLimitStatus {
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
    fn run_within_the_rate_limit_takes_as_long_as_its_requests() {
        let (progress, now) = progress(100, 100, 20, status(20, 3000));
        assert_eq!(progress.time_left(now), Some(Duration::from_secs(80)));
        assert_eq!(progress.outlook(now), "520 requests available this hour, about 1 m left");
    }

    #[test]
    fn run_beyond_the_rate_limit_waits_for_resets() {
        let (mut progress, now) = progress(2000, 2000, 540, status(540, 1800));
        // Each hour has room for 540 of the remaining 1460.
        assert_eq!(progress.time_left(now), Some(Duration::from_secs(1800 + 2 * 3600 + (1460 - 1080))));
        progress.observe(&Event::RateLimitWait { wait: Duration::from_secs(372) }, now);
        let later = now + Duration::from_secs(1);
        assert!(
            progress
                .outlook(later)
                .starts_with("rate limited, resumes in 06:12 (540 of 540 requests used), about 2 h 3"),
            "{}",
            progress.outlook(later)
        );
    }

    #[test]
    fn no_estimate_without_a_pace() {
        let (progress, now) = progress(100, 100, 2, status(2, 3000));
        assert_eq!(progress.time_left(now), None);
        assert_eq!(progress.outlook(now), "538 requests available this hour");
        assert_eq!(RunProgress::new(now).outlook(now), "");
    }
}
