//! The table of all metrics. docs/reference/metrics.md lists the same; a test compares.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::{counter, gauge, histogram};
use prometheus_client::registry::Registry;

pub(super) type Counter = counter::Counter<f64, AtomicU64>;
pub(super) type Gauge = gauge::Gauge<f64, AtomicU64>;
pub(super) type Histogram = histogram::Histogram;
type LabelSet = Vec<(&'static str, String)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

impl MetricKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A row of the table. Each label has a bounded number of values.
#[derive(Debug)]
pub struct MetricFamily {
    pub name: &'static str,
    pub kind: MetricKind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

/// Upper bounds of every histogram in seconds: a page takes a moment, the event stream of a month takes minutes.
pub const BUCKETS: [f64; 11] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];

/// A metric with its series. The crate's family cannot list its label sets, which removing stale series and OTLP need.
#[derive(Debug)]
pub(super) struct SeriesFamily<M> {
    labels: &'static [&'static str],
    family: Family<LabelSet, M, fn() -> M>,
    series: Mutex<BTreeSet<LabelSet>>,
}

impl<M: Value> SeriesFamily<M> {
    fn new(labels: &'static [&'static str]) -> Self {
        Self { labels, family: Family::new_with_constructor(M::new), series: Mutex::default() }
    }

    /// The series with these values of the family's labels, created at zero if it does not exist.
    pub(super) fn get(&self, values: &[&str]) -> M {
        let labels: LabelSet =
            self.labels.iter().copied().zip(values.iter().map(|value| (*value).to_owned())).collect();
        let series = self.family.get_or_create_owned(&labels);
        self.series.lock().insert(labels);
        series
    }

    /// Removes the series whose label values are not to be kept.
    pub(super) fn retain(&self, is_kept: impl Fn(&LabelSet) -> bool) {
        self.series.lock().retain(|labels| {
            let is_kept = is_kept(labels);
            if !is_kept {
                self.family.remove(labels);
            }
            is_kept
        });
    }

    fn values(&self) -> Vec<(LabelSet, f64)> {
        let series = self.series.lock().clone();
        series.into_iter().filter_map(|labels| Some((labels.clone(), self.family.get(&labels)?.value()?))).collect()
    }
}

impl SeriesFamily<Gauge> {
    /// Sets the series, or removes it where no value is known.
    pub(super) fn set(&self, values: &[&str], value: impl Into<Option<f64>>) {
        if let Some(value) = value.into() {
            self.get(values).set(value);
        } else {
            self.retain(|labels| labels.iter().map(|(_, value)| value.as_str()).ne(values.iter().copied()));
        }
    }
}

/// How a metric of the crate is made and read.
pub(super) trait Value: Clone {
    fn new() -> Self;
    /// None if it is no single number.
    fn value(&self) -> Option<f64>;
}

impl Value for Counter {
    fn new() -> Self {
        Self::default()
    }

    fn value(&self) -> Option<f64> {
        Some(self.get())
    }
}

impl Value for Gauge {
    fn new() -> Self {
        Self::default()
    }

    fn value(&self) -> Option<f64> {
        Some(self.get())
    }
}

impl Value for Histogram {
    fn new() -> Self {
        Self::new(BUCKETS)
    }

    fn value(&self) -> Option<f64> {
        None
    }
}

