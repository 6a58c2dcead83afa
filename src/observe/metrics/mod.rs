//! Metrics in the formats of Prometheus, from events, the status and the configuration.
//!
//! A process that serves `/metrics` has counters and gauges. A one-shot run has a text file for node_exporter with gauges alone,
//! as batch jobs have: what the last run did, and how complete the lake is. A counter in the file would start at zero with each run,
//! and reading the previous file back makes every run depend on a file that others may delete or edit.

mod family;
mod memory;
mod textfile;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;

use crate::clock::Clock;
use crate::config::AlertEvent;
use crate::model::counters::Counters;
use crate::model::event::{Event, EventSink, RateLimitStatus, RetryReason, RunFinished};
use crate::model::outcome::Outcome;
use crate::observe::rate_limit_waits::RateLimitWaits;
use crate::status::{JobStatus, Status};
use family::Families;

pub use family::{BUCKETS, FAMILIES, MetricFamily, MetricKind};
pub use textfile::{TextfileError, write_textfile};

const SLICE_RESULTS: [&str; 4] = ["published", "failed", "deferred", "not_entitled"];

/// The metrics of the process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<MetricsInner>);

#[derive(Debug)]
struct MetricsInner {
    clock: Clock,
    gauges: Registry,
    /// Counters and histograms.
    cumulative: Registry,
    families: Families,
    state: Mutex<MetricsState>,
}

/// What the next event or status is compared with.
#[derive(Debug, Default)]
struct MetricsState {
    waits: RateLimitWaits,
    /// When the last known run of each job ended.
    last_runs: BTreeMap<String, Timestamp>,
    running: BTreeSet<String>,
    /// External requests so far, as the client counts them.
    external_requests: u64,
}

impl Metrics {
    pub fn new(clock: Clock) -> Self {
        let (mut gauges, mut cumulative) = (Registry::default(), Registry::default());
        let families = Families::register(&mut gauges, &mut cumulative);
        families.build_info.set(&[env!("CARGO_PKG_VERSION")], 1.0);
        // A series that starts at zero shows its first event as an increase.
        RetryReason::ALL.iter().for_each(|reason| drop(families.retries.get(&[reason.name()])));
        SLICE_RESULTS.iter().for_each(|result| drop(families.slices.get(&[result])));
        AlertEvent::ALL.iter().for_each(|event| drop(families.alerts_firing.get(&[event.name()])));
        drop(families.external_requests.get(&[]));
        drop(families.key_rejected.get(&[]));
        Self(Arc::new(MetricsInner { clock, gauges, cumulative, families, state: Mutex::default() }))
    }

    pub fn events(&self) -> EventSink {
        let metrics = self.clone();
        EventSink::new(move |event| metrics.observe(event, Instant::now()))
    }

    /// All metrics in the OpenMetrics text format, for `/metrics`.
    pub fn openmetrics(&self) -> String {
        self.update();
        let mut text = String::new();
        // A string accepts every write.
        let _ = encode_registry(&mut text, &self.0.cumulative);
        let _ = encode_registry(&mut text, &self.0.gauges);
        let _ = encode_eof(&mut text);
        text
    }

    /// The gauges in the text format that node_exporter reads.
    pub fn textfile(&self) -> String {
        self.update();
        let mut text = String::new();
        let _ = encode_registry(&mut text, &self.0.gauges);
        text
    }

    /// The current values of a counter or gauge, with their labels.
    pub fn values(&self, name: &str) -> Vec<(Vec<(&'static str, String)>, f64)> {
        self.update();
        self.0.families.values(name)
    }

    pub fn set_key_expiry(&self, at: Option<Timestamp>) {
        self.0.families.key_expiry.set(&[], at.map(seconds));
    }

    /// Sets the metrics that follow from the ledger and the configuration.
    pub fn observe_status(&self, status: &Status) {
        let families = &self.0.families;
        // A job that is no longer configured must not look as if it were late.
        let is_configured = |name: &str| status.jobs.iter().any(|job| job.name == name);
        self.0.state.lock().last_runs.retain(|job, _| is_configured(job));
        for family in [
            &families.last_run,
            &families.last_run_duration,
            &families.last_run_exit_code,
            &families.last_run_requests,
            &families.last_run_rows,
            &families.last_run_written_bytes,
            &families.last_run_files,
            &families.last_run_slices,
            &families.last_success,
            &families.next_run,
            &families.job_running,
            &families.coverage_lag,
        ] {
            family.retain(|labels| is_configured(&labels[0].1));
        }
        status.jobs.iter().for_each(|job| self.observe_job(job));
        families.stream_coverage_lag.retain(|labels| status.streams.iter().any(|stream| stream.name == labels[0].1));
        for stream in &status.streams {
            families.stream_coverage_lag.set(&[&stream.name], stream.lag_seconds as f64);
        }
        for (day_status, days) in status.days_by_status() {
            families.coverage_days.set(&[&day_status.to_string()], days as f64);
        }
    }

    fn observe_job(&self, job: &JobStatus) {
        let (families, name) = (&self.0.families, job.name.as_str());
        self.start_counting(name);
        let is_running = self.0.state.lock().running.contains(name);
        families.job_running.set(&[name], f64::from(u8::from(is_running)));
        families.next_run.set(&[name], job.next_run.map(seconds));
        families.coverage_lag.set(&[name], job.lag_seconds as f64);
        if let Some(success) = job.last_success {
            let observed = families.last_success.get(&[name]).get();
            families.last_success.set(&[name], observed.max(seconds(success)));
        }
        if let Some(last) = &job.last_run {
            let end = &last.end;
            let elapsed = Duration::try_from(last.ended_at.duration_since(end.started_at)).unwrap_or_default();
            self.set_last_run(name, last.ended_at, elapsed, end.outcome, &end.counters);
        }
    }

    fn observe(&self, event: &Event, now: Instant) {
        let families = &self.0.families;
        self.0.state.lock().waits.observe(event, now);
        match event {
            Event::RunStarted { job, .. } => {
                self.0.state.lock().running.insert(job.clone());
                families.job_running.set(&[job], 1.0);
            }
            Event::RequestFinished { endpoint, status, elapsed, .. } => {
                let code = status.map_or("error".to_owned(), |status| status.to_string());
                families.requests.get(&[endpoint, &code]).inc();
                families.request_duration.get(&[endpoint]).observe(elapsed.as_secs_f64());
                match status {
                    Some(401) => families.key_rejected.set(&[], 1.0),
                    Some(200) => families.key_rejected.set(&[], 0.0),
                    _ => {}
                }
            }
            Event::RequestRetried { reason, .. } => drop(families.retries.get(&[reason.name()]).inc()),
            Event::RateLimitStatus(status) => self.observe_rate_limit(*status),
            Event::SlicePublished { slice, counters } => self.count_slice(&slice.stream.name, *counters),
            Event::TablePublished { table, files, bytes } => {
                families.table_commits.get(&[table]).inc();
                families.table_files.get(&[table]).inc_by(*files as f64);
                families.table_written_bytes.get(&[table]).inc_by(*bytes as f64);
                // A series that starts at zero shows its first failure as an increase.
                drop(families.table_failures.get(&[table]));
            }
            Event::TableFailed { table } => {
                families.table_failures.get(&[table.as_deref().unwrap_or("all")]).inc();
            }
            Event::RunFinished(run) => self.finish_run(run),
            Event::AlertsFiring(alerts) => {
                for event in AlertEvent::ALL.map(AlertEvent::name) {
                    let count = alerts.iter().filter(|alert| alert.event == event).count();
                    families.alerts_firing.set(&[event], count as f64);
                }
            }
            Event::NotificationSent { target, delivered } => {
                for (result, is_result) in [("sent", *delivered), ("failed", !*delivered)] {
                    families.notifications.get(&[target, result]).inc_by(f64::from(u8::from(is_result)));
                }
            }
            _ => {}
        }
    }

    fn observe_rate_limit(&self, status: RateLimitStatus) {
        let RateLimitStatus { limit, remaining, reserved, own_requests, external_requests, resets_in, .. } = status;
        let families = &self.0.families;
        families.budget_limit.set(&[], f64::from(limit));
        families.budget_remaining.set(&[], remaining.map(f64::from));
        families.budget_reserved.set(&[], f64::from(reserved));
        families.budget_spent.set(&[], f64::from(own_requests));
        let reset = resets_in.and_then(|wait| self.0.clock.now().checked_add(wait).ok());
        families.budget_reset.set(&[], reset.map(seconds));
        let before = std::mem::replace(&mut self.0.state.lock().external_requests, external_requests);
        // A reload of the configuration makes a new client, which counts from zero.
        let more = external_requests.checked_sub(before).unwrap_or(external_requests);
        families.external_requests.get(&[]).inc_by(more as f64);
    }

    fn count_slice(&self, stream: &str, counters: Counters) {
        let families = &self.0.families;
        families.slices.get(&["published"]).inc();
        families.rows.get(&[stream]).inc_by(counters.rows as f64);
        families.written_bytes.get(&[stream]).inc_by(counters.bytes as f64);
        families.files.get(&[stream, "written"]).inc_by(counters.files as f64);
        families.files.get(&[stream, "unchanged"]).inc_by(counters.unchanged as f64);
    }

    fn finish_run(&self, run: &RunFinished) {
        let (families, job, now) = (&self.0.families, run.job.as_str(), self.0.clock.now());
        self.0.state.lock().running.remove(job);
        self.start_counting(job);
        families.job_running.set(&[job], 0.0);
        families.runs.get(&[job, &run.outcome.to_string()]).inc();
        let Counters { failed, deferred, not_entitled, .. } = run.counters;
        for (result, slices) in [("failed", failed), ("deferred", deferred), ("not_entitled", not_entitled)] {
            families.slices.get(&[result]).inc_by(slices as f64);
        }
        if run.outcome == Outcome::KeyRejected {
            families.key_rejected.set(&[], 1.0);
        }
        if run.outcome == Outcome::Complete {
            families.last_success.set(&[job], seconds(now));
        }
        self.set_last_run(job, now, run.elapsed, run.outcome, &run.counters);
    }

    /// Sets the gauges of the last run of `job`, unless a later one is known: the ledger also holds runs of other processes.
    fn set_last_run(&self, job: &str, ended_at: Timestamp, elapsed: Duration, outcome: Outcome, counters: &Counters) {
        let families = &self.0.families;
        {
            let mut state = self.0.state.lock();
            if state.last_runs.get(job).is_some_and(|known| *known > ended_at) {
                return;
            }
            state.last_runs.insert(job.to_owned(), ended_at);
        }
        families.last_run.set(&[job], seconds(ended_at));
        families.last_run_duration.set(&[job], elapsed.as_secs_f64());
        families.last_run_exit_code.set(&[job], f64::from(outcome.exit_code()));
        families.last_run_requests.set(&[job], counters.requests as f64);
        families.last_run_rows.set(&[job], counters.rows as f64);
        families.last_run_written_bytes.set(&[job], counters.bytes as f64);
        families.last_run_files.set(&[job, "written"], counters.files as f64);
        families.last_run_files.set(&[job, "unchanged"], counters.unchanged as f64);
        let Counters { slices, failed, deferred, not_entitled, .. } = *counters;
        for (result, slices) in SLICE_RESULTS.into_iter().zip([slices, failed, deferred, not_entitled]) {
            families.last_run_slices.set(&[job, result], slices as f64);
        }
    }

    fn start_counting(&self, job: &str) {
        Outcome::ALL.iter().for_each(|outcome| drop(self.0.families.runs.get(&[job, &outcome.to_string()])));
    }

    /// Updates what depends on the time alone.
    fn update(&self) {
        let (families, now) = (&self.0.families, Instant::now());
        let waits = self.0.state.lock().waits;
        families.budget_waiting.set(&[], waits.remaining(now).as_secs_f64());
        let waited = families.budget_waited.get(&[]);
        waited.inc_by((waits.total(now).as_secs_f64() - waited.get()).max(0.0));
        families.memory.set(&[], memory::resident_bytes().map(|bytes| bytes as f64));
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_text_has_counters_and_the_textfile_gauges_alone() {
        let metrics = Metrics::new(Clock::system());
        metrics.events().emit(&Event::RequestFinished {
            endpoint: "/v1/org/{id}/\"odd\\\n".into(),
            slice: crate::model::slice::SliceName::default(),
            status: Some(200),
            elapsed: Duration::from_millis(250),
        });
        let (openmetrics, textfile) = (metrics.openmetrics(), metrics.textfile());
        let request = r#"profound_export_requests_total{endpoint="/v1/org/{id}/\"odd\\\n",code="200"} 1.0"#;
        assert!(openmetrics.contains("# TYPE profound_export_requests counter\n"), "{openmetrics}");
        assert!(openmetrics.contains(request) && openmetrics.ends_with("# EOF\n"), "{openmetrics}");
        assert!(!textfile.contains("_total") && !textfile.contains("EOF"), "{textfile}");
        assert!(textfile.contains("# TYPE profound_export_build_info gauge\n"), "{textfile}");
    }
}