macro_rules! metrics {
    ($($field:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        /// Every metric, in the order of the documentation.
        pub static FAMILIES: &[MetricFamily] = &[$(MetricFamily {
            name: concat!("profound_export_", $name),
            kind: MetricKind::$kind,
            labels: &[$($label),*],
            help: $help,
        }),*];

        #[derive(Debug)]
        pub(super) struct Families {
            $(pub(super) $field: SeriesFamily<$kind>,)*
        }

        impl Families {
            /// Registers gauges apart from what only grows: the text file of a run holds the gauges alone.
            pub(super) fn register(gauges: &mut Registry, cumulative: &mut Registry) -> Self {
                let families = Self { $($field: SeriesFamily::new(&[$($label),*]),)* };
                $({
                    let registry = match MetricKind::$kind {
                        MetricKind::Gauge => &mut *gauges,
                        MetricKind::Counter | MetricKind::Histogram => &mut *cumulative,
                    };
                    // The encoder adds both the suffix and the full stop.
                    let name = concat!("profound_export_", $name).trim_end_matches("_total");
                    registry.register(name, $help, families.$field.family.clone());
                })*
                families
            }

            /// The current values of a counter or gauge.
            pub(super) fn values(&self, name: &str) -> Vec<(LabelSet, f64)> {
                match name {
                    $(concat!("profound_export_", $name) => self.$field.values(),)*
                    _ => Vec::new(),
                }
            }
        }
    };
}

metrics! {
    requests: Counter "requests_total" ["endpoint", "code"]
        "HTTP attempts by endpoint and status, `error` if no response came";
    request_duration: Histogram "request_duration_seconds" ["endpoint"]
        "Time from sending a request to the end of its body";
    retries: Counter "retries_total" ["reason"] "Requests that were retried";
    budget_limit: Gauge "budget_limit_requests" [] "Requests per rate-limit window, as the API announces";
    budget_remaining: Gauge "budget_remaining_requests" [] "Requests that the API says remain in the window";
    budget_reserved: Gauge "budget_reserved_requests" [] "Requests per window that are reserved for other users of the key";
    budget_spent: Gauge "budget_spent_requests" [] "Own requests in the trailing window";
    budget_reset: Gauge "budget_reset_timestamp_seconds" [] "When the window resets";
    budget_waiting: Gauge "budget_waiting_seconds" [] "Time until a request can be sent";
    budget_waited: Counter "budget_waited_seconds_total" [] "Time spent waiting for the rate limit";
    external_requests: Counter "external_requests_total" [] "Requests that others sent with the same key, a lower bound";
    rows: Counter "rows_total" ["stream"] "Rows received";
    written_bytes: Counter "written_bytes_total" ["stream"] "Bytes of Parquet published";
    files: Counter "files_total" ["stream", "result"] "Day files that were published, or kept because nothing changed";
    table_commits: Counter "table_commits_total" ["stream"] "Commits of Delta tables";
    table_files: Counter "table_files_total" ["stream"] "Files that commits of Delta tables added";
    table_written_bytes: Counter "table_written_bytes_total" ["stream"] "Bytes of Parquet that commits of Delta tables added";
    table_failures: Counter "table_failures_total" ["stream"]
        "Delta tables that a run could not publish, or not as a whole; `all` if their store cannot be opened";
    slices: Counter "slices_total" ["result"] "Slices by result";
    runs: Counter "runs_total" ["job", "result"] "Runs by outcome";
    last_run: Gauge "last_run_timestamp_seconds" ["job"] "When the last run ended";
    last_run_duration: Gauge "last_run_duration_seconds" ["job"] "Duration of the last run";
    last_run_exit_code: Gauge "last_run_exit_code" ["job"] "Exit code of the last run's outcome";
    last_run_requests: Gauge "last_run_requests" ["job"] "Requests of the last run, retries included";
    last_run_rows: Gauge "last_run_rows" ["job"] "Rows that the last run received";
    last_run_written_bytes: Gauge "last_run_written_bytes" ["job"] "Bytes of Parquet that the last run published";
    last_run_files: Gauge "last_run_files" ["job", "result"] "Day files of the last run by result";
    last_run_slices: Gauge "last_run_slices" ["job", "result"] "Slices of the last run by result";
    last_success: Gauge "last_success_timestamp_seconds" ["job"] "When the last complete run ended";
    next_run: Gauge "next_run_timestamp_seconds" ["job"] "When the job is scheduled next";
    job_running: Gauge "job_running" ["job"] "1 while the job runs, else 0";
    coverage_lag: Gauge "coverage_lag_seconds" ["job"]
        "Age of the oldest day that is due and missing, since that day ended; 0 if none is";
    stream_coverage_lag: Gauge "stream_coverage_lag_seconds" ["stream"]
        "Age of the oldest day of the stream that is due and missing, since that day ended; 0 if none is";
    coverage_days: Gauge "coverage_days" ["status"] "Days of all streams and scopes by status, of the last 90 days";
    key_expiry: Gauge "key_expiry_timestamp_seconds" [] "When the API key expires, if it is configured";
    key_rejected: Gauge "key_rejected" [] "1 after the API rejected the key, until it accepts one";
    alerts_firing: Gauge "alerts_firing" ["event"] "Alerts that fire, by event";
    notifications: Counter "notifications_total" ["target", "result"] "Notifications by target and result";
    memory: Gauge "memory_resident_bytes" [] "Resident memory of the process";
    build_info: Gauge "build_info" ["version"] "Always 1, labeled with the version of the program";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_do_not_change() {
        let line =
            |family: &MetricFamily| format!("{} {} {}", family.name, family.kind.name(), family.labels.join(","));
        insta::assert_snapshot!(FAMILIES.iter().map(line).collect::<Vec<_>>().join("\n"));
    }
}
